// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"

namespace flashrt {
namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPage = 4096;
}  // namespace

Arena::Arena(std::size_t capacity)
    : capacity_(static_cast<std::size_t>(round_up(static_cast<std::int64_t>(capacity), kHugePage))) {
  // One huge page more, so that the start can be aligned and the kernel can back the whole block with huge pages.
  void* raw = ::mmap(nullptr, capacity_ + kHugePage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED)
    fail("cannot reserve {} MiB of memory: {}; lower the precision or free memory", capacity_ >> 20,
         std::strerror(errno));
  auto address = reinterpret_cast<std::uintptr_t>(raw);
  auto aligned = (address + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > address) ::munmap(raw, aligned - address);
  ::munmap(reinterpret_cast<void*>(aligned + capacity_), address + kHugePage - aligned);
  data_ = reinterpret_cast<std::byte*>(aligned);
  ::madvise(data_, capacity_, MADV_HUGEPAGE);  // advice only: without huge pages it is slower, not wrong
}

Arena::~Arena() {
  if (data_) ::munmap(data_, capacity_);
}

Arena::Arena(Arena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      used_(std::exchange(other.used_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(capacity_, other.capacity_);
  std::swap(used_, other.used_);
  return *this;
}

std::byte* Arena::allocate(std::size_t bytes) {
  std::size_t size = (bytes + kAlign - 1) / kAlign * kAlign;
  require(size >= bytes && size <= capacity_ - used_, "arena is full: {} bytes asked, {} of {} left", bytes,
          capacity_ - used_, capacity_);
  std::byte* at = data_ + used_;
  used_ += size;
  return at;
}

Tensor Arena::tensor(Shape shape, DType dtype) {
  return {allocate(static_cast<std::size_t>(bytes_for(dtype, shape.elements()))), shape, dtype};
}

Tensor Arena::packed(Shape shape, DType dtype) {
  Tensor t = packed_rhs(allocate(static_cast<std::size_t>(packed_rhs_bytes(shape, dtype))), shape, dtype);
  clear_packed_rhs(t);
  return t;
}

void Arena::prefault(std::size_t bytes) const {
  require(bytes <= capacity_, "arena is too small: {} bytes needed, {} reserved", bytes, capacity_);
  for (std::size_t i = 0; i < bytes; i += kPage) {
    auto* page = reinterpret_cast<volatile unsigned char*>(data_ + i);
    *page = *page;
  }
}

}  // namespace flashrt
