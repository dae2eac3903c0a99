// SPDX-License-Identifier: Apache-2.0
// Weights made up on the spot, for benchmarks and tests without a checkpoint: a pure function of seed, name and index.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "flashrt/io/tensor_source.h"

namespace flashrt {

class RandomSource : public TensorSource {
 public:
  explicit RandomSource(std::uint64_t seed = 0) : seed_(seed) {}

  // Makes `name` known. Values are near normal (a sum of four uniforms, at most 3.45 deviations from the mean).
  // Declaring a name again with another shape or other moments throws Error. Not to be called while others read.
  void declare(std::string_view name, std::vector<std::int64_t> shape, float deviation, float mean = 0.0f);

  const TensorInfo* find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  const std::string& description() const override { return description_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const override { return metadata_; }

 protected:
  void read_elements(std::string_view name, const TensorInfo& found, std::int64_t first, std::int64_t count,
                     float* out) const override;

 private:
  struct Entry {
    TensorInfo info;
    float deviation, mean;
    std::uint64_t key;
  };
  std::uint64_t seed_;
  std::string description_ = "random weights";
  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

}  // namespace flashrt
