#include "src/io/foreign_format.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace gpt2 {
namespace {

struct Format {
  std::string_view begin, name;
};
constexpr Format kFormats[] = {
    {"GGUF", "a GGUF file"},
    {"version https://git-lfs.github.com/spec/", "a Git LFS pointer to the file (git lfs pull brings the file itself)"},
    {"PK\x03\x04", "a zip archive, as PyTorch's pickles are"},
    {"\x80\x02", "a Python pickle, which could run code and is never opened"},
    {"\x80\x04", "a Python pickle, which could run code and is never opened"},
    {"\x89HDF", "an HDF5 file"},
    {"\x1F\x8B", "a gzip archive"},
    {"\xFF\xFE", "UTF-16 text"},
    {"\xFE\xFF", "UTF-16 text"},
};

// Whether it begins like HTML, after white space and in any case.
bool is_web_page(std::string_view begin) {
  begin.remove_prefix(std::min(begin.find_first_not_of(" \t\r\n"), begin.size()));
  std::string lower(begin.substr(0, 16));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower.starts_with("<!doctype html") || lower.starts_with("<html");
}

}  // namespace

std::string_view foreign_format(std::string_view begin) {
  for (const Format& format : kFormats) {
    if (begin.starts_with(format.begin)) return format.name;
  }
  return is_web_page(begin) ? "a web page (an error or a login instead of the download)" : "";
}

}  // namespace gpt2
