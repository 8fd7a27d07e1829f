// The unit tests' entry, and what the tests share.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support.h"

namespace gpt2::test {
namespace {

// Folders that the tests made, removed at the end.
struct TempFolders {
  std::vector<std::string> paths;
  ~TempFolders() {
    for (const std::string& path : paths) {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  }
};

}  // namespace

std::string source_path(const char* relative) { return std::string(GPT2_SOURCE_DIR) + "/" + relative; }

std::string shared_dir() {
  const char* named = std::getenv("GPT2_SHARED");
  const std::string path = named != nullptr ? named : source_path("../shared");
  return std::filesystem::is_directory(path + "/data") ? path : "";
}

void skip(const char* why) {
  static std::set<std::string> said;  // once a test and reason
  const std::string line = std::string("skip ") + doctest::getContextOptions()->currentTest->m_name + ": " + why;
  if (!said.insert(line).second) return;
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

std::string temp_dir() {
  static TempFolders folders;
  std::string path = (std::filesystem::temp_directory_path() / "gpt2-test-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  folders.paths.push_back(path);
  return path;
}

}  // namespace gpt2::test
