// libFuzzer's entry: the target that GPT2_FUZZ_TARGET names. `make fuzz` runs all.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fixtures.h"
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

// The words as a dictionary of libFuzzer: a quoted one a line, every byte in hexadecimal.
std::string dictionary() {
  std::string text;
  for (const std::string& word : chosen().words()) {
    text += '"';
    for (const char c : word) {
      char byte[5];
      std::snprintf(byte, sizeof byte, "\\x%02X", static_cast<unsigned char>(c));
      text += byte;
    }
    text += "\"\n";
  }
  return text;
}

}  // namespace

// The seeds go into the corpus folder and the words into a file beside it, before either is read.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("GPT2_FUZZ_WRITE_SEEDS");
  if (folder == nullptr) return 0;
  size_t n = 0;
  for (const std::string& seed : chosen().seeds()) {
    gpt2::test::write_file(std::string(folder) + "/seed-" + std::to_string(n++), seed);
  }
  gpt2::test::write_file(std::string(folder) + ".words", dictionary());
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const gpt2::fuzz::Target& target = chosen();
  const void* bytes = data;
  target.run({static_cast<const char*>(bytes), size});
  return 0;
}
