#include "src/base/cgroup.h"

#include <fstream>
#include <sstream>

namespace gpt2 {

std::string cgroup_folder(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    bool found = controller.empty() && second == first + 1;
    for (std::string name; std::getline(names, name, ',');)
      found = found || (!controller.empty() && name == controller);
    if (found) return line.substr(second + 1);
  }
  return "";
}

}  // namespace gpt2
