// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/patchify/patchify.h"

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void Patchify::check() const {
  check_matrix(image, "image", {DType::f32});
  require(patch > 0 && channels > 0, "patch is {} and channels {}; both must be positive", patch, channels);
  require(image.dim(0) % patch == 0 && image.dim(1) % (patch * channels) == 0,
          "image is {}; its height and its width of {} channels must be multiples of the patch size {}",
          to_string(image), channels, patch);
  const std::int64_t patches = image.dim(0) / patch * (image.dim(1) / (patch * channels));
  check_tensor(y, "y", {DType::f32, DType::bf16, DType::i8}, {patches, patch * patch * channels});
  check_scales(y, y_scale);
}

void Patchify::access(Accesses& a) const {
  a.reads(image);
  a.writes(y);
  a.writes(y_scale);
}

Cost Patchify::cost() const { return {.flops = 0, .bytes = traffic(image) + traffic(y) + traffic(y_scale)}; }

FLASHRT_CPU_ROWS(Patchify)

}  // namespace flashrt
