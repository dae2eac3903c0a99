// SPDX-License-Identifier: Apache-2.0
// Strict reader of safetensors files, single or sharded: a file that is not exactly right is refused with its reason.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashrt/core/tensor.h"
#include "flashrt/io/mapped_file.h"
#include "flashrt/io/tensor_source.h"

namespace flashrt {

// One file. Its header is checked in full when it is opened: JSON without duplicate keys, known types, shapes of at
// most 8 dimensions whose product fits, sizes that match, and bytes that follow each other with no hole, overlap or
// rest.
class SafetensorsFile {
 public:
  using Tensors = std::map<std::string, TensorInfo, std::less<>>;
  using Metadata = std::map<std::string, std::string, std::less<>>;
  // The public checkpoints have 131 KB. Parsed, a hostile header takes twenty times its own size.
  static constexpr std::uint64_t kMaxHeader = std::uint64_t{16} << 20;
  static constexpr std::size_t kMaxRank = 8;

  static SafetensorsFile open(const std::filesystem::path& file);
  // A file that is in memory already and stays there.
  static SafetensorsFile open_memory(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  const Tensors& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }

  // The tensor's memory as it lies in the file, read-only. Throws Error when there is none of this name, or the engine
  // has no such type, rank or alignment.
  Tensor view(std::string_view name) const;

  const std::byte* bytes(const TensorInfo& info) const { return data_.data() + info.begin; }
  void advise(const TensorInfo& info, MappedFile::Advice advice) const noexcept;

 private:
  SafetensorsFile() = default;
  void parse(std::span<const std::byte> file);
  void check_layout() const;

  std::string name_;
  MappedFile map_;
  std::span<const std::byte> data_;  // behind the header
  std::size_t header_bytes_ = 0;     // with its length field
  Tensors tensors_;
  Metadata metadata_;
};

// A checkpoint of one file or of the shards that an index names.
class SafetensorsSource : public TensorSource {
 public:
  // A .safetensors file, a .safetensors.index.json file, or a folder that holds model.safetensors or
  // model.safetensors.index.json. Shards must lie beside their index, and index and shards must agree on every tensor.
  explicit SafetensorsSource(const std::filesystem::path& path);
  explicit SafetensorsSource(SafetensorsFile file);

  const TensorInfo* find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  const std::string& description() const override { return description_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const override { return metadata_; }
  void release_rows(std::string_view name, std::int64_t first, std::int64_t count) const override;
  void prefetch(std::string_view name) const override;

  const std::vector<SafetensorsFile>& files() const { return files_; }

 protected:
  void read_elements(std::string_view name, const TensorInfo& found, std::int64_t first, std::int64_t count,
                     float* out) const override;

 private:
  struct Entry {
    const TensorInfo* info;
    std::size_t file;
  };
  void open_index(const std::filesystem::path& index);
  void collect();

  std::string description_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Entry, std::less<>> entries_;
  SafetensorsFile::Metadata metadata_;
};

}  // namespace flashrt
