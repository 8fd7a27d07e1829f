#include "src/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/base/error.h"
#include "src/io/file_descriptor.h"

namespace gpt2 {

MappedFile MappedFile::open(const std::string& path) {
  struct stat info = {};
  FileDescriptor file = open_regular(path, info);
  if (info.st_size == 0) fail_model(path, "size", "at least one byte", "an empty file");
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, mapped.size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) fail_model(path, "file", "one that can be mapped", std::strerror(errno));
  mapped.data_ = static_cast<const std::byte*>(data);
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
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::check_unchanged() const {
  struct stat info = {};
  if (fstat(file_.get(), &info) != 0) fail_model(path_, "file", "one that stays as it is", std::strerror(errno));
  if (static_cast<size_t>(info.st_size) == size_ && info.st_mtim.tv_sec == changed_s_ && info.st_mtim.tv_nsec == changed_ns_) return;
  fail_model(path_, "file", "one that stays as it is while it is used", "it changed: what was made from it is not to be trusted");
}

void MappedFile::drop(size_t offset, size_t size) const noexcept {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page, end = (offset + size) / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace gpt2
