// SPDX-License-Identifier: Apache-2.0
// Patchify: each worker takes a contiguous share of the patches. A patch is gathered from p image rows into one f32
// row, the output itself or scratch, and converted from there. The bound is memory traffic.
#include "flashrt/ops/patchify/patchify.h"
#include "flashrt/ops/quantize/quantize_row.h"

namespace flashrt::FLASHRT_ISA {
namespace {

bool supports(const Patchify&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

std::size_t scratch(const Patchify& op, const DeviceInfo&) {
  return op.y.dtype == DType::f32 ? 0 : static_cast<std::size_t>(op.y.dim(1)) * sizeof(float);
}

// One patch, whose first element is at `from`, in order (dy, dx, channel).
void gather(const Patchify& op, const float* from, float* to) {
  const std::int64_t run = op.patch * op.channels, pitch = op.image.stride[0];
  for (std::int64_t dy = 0; dy < op.patch; ++dy, from += pitch, to += run)
    for_vectors(run, [&](std::int64_t i, auto lanes) { store(to + i, load(from + i, lanes), lanes); });
}

void run(const Patchify& op, const Exec& exec) noexcept {
  const std::int64_t D = op.y.dim(1), across = op.image.dim(1) / (op.patch * op.channels);
  const auto [first, last] = exec.share(op.y.dim(0));
  for (std::int64_t t = first; t < last; ++t) {
    const float* from = op.image.row<float>(t / across * op.patch) + t % across * op.patch * op.channels;
    float* row = op.y.dtype == DType::f32 ? op.y.row<float>(t) : reinterpret_cast<float*>(exec.scratch);
    gather(op, from, row);
    if (op.y.dtype == DType::bf16) {
      Bf16* y = op.y.row<Bf16>(t);
      for_vectors(D, [&](std::int64_t i, auto lanes) { store(y + i, load(row + i, lanes), lanes); });
    } else if (op.y.dtype == DType::i8) {
      quantize_row(row, D, largest_of_row(row, D), op.y.row<std::int8_t>(t), op.y_scale.row<float>(t));
    }
  }
}

}  // namespace

std::span<const Kernel<Patchify>> rows(const Patchify*) {
  static constexpr Kernel<Patchify> kRows[] = {{FLASHRT_ISA_NAME, supports, scratch, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
