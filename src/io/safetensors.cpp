#include "src/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/io/foreign_format.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxRank = 8;
constexpr std::string_view kMetadata = "__metadata__";

struct ItemSize {
  std::string_view dtype;
  uint64_t bytes;
};
constexpr ItemSize kItemSizes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
                                   {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},
                                   {"I32", 4},  {"F32", 4}, {"U64", 8}, {"I64", 8},     {"F64", 8}};

uint64_t read_le64(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return value;
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string_view path) : bytes_(bytes), path_(path) {}

  SafetensorsFile parse() {
    const Json header = parse_json(header_text(), path_, "header");
    if (header.kind != Json::Kind::object) fail_model(path_, "header", "an object", header.describe());
    for (const Json::Member& member : header.object) {
      if (member.first == kMetadata) {
        read_metadata(member.second);
      } else {
        read_tensor(member.first, member.second);
      }
    }
    check_layout();
    return std::move(file_);
  }

 private:
  std::string_view header_text() {
    if (bytes_.size() < kLengthBytes) {
      check_foreign();
      fail_model(path_, "header length", "8 bytes", "a file of " + std::to_string(bytes_.size()));
    }
    const uint64_t length = read_le64(bytes_);
    const uint64_t most = std::min(kMaxHeader, bytes_.size() - kLengthBytes);
    if (length < 2 || length > most) {
      check_foreign();
      fail_model(path_, "header length", "2 to " + std::to_string(most) + " bytes", std::to_string(length));
    }
    file_.data_begin = kLengthBytes + length;
    const void* start = bytes_.data() + kLengthBytes;
    const std::string_view text(static_cast<const char*>(start), length);
    if (text[0] != '{') check_foreign();
    if (text[0] != '{')
      fail_model(path_, "header", "'{' as its first byte", "'" + std::string(text.substr(0, 1)) + "'");
    return text;
  }

  // Names what else the file is, if that is known.
  void check_foreign() const {
    const void* data = bytes_.data();
    const std::string_view other =
        foreign_format({static_cast<const char*>(data), std::min<size_t>(bytes_.size(), 64)});
    if (!other.empty()) fail_model(path_, "file", "safetensors", other);
  }

  void read_metadata(const Json& value) {
    if (value.kind != Json::Kind::object) fail_model(path_, kMetadata, "an object", value.describe());
    for (const Json::Member& member : value.object) {
      if (member.second.kind != Json::Kind::string) {
        fail_model(path_, "__metadata__." + member.first, "a string", member.second.describe());
      }
      file_.metadata.emplace_back(member.first, member.second.string);
    }
  }

  void read_tensor(const std::string& name, const Json& value) {
    if (value.kind != Json::Kind::object) fail_model(path_, name, "an object", value.describe());
    for (const Json::Member& member : value.object) {
      if (member.first != "dtype" && member.first != "shape" && member.first != "data_offsets") {
        fail_model(path_, name, "dtype, shape and data_offsets", "the key \"" + member.first + "\"");
      }
    }
    TensorInfo tensor;
    tensor.name = name;
    const Json& dtype = member(value, name, "dtype", Json::Kind::string);
    tensor.dtype = dtype.string;
    const uint64_t item = safetensors_item_size(tensor.dtype);
    if (item == 0) fail_model(path_, name + ".dtype", "a known type", dtype.describe());
    const Json& shape = member(value, name, "shape", Json::Kind::array);
    if (shape.array.size() > kMaxRank) fail_model(path_, name + ".shape", "at most 8 dimensions", shape.describe());
    for (const Json& dimension : shape.array) tensor.shape.push_back(number(dimension, name + ".shape"));
    const Json& offsets = member(value, name, "data_offsets", Json::Kind::array);
    if (offsets.array.size() != 2) fail_model(path_, name + ".data_offsets", "two numbers", offsets.describe());
    tensor.begin = number(offsets.array[0], name + ".data_offsets");
    tensor.end = number(offsets.array[1], name + ".data_offsets");
    check_size(tensor, item);
    file_.tensors.push_back(std::move(tensor));
  }

  const Json& member(const Json& value, const std::string& name, std::string_view key, Json::Kind kind) const {
    const Json* found = value.find(key);
    if (found == nullptr) fail_model(path_, name, "the key \"" + std::string(key) + "\"", "none");
    if (found->kind != kind) {
      fail_model(path_, name + "." + std::string(key), kind == Json::Kind::string ? "a string" : "an array",
                 found->describe());
    }
    return *found;
  }

  uint64_t number(const Json& value, const std::string& item) const {
    if (value.kind == Json::Kind::unsigned_integer) return value.unsigned_integer;
    if (value.kind != Json::Kind::integer || value.integer < 0)
      fail_model(path_, item, "whole numbers from 0", value.describe());
    return static_cast<uint64_t>(value.integer);
  }

  // shape x item size, without overflow, is what the offsets span; the span lies inside the file.
  void check_size(TensorInfo& tensor, uint64_t item) const {
    std::optional<uint64_t> size = item;
    for (const uint64_t dimension : tensor.shape) {
      if (size) size = checked_mul(*size, dimension);
    }
    if (!size) fail_model(path_, tensor.name + ".shape", "a product below 2^64", "more");
    const uint64_t data_bytes = bytes_.size() - file_.data_begin;
    if (tensor.begin > tensor.end || tensor.end > data_bytes) {
      fail_model(path_, tensor.name + ".data_offsets", "begin <= end <= " + std::to_string(data_bytes),
                 std::to_string(tensor.begin) + ", " + std::to_string(tensor.end));
    }
    if (tensor.end - tensor.begin != *size) {
      fail_model(path_, tensor.name, std::to_string(*size) + " bytes by its shape",
                 std::to_string(tensor.end - tensor.begin) + " by its offsets");
    }
  }

  // In order of their data, tensors follow each other from the first byte to the last.
  void check_layout() {
    std::stable_sort(file_.tensors.begin(), file_.tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
      return a.begin < b.begin || (a.begin == b.begin && a.end < b.end);
    });
    uint64_t at = 0;
    for (TensorInfo& tensor : file_.tensors) {
      if (tensor.begin != at) {
        fail_model(path_, tensor.name + ".data_offsets",
                   "data from byte " + std::to_string(at) + " (no hole, no overlap)",
                   "from " + std::to_string(tensor.begin));
      }
      at = tensor.end;
      tensor.begin += file_.data_begin;
      tensor.end += file_.data_begin;
    }
    if (file_.data_begin + at != bytes_.size()) {
      fail_model(path_, "data", "an end at byte " + std::to_string(file_.data_begin + at),
                 "a file of " + std::to_string(bytes_.size()));
    }
  }

  std::span<const std::byte> bytes_;
  std::string_view path_;
  SafetensorsFile file_;
};

}  // namespace

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

