#include "src/io/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

#include "src/base/checked.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxKeyBytes = 65535, kMaxNameBytes = 63, kMaxAlignment = uint64_t{1} << 20;
constexpr uint64_t kLeastEntryBytes = 8 + 1 + 4 + 1;           // length, a letter, kind, a byte
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // length, a letter, rank, a dimension, type, offset

constexpr std::string_view kKindNames[] = {"u8",     "i8",    "u16", "i16", "u32", "i32", "f32", "bool",
                                           "string", "array", "u64", "i64", "f64"};
constexpr uint32_t kKindBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
static_assert(std::size(kKindNames) == std::size(kKindBytes));

uint32_t item_bytes(GgufKind kind) { return kKindBytes[static_cast<uint32_t>(kind)]; }

using enum GgufType;
constexpr GgufTypeInfo kTypes[] = {
    {f32, "F32", 1, 4}, {f16, "F16", 1, 2}, {q4_0, "Q4_0", 32, 18}, {q4_1, "Q4_1", 32, 20}, {q5_0, "Q5_0", 32, 22},
    {q5_1, "Q5_1", 32, 24}, {q8_0, "Q8_0", 32, 34}, {q2_k, "Q2_K", 256, 84}, {q3_k, "Q3_K", 256, 110},
    {q4_k, "Q4_K", 256, 144}, {q5_k, "Q5_K", 256, 176}, {q6_k, "Q6_K", 256, 210}, {iq2_xxs, "IQ2_XXS", 256, 66},
    {iq2_xs, "IQ2_XS", 256, 74}, {iq3_xxs, "IQ3_XXS", 256, 98}, {iq1_s, "IQ1_S", 256, 50}, {iq4_nl, "IQ4_NL", 32, 18},
    {iq3_s, "IQ3_S", 256, 110}, {iq2_s, "IQ2_S", 256, 82}, {iq4_xs, "IQ4_XS", 256, 136}, {i8, "I8", 1, 1},
    {i16, "I16", 1, 2}, {i32, "I32", 1, 4}, {i64, "I64", 1, 8}, {f64, "F64", 1, 8}, {iq1_m, "IQ1_M", 256, 56},
    {bf16, "BF16", 1, 2}, {tq1_0, "TQ1_0", 256, 54}, {tq2_0, "TQ2_0", 256, 66}, {mxfp4, "MXFP4", 32, 17},
    {nvfp4, "NVFP4", 64, 36}, {q1_0, "Q1_0", 128, 18},
};

// Little-endian, as the machines that this program runs on.
template <class T>
T load(std::span<const std::byte> data, uint64_t index = 0) {
  T value;
  std::memcpy(&value, data.data() + index * sizeof(T), sizeof value);
  return value;
}

std::string_view as_text(std::span<const std::byte> data) {
  const void* start = data.data();
  return {static_cast<const char*>(start), data.size()};
}

// The item at `index` as an integer; nothing where the kind is no integer, or the value is outside int64.
std::optional<int64_t> integer_item(const GgufValue& value, uint64_t index) {
  switch (value.kind) {
    case GgufKind::u8: return load<uint8_t>(value.data, index);
    case GgufKind::i8: return load<int8_t>(value.data, index);
    case GgufKind::u16: return load<uint16_t>(value.data, index);
    case GgufKind::i16: return load<int16_t>(value.data, index);
    case GgufKind::u32: return load<uint32_t>(value.data, index);
    case GgufKind::i32: return load<int32_t>(value.data, index);
    case GgufKind::i64: return load<int64_t>(value.data, index);
    case GgufKind::u64: {
      const auto item = load<uint64_t>(value.data, index);
      if (item > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(item);
    }
    default: return std::nullopt;
  }
}

// Indices 0 .. items.size()-1 in the order of `name(item)`; the position in it of the second of two equal names, if
// there is one.
template <class Item, class Name>
std::optional<size_t> sort_by(const std::vector<Item>& items, Name name, std::vector<uint32_t>& order) {
  order.resize(items.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return name(items[a]) < name(items[b]); });
  for (size_t i = 1; i < order.size(); ++i) {
    if (name(items[order[i - 1]]) == name(items[order[i]])) return i;
  }
  return std::nullopt;
}

}  // namespace

std::string_view gguf_kind_name(GgufKind kind) { return kKindNames[static_cast<uint32_t>(kind)]; }

