// SPDX-License-Identifier: Apache-2.0
// The readings of a model's weight declaration: what tensors it names, and their loading, packed, in parallel.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "flashrt/core/arena.h"
#include "flashrt/core/device.h"
#include "flashrt/core/weights.h"
#include "flashrt/io/tensor_source.h"

namespace flashrt {

// Weight precision of a model: one for all, and exceptions by layer group.
struct Precision {
  DType all = DType::bf16;  // f32, bf16 or i8
  std::map<std::string, DType, std::less<>> keep{};

  DType of(std::string_view group) const;
  DType of(const LinearSpec&) const;
};
// Parses "int8" or "int8,vision=bf16", and more exceptions in `keep`; `groups` are the names the model has. Throws
// Error naming what is allowed.
Precision parse_precision(std::string_view text, const std::vector<std::string>& keep,
                          const std::vector<std::string_view>& groups);
std::string to_string(const Precision&);

// Every tensor a declaration names.
class WeightManifest final : public Weights {
 public:
  struct Entry {
    std::vector<std::int64_t> shape;
    bool needed = true;
  };
  void linear(Linear&, const LinearSpec&) override;
  void tensor(Tensor&, std::string_view group, const std::string& name, Shape, Keep) override;
  void unused(const std::string& name, Shape) override;

  const std::map<std::string, Entry>& entries() const { return entries_; }
  // Bytes an arena needs for all of it at `precision`, and the values they hold.
  std::size_t packed_bytes(const Precision& precision) const;
  std::int64_t parameters() const;
  // Throws one Error that lists every missing, mis-shaped and unknown tensor.
  void check(const TensorSource&) const;

 private:
  void add(const std::string& name, std::vector<std::int64_t> shape, bool needed);
  struct Size {
    LinearSpec spec;       // group and whether it stays high
    std::int64_t rows, K;  // K 0: a tensor of `rows` elements
  };
  std::map<std::string, Entry> entries_;
  std::vector<Size> sizes_;
};

// Allocates in an arena while the declaration runs, then reads and packs everything at once.
class WeightLoader final : public Weights {
 public:
  WeightLoader(const TensorSource& source, const Precision& precision, Arena& arena);
  void linear(Linear&, const LinearSpec&) override;
  void tensor(Tensor&, std::string_view group, const std::string& name, Shape, Keep) override;
  void unused(const std::string&, Shape) override {}

  // Throws Error naming the tensor that cannot be read or holds a NaN or an infinity.
  void load(Device&);

 private:
  struct Job {
    std::vector<std::string> tensors;  // that it reads parts of
    std::function<void(std::vector<float>& scratch)> run;
  };
  void add_panels(const Linear& out, const LinearSpec& spec);

  const TensorSource& source_;
  const Precision& precision_;
  Arena& arena_;
  std::vector<Job> jobs_;
};

}  // namespace flashrt
