// Files that attack their readers: a model of 60 KB in each form, and generators of ways to break it. The cases are data, so that
// the library and the program are tested with the same ones.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace gpt2::test {

// The small model as it is before anything breaks it.
std::map<std::string, std::string> nano_directory();       // name -> content: config.json, vocab.json, merges.txt, weights
std::map<std::string, std::string> nano_tokenizer_json();  // the same with tokenizer.json instead of vocab.json, merges.txt
std::string nano_model_file();                             // .gpt2
std::string nano_draft_file();                             // .gpt2 whose head has the tokens 1 and 2

// The text of a safetensors header, without its 8 length bytes.
std::string header_of(const std::string& file);
// The file with another header, its length set right.
std::string with_header(const std::string& file, const std::string& header);
// A .gpt2 file whose header checksum is made right again (unless the header has none).
std::string sealed(std::string file);

// The 13 ways in which a byte is changed: each bit, and five values that formats care about.
std::vector<char> byte_mutations(char byte);

struct HostileCase {
  std::string name;
  enum class Form { directory, model_file } form = Form::directory;
  std::map<std::string, std::string> files;  // a model file is the one under ""
  std::string item;                          // what the message names
};
// Hundreds, each to be refused with exit 3 by a line that names the item.
std::vector<HostileCase> hostile_cases();

}  // namespace gpt2::test
