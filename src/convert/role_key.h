// A key of a foreign format that names a token, and the role that the token has.
#pragma once

#include <string_view>

#include "src/text/token_roles.h"

namespace gpt2 {

struct RoleKey {
  std::string_view name;
  TokenRole role;
};

}  // namespace gpt2
