#include "src/convert/warnings.h"

#include <algorithm>

namespace gpt2 {

void add_first_few(std::vector<std::string>& warnings, const std::vector<std::string>& found, const std::string& what) {
  const size_t few = found.size() <= kFewWarnings ? found.size() : kFewWarnings - 1;
  warnings.insert(warnings.end(), found.begin(), found.begin() + static_cast<std::ptrdiff_t>(few));
  if (found.size() > few) warnings.push_back("and " + std::to_string(found.size() - few) + " more " + what);
}

}  // namespace gpt2
