// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string_view>
#include <utility>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"
#include "flashrt/io/safetensors.h"

namespace flashrt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingle = "model.safetensors", kIndex = "model.safetensors.index.json";
constexpr std::size_t kMaxIndexBytes = std::size_t{100} << 20;

// A shard is a plain file name: an index must not reach outside its folder.
void check_shard_name(const JsonReader& entry) {
  const std::string& shard = entry.string();
  bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == shard.npos && !shard.starts_with('.');
  require(plain, "{}: the shard name {} must be a file name beside the index, without a path", entry.where(),
          in_quotes(shard));
  require(shard.ends_with(".safetensors"), "{}: the shard {} is not a .safetensors file", entry.where(),
          in_quotes(shard));
}

}  // namespace

SafetensorsSource::SafetensorsSource(const fs::path& path) : description_(path.string()) {
  fs::path file = path;
  if (fs::is_directory(path)) {
    file = path / kSingle;
    if (!fs::exists(file)) file = path / kIndex;
    require(fs::exists(file), "{}: holds neither {} nor {}", description_, kSingle, kIndex);
  }
  if (file.extension() == ".json") {
    open_index(file);
  } else {
    files_.push_back(SafetensorsFile::open(file));
  }
  collect();
}

SafetensorsSource::SafetensorsSource(SafetensorsFile file) : description_(file.name()) {
  files_.push_back(std::move(file));
  collect();
}

void SafetensorsSource::open_index(const fs::path& path) {
  JsonReader index = JsonReader::read(path, {.max_bytes = kMaxIndexBytes});
  index.only({"metadata", "weight_map"});
  auto weight_map = index.at("weight_map").members();
  require(!weight_map.empty(), "{}: weight_map is empty", path.string());

  std::map<std::string, std::size_t> position;  // shard -> index in files_
  for (const auto& [tensor, entry] : weight_map) {
    check_shard_name(entry);
    auto [it, fresh] = position.try_emplace(entry.string(), files_.size());
    if (fresh) {
      fs::path shard = path.parent_path() / entry.string();
      require(fs::exists(shard), "{}: the shard {} is missing; it should hold tensor {}", path.string(),
              in_quotes(entry.string()), in_quotes(tensor));
      files_.push_back(SafetensorsFile::open(shard));
    }
    const SafetensorsFile& file = files_[it->second];
    require(file.tensors().contains(tensor), "{}: tensor {} is not in {}, where the index has it", path.string(),
            in_quotes(tensor), in_quotes(entry.string()));
  }
  std::map<std::string_view, std::string_view> listed;  // tensor -> shard
  for (const auto& [tensor, entry] : weight_map) listed.emplace(tensor, entry.string());
  for (const auto& [shard, i] : position) {
    for (const auto& [tensor, info] : files_[i].tensors()) {
      auto it = listed.find(tensor);
      if (it == listed.end())
        fail("{}: tensor {} of {} is not in the index", path.string(), in_quotes(tensor), in_quotes(shard));
      if (it->second != shard)
        fail("{}: tensor {} is in {} and in {}", path.string(), in_quotes(tensor), in_quotes(it->second),
             in_quotes(shard));
    }
  }
}

void SafetensorsSource::collect() {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    for (const auto& [tensor, info] : files_[i].tensors()) entries_.emplace(tensor, Entry{&info, i});
    // Shards repeat general words such as `format`; the first one's stand.
    for (const auto& [key, value] : files_[i].metadata()) metadata_.emplace(key, value);
  }
}

const TensorInfo* SafetensorsSource::find(std::string_view name) const {
  auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : it->second.info;
}

std::vector<std::string> SafetensorsSource::names() const {
  std::vector<std::string> out;
  for (const auto& [name, e] : entries_) out.push_back(name);
  return out;
}

void SafetensorsSource::release_rows(std::string_view name, std::int64_t first, std::int64_t count) const {
  auto it = entries_.find(name);
  if (it == entries_.end() || it->second.info->rows() == 0) return;
  TensorInfo part = *it->second.info;
  std::uint64_t row = (part.end - part.begin) / static_cast<std::uint64_t>(part.rows());
  part.begin += row * static_cast<std::uint64_t>(first);
  part.end = part.begin + row * static_cast<std::uint64_t>(count);
  files_[it->second.file].advise(part, MappedFile::Advice::dont_need);
}

void SafetensorsSource::prefetch(std::string_view name) const {
  if (auto it = entries_.find(name); it != entries_.end())
    files_[it->second.file].advise(*it->second.info, MappedFile::Advice::will_need);
}

void SafetensorsSource::read_elements(std::string_view name, const TensorInfo& info, std::int64_t first,
                                      std::int64_t count, float* out) const {
  const SafetensorsFile& file = files_[entries_.find(name)->second.file];
  widen(info.type, file.bytes(info) + first * bits(info.type) / 8, count, out);
}

}  // namespace flashrt
