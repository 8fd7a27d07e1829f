#include "tests/gguf_files.h"

#include <cstring>

namespace gpt2::test {

namespace {

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

constexpr uint64_t kHuge[] = {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 61, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7};

// Collects the cases; each starts from the good file.
class Containers {
 public:
  std::vector<HostileGguf> take() {
    preamble();
    keys();
    alignment();
    descriptions();
    places();
    return std::move(cases_);
  }

 private:
  void add(const std::string& name, const std::string& file, const std::string& item) { cases_.push_back({name, file, item}); }

  void preamble() {
    add("an empty file", "", "magic");
    add("three bytes", "GGU", "magic");
    for (const char* magic : {"gguf", "GGML", "ggjt", "FUGG", "PK\x03\x04"}) {
      GgufPieces file = small_gguf();
      file.magic = magic;
      add(std::string("the magic ") + magic, file.file(), "magic");
    }
    for (const uint32_t version : {0u, 1u, 4u, 0x03000000u, 0x02000000u, 0x00030000u, 0xFFFFFFFFu}) {
      GgufPieces file = small_gguf();
      file.version = version;
      add("version " + std::to_string(version), file.file(), "version");
    }
    for (const uint64_t count : kHuge) {
      GgufPieces file = small_gguf();
      file.n_tensors = count;
      add("tensor count " + std::to_string(count), file.file(), "tensor count");
      file = small_gguf();
      file.n_entries = count;
      add("key count " + std::to_string(count), file.file(), "key count");
    }
    GgufPieces file = small_gguf();
    ++file.n_entries;
    add("one key more than there are", file.file(), "");
    file = small_gguf();
    ++file.n_tensors;
    add("one tensor more than there are", file.file(), "tensor 2");
  }

  void keys() {
    const auto with = [&](const std::string& name, const std::string& entry, const std::string& item) {
      GgufPieces file = small_gguf();
      file.entries = entry + file.entries;
      ++file.n_entries;
      add(name, file.file(), item);
    };
    with("an empty key", gguf_text("") + le32(0) + "x", "key 0");
    for (const uint64_t length : kHuge) {
      with("a key's length " + std::to_string(length), le64(length) + "k" + le32(0) + "x", "key 0");
      with("a text's length " + std::to_string(length), gguf_text("k") + le32(8) + le64(length), "k");
      with("a count of numbers " + std::to_string(length), gguf_text("k") + le32(9) + le32(4) + le64(length), "k");
      with("a count of wide numbers " + std::to_string(length), gguf_text("k") + le32(9) + le32(12) + le64(length), "k");
      with("a count of texts " + std::to_string(length), gguf_text("k") + le32(9) + le32(8) + le64(length), "k");
      with("a text in an array of length " + std::to_string(length), gguf_text("k") + le32(9) + le32(8) + le64(1) + le64(length), "k");
    }
    with("a key of 65,536 bytes", gguf_text(std::string(65536, 'k')) + le32(0) + "x", "key 0");
    for (const uint32_t kind : {13u, 14u, 255u, 0x80000000u, 0xFFFFFFFFu}) {
      with("kind " + std::to_string(kind), gguf_text("k") + le32(kind) + "x", "k");
      with("items of kind " + std::to_string(kind), gguf_text("k") + le32(9) + le32(kind) + le64(1) + "x", "k");
    }
    with("an array of arrays", gguf_text("k") + le32(9) + le32(9) + le64(0), "k");
    with("a bool of 2", gguf_text("k") + le32(7) + "\x02", "k");
    with("a bool of 255", gguf_text("k") + le32(9) + le32(7) + le64(2) + std::string("\x01\xFF", 2), "k");
    with("a key twice", gguf_text("test.string") + le32(0) + "x", "test.string");
  }

  void alignment() {
    const auto with = [&](const std::string& name, GgufKind kind, const std::string& value) {
      GgufPieces file = small_gguf();
      file.entry("general.alignment", kind, value);
      add("alignment " + name, file.file(), "general.alignment");
    };
    for (const uint32_t value : {0u, 3u, 24u, 33u, 0x00200000u, 0x80000000u, 0xFFFFFFFFu}) with(std::to_string(value), GgufKind::u32, le32(value));
    with("as u64", GgufKind::u64, le64(32));
    with("as i32", GgufKind::i32, le32(32));
    with("as f32", GgufKind::f32, le32(0x42000000));
    with("as text", GgufKind::string, gguf_text("32"));
    GgufPieces file = small_gguf();
    file.array("general.alignment", GgufKind::u32, 1, le32(32));
    add("alignment as an array", file.file(), "general.alignment");
  }

  void described(const std::string& name, const std::string& tensor, const std::vector<uint64_t>& shape, uint32_t type, uint64_t offset,
                 const std::string& item) {
    GgufPieces file = small_gguf();
    file.description(tensor, shape, type, offset);
    file.data.resize(1024, 'x');
    add(name, file.file(), item);
  }

