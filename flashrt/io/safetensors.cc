// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"

namespace flashrt {
namespace {

constexpr std::size_t kLengthField = 8;

std::uint64_t read_length(std::span<const std::byte> file) {
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < kLengthField; ++i) n |= std::uint64_t{std::to_integer<std::uint8_t>(file[i])} << (8 * i);
  return n;
}

// Bytes of a tensor; throws Error when they do not fit 63 bits.
std::uint64_t byte_size(const JsonReader& entry, const TensorInfo& info) {
  std::int64_t total = bits(info.type);
  // A zero anywhere makes the tensor empty, but it must not hide a product that overflows.
  for (std::int64_t d : info.shape)
    require(!__builtin_mul_overflow(total, std::max<std::int64_t>(d, 1), &total), "{}: the shape {} is too large",
            entry.where(), shape_text(info.shape));
  if (std::find(info.shape.begin(), info.shape.end(), 0) != info.shape.end()) return 0;
  require(total % 8 == 0, "{}: {} does not end on a whole byte", entry.where(), to_string(info));
  return static_cast<std::uint64_t>(total / 8);
}

TensorInfo parse_tensor(const JsonReader& entry, std::uint64_t data_bytes) {
  require(entry.is_object(), "{} must be an object with dtype, shape and data_offsets", entry.where());
  entry.only({"dtype", "shape", "data_offsets"});
  TensorInfo info;
  const std::string& type = entry.string("dtype");
  auto known = stored_type_from_name(type);
  require(known.has_value(), "{}: the dtype {} is not one of safetensors", entry.where(), in_quotes(type));
  info.type = *known;
  info.shape = entry.at("shape").integers(0);
  require(info.shape.size() <= SafetensorsFile::kMaxRank, "{}: {} dimensions are more than the {} that are read here",
          entry.where(), info.shape.size(), SafetensorsFile::kMaxRank);

  auto offsets = entry.at("data_offsets").integers(0);
  require(offsets.size() == 2, "{}: data_offsets must be two numbers, there are {}", entry.where(), offsets.size());
  info.begin = static_cast<std::uint64_t>(offsets[0]);
  info.end = static_cast<std::uint64_t>(offsets[1]);
  require(info.begin <= info.end, "{}: data_offsets [{}, {}] are reversed", entry.where(), info.begin, info.end);
  require(info.end <= data_bytes,
          "{}: data_offsets [{}, {}] go beyond the {} bytes of data: the file is truncated or its header wrong",
          entry.where(), info.begin, info.end, data_bytes);
  std::uint64_t wanted = byte_size(entry, info);
  require(info.end - info.begin == wanted, "{}: {} takes {} bytes, data_offsets [{}, {}] hold {}", entry.where(),
          to_string(info), wanted, info.begin, info.end, info.end - info.begin);
  return info;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile file;
  file.map_ = MappedFile(path);
  file.name_ = file.map_.name();
  file.parse(file.map_.bytes());
  return file;
}

SafetensorsFile SafetensorsFile::open_memory(std::span<const std::byte> bytes, std::string name) {
  SafetensorsFile file;
  file.name_ = std::move(name);
  file.parse(bytes);
  return file;
}

void SafetensorsFile::parse(std::span<const std::byte> file) {
  require(file.size() >= kLengthField, "{}: {} bytes are too few for a safetensors file", name_, file.size());
  std::uint64_t length = read_length(file);
  require(length <= kMaxHeader, "{}: the header length {} is above the limit of {}: not a safetensors file, or damaged",
          name_, length, kMaxHeader);
  require(length <= file.size() - kLengthField,
          "{}: the header has {} bytes, the file only {} after the length: it is truncated", name_, length,
          file.size() - kLengthField);
  header_bytes_ = kLengthField + static_cast<std::size_t>(length);
  data_ = file.subspan(header_bytes_);

  std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthField, static_cast<std::size_t>(length));
  require(text.starts_with('{'), "{}: the header does not start with {{: not a safetensors file", name_);
  JsonReader header = JsonReader::parse(text, name_, {.max_bytes = kMaxHeader});
  for (const auto& [key, entry] : header.members()) {
    if (key == "__metadata__") {
      for (const auto& [word, value] : entry.members()) metadata_.emplace(word, value.string());
    } else {
      tensors_.emplace(key, parse_tensor(entry, data_.size()));
    }
  }
  check_layout();
}

void SafetensorsFile::check_layout() const {
  std::vector<const Tensors::value_type*> order;
  for (const auto& entry : tensors_) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t at = 0;
  const Tensors::value_type* last = nullptr;
  for (const auto* entry : order) {
    const auto& [tensor, info] = *entry;
    require(info.begin >= at, "{}: the tensors {} and {} overlap at byte {} of the data", name_,
            in_quotes(last ? last->first : ""), in_quotes(tensor), info.begin);
    require(info.begin == at, "{}: bytes {} to {} of the data, before tensor {}, belong to no tensor", name_, at,
            info.begin, in_quotes(tensor));
    bool both_empty = last && last->second.begin == info.begin && last->second.end == info.end;
    require(!both_empty, "{}: the empty tensors {} and {} are aliases of byte {} of the data", name_,
            in_quotes(last ? last->first : ""), in_quotes(tensor), info.begin);
    at = info.end;
    last = entry;
  }
  require(at == data_.size(), "{}: {} bytes after the last tensor belong to no tensor", name_, data_.size() - at);
}

Tensor SafetensorsFile::view(std::string_view tensor) const {
  auto it = tensors_.find(tensor);
  require(it != tensors_.end(), "{}: there is no tensor {}", name_, in_quotes(tensor));
  const TensorInfo& info = it->second;
  auto type = dtype(info.type);
  require(type.has_value(), "{}: tensor {} is {}, a type that the engine does not compute with", name_,
          in_quotes(tensor), to_string(info));
  require(info.shape.size() <= static_cast<std::size_t>(flashrt::kMaxRank),
          "{}: tensor {} is {}; a view has at most {} dimensions", name_, in_quotes(tensor), to_string(info),
          flashrt::kMaxRank);
  const std::byte* data = bytes(info);
  auto align = static_cast<std::uintptr_t>(std::max(bits(info.type) / 8, 1));
  require(reinterpret_cast<std::uintptr_t>(data) % align == 0,
          "{}: tensor {} is not aligned to its {} byte elements; it can be read, not viewed", name_, in_quotes(tensor),
          align);
  return Tensor(const_cast<std::byte*>(data), Shape(std::span<const std::int64_t>(info.shape)), *type);
}

void SafetensorsFile::advise(const TensorInfo& info, MappedFile::Advice advice) const noexcept {
  map_.advise(header_bytes_ + static_cast<std::size_t>(info.begin), static_cast<std::size_t>(info.end - info.begin),
              advice);
}

}  // namespace flashrt
