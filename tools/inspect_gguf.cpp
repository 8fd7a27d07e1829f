#include "tools/inspect_gguf.h"

#include <map>
#include <string_view>

#include "src/base/error.h"
#include "src/io/gguf.h"
#include "src/io/mapped_file.h"
#include "tools/format.h"
#include "src/io/json_object.h"

namespace gpt2 {
namespace {

struct Share {
  uint64_t n_tensors = 0, bytes = 0;
};

}  // namespace

GgufReport report_gguf(const std::string& path) {
  const MappedFile mapped = MappedFile::open(path);
  const GgufFile gguf = GgufFile::parse(mapped.bytes(), path);
  std::map<GgufType, Share> shares;
  for (const GgufTensor& tensor : gguf.tensors()) {
    Share& share = shares[tensor.type];
    ++share.n_tensors;
    share.bytes += tensor.bytes;
  }
  const auto text = [&](std::string_view key) { return std::string(gguf.string(key).value_or("")); };
  const std::string architecture = text("general.architecture"), name = text("general.name"),
                    tokenizer = text("tokenizer.ggml.model"), pre = text("tokenizer.ggml.pre");
  std::string types;
  JsonObject types_json, object;
  for (const auto& [type, share] : shares) {
    const GgufTypeInfo& info = gguf_type_info(type);
    types += (types.empty() ? "" : ", ") + std::to_string(share.n_tensors) + " " + std::string(info.name) + " (" +
             human_bytes(static_cast<double>(share.bytes)) + ")";
    types_json.raw(info.name, JsonObject().whole("tensors", share.n_tensors).whole("bytes", share.bytes).text());
  }
  const uint64_t n_keys = gguf.entries().size(), n_tensors = gguf.tensors().size();
  object.whole("version", gguf.version())
      .whole("bytes", mapped.bytes().size())
      .whole("keys", n_keys)
      .whole("tensors", n_tensors)
      .string("architecture", architecture)
      .string("name", name)
      .string("tokenizer", tokenizer)
      .string("pre", pre)
      .raw("types", types_json.text());
  GgufReport report;
  report.json = object.text();
  report.rows = {{"gguf", "version " + std::to_string(gguf.version()) + ", " +
                              human_bytes(static_cast<double>(mapped.bytes().size())) + ", " + std::to_string(n_keys) +
                              " keys, " + std::to_string(n_tensors) + " tensors"},
                 {"architecture", printable(architecture) + (name.empty() ? "" : ", \"" + printable(name) + "\"")},
                 {"types", types},
                 {"vocabulary", printable(tokenizer) + (pre.empty() ? "" : ", cut as " + printable(pre))}};
  return report;
}

}  // namespace gpt2
