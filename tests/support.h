// What the unit tests share. Nothing of the program under test.
#pragma once

#include <string>

namespace gpt2::test {

// A path inside the source tree.
std::string source_path(const char* relative);
// The folder with data too large for the repository, "" where there is none ($GPT2_SHARED, else ../shared).
std::string shared_dir();
// Reports the running test as skipped.
void skip(const char* why);
// A fresh folder, removed when the tests end.
std::string temp_dir();

}  // namespace gpt2::test
