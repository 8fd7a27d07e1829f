// libFuzzer's entry: the target that GPT2_FUZZ_TARGET names. `make fuzz` runs all.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/targets.h"

namespace {

const gpt2::fuzz::Target& chosen() {
  const char* name = std::getenv("GPT2_FUZZ_TARGET");
  for (const gpt2::fuzz::Target& target : gpt2::fuzz::targets()) {
    if (name != nullptr && target.name == name) return target;
  }
  std::fputs("GPT2_FUZZ_TARGET names none of:", stderr);
  for (const gpt2::fuzz::Target& target : gpt2::fuzz::targets()) std::fprintf(stderr, " %s", std::string(target.name).c_str());
  std::fputc('\n', stderr);
  std::exit(2);
}

}  // namespace

// The seeds go into the corpus folder before it is read.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("GPT2_FUZZ_WRITE_SEEDS");
  if (folder == nullptr) return 0;
  size_t n = 0;
  for (const std::string& seed : chosen().seeds()) {
    const std::string path = std::string(folder) + "/seed-" + std::to_string(n++);
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) continue;
    std::fwrite(seed.data(), 1, seed.size(), file);
    std::fclose(file);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const gpt2::fuzz::Target& target = chosen();
  const void* bytes = data;
  target.run({static_cast<const char*>(bytes), size});
  return 0;
}
