// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/tensor.h"

#include <algorithm>

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"

namespace flashrt {

Shape::Shape(std::initializer_list<std::int64_t> extents)
    : Shape(std::span<const std::int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) : rank(static_cast<int>(extents.size())) {
  require(extents.size() <= kMaxRank, "a tensor has at most {} dimensions, not {}", kMaxRank, extents.size());
  std::copy(extents.begin(), extents.end(), dims.begin());
  for (std::int64_t d : extents) require(d >= 0, "a tensor dimension is negative ({})", d);
}

std::int64_t Shape::elements() const {
  std::int64_t n = 1;
  for (int i = 0; i < rank; ++i) n *= (*this)[i];
  return n;
}

std::string to_string(const Shape& s) {
  std::string text = "[";
  for (int i = 0; i < s.rank; ++i) text += (i ? ", " : "") + std::to_string(s[i]);
  return text + "]";
}

Tensor::Tensor(void* where, Shape s, DType t) : data(static_cast<std::byte*>(where)), shape(s), dtype(t) {
  std::int64_t step = 1;
  for (int i = s.rank - 1; i >= 0; --i) {
    stride[static_cast<std::size_t>(i)] = step;
    step *= s[i];
  }
}

bool Tensor::contiguous() const {
  if (layout != Layout::strided) return false;
  std::int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (dim(i) != 1 && stride[static_cast<std::size_t>(i)] != step) return false;
    step *= dim(i);
  }
  return true;
}

std::int64_t Tensor::span_bytes() const {
  if (elements() == 0) return 0;
  if (layout == Layout::packed_rhs) return packed_rhs_bytes(shape, dtype);
  std::int64_t last = 0;
  for (int i = 0; i < rank(); ++i) last += (dim(i) - 1) * stride[static_cast<std::size_t>(i)];
  return bytes_for(dtype, last + 1);
}

Tensor Tensor::slice(int d, std::int64_t first, std::int64_t count) const {
  require(layout == Layout::strided || (d == 0 && rank() == 3),
          "a packed right-hand side can be sliced between the matrices of a batch only");
  require(d >= 0 && d < rank() && first >= 0 && count >= 0 && first + count <= dim(d),
          "slice [{}, {}) of dimension {} is outside {}", first, first + count, d, to_string(*this));
  Tensor view = *this;
  view.shape.dims[static_cast<std::size_t>(d)] = count;
  view.data = data + first * stride[static_cast<std::size_t>(d)] * bits(dtype) / 8;
  return view;
}

Tensor Tensor::reshape(Shape s) const {
  require(contiguous(), "only a contiguous tensor can be reshaped; {} has gaps between rows", to_string(*this));
  require(s.elements() == elements(), "{} cannot be reshaped to {}", to_string(*this), to_string(s));
  Tensor view(data, s, dtype);
  view.temp = temp;
  return view;
}

std::string to_string(const Tensor& t) { return fmt::format("{}{}", name(t.dtype), to_string(t.shape)); }

}  // namespace flashrt