  void descriptions() {
    const std::vector<uint64_t> good = {4};
    const uint64_t free = 512;
    described("a tensor without a name", "", good, 0, free, "tensor 2");
    described("a name of 64 bytes", std::string(64, 'n'), good, 0, free, "tensor 2");
    described("a tensor twice", "b", good, 0, free, "b");
    described("no dimension", "t", {}, 0, free, "t");
    described("five dimensions", "t", {4, 1, 1, 1, 1}, 0, free, "t");
    for (const uint32_t type : {4u, 5u, 9u, 15u, 31u, 33u, 36u, 38u, 42u, 1000u, 0xFFFFFFFFu}) {
      described("type " + std::to_string(type), "t", {256}, type, free, "t");
    }
    described("a dimension of 0", "t", {0}, 0, free, "t");
    described("a second dimension of 0", "t", {4, 0}, 0, free, "t");
    described("a fourth dimension of 0", "t", {4, 1, 1, 0}, 0, free, "t");
    for (const uint64_t n : {uint64_t{1}, uint64_t{31}, uint64_t{33}, uint64_t{48}, (uint64_t{1} << 63) + 16}) {
      described("rows of " + std::to_string(n) + " weights in Q4_0", "t", {n}, 2, free, "t");
    }
    for (const uint64_t n : {uint64_t{32}, uint64_t{128}, uint64_t{255}, uint64_t{768 + 32}}) {
      described("rows of " + std::to_string(n) + " weights in Q4_K", "t", {n}, 12, free, "t");
    }
    const uint64_t half = uint64_t{1} << 63;
    described("a product of 2^64", "t", {half, 2}, 0, free, "t");
    described("a product of 2^64 from four", "t", {65536, 65536, 65536, 65536}, 0, free, "t");
    described("a product of 2^126", "t", {half, half}, 0, free, "t");
    described("bytes past 2^64", "t", {half}, 0, free, "t");
    described("bytes past 2^64 in f64", "t", {uint64_t{1} << 61}, 28, free, "t");
    described("2^62 weights of Q8_0", "t", {uint64_t{1} << 62}, 8, free, "t");
  }

  void places() {
    for (const uint64_t offset : {uint64_t{1}, uint64_t{16}, uint64_t{31}, uint64_t{513}}) {
      described("offset " + std::to_string(offset), "t", {4}, 0, offset, "t");
    }
    for (const uint64_t offset : {uint64_t{1024}, uint64_t{4096}, uint64_t{1} << 63, ~uint64_t{0} - 31}) {
      described("an offset past the data: " + std::to_string(offset), "t", {4}, 0, offset, "t");
    }
    described("an end past the data", "t", {1024}, 0, 512, "t");
    described("an end that wraps", "t", {uint64_t{1} << 61}, 24, ~uint64_t{0} - 31, "t");
    described("the first tensor's data again", "t", {4}, 0, 0, "");
    described("data across the second's", "t", {64}, 0, 0, "");
    GgufPieces file = small_gguf();
    file.data.clear();
    add("no data", file.file().substr(0, file.file().size() - 1), "");
  }

  std::vector<HostileGguf> cases_;
};

}  // namespace

std::string le32(uint32_t value) { return little_endian(value); }
std::string le64(uint64_t value) { return little_endian(value); }
std::string gguf_text(const std::string& text) { return le64(text.size()) + text; }

void GgufPieces::entry(const std::string& key, GgufKind kind, const std::string& value) {
  entries += gguf_text(key) + le32(static_cast<uint32_t>(kind)) + value;
  ++n_entries;
}

void GgufPieces::array(const std::string& key, GgufKind kind, uint64_t count, const std::string& items) {
  entry(key, GgufKind::array, le32(static_cast<uint32_t>(kind)) + le64(count) + items);
}

void GgufPieces::tensor(const std::string& name, const std::vector<uint64_t>& shape, GgufType type, const std::string& bytes) {
  description(name, shape, static_cast<uint32_t>(type), data.size());
  data += bytes;
  data.resize((data.size() + alignment - 1) / alignment * alignment, '\0');
}

void GgufPieces::description(const std::string& name, const std::vector<uint64_t>& shape, uint32_t type, uint64_t offset) {
  tensors += gguf_text(name) + le32(static_cast<uint32_t>(shape.size()));
  for (const uint64_t dimension : shape) tensors += le64(dimension);
  tensors += le32(type) + le64(offset);
  ++n_tensors;
}

std::string GgufPieces::file() const {
  std::string bytes = magic + le32(version) + le64(n_tensors) + le64(n_entries) + entries + tensors;
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
  return bytes + data;
}

GgufPieces small_gguf() {
  GgufPieces file;
  file.entry("general.architecture", GgufKind::string, gguf_text("test"));
  file.entry("test.u8", GgufKind::u8, std::string(1, '\x07'));
  file.entry("test.u64", GgufKind::u64, le64(~uint64_t{0}));
  file.entry("test.negative", GgufKind::i32, le32(static_cast<uint32_t>(-5)));
  file.entry("test.f32", GgufKind::f32, le32(0x3FC00000));
  file.entry("test.bool", GgufKind::boolean, std::string(1, '\x01'));
  file.entry("test.string", GgufKind::string, gguf_text("a \n b"));
  file.array("test.strings", GgufKind::string, 3, gguf_text("") + gguf_text("x") + gguf_text("yz"));
  file.array("test.empty", GgufKind::u32, 0, "");
  file.array("test.numbers", GgufKind::i32, 2, le32(static_cast<uint32_t>(-1)) + le32(2));
  file.tensor("a", {2, 3}, GgufType::f32, std::string(24, 'a'));
  file.tensor("b", {32}, GgufType::q8_0, std::string(34, 'b'));
  return file;
}

std::vector<HostileGguf> hostile_containers() { return Containers().take(); }

}  // namespace gpt2::test
