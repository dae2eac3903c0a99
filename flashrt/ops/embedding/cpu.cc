// SPDX-License-Identifier: Apache-2.0
// Embedding: each worker takes a contiguous share of the tokens. The bound is memory: one table row a token.
#include "flashrt/ops/embedding/embedding.h"
#include "flashrt/ops/row_loops.h"

namespace flashrt::FLASHRT_ISA {
namespace {

bool supports(const Embedding&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

template <class T, class Y>
void scale_row(const T* from, Y* to, std::int64_t D, float scale) {
  for_vectors(D, [&](std::int64_t i, auto lanes) { store(to + i, load(from + i, lanes) * splat(scale), lanes); });
}

void run(const Embedding& op, const Exec& exec) noexcept {
  const std::int64_t V = op.table.dim(0), D = op.table.dim(1), T = op.ids.dim(0);
  const std::int64_t valid = op.valid ? *op.valid : T;
  const std::int32_t* ids = op.ids.as<std::int32_t>();
  const auto [first, last] = exec.share(T);
  for (std::int64_t t = first; t < last; ++t)
    with_row(op.y, t, [&](auto* y) {
      if (t >= valid) return for_vectors(D, [&](std::int64_t i, auto lanes) { store(y + i, splat(0.0f), lanes); });
      std::int64_t id = ids[t];
      id = id < 0 ? 0 : id >= V ? V - 1 : id;
      if (op.table.dtype == DType::f16)
        scale_row(op.table.row<F16>(id), y, D, op.scale);
      else
        with_row(op.table, id, [&](const auto* row) { scale_row(row, y, D, op.scale); });
    });
}

}  // namespace

std::span<const Kernel<Embedding>> rows(const Embedding*) {
  static constexpr Kernel<Embedding> kRows[] = {{FLASHRT_ISA_NAME, supports, nullptr, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
