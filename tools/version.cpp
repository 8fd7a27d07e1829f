#include "tools/version.h"

#include "kernels/kernels.h"

namespace gpt2 {

std::string_view version() { return GPT2_VERSION; }
std::string_view version_date() { return GPT2_DATE; }

std::string build_details() {
  std::string text = "commit    " GPT2_COMMIT "\ncompiler  g++ " __VERSION__ "\n";
  TierInfo tiers[12];
  const size_t count = all_tiers(tiers);
  for (size_t i = 0; i < count; ++i) {
    text += (i == 0 ? "kernels   " : "          ") + std::string(tiers[i].name);
    text += tiers[i].missing == nullptr ? "\n" : " (not here: " + std::string(tiers[i].missing) + ")\n";
  }
  return text;
}

}  // namespace gpt2
