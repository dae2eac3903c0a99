// SPDX-License-Identifier: Apache-2.0
// Where a model's weights come from: names, shapes and rows of f32, whatever the container.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashrt/io/stored_type.h"

namespace flashrt {

struct TensorInfo {
  StoredType type = StoredType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // bytes of the data section; 0, 0 where there is no file

  std::int64_t elements() const;
  // The tensor as rows of everything behind its first dimension; rank 0 is one row of one.
  std::int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  std::int64_t row_elements() const;
};
std::string shape_text(std::span<const std::int64_t> shape);  // "[2048, 1152]"
std::string to_string(const TensorInfo&);                     // "BF16[2048, 1152]"

// All members may be called from several threads at once.
class TensorSource {
 public:
  virtual ~TensorSource() = default;

  virtual const TensorInfo* find(std::string_view name) const = 0;  // nullptr when there is none
  virtual std::vector<std::string> names() const = 0;               // sorted
  virtual const std::string& description() const = 0;               // what an error calls it: the path
  // The text entries of the container, such as `format`, or `dropped tied name` -> `name kept`.
  virtual const std::map<std::string, std::string, std::less<>>& metadata() const = 0;

  // Rows [first, first + count) as f32. Throws Error for an unknown name, rows out of range, and types without a
  // conversion.
  void read_rows(std::string_view name, std::int64_t first, std::int64_t count, float* out) const;
  // The same, and throws Error naming the first element that is NaN or infinite.
  void read_finite_rows(std::string_view name, std::int64_t first, std::int64_t count, float* out) const;
  // The whole tensor, finite.
  std::vector<float> read(std::string_view name) const;

  // A tensor's bytes are not needed any more, or soon will be; only memory use and speed change.
  virtual void release_rows(std::string_view, std::int64_t /*first*/, std::int64_t /*count*/) const {}
  void release(std::string_view name) const {
    if (const TensorInfo* info = find(name)) release_rows(name, 0, info->rows());
  }
  virtual void prefetch(std::string_view) const {}

 protected:
  // `found` is what find() gave; the range has been checked.
  virtual void read_elements(std::string_view name, const TensorInfo& found, std::int64_t first, std::int64_t count,
                             float* out) const = 0;
};

// How many of `values` are NaN or infinite, and where the first one is (-1: none).
struct NonFinite {
  std::int64_t count = 0, first = -1;
};
NonFinite non_finite(std::span<const float> values) noexcept;

}  // namespace flashrt
