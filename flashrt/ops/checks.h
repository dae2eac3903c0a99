// SPDX-License-Identifier: Apache-2.0
// Phrases of the ops' check() functions.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "flashrt/core/error.h"
#include "flashrt/core/tensor.h"

namespace flashrt {

// `t` is set, a view with strides, of one of the given types and of exactly this shape.
inline void check_tensor(const Tensor& t, std::string_view what, std::initializer_list<DType> dtypes,
                         const Shape& shape) {
  std::string allowed;
  for (DType d : dtypes) allowed += fmt::format("{}{}", allowed.empty() ? "" : " or ", name(d));
  require(static_cast<bool>(t), "{} is not set; it must be {}{}", what, allowed, to_string(shape));
  require(t.layout == Layout::strided, "{} is a packed weight; it must be a plain {}{}", what, allowed,
          to_string(shape));
  require(std::find(dtypes.begin(), dtypes.end(), t.dtype) != dtypes.end() && t.shape == shape,
          "{} is {}; it must be {}{}", what, to_string(t), allowed, to_string(shape));
}
// The same for an argument that may be left unset.
inline void check_optional(const Tensor& t, std::string_view what, std::initializer_list<DType> dtypes,
                           const Shape& shape) {
  if (t) check_tensor(t, what, dtypes, shape);
}
// `t` is a matrix, not empty, that gives the op its sizes.
inline void check_matrix(const Tensor& t, std::string_view what, std::initializer_list<DType> dtypes) {
  require(static_cast<bool>(t), "{} is not set", what);
  require(t.rank() == 2 && t.elements() > 0, "{} is {}; it must be a matrix of at least one element", what,
          to_string(t));
  check_tensor(t, what, dtypes, t.shape);
}
// An i8 output needs its scales; other outputs must not have them.
inline void check_scales(const Tensor& y, const Tensor& y_scale) {
  if (y.dtype == DType::i8)
    check_tensor(y_scale, "y_scale", {DType::f32}, {y.dim(0), 2});
  else
    require(!y_scale, "y_scale is set, but y is {}; scales go with an i8 output", to_string(y));
}

// Bytes of a tensor's elements, gaps not counted: what a cost() counts.
inline double traffic(const Tensor& t) { return t ? static_cast<double>(bytes_for(t.dtype, t.elements())) : 0.0; }

}  // namespace flashrt