const std::string* SafetensorsFile::metadata_value(std::string_view key) const {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

uint64_t safetensors_item_size(std::string_view dtype) {
  for (const ItemSize& item : kItemSizes) {
    if (item.dtype == dtype) return item.bytes;
  }
  return 0;
}

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, std::string_view path) {
  return Parser(bytes, path).parse();
}

std::string safetensors_header(const std::vector<std::pair<std::string, std::string>>& metadata,
                               std::span<const TensorInfo> tensors, uint64_t alignment, uint64_t min_bytes) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += json_quote(kMetadata) + ":{";
    for (const auto& [key, value] : metadata) {
      if (json.back() != '{') json += ',';
      json += json_quote(key) + ":" + json_quote(value);
    }
    json += '}';
  }
  for (const TensorInfo& tensor : tensors) {
    if (json.size() > 1) json += ',';
    json += json_quote(tensor.name) + ":{\"dtype\":" + json_quote(tensor.dtype) + ",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) json += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    json += "],\"data_offsets\":[" + std::to_string(tensor.begin) + "," + std::to_string(tensor.end) + "]}";
  }
  json += '}';
  const uint64_t total = round_up(std::max<uint64_t>(json.size() + kLengthBytes, min_bytes), alignment);
  json.resize(total - kLengthBytes, ' ');
  std::string header(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) header[i] = static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return header + json;
}

}  // namespace gpt2
