// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"

namespace flashrt {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;  // elements converted at a time

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::filesystem::path file) : path_(std::move(file)) {
  partial_ = path_;
  partial_ += fmt::format(".{}.partial", getpid());
  fd_ = open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  require(fd_ >= 0, "{}: cannot be written: {}", partial_.string(), std::strerror(errno));
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(partial_.c_str());
}

void SafetensorsWriter::declare(std::string_view name, StoredType type, std::vector<std::int64_t> shape) {
  require(data_begin_ == 0, "{}: tensor {} is declared after the first was written", path_.string(), in_quotes(name));
  std::int64_t total = bits(type);
  bool fits = true;
  for (std::int64_t d : shape) fits = fits && d > 0 && !__builtin_mul_overflow(total, d, &total);
  require(fits && total % 8 == 0, "{}: tensor {} cannot be {} of shape {}", path_.string(), in_quotes(name),
          flashrt::name(type), shape_text(shape));
  auto [it, fresh] = entries_.try_emplace(std::string(name));
  require(fresh && name != "__metadata__", "{}: tensor {} is declared twice or reserved", path_.string(),
          in_quotes(name));
  it->second.info = {type, std::move(shape), 0, static_cast<std::uint64_t>(total / 8)};
}

void SafetensorsWriter::metadata(std::string_view key, std::string_view value) { metadata_[std::string(key)] = value; }

// Places the tensors, those of wide elements first so that all are aligned, and writes the header.
void SafetensorsWriter::begin() {
  std::vector<std::pair<const std::string, Entry>*> order;
  for (auto& entry : entries_) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return bits(a->second.info.type) > bits(b->second.info.type); });
  Json header = Json::object();
  if (!metadata_.empty()) header["__metadata__"] = metadata_;
  std::uint64_t at = 0;
  for (auto* entry : order) {
    TensorInfo& info = entry->second.info;
    info.begin = at;
    at = info.end += at;
    header[entry->first] = {
        {"dtype", flashrt::name(info.type)}, {"shape", info.shape}, {"data_offsets", {info.begin, info.end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::array<std::byte, 8> length;
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(text.size() >> (8 * i));
  write_at(0, length.data(), length.size());
  write_at(length.size(), reinterpret_cast<const std::byte*>(text.data()), text.size());
  data_begin_ = length.size() + text.size();
}

SafetensorsWriter::Entry& SafetensorsWriter::entry(std::string_view name) {
  require(fd_ >= 0, "{}: is finished already", path_.string());
  if (data_begin_ == 0) begin();
  auto it = entries_.find(name);
  require(it != entries_.end(), "{}: tensor {} was not declared", path_.string(), in_quotes(name));
  return it->second;
}

void SafetensorsWriter::append(std::string_view name, std::span<const float> values) {
  StoredType type = entry(name).info.type;
  require(dtype(type) && bits(type) >= 8, "{}: tensor {} is {}, to which floats are not converted", path_.string(),
          in_quotes(name), flashrt::name(type));
  auto size = static_cast<std::size_t>(bits(type) / 8);
  buffer_.resize(std::min(values.size(), kChunk) * size);
  while (!values.empty()) {
    std::size_t n = std::min(values.size(), kChunk);
    narrow(values.data(), static_cast<std::int64_t>(n), type, buffer_.data());
    append_bytes(name, {buffer_.data(), n * size});
    values = values.subspan(n);
  }
}

void SafetensorsWriter::append_bytes(std::string_view name, std::span<const std::byte> bytes) {
  Entry& e = entry(name);
  std::uint64_t left = e.info.end - e.info.begin - e.written;
  require(bytes.size() <= left, "{}: tensor {} is given {} bytes more than {} takes", path_.string(), in_quotes(name),
          bytes.size() - left, to_string(e.info));
  write_at(data_begin_ + e.info.begin + e.written, bytes.data(), bytes.size());
  e.written += bytes.size();
}

void SafetensorsWriter::finish() {
  require(fd_ >= 0, "{}: is finished already", path_.string());
  if (data_begin_ == 0) begin();
  for (const auto& [name, e] : entries_)
    require(e.written == e.info.end - e.info.begin, "{}: tensor {} of {} has {} bytes written of {}", path_.string(),
            in_quotes(name), to_string(e.info), e.written, e.info.end - e.info.begin);
  bool ok = fsync(fd_) == 0;
  ok = close(std::exchange(fd_, -1)) == 0 && ok;
  ok = ok && rename(partial_.c_str(), path_.c_str()) == 0;
  if (ok) return;
  int code = errno;
  unlink(partial_.c_str());
  fail("{}: cannot be written: {}", path_.string(), std::strerror(code));
}

void SafetensorsWriter::write_at(std::uint64_t offset, const std::byte* data, std::size_t count) {
  while (count > 0) {
    ssize_t n = pwrite(fd_, data, count, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("{}: cannot be written: {}", partial_.string(), std::strerror(errno));
    data += n;
    offset += static_cast<std::uint64_t>(n);
    count -= static_cast<std::size_t>(n);
  }
}

}  // namespace flashrt