const GgufTypeInfo* find_gguf_type(uint32_t number) {
  for (const GgufTypeInfo& info : kTypes) {
    if (static_cast<uint32_t>(info.type) == number) return &info;
  }
  return nullptr;
}

const GgufTypeInfo& gguf_type_info(GgufType type) {
  const GgufTypeInfo* info = find_gguf_type(static_cast<uint32_t>(type));
  GPT2_CHECK(info != nullptr);
  return *info;
}

std::string describe(const GgufValue& value) {
  const std::string name(gguf_kind_name(value.kind));
  return value.is_array ? "array of " + std::to_string(value.count) + " " + name : name;
}

class GgufFile::Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string_view path) {
    file_.bytes_ = bytes;
    file_.path_ = path;
  }

  GgufFile parse() {
    read_preamble();
    const uint64_t n_tensors = read_count("tensor count", kLeastTensorBytes);
    const uint64_t n_entries = read_count("key count", kLeastEntryBytes);
    file_.entries_.reserve(n_entries);
    for (uint64_t i = 0; i < n_entries; ++i) read_entry(i);
    if (const auto twice = sort_by(file_.entries_, [](const GgufEntry& e) { return e.key; }, file_.keys_)) {
      refuse(file_.entries_[file_.keys_[*twice]].key, "a key once", "it twice");
    }
    read_alignment();
    if (n_tensors > left() / kLeastTensorBytes)
      refuse("tensor count", "what the file has room for", std::to_string(n_tensors));
    file_.tensors_.reserve(n_tensors);
    for (uint64_t i = 0; i < n_tensors; ++i) read_tensor(i);
    if (const auto twice = sort_by(file_.tensors_, [](const GgufTensor& t) { return t.name; }, file_.names_)) {
      refuse(file_.tensors_[file_.names_[*twice]].name, "a tensor once", "it twice");
    }
    place_tensors();
    return std::move(file_);
  }

 private:
  [[noreturn]] void refuse(std::string_view item, std::string_view expected, std::string_view found) const {
    fail_model(file_.path_, item, expected, found);
  }

  uint64_t left() const noexcept { return file_.bytes_.size() - at_; }

  std::span<const std::byte> take(uint64_t n, std::string_view item) {
    if (n > left()) refuse(item, std::to_string(n) + " bytes", "the GGUF file's end after " + std::to_string(left()));
    const auto taken = file_.bytes_.subspan(at_, n);
    at_ += n;
    return taken;
  }

  template <class T>
  T read(std::string_view item) {
    return load<T>(take(sizeof(T), item));
  }

  std::string_view read_string(std::string_view item, uint64_t most) {
    const auto length = read<uint64_t>(item);
    if (length > std::min(most, left())) {
      refuse(item, "a text of at most " + std::to_string(std::min(most, left())) + " bytes", std::to_string(length));
    }
    return as_text(take(length, item));
  }

  void read_preamble() {
    const std::string_view magic = as_text(take(std::min<uint64_t>(4, left()), "magic"));
    if (magic != "GGUF") refuse("magic", "\"GGUF\"", "\"" + std::string(magic) + "\"");
    file_.version_ = read<uint32_t>("version");
    const uint32_t version = file_.version_;
    if (version == 2 || version == 3) return;
    if (version == 1) refuse("version", "2 or 3", "1, which only the first months' files have; convert the model anew");
    if ((version & 0xFFFFu) == 0 && version != 0)
      refuse("version", "2 or 3", "that of a big-endian file; convert it to little-endian");
    refuse("version", "2 or 3", std::to_string(version));
  }

  // A count of things that take at least `least` bytes each.
  uint64_t read_count(std::string_view item, uint64_t least) {
    const auto count = read<uint64_t>(item);
    const uint64_t most = std::min<uint64_t>(left() / least, std::numeric_limits<uint32_t>::max());
    if (count > most)
      refuse(item, "at most " + std::to_string(most) + " in a file of this size", std::to_string(count));
    return count;
  }

  void read_entry(uint64_t index) {
    GgufEntry entry;
    entry.key = read_string("key " + std::to_string(index), kMaxKeyBytes);
    if (entry.key.empty()) refuse("key " + std::to_string(index), "a name", "none");
    entry.value.kind = read_kind(entry.key);
    if (entry.value.kind == GgufKind::array) {
      entry.value.is_array = true;
      entry.value.kind = read_kind(entry.key);
      if (entry.value.kind == GgufKind::array) refuse(entry.key, "an array of scalars", "an array of arrays");
      entry.value.count = read<uint64_t>(entry.key);
    }
    entry.value.data = read_items(entry.key, entry.value);
    file_.entries_.push_back(entry);
  }

  GgufKind read_kind(std::string_view key) {
    const auto kind = read<uint32_t>(key);
    if (kind >= std::size(kKindNames)) refuse(key, "a kind of value from 0 to 12", std::to_string(kind));
    return static_cast<GgufKind>(kind);
  }

  std::span<const std::byte> read_items(std::string_view key, const GgufValue& value) {
    if (value.kind == GgufKind::string) {
      if (value.count > left() / 8)
        refuse(key, "at most " + std::to_string(left() / 8) + " texts", std::to_string(value.count));
      const uint64_t begin = at_;
      for (uint64_t i = 0; i < value.count; ++i) read_string(key, left());
      return file_.bytes_.subspan(begin, at_ - begin);
    }
    const uint32_t size = item_bytes(value.kind);
    if (value.count > left() / size)
      refuse(key, "at most " + std::to_string(left() / size) + " items", std::to_string(value.count));
    const auto data = take(value.count * size, key);
    if (value.kind == GgufKind::boolean &&
        std::any_of(data.begin(), data.end(), [](std::byte b) { return b > std::byte{1}; })) {
      refuse(key, "0 or 1 for a bool", "another byte");
    }
    return data;
  }

  void read_alignment() {
    const GgufValue* value = file_.find("general.alignment");
    if (value == nullptr) return;
    if (value->is_array || value->kind != GgufKind::u32) refuse("general.alignment", "u32", describe(*value));
    file_.alignment_ = load<uint32_t>(value->data);
    if (!std::has_single_bit(file_.alignment_) || file_.alignment_ > kMaxAlignment) {
      refuse("general.alignment", "a power of two up to " + std::to_string(kMaxAlignment),
             std::to_string(file_.alignment_));
    }
  }

  void read_tensor(uint64_t index) {
    GgufTensor tensor;
    tensor.name = read_string("tensor " + std::to_string(index), kMaxNameBytes);
    if (tensor.name.empty()) refuse("tensor " + std::to_string(index), "a name", "none");
    tensor.rank = read<uint32_t>(tensor.name);
    if (tensor.rank < 1 || tensor.rank > kGgufMaxRank)
      refuse(tensor.name, "1 to 4 dimensions", std::to_string(tensor.rank));
    for (uint32_t i = 0; i < tensor.rank; ++i) tensor.shape[i] = read<uint64_t>(tensor.name);
    const auto number = read<uint32_t>(tensor.name);
    const GgufTypeInfo* type = find_gguf_type(number);
    if (type == nullptr) refuse(tensor.name, "a type that GGUF files have", "number " + std::to_string(number));
    tensor.type = type->type;
    tensor.bytes = bytes_of(tensor, *type);
    tensor.begin = read<uint64_t>(tensor.name);
    file_.tensors_.push_back(tensor);
  }

  uint64_t bytes_of(const GgufTensor& tensor, const GgufTypeInfo& type) const {
    if (tensor.shape[0] == 0 || tensor.shape[0] % type.weights != 0) {
      refuse(tensor.name,
             "rows of a multiple of " + std::to_string(type.weights) + " weights (" + std::string(type.name) + ")",
             std::to_string(tensor.shape[0]));
    }
    std::optional<uint64_t> bytes = checked_mul(tensor.shape[0] / type.weights, type.bytes), weights = tensor.shape[0];
    for (uint32_t i = 1; i < tensor.rank; ++i) {
      if (tensor.shape[i] == 0) refuse(tensor.name, "dimensions from 1", "0");
      if (bytes) bytes = checked_mul(*bytes, tensor.shape[i]);
      if (weights) weights = checked_mul(*weights, tensor.shape[i]);
    }
    if (!bytes || !weights) refuse(tensor.name, "a product of dimensions below 2^64", "more");
    return *bytes;
  }

  // Offsets become places in the file: aligned, inside it, and each byte in one tensor at most.
  void place_tensors() {
    file_.data_begin_ = round_up(at_, file_.alignment_);
    const uint64_t size = file_.bytes_.size();
    if (file_.tensors_.empty()) return;
    if (file_.data_begin_ > size)
      refuse("data", "a beginning at byte " + std::to_string(file_.data_begin_), "a file of " + std::to_string(size));
    const uint64_t room = size - file_.data_begin_;
    for (GgufTensor& tensor : file_.tensors_) {
      if (tensor.begin % file_.alignment_ != 0) {
        refuse(tensor.name, "an offset that is a multiple of " + std::to_string(file_.alignment_),
               std::to_string(tensor.begin));
      }
      if (tensor.begin > room || tensor.bytes > room - tensor.begin) {
        refuse(tensor.name, std::to_string(tensor.bytes) + " bytes within the data's " + std::to_string(room),
               "offset " + std::to_string(tensor.begin));
      }
      tensor.begin += file_.data_begin_;
    }
    std::vector<uint32_t> order(file_.tensors_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return file_.tensors_[a].begin < file_.tensors_[b].begin; });
    for (size_t i = 1; i < order.size(); ++i) {
      const GgufTensor &before = file_.tensors_[order[i - 1]], &after = file_.tensors_[order[i]];
      if (before.begin + before.bytes > after.begin)
        refuse(after.name, "data of its own", "bytes of " + std::string(before.name));
    }
  }

  GgufFile file_;
  uint64_t at_ = 0;
};

