#include "src/engine/prompt_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/io/file_descriptor.h"
#include "src/io/output_file.h"

namespace gpt2 {
namespace {

// The file: this header, the tokens as i32, the blocks one after the other; all little-endian.
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t kv_type;
  uint64_t model;       // ModelFile::header_hash
  char arithmetic[16];  // what may give other bits
  uint64_t n_tokens;    // whole blocks
  uint64_t block_bytes;
  uint64_t checksum;    // XXH3 of the file with this field zero
};
static_assert(sizeof(Header) == 64);
constexpr char kMagic[8] = {'g', 'p', 't', '2', '-', 'k', 'v', '\n'};
constexpr uint32_t kVersion = 1;

Header header_for(const Engine& engine, size_t n_tokens) {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.kv_type = static_cast<uint32_t>(engine.options().kv_type);
  header.model = engine.model().file().header_hash;
  const std::string arithmetic = class_of_arithmetic(engine.model(), engine.options());
  GPT2_CHECK(arithmetic.size() < sizeof header.arithmetic);
  std::memcpy(header.arithmetic, arithmetic.data(), arithmetic.size());
  header.n_tokens = n_tokens;
  header.block_bytes = engine.pool().layout().block_bytes();
  return header;
}

std::span<const std::byte> bytes_of(const Header& header) { return std::as_bytes(std::span(&header, 1)); }

bool read_whole(int fd, uint64_t offset, void* data, size_t size) {
  auto* to = static_cast<unsigned char*>(data);
  while (size > 0) {
    const ssize_t n = pread(fd, to, size, static_cast<off_t>(offset));
    if (n <= 0) return false;
    to += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return true;
}

std::string text_of(const char (&field)[16]) {
  return printable(std::string_view(field, strnlen(field, sizeof field)));
}

// Everything but the checksum.
void check_header(const Header& found, const Engine& engine, uint64_t file_bytes, const std::string& path) {
  if (std::memcmp(found.magic, kMagic, sizeof kMagic) != 0)
    fail_model(path, "magic", "a prompt cache of gpt2", "another file");
  if (found.version != kVersion) fail_model(path, "version", std::to_string(kVersion), std::to_string(found.version));
  const Header wanted = header_for(engine, 0);
  if (found.model != wanted.model) fail_model(path, "model", hex64(wanted.model), hex64(found.model));
  if (found.kv_type != wanted.kv_type || found.block_bytes != wanted.block_bytes) {
    fail_model(path, "type of the cache", engine.options().kv_type == KvType::f32 ? "f32" : "f16", "another");
  }
  if (std::memcmp(found.arithmetic, wanted.arithmetic, sizeof found.arithmetic) != 0) {
    fail_model(path, "arithmetic", text_of(wanted.arithmetic), text_of(found.arithmetic));
  }
  const uint64_t most = engine.model().config().n_ctx / kBlockPositions * kBlockPositions;
  if (found.n_tokens == 0 || found.n_tokens > most || found.n_tokens % kBlockPositions != 0) {
    fail_model(path, "tokens", "whole blocks of 64, at most " + std::to_string(most), std::to_string(found.n_tokens));
  }
  // At most a context's worth of blocks: far from 2^64.
  const uint64_t expected =
      sizeof(Header) + found.n_tokens * sizeof(int32_t) + found.n_tokens / kBlockPositions * found.block_bytes;
  if (file_bytes != expected) fail_model(path, "size", std::to_string(expected) + " bytes", std::to_string(file_bytes));
}

}  // namespace

std::string class_of_arithmetic(const Model& model, const EngineOptions& options) {
  const auto& tensors = model.file().tensors;
  const bool bf16 = std::any_of(tensors.begin(), tensors.end(),
                                [](const StoredTensor& tensor) { return tensor.dtype == DType::bf16; });
  return bf16 ? options.kernels->name : "exact";
}

void check_prompt_cache_path(const std::string& path, const InputFiles& inputs) {
  const OutputPath target = output_path(path, inputs);
  if (target.kind == OutputPath::Kind::absent) return;
  const auto refuse = [&](const std::string& found) {
    fail(ExitCode::usage,
         printable(path, 400) + ": expected a prompt cache, an empty file or a new name, found " + found);
  };
  if (target.kind != OutputPath::Kind::regular) refuse(kind_of_file(target.mode));
  const FileDescriptor file(open(target.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info = {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) fail_path(path, "read", errno);
  char magic[sizeof kMagic] = {};
  if (info.st_size == 0) return;
  if (!read_whole(file.get(), 0, magic, sizeof magic) || std::memcmp(magic, kMagic, sizeof magic) != 0)
    refuse("another file");
}

std::vector<int32_t> load_prompt_cache(const std::string& path, Engine& engine) {
  struct stat info = {};
  const FileDescriptor file = open_regular(path, info);
  Header header = {};
  const auto file_bytes = static_cast<uint64_t>(info.st_size);
  if (file_bytes < sizeof header || !read_whole(file.get(), 0, &header, sizeof header)) {
    fail_model(path, "size", "at least " + std::to_string(sizeof header) + " bytes", std::to_string(file_bytes));
  }
  check_header(header, engine, file_bytes, path);
  std::vector<int32_t> tokens(header.n_tokens);
  uint64_t offset = sizeof header;
  bool readable = read_whole(file.get(), offset, tokens.data(), tokens.size() * sizeof(int32_t));
  offset += tokens.size() * sizeof(int32_t);
  Xxh3Stream sum;
  Header summed = header;
  summed.checksum = 0;
  sum.update(bytes_of(summed));
  sum.update(std::as_bytes(std::span<const int32_t>(tokens)));
  const bool restored = readable && engine.restore_blocks(tokens, [&](std::span<unsigned char> block) {
    readable = read_whole(file.get(), offset, block.data(), block.size());
    offset += block.size();
    sum.update(std::as_bytes(block));
    return readable && (offset < file_bytes || sum.digest() == header.checksum);
  });
  if (!readable) fail_model(path, "size", std::to_string(file_bytes) + " bytes", "fewer");
  if (!restored)
    fail_model(path, "checksum", hex64(header.checksum), offset < file_bytes ? "no room for it" : hex64(sum.digest()));
  return tokens;
}

void save_prompt_cache(const std::string& path, std::span<const int32_t> tokens, Engine& engine,
                       const InputFiles& inputs) {
  const auto blocks = engine.cached_blocks(tokens);
  if (blocks.empty()) return;
  const auto saved = tokens.first(blocks.size() * kBlockPositions);
  Header header = header_for(engine, saved.size());
  Xxh3Stream sum;
  sum.update(bytes_of(header));
  sum.update(std::as_bytes(saved));
  for (const auto& block : blocks) sum.update(std::as_bytes(block));
  header.checksum = sum.digest();
  check_prompt_cache_path(path, inputs);
  OutputFile file(path, Overwrite::replace, inputs);
  uint64_t offset = 0;
  const auto append = [&](std::span<const std::byte> bytes) {
    file.write(offset, bytes);
    offset += bytes.size();
  };
  file.resize(sizeof header + saved.size_bytes() + blocks.size() * header.block_bytes);
  append(bytes_of(header));
  append(std::as_bytes(saved));
  for (const auto& block : blocks) append(std::as_bytes(block));
  file.commit();
}

}  // namespace gpt2
