#include "src/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "src/base/error.h"
#include "src/io/file_descriptor.h"

namespace gpt2 {
namespace {

// A handler reaches nothing but globals. A slot is free while `begin` is null; `name` is set before it and freed after
// it.
struct MappedRange {
  std::atomic<const std::byte*> begin = nullptr;
  size_t size = 0;
  char* name = nullptr;
};
MappedRange g_ranges[1024];
std::atomic_flag g_ranges_change = ATOMIC_FLAG_INIT;  // one thread at a time enters or leaves a range
static_assert(std::atomic<const std::byte*>::is_always_lock_free);

// Calls `action` for the first slot with this `begin`.
template <class Action>
void change_range(const std::byte* begin, Action action) {
  while (g_ranges_change.test_and_set(std::memory_order_acquire)) {
  }
  for (MappedRange& range : g_ranges) {
    if (range.begin != begin) continue;
    action(range);
    break;
  }
  g_ranges_change.clear(std::memory_order_release);
}

void enter_range(const std::byte* begin, size_t size, const std::string& path) {
  char* name = strdup(printable(path, 400).c_str());
  if (name == nullptr) throw std::bad_alloc();
  change_range(nullptr, [&](MappedRange& range) {
    range.name = std::exchange(name, nullptr);
    range.size = size;
    range.begin = begin;
  });
  std::free(name);  // there was no room
}

void leave_range(const std::byte* begin) {
  char* name = nullptr;
  change_range(begin, [&](MappedRange& range) {
    range.begin = nullptr;
    name = std::exchange(range.name, nullptr);
  });
  std::free(name);
}

}  // namespace

const char* mapped_file_at(const void* address) noexcept {
  for (const MappedRange& range : g_ranges) {
    const std::byte* begin = range.begin;
    if (begin != nullptr && address >= begin && address < begin + range.size) return range.name;
  }
  return nullptr;
}

MappedFile MappedFile::open(const std::string& path) {
  struct stat info = {};
  FileDescriptor file = open_regular(path, info);
  if (info.st_size == 0) fail_model(path, "size", "at least one byte", "an empty file");
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, mapped.size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED && errno == ENOMEM) fail_errno(path, "map", errno);
  if (data == MAP_FAILED) fail_model(path, "file", "one that can be mapped", std::strerror(errno));
  mapped.data_ = static_cast<const std::byte*>(data);
  enter_range(mapped.data_, mapped.size_, path);
  mapped.file_ = std::move(file);
  mapped.changed_s_ = info.st_mtim.tv_sec;
  mapped.changed_ns_ = info.st_mtim.tv_nsec;
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), path_(std::move(other.path_)),
      file_(std::move(other.file_)), changed_s_(other.changed_s_), changed_ns_(other.changed_ns_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(changed_s_, other.changed_s_);
  std::swap(changed_ns_, other.changed_ns_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  leave_range(data_);
  munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::check_unchanged() const {
  struct stat info = {};
  if (fstat(file_.get(), &info) != 0) fail_model(path_, "file", "one that stays as it is", std::strerror(errno));
  if (static_cast<size_t>(info.st_size) == size_ && info.st_mtim.tv_sec == changed_s_ &&
      info.st_mtim.tv_nsec == changed_ns_)
    return;
  fail_model(path_, "file", "one that stays as it is while it is used",
             "it changed: what was made from it is not to be trusted");
}

void MappedFile::drop(size_t offset, size_t size) const noexcept {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page, end = (offset + size) / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace gpt2
