// Where this process stands in the hierarchies of control groups.
#pragma once

#include <string>

namespace gpt2 {

// Returns this process's folder in a hierarchy: the third field of the line of /proc/self/cgroup whose second field
// lists `controller` ("" for version 2).
std::string cgroup_folder(const std::string& controller);

// Calls visit(folder) for the process's group and each of its parents, below `mount`.
template <class Visit>
void each_cgroup_level(const std::string& mount, std::string folder, Visit visit) {
  for (;;) {
    visit(mount + folder);
    const size_t slash = folder.rfind('/');
    if (folder.empty() || slash == std::string::npos) return;
    folder.resize(slash);
  }
}

}  // namespace gpt2
