#include "src/base/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include "src/base/cgroup.h"

namespace gpt2 {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kLeast = uint64_t{64} << 20;

uint64_t system_available() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t kib = 0;
    if (words >> name >> kib && name == "MemAvailable:") return kib * 1024;
  }
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) / 2 : kUnlimited;
}

uint64_t read_number(const std::string& path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : otherwise;  // "max" is no number
}

// What the tightest group leaves.
uint64_t cgroup_available() {
  uint64_t least = kUnlimited;
  const auto visit = [&](const std::string& limit_file, const std::string& used_file) {
    const uint64_t limit = read_number(limit_file, kUnlimited), used = read_number(used_file, 0);
    if (limit < kUnlimited) least = std::min(least, limit > used ? limit - used : 0);
  };
  each_cgroup_level("/sys/fs/cgroup", cgroup_folder(""), [&](const std::string& folder) {
    visit(folder + "/memory.max", folder + "/memory.current");
  });
  each_cgroup_level("/sys/fs/cgroup/memory", cgroup_folder("memory"), [&](const std::string& folder) {
    visit(folder + "/memory.limit_in_bytes", folder + "/memory.usage_in_bytes");
  });
  return least;
}

uint64_t address_space() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t used = read_number("/proc/self/statm", 0) * page;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace

uint64_t available_memory() {
  return std::max(kLeast, std::min({system_available(), cgroup_available(), address_space()}));
}

}  // namespace gpt2