GgufFile GgufFile::parse(std::span<const std::byte> bytes, std::string_view path) {
  return Parser(bytes, path).parse();
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = std::lower_bound(keys_.begin(), keys_.end(), key,
                                      [&](uint32_t i, std::string_view k) { return entries_[i].key < k; });
  return found != keys_.end() && entries_[*found].key == key ? &entries_[*found].value : nullptr;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = std::lower_bound(names_.begin(), names_.end(), name,
                                      [&](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  return found != names_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

void GgufFile::refuse(std::string_view key, std::string_view expected, const GgufValue& found) const {
  fail_model(path_, key, expected, describe(found));
}

std::optional<uint64_t> GgufFile::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto item = value->is_array ? std::nullopt : integer_item(*value, 0);
  if (!item) refuse(key, "an integer", *value);
  if (*item < 0) fail_model(path_, key, "an integer from 0", std::to_string(*item));
  return static_cast<uint64_t>(*item);
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array) {
    if (value->kind == GgufKind::f32) return load<float>(value->data);
    if (value->kind == GgufKind::f64) return load<double>(value->data);
    if (const auto item = integer_item(*value, 0)) return static_cast<double>(*item);
  }
  refuse(key, "a number", *value);
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || value->kind != GgufKind::boolean) refuse(key, "a bool", *value);
  return value->data[0] != std::byte{0};
}

