// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/renamed_source.h"

#include "flashrt/core/error.h"

namespace flashrt {

RenamedSource::RenamedSource(std::unique_ptr<TensorSource> base,
                             const std::function<std::string(const std::string&)>& rename)
    : base_(std::move(base)) {
  for (const std::string& name : base_->names()) {
    std::string declared = rename(name);
    if (declared.empty()) continue;
    auto [it, fresh] = stored_.try_emplace(declared, name);
    require(fresh, "{}: tensors \"{}\" and \"{}\" are the same one under two names ({})", base_->description(),
            it->second, name, declared);
  }
}

void RenamedSource::move_name(const std::string& existing, const std::string& name) {
  auto node = stored_.extract(existing);
  require(!node.empty() && !stored_.contains(name), "{}: \"{}\" cannot be renamed \"{}\"", base_->description(),
          existing, name);
  node.key() = name;
  stored_.insert(std::move(node));
}

const std::string& RenamedSource::stored(std::string_view name) const {
  auto it = stored_.find(name);
  require(it != stored_.end(), "{}: missing tensor \"{}\"", base_->description(), name);
  return it->second;
}

const TensorInfo* RenamedSource::find(std::string_view name) const {
  auto it = stored_.find(name);
  return it == stored_.end() ? nullptr : base_->find(it->second);
}

std::vector<std::string> RenamedSource::names() const {
  std::vector<std::string> all;
  for (const auto& [declared, name] : stored_) all.push_back(declared);
  return all;
}

void RenamedSource::release_rows(std::string_view name, std::int64_t first, std::int64_t count) const {
  base_->release_rows(stored(name), first, count);
}
void RenamedSource::prefetch(std::string_view name) const { base_->prefetch(stored(name)); }

void RenamedSource::read_elements(std::string_view name, const TensorInfo& found, std::int64_t first,
                                  std::int64_t count, float* out) const {
  std::int64_t width = found.row_elements();
  if (width == 0) return;
  // The caller's range is in elements and always whole rows.
  base_->read_rows(stored(name), first / width, count / width, out);
}

}  // namespace flashrt
