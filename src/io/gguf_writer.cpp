#include "src/io/gguf_writer.h"

#include "src/base/checked.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr uint64_t kAlignment = 32;  // what a file without the key has
constexpr size_t kMaxNameBytes = 63;

// Little-endian, as the machines that this program runs on.
template <class T>
void append(std::string& out, T value) {
  const void* bytes = &value;
  out.append(static_cast<const char*>(bytes), sizeof value);
}

void append_text(std::string& out, std::string_view text) {
  append(out, static_cast<uint64_t>(text.size()));
  out += text;
}

}  // namespace

void GgufWriter::key(std::string_view name, GgufKind kind) {
  append_text(entries_, name);
  append(entries_, static_cast<uint32_t>(kind));
  ++n_entries_;
}

void GgufWriter::array(std::string_view name, GgufKind kind, uint64_t count) {
  key(name, GgufKind::array);
  append(entries_, static_cast<uint32_t>(kind));
  append(entries_, count);
}

GgufWriter& GgufWriter::text(std::string_view name, std::string_view value) {
  key(name, GgufKind::string);
  append_text(entries_, value);
  return *this;
}

GgufWriter& GgufWriter::u32(std::string_view name, uint32_t value) {
  key(name, GgufKind::u32);
  append(entries_, value);
  return *this;
}

GgufWriter& GgufWriter::f32(std::string_view name, float value) {
  key(name, GgufKind::f32);
  append(entries_, value);
  return *this;
}

GgufWriter& GgufWriter::flag(std::string_view name, bool value) {
  key(name, GgufKind::boolean);
  entries_ += value ? '\1' : '\0';
  return *this;
}

GgufWriter& GgufWriter::texts(std::string_view name, std::span<const std::string> values) {
  array(name, GgufKind::string, values.size());
  for (const std::string& value : values) append_text(entries_, value);
  return *this;
}

GgufWriter& GgufWriter::i32s(std::string_view name, std::span<const int32_t> values) {
  array(name, GgufKind::i32, values.size());
  for (const int32_t value : values) append(entries_, value);
  return *this;
}

GgufWriter& GgufWriter::f32s(std::string_view name, std::span<const float> values) {
  array(name, GgufKind::f32, values.size());
  for (const float value : values) append(entries_, value);
  return *this;
}

uint64_t GgufWriter::tensor(std::string_view name, std::span<const uint64_t> shape, GgufType type) {
  GPT2_CHECK(name.size() <= kMaxNameBytes && !shape.empty() && shape.size() <= kGgufMaxRank);
  const GgufTypeInfo& info = gguf_type_info(type);
  GPT2_CHECK(shape.back() % info.weights == 0);
  append_text(tensors_, name);
  append(tensors_, static_cast<uint32_t>(shape.size()));
  uint64_t weights = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    append(tensors_, shape[i]);
    weights *= shape[i];
  }
  append(tensors_, static_cast<uint32_t>(type));
  const uint64_t begin = data_bytes_;
  append(tensors_, begin);
  ++n_tensors_;
  data_bytes_ = round_up(begin + weights / info.weights * info.bytes, kAlignment);
  return begin;
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  append(out, uint32_t{3});
  append(out, n_tensors_);
  append(out, n_entries_);
  out += entries_;
  out += tensors_;
  out.resize(round_up(out.size(), kAlignment), '\0');
  return out;
}

}  // namespace gpt2
