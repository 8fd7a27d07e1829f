// A tree of JSON as a document.
#pragma once

#include <string>

#include "src/io/json.h"

namespace gpt2 {

// Returns the tree on one line; numbers as json_number() has them, a real one always with a point or an exponent.
std::string json_text(const Json& json);

}  // namespace gpt2
