// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/tensor_source.h"

#include <bit>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"

namespace flashrt {
namespace {

constexpr std::uint32_t kExponent = 0x7f800000u;

const TensorInfo& lookup(const TensorSource& source, std::string_view name) {
  const TensorInfo* found = source.find(name);
  if (!found) fail("{}: there is no tensor {}", source.description(), in_quotes(name));
  return *found;
}

std::string index_text(const TensorInfo& info, std::int64_t element) {
  std::string text;
  for (std::size_t d = info.shape.size(); d-- > 0;) {
    text = fmt::format("{}{}{}", element % info.shape[d], text.empty() ? "" : ", ", text);
    element /= info.shape[d];
  }
  return "[" + text + "]";
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text;
  for (std::int64_t d : shape) text += (text.empty() ? "" : ", ") + std::to_string(d);
  return "[" + text + "]";
}

std::int64_t TensorInfo::elements() const { return rows() * row_elements(); }

std::int64_t TensorInfo::row_elements() const {
  std::int64_t n = 1;
  for (std::size_t d = 1; d < shape.size(); ++d) n *= shape[d];
  return n;
}

std::string to_string(const TensorInfo& info) { return fmt::format("{}{}", name(info.type), shape_text(info.shape)); }

void TensorSource::read_rows(std::string_view name, std::int64_t first, std::int64_t count, float* out) const {
  const TensorInfo& info = lookup(*this, name);
  if (first < 0 || count < 0 || first > info.rows() - count)
    fail("{}: tensor {} has {} rows; {} from row {} were asked for", description(), in_quotes(name), info.rows(), count,
         first);
  if (!can_widen(info.type))
    fail("{}: tensor {} is {}, which is not converted to f32 here", description(), in_quotes(name), to_string(info));
  std::int64_t width = info.row_elements();
  if (count * width > 0) read_elements(name, info, first * width, count * width, out);
}

void TensorSource::read_finite_rows(std::string_view name, std::int64_t first, std::int64_t count, float* out) const {
  read_rows(name, first, count, out);
  const TensorInfo& info = lookup(*this, name);
  std::int64_t width = info.row_elements();
  NonFinite bad = non_finite({out, static_cast<std::size_t>(count * width)});
  if (bad.count != 0)
    fail("{}: tensor {} holds {} at {} ({} such values in rows {} to {}); the checkpoint is damaged", description(),
         in_quotes(name), out[bad.first], index_text(info, first * width + bad.first), bad.count, first,
         first + count - 1);
}

std::vector<float> TensorSource::read(std::string_view name) const {
  const TensorInfo& info = lookup(*this, name);
  std::vector<float> out(static_cast<std::size_t>(info.elements()));
  read_finite_rows(name, 0, info.rows(), out.data());
  return out;
}

NonFinite non_finite(std::span<const float> values) noexcept {
  std::int64_t count = 0;
  for (float v : values) count += (std::bit_cast<std::uint32_t>(v) & kExponent) == kExponent;
  if (count == 0) return {};
  std::int64_t first = 0;
  while ((std::bit_cast<std::uint32_t>(values[static_cast<std::size_t>(first)]) & kExponent) != kExponent) ++first;
  return {count, first};
}

}  // namespace flashrt
