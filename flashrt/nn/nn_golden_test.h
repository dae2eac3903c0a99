// SPDX-License-Identifier: Apache-2.0
// What the tests of nn share: transformers' values (golden/nn.safetensors, made by tools/oracle/nn_golden.py), weights
// loaded from the same file, and the error that each precision may have.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/core/readings.h"
#include "flashrt/io/safetensors.h"
#include "flashrt/models/weight_loader.h"

namespace flashrt::test {

inline const SafetensorsSource& nn_golden() {
  static const SafetensorsSource source(std::filesystem::path(FLASHRT_SOURCE_DIR) / "flashrt/nn/golden/nn.safetensors");
  return source;
}

inline std::vector<float> golden(const std::string& name) {
  const TensorInfo* info = nn_golden().find(name);
  if (!info) fail("no golden {}", name);
  std::vector<float> v(static_cast<std::size_t>(info->elements()));
  nn_golden().read_rows(name, 0, info->rows(), v.data());
  return v;
}

// A device of two workers, the weights that `declare` names, and arenas for what a forward keeps.
struct NnFixture {
  std::unique_ptr<Device> device = cpu::make_device({.threads = 2, .pin = false});
  Precision precision;
  Arena weights, state{std::size_t{4} << 20}, temporaries{std::size_t{4} << 20};

  NnFixture(DType type, const std::function<void(Weights&)>& declare) : precision{.all = type} {
    WeightManifest manifest;
    declare(manifest);
    weights = Arena(manifest.packed_bytes(precision));
    WeightLoader loader(nn_golden(), precision, weights);
    declare(loader);
    loader.load(*device);
  }
  void run(const Program::Forward& forward) { Program::record(*device, temporaries, forward).replay(); }
};

// `actual`, rows of f32, against a golden's rows [first, first + actual.dim(0)).
inline void expect_golden(const Tensor& actual, const std::string& name, std::int64_t first, DType precision) {
  std::vector<float> all = golden(name), values;
  for (std::int64_t i = 0; i < actual.dim(0); ++i)
    values.insert(values.end(), actual.row<float>(i), actual.row<float>(i) + actual.dim(1));
  auto begin = all.begin() + first * actual.dim(1);
  Difference d = difference(values, {begin, begin + std::ssize(values)});
  EXPECT_TRUE(d.finite) << name;
  if (precision == DType::f32)
    EXPECT_LE(d.relative_l2, 1e-6) << name;
  else
    EXPECT_GE(d.cosine, precision == DType::bf16 ? 0.9999 : 0.999) << name << ", relative L2 " << d.relative_l2;
}

}  // namespace flashrt::test
