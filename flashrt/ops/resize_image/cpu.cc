// SPDX-License-Identifier: Apache-2.0
// ResizeImage: each worker takes a contiguous share of the rows that the frame covers and one of the bars' rows.
//
// Pillow's first pass, across, runs once a source row and leaves bytes in a ring of as many rows as an output row
// needs; the second, down, adds sixteen values at a time from the ring. Across, one vector of four holds a pixel.
// Workers redo the few source rows at the seams. The bound is the arithmetic of the first pass: a multiply-add a tap
// and source row.
#include "flashrt/ops/resize_image/resize_image.h"
#include "flashrt/ops/resize_image/sampling.h"
#include "flashrt/ops/row_loops.h"

namespace flashrt::FLASHRT_ISA {
namespace {

typedef std::int32_t Pixel __attribute__((vector_size(16)));
typedef float PixelF __attribute__((vector_size(16)));

bool supports(const ResizeImage&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

// What lies in a worker's scratch, for the widest frame.
struct Layout {
  std::int64_t taps, ring_pitch;                         // of the ring: `taps` rows
  std::size_t first, count, weights, column, ring, end;  // offsets in bytes

  Layout(std::int64_t H, std::int64_t W) : taps(pillow_most_taps(H, W)), ring_pitch((3 * W + 63) / 64 * 64) {
    const auto n = static_cast<std::size_t>(W), t = static_cast<std::size_t>(taps);
    first = 0;
    count = first + n * sizeof(std::int32_t);
    weights = count + n * sizeof(std::int32_t);
    column = weights + n * t * sizeof(std::int32_t);
    ring = column + t * sizeof(std::int32_t);
    end = ring + t * static_cast<std::size_t>(ring_pitch);
  }
};

std::size_t scratch(const ResizeImage& op, const DeviceInfo&) {
  const std::int64_t H = op.y.dim(0), W = op.y.dim(1) / 3;
  if (op.rule == ResizeRule::lerobot_pad) return static_cast<std::size_t>(W) * sizeof(Blend);
  return Layout(H, W).end;
}

// Pixel x of a row; the fourth lane is undefined. Nothing past the row is read.
FLASHRT_SIMD Pixel load_pixel(const std::uint8_t* row, std::int64_t x, std::int64_t width) {
  std::uint32_t bytes = 0;
  if (x + 1 < width) {
    std::memcpy(&bytes, row + 3 * x, 4);
  } else {
    std::memcpy(&bytes, row + 3 * x, 3);
  }
  __m128i v = _mm_cvtsi32_si128(static_cast<int>(bytes));
#if defined(__AVX2__)
  return (Pixel)_mm_cvtepu8_epi32(v);
#else
  v = _mm_unpacklo_epi8(v, _mm_setzero_si128());
  return (Pixel)_mm_unpacklo_epi16(v, _mm_setzero_si128());
#endif
}

// Pillow's pass across one source row.
void shrink_row(const std::uint8_t* row, std::int64_t width, const Fit& f, const std::int32_t* first,
                const std::int32_t* count, const std::int32_t* weights, std::int64_t stride, std::uint8_t* to) {
  for (std::int64_t x = 0; x < f.width; ++x, weights += stride, to += 3) {
    Pixel sum = Pixel{} + (1 << (kWeightBits - 1));
    for (std::int32_t j = 0; j < count[x]; ++j) sum += load_pixel(row, first[x] + j, width) * weights[j];
    sum >>= kWeightBits;
    for (int c = 0; c < 3; ++c) to[c] = static_cast<std::uint8_t>(sum[c]);
  }
}

void fill(float* y, std::int64_t n, float value) {
  for_vectors(n, [&](std::int64_t i, auto lanes) { store(y + i, splat(value), lanes); });
}

void pillow(const ResizeImage& op, const Fit& f, Exec::Range rows, std::byte* scratch) {
  const ImageView& v = *op.image;
  const Layout at(op.y.dim(0), op.y.dim(1) / 3);
  auto* first = reinterpret_cast<std::int32_t*>(scratch + at.first);
  auto* count = reinterpret_cast<std::int32_t*>(scratch + at.count);
  auto* weights = reinterpret_cast<std::int32_t*>(scratch + at.weights);
  auto* column = reinterpret_cast<std::int32_t*>(scratch + at.column);
  auto* ring = reinterpret_cast<std::uint8_t*>(scratch + at.ring);
  const std::int64_t stride = pillow_taps(v.width, f.width), depth = pillow_taps(v.height, f.height);
  for (std::int64_t x = 0; x < f.width; ++x)
    count[x] = pillow_weights(v.width, f.width, x, first[x], weights + x * stride);
  std::int64_t next = 0;  // source rows below it are in the ring, or past
  for (std::int64_t i = rows.first; i < rows.last; ++i) {
    std::int32_t top = 0;
    const std::int32_t taps = pillow_weights(v.height, f.height, i, top, column);
    if (next < top) next = top;
    for (; next < top + taps; ++next)
      shrink_row(v.pixels + next * v.pitch, v.width, f, first, count, weights, stride,
                 ring + next % depth * at.ring_pitch);
    float* y = op.y.row<float>(f.top + i) + 3 * f.left;
    for_vectors(3 * f.width, [&](std::int64_t k, auto lanes) {
      Vi sum = splat(1 << (kWeightBits - 1));
      std::int64_t line = top % depth;
      for (std::int32_t j = 0; j < taps; ++j) {
        sum += load_u8(ring + line * at.ring_pitch + k) * splat(column[j]);
        line = line + 1 == depth ? 0 : line + 1;
      }
      Vf unit = to_float(sum >> kWeightBits) / splat(255.0f);
      store(y + k, unit * splat(2.0f) - splat(1.0f), lanes);
    });
  }
}

void lerobot(const ResizeImage& op, const Fit& f, Exec::Range rows, std::byte* scratch) {
  const ImageView& v = *op.image;
  auto* across = reinterpret_cast<Blend*>(scratch);
  for (std::int64_t x = 0; x < f.width; ++x) across[x] = torch_blend(v.width, f.width, x);
  for (std::int64_t i = rows.first; i < rows.last; ++i) {
    const Blend down = torch_blend(v.height, f.height, i);
    const std::uint8_t *upper = v.pixels + down.first * v.pitch, *lower = v.pixels + down.second * v.pitch;
    float* y = op.y.row<float>(f.top + i) + 3 * f.left;
    for (std::int64_t x = 0; x < f.width; ++x) {
      const Blend b = across[x];
      auto line = [&](const std::uint8_t* row) __attribute__((always_inline)) {
        const PixelF p = __builtin_convertvector(load_pixel(row, b.first, v.width), PixelF);
        const PixelF q = __builtin_convertvector(load_pixel(row, b.second, v.width), PixelF);
        return p * (1.0f - b.weight) + q * b.weight;
      };
      const PixelF value = line(upper) * (1.0f - down.weight) + line(lower) * down.weight;
      const PixelF scaled = value * (2.0f / 255.0f) - 1.0f;
      for (int c = 0; c < 3; ++c) y[3 * x + c] = scaled[c];
    }
  }
}

void run(const ResizeImage& op, const Exec& exec) noexcept {
  const std::int64_t H = op.y.dim(0), W = op.y.dim(1) / 3;
  const Fit f = fit(*op.image, H, W);
  const Exec::Range bars = exec.share(H - f.height), rows = exec.share(f.height);
  for (std::int64_t i = bars.first; i < bars.last; ++i)
    fill(op.y.row<float>(i < f.top ? i : i + f.height), 3 * W, op.pad);
  for (std::int64_t i = rows.first; i < rows.last; ++i) {
    float* y = op.y.row<float>(f.top + i);
    fill(y, 3 * f.left, op.pad);
    fill(y + 3 * (f.left + f.width), 3 * (W - f.left - f.width), op.pad);
  }
  if (rows.first == rows.last) return;
  if (op.rule == ResizeRule::pillow_pad)
    pillow(op, f, rows, exec.scratch);
  else
    lerobot(op, f, rows, exec.scratch);
}

}  // namespace

std::span<const Kernel<ResizeImage>> rows(const ResizeImage*) {
  static constexpr Kernel<ResizeImage> kRows[] = {{FLASHRT_ISA_NAME, supports, scratch, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