std::optional<std::string_view> GgufFile::string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || value->kind != GgufKind::string) refuse(key, "a string", *value);
  return as_text(value->data.subspan(sizeof(uint64_t)));
}

const GgufValue* GgufFile::find_array(std::string_view key, std::string_view expected) const {
  const GgufValue* value = find(key);
  if (value != nullptr && !value->is_array) refuse(key, expected, *value);
  return value;
}

std::optional<std::vector<std::string_view>> GgufFile::strings(std::string_view key) const {
  const GgufValue* value = find_array(key, "an array of strings");
  if (value == nullptr) return std::nullopt;
  if (value->kind != GgufKind::string) refuse(key, "an array of strings", *value);
  std::vector<std::string_view> items;
  items.reserve(value->count);
  auto rest = value->data;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto length = load<uint64_t>(rest);
    items.push_back(as_text(rest.subspan(sizeof length, length)));
    rest = rest.subspan(sizeof length + length);
  }
  return items;
}

std::optional<std::vector<int64_t>> GgufFile::integers(std::string_view key) const {
  const GgufValue* value = find_array(key, "an array of integers");
  if (value == nullptr) return std::nullopt;
  std::vector<int64_t> items;
  if (value->count > 0 && !integer_item(*value, 0)) refuse(key, "an array of integers", *value);
  items.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto item = integer_item(*value, i);
    if (!item) fail_model(path_, key, "integers below 2^63", "a larger one");
    items.push_back(*item);
  }
  return items;
}

std::optional<std::vector<float>> GgufFile::floats(std::string_view key) const {
  const GgufValue* value = find_array(key, "an array of f32");
  if (value == nullptr) return std::nullopt;
  if (value->kind != GgufKind::f32) refuse(key, "an array of f32", *value);
  std::vector<float> items(value->count);
  if (!items.empty()) std::memcpy(items.data(), value->data.data(), value->data.size());
  return items;
}

}  // namespace gpt2
