// SPDX-License-Identifier: Apache-2.0
// A checkpoint seen under the names that a model declares, whatever names its layout uses.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flashrt/io/tensor_source.h"

namespace flashrt {

class RenamedSource final : public TensorSource {
 public:
  // `rename` gives a stored tensor's declared name, or an empty text for one that is to be left out. Throws Error when
  // two stored tensors get one name.
  RenamedSource(std::unique_ptr<TensorSource> base, const std::function<std::string(const std::string&)>& rename);
  // Makes `name` another name of what is stored as `existing`'s tensor, and forgets `existing`.
  void move_name(const std::string& existing, const std::string& name);

  const TensorInfo* find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  const std::string& description() const override { return base_->description(); }
  const std::map<std::string, std::string, std::less<>>& metadata() const override { return base_->metadata(); }
  void release_rows(std::string_view name, std::int64_t first, std::int64_t count) const override;
  void prefetch(std::string_view name) const override;

 protected:
  void read_elements(std::string_view name, const TensorInfo& found, std::int64_t first, std::int64_t count,
                     float* out) const override;

 private:
  const std::string& stored(std::string_view name) const;

  std::unique_ptr<TensorSource> base_;
  std::map<std::string, std::string, std::less<>> stored_;  // declared name -> stored name
};

}  // namespace flashrt
