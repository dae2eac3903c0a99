// SPDX-License-Identifier: Apache-2.0
// A typed, strided view of memory that never owns and never frees.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "flashrt/core/dtype.h"

namespace flashrt {

inline constexpr int kMaxRank = 4;

// Extents, outermost first. A rank-0 shape has one element.
struct Shape {
  std::array<std::int64_t, kMaxRank> dims{};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);  // throws Error when longer than kMaxRank
  explicit Shape(std::span<const std::int64_t> extents);
  std::int64_t operator[](int i) const {
    return dims[static_cast<std::size_t>(i < 0 ? i + rank : i)];
  }  // -1 is the last
  std::int64_t elements() const;
  bool operator==(const Shape&) const = default;
};
std::string to_string(const Shape&);  // "[528, 2048]"

// How a tensor's elements lie in memory.
enum class Layout : std::uint8_t {
  strided,     // element (i, j, ...) at data + sum(index * stride) elements; the last dimension has stride 1
  packed_rhs,  // a matmul right-hand side [N, K] or a batch of them [B, N, K], see core/packed_rhs.h
};

struct Tensor {
  std::byte* data = nullptr;
  Shape shape;
  std::array<std::int64_t, kMaxRank> stride{};  // elements
  DType dtype = DType::f32;
  Layout layout = Layout::strided;
  int temp = -1;  // index of the recorder's temporary this views; -1: memory that outlives the program

  Tensor() = default;
  Tensor(void* data, Shape shape, DType dtype);  // contiguous

  explicit operator bool() const { return data != nullptr; }
  int rank() const { return shape.rank; }
  std::int64_t dim(int i) const { return shape[i]; }
  std::int64_t elements() const { return shape.elements(); }
  bool contiguous() const;
  // Bytes from the first element to one past the last, gaps included.
  std::int64_t span_bytes() const;

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
  // First element of row `i`: the tensor is seen as [dim0, ...].
  template <class T>
  T* row(std::int64_t i) const {
    return reinterpret_cast<T*>(data + i * row_bytes());
  }
  std::int64_t row_bytes() const { return stride[0] * bits(dtype) / 8; }

  // Views; each throws Error when out of range.
  Tensor slice(int dim, std::int64_t first, std::int64_t count) const;
  Tensor rows(std::int64_t first, std::int64_t count) const { return slice(0, first, count); }
  Tensor cols(std::int64_t first, std::int64_t count) const { return slice(rank() - 1, first, count); }
  Tensor reshape(Shape) const;  // contiguous tensors only
};
std::string to_string(const Tensor&);  // "bf16[528, 2048]"

}  // namespace flashrt
