// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

[[noreturn]] void fail_to_open(const std::string& name, int code) {
  switch (code) {
    case ENOENT:
    case ENOTDIR: fail("{}: no such file", name);
    case EACCES:
    case EPERM: fail("{}: permission denied; make the file readable for this user", name);
    default: fail("{}: cannot be opened: {}", name, std::strerror(code));
  }
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : name_(path.string()) {
  // O_NONBLOCK: a named pipe must not hang here before it is refused below.
  Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail_to_open(name_, errno);
  struct stat status {};
  if (fstat(file.fd, &status) != 0) fail("{}: cannot be read: {}", name_, std::strerror(errno));
  require(!S_ISDIR(status.st_mode), "{}: is a directory, a file is needed", name_);
  require(S_ISREG(status.st_mode), "{}: is not a regular file", name_);
  require(status.st_size > 0, "{}: the file is empty", name_);

  auto size = static_cast<std::size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) fail("{}: {} bytes cannot be mapped: {}", name_, size, std::strerror(errno));
  data_ = static_cast<const std::byte*>(data);
  size_ = size;
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : name_(std::move(other.name_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::advise(std::size_t offset, std::size_t count, Advice advice) const noexcept {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (offset >= size_) return;
  std::size_t end = offset + std::min(count, size_ - offset);
  auto* base = const_cast<std::byte*>(data_);
  if (advice == Advice::will_need) {
    std::size_t first = offset / page * page;
#ifdef MADV_POPULATE_READ
    if (madvise(base + first, end - first, MADV_POPULATE_READ) == 0) return;
#endif
    madvise(base + first, end - first, MADV_WILLNEED);
    return;
  }
  // Pages shared with a neighbour stay; the last page of the file belongs to nobody else.
  std::size_t first = (offset + page - 1) / page * page;
  std::size_t last = end == size_ ? end : end / page * page;
  if (first < last) madvise(base + first, last - first, MADV_DONTNEED);
}

}  // namespace flashrt
