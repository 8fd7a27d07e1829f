#include "tests/support.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <vector>

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

std::string temp_dir() {
  static TempFolders folders;
  std::string path = (std::filesystem::temp_directory_path() / "gpt2-test-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  folders.paths.push_back(path);
  return path;
}

}  // namespace gpt2::test
