// SPDX-License-Identifier: Apache-2.0
// Times attention and rope at the shapes of pi0.5 (two views, 16 prompt tokens, horizon 50) beside the arithmetic peak
// measured between the runs.
//
//     attention [--threads N] [--rounds N] [--isa NAME] [--case TEXT] [--f32]
#include "flashrt/ops/attention/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string_view>
#include <vector>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/backends/cpu/peaks.h"
#include "flashrt/core/arena.h"
#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/core/program.h"
#include "flashrt/ops/rope/rope.h"

namespace flashrt {
namespace {

struct Case {
  std::string_view name;
  std::int64_t T, heads, kv_heads, hd, prefix;  // keys: prefix + rows of a block
  std::int64_t block = 0;
  bool rotate = true;
};

constexpr Case kCases[] = {
    {"siglip 2 views", 512, 16, 16, 72, 0, 256, false},
    {"gemma prefix 528", 528, 8, 1, 256, 0},
    {"expert suffix 50 + 528", 50, 8, 1, 256, 528},
};

void fill(const Tensor& t) {
  std::minstd_rand random(1);
  for (std::int64_t r = 0; r < t.dim(0); ++r)
    for (std::int64_t i = 0; i < t.dim(1); ++i)
      store_from_float(t.row<std::byte>(r), t.dtype, i, std::uniform_real_distribution<float>(-1, 1)(random));
}

struct Samples {
  std::vector<double> seconds, peak;
  double median(std::vector<double> v) const {
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
  }
  double least() const { return *std::min_element(seconds.begin(), seconds.end()); }
};

// Rope fills the caches that attention then reads, as in the model; each step is timed alone.
void run(Device& device, const Case& c, DType type, int rounds) {
  const std::int64_t blocks = c.block ? c.T / c.block : 1, keys = c.prefix + c.T / blocks, caches = blocks * c.kv_heads;
  Arena state(std::size_t{64} << 20), temporaries(std::size_t{64} << 20);
  const Tensor qkv = state.tensor({c.T, (c.heads + 2 * c.kv_heads) * c.hd}, type);
  const Tensor k = state.packed({caches, keys, c.hd}, type), v = state.packed({caches, c.hd, keys}, type);
  const Tensor cos = state.tensor({keys, c.hd / 2}, DType::f32), sin = state.tensor({keys, c.hd / 2}, DType::f32);
  const Tensor prefix = state.tensor({std::max<std::int64_t>(c.prefix, 1), 2 * c.kv_heads * c.hd}, type);
  const Tensor y = state.tensor({c.T, c.heads * c.hd}, type);
  fill(qkv), fill(prefix), fill(cos), fill(sin);
  Program program = Program::record(device, temporaries, [&](Recorder& r) {
    Rope rope{.qkv = qkv, .q = r.temp({c.T, c.heads * c.hd}, type), .k_cache = k, .v_cache = v};
    rope.cache_row = c.prefix, rope.block = c.block, rope.heads = c.heads, rope.kv_heads = c.kv_heads;
    rope.q_scale = 1 / std::sqrt(static_cast<float>(c.hd));
    if (c.rotate) rope.cos = cos, rope.sin = sin;
    r(rope, "rope");
    r(Attention{.q = rope.q,
                .k_cache = k,
                .v_cache = v,
                .y = y,
                .heads = c.heads,
                .kv_heads = c.kv_heads,
                .block = c.block,
                .keys = keys},
      "attention");
    if (c.prefix)
      r(Rope{.qkv = prefix, .k_cache = k, .v_cache = v, .cos = cos, .sin = sin, .kv_heads = c.kv_heads}, "prefix");
  });
  program.replay();
  program.replay();
  Samples samples[2];
  for (int round = 0; round < rounds; ++round) {
    const double peak = cpu::measure_math_peak(device, type);
    for (std::size_t step = 0; step < 2; ++step) {
      const auto start = std::chrono::steady_clock::now();
      program.replay_step(step);
      samples[step].seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      samples[step].peak.push_back(peak);
    }
  }
  const Samples &rope = samples[0], &attention = samples[1];
  const double flops = program.steps()[1].cost.flops / 1e9, bytes = program.steps()[0].cost.bytes / 1e9;
  const double peak = attention.median(attention.peak), p50 = attention.median(attention.seconds);
  fmt::print(
      "{:24} {:10} min {:7.3f} ms p50 {:7.3f} ms  {:6.1f} GFLOP/s  {:5.1f} % of peak {:.0f} (best run {:.1f} %)\n",
      c.name, program.steps()[1].kernel, attention.least() * 1e3, p50 * 1e3, flops / p50, 100 * flops / p50 / peak,
      peak, 100 * flops / attention.least() / *std::max_element(attention.peak.begin(), attention.peak.end()));
  fmt::print("{:24} rope       min {:7.3f} ms p50 {:7.3f} ms  {:6.1f} GB/s\n", "", rope.least() * 1e3,
             rope.median(rope.seconds) * 1e3, bytes / rope.median(rope.seconds));
}

}  // namespace
}  // namespace flashrt

int main(int argc, char** argv) try {
  flashrt::cpu::Options options;
  int rounds = 200;
  std::string_view only;
  flashrt::DType type = flashrt::DType::bf16;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--f32")
      type = flashrt::DType::f32;
    else if (arg == "--isa" && i + 1 < argc)
      options.isa = argv[++i];
    else if (arg == "--case" && i + 1 < argc)
      only = argv[++i];
    else if (arg == "--threads" && i + 1 < argc)
      options.threads = std::atoi(argv[++i]);
    else if (arg == "--rounds" && i + 1 < argc)
      rounds = std::max(1, std::atoi(argv[++i]));
    else
      flashrt::fail(
          "unknown argument {}; usage: attention [--threads N] [--rounds N] [--isa NAME] [--case TEXT] [--f32]", arg);
  }
  auto device = flashrt::cpu::make_device(options);
  for (const flashrt::Case& c : flashrt::kCases)
    if (c.name.find(only) != c.name.npos) flashrt::run(*device, c, type, rounds);
} catch (const std::exception& e) {
  fmt::print(stderr, "{}\n", e.what());
  return 1;
}
