// SPDX-License-Identifier: Apache-2.0
// Times MatMul, alone and in a fused chain, beside oneDNN and beside the arithmetic peak measured between the runs.
//
//     gemm [--threads N] [--rounds N] [--isa NAME] [--type f32|bf16|i8] [--only TEXT] [--copies]
//          [--cpu-time]
//
// Both sides run in turn (A B A B) with the same weights again and again; --copies turns through 256 MiB of copies, so
// that weights come from DRAM as they do in a model. A sample is several products, as a program of a model has them:
// ours wake once for all of them, and oneDNN's threads spin from one to the next. oneDNN runs with OMP_NUM_THREADS
// threads. On a machine that others use, OMP_NUM_THREADS=1 gemm --threads 1 --cpu-time counts the processor time of the
// calling thread, which does all.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/backends/cpu/peaks.h"
#include "flashrt/core/arena.h"
#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/core/program.h"
#include "flashrt/ops/mat_mul/mat_mul.h"
#include "flashrt/ops/rms_norm/rms_norm.h"
#if FLASHRT_WITH_DNNL
#include "bench/onednn.h"
#endif

namespace flashrt {
namespace {

using Run = std::function<void()>;

constexpr std::int64_t kProducts = 8;  // of a sample, at least

struct Settings {
  cpu::Options device;
  int rounds = 20;
  std::vector<DType> types{DType::bf16, DType::i8};
  std::string only;
  bool copies = false;
  bool cpu_time = false;
};

struct Shape3 {
  std::int64_t M, N, K;
};
constexpr Shape3 kShapes[] = {{512, 4304, 1152}, {528, 16384, 2048}, {528, 2048, 16384}, {528, 2560, 2048},
                              {50, 4096, 1024},  {16, 4096, 4096},   {1, 4096, 14336}};

// Random values of the whole range of the type, the same in every run.
void fill(const Tensor& t, std::uint32_t seed) {
  std::minstd_rand random(seed);
  const std::int64_t bytes = t.span_bytes();
  if (t.dtype == DType::i8) {
    for (std::int64_t i = 0; i < bytes; ++i) t.data[i] = static_cast<std::byte>(random() >> 8);
  } else {
    for (std::int64_t i = 0; i < bytes * 8 / bits(t.dtype); ++i)
      store_from_float(t.data, t.dtype, i, static_cast<float>(random() & 0xffff) / 65536.0f - 0.5f);
  }
}

struct Samples {
  std::vector<double> seconds;
  double least() const { return *std::min_element(seconds.begin(), seconds.end()); }
  double median() const {
    std::vector<double> v = seconds;
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
  }
};

double now(bool cpu_time) {
  timespec t;
  clock_gettime(cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double timed(const Settings& settings, const Run& run) {
  const double start = now(settings.cpu_time);
  run();
  return now(settings.cpu_time) - start;
}

// One line of the table: ours and the peer's, alternating, with the peak between them. Both do `count` times the work
// of the line; `total` is that of all.
void compare(const Settings& settings, Device& device, std::string_view what, DType math, const Cost& total,
             std::int64_t count, const Run& ours, const Run& peer) {
  const auto times = static_cast<double>(count);
  const double flops = total.flops / times, bytes = total.bytes / times;
  const double once = timed(settings, ours);
  const int repeat = static_cast<int>(std::clamp(0.02 / once, 1.0, 50.0));  // runs a turn: 20 ms
  Samples a, b;
  double peak = 0;
  for (int round = 0; round < settings.rounds; ++round) {
    peak = std::max(peak, cpu::measure_math_peak(device, math));
    ours();
    for (int i = 0; i < repeat; ++i) a.seconds.push_back(timed(settings, ours) / times);
    if (!peer) continue;
    peer();
    for (int i = 0; i < repeat; ++i) b.seconds.push_back(timed(settings, peer) / times);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the peer's threads spin on after a run
  }
  auto figures = [&](const Samples& s) {
    return fmt::format("min {:8.3f} p50 {:8.3f} ms {:6.0f} {:5.1f}%", s.least() * 1e3, s.median() * 1e3,
                       flops / s.least() / 1e9, 100 * flops / s.least() / 1e9 / peak);
  };
  fmt::print("{:22} {:4} peak {:4.0f} | ours {} {:5.1f} GB/s", what, name(math), peak, figures(a),
             bytes / a.least() / 1e9);
  if (peer)
    fmt::print(" | oneDNN {} | ours/oneDNN speed min {:.3f} p50 {:.3f}", figures(b), b.least() / a.least(),
               b.median() / a.median());
  fmt::print("\n");
  std::fflush(stdout);
}

Tensor scales(Arena& arena, Shape shape, float value) {
  Tensor t = arena.tensor(shape, DType::f32);
  std::fill_n(t.as<float>(), t.elements(), value);
  return t;
}

// Our weights in `copies` copies.
std::vector<Tensor> weights(Arena& arena, std::int64_t N, std::int64_t K, DType type, std::int64_t copies) {
  std::vector<Tensor> all;
  for (std::int64_t i = 0; i < copies; ++i) {
    all.push_back(arena.packed({N, K}, type));
    fill(all.back(), 3);
  }
  return all;
}

void product(const Settings& settings, Device& device, Shape3 s, DType type) {
  const std::string what = fmt::format("{}x{}x{}", s.M, s.N, s.K);
  if (!settings.only.empty() && what.find(settings.only) == std::string::npos) return;
  const std::int64_t weight_bytes = packed_rhs_bytes({s.N, s.K}, type);
  const std::int64_t copies = settings.copies ? std::max<std::int64_t>(1, (256 << 20) / weight_bytes) : 1;
  Arena arena(static_cast<std::size_t>(weight_bytes * copies) + (std::size_t{256} << 20)),
      temporaries(std::size_t{256} << 20);
  const Tensor x_scale = scales(arena, {s.M, 2}, 0.01f), w_scale = scales(arena, {s.N}, 0.01f);
  // Rows padded as the recorder pads temporaries.
  const std::int64_t pitch = s.M == 1 ? s.K : round_up(s.K, 512) + 64;
  const Tensor x = arena.tensor({s.M, pitch}, type).cols(0, s.K);
  fill(x, 2);
  const std::vector<Tensor> w = weights(arena, s.N, s.K, type, copies);
  const std::int64_t count = std::max(copies, kProducts);
  Program ours = Program::record(device, temporaries, [&](Recorder& r) {
    MatMul op{.x = x, .w = w[0], .y = r.temp({s.M, s.N}, type == DType::i8 ? DType::f32 : type)};
    if (type == DType::i8) op.x_scale = x_scale, op.w_scale = w_scale;
    for (std::int64_t i = 0; i < count; ++i) {
      op.w = w[static_cast<std::size_t>(i % copies)];
      r(op, "product");
    }
  });
  Run peer;
#if FLASHRT_WITH_DNNL
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  bench::DnnlMatMul theirs(engine, {s.M, s.N, s.K}, type, type == DType::i8 ? DType::f32 : type, {}, copies);
  peer = [&] {
    for (std::int64_t i = 0; i < count; ++i) theirs.run(stream);
  };
#endif
  compare(
      settings, device, what, type, ours.total(), count, [&] { ours.replay(); }, peer);
}

// rms_norm -> gelu(gate) * up -> down + residual, as in one layer of a language model of width D and hidden width F.
void chain(const Settings& settings, Device& device, std::int64_t T, std::int64_t D, std::int64_t F, DType type) {
  const std::string what = fmt::format("mlp {}x{}x{}", T, D, F);
  if (!settings.only.empty() && what.find(settings.only) == std::string::npos) return;
  Arena arena(std::size_t{1} << 30), temporaries(std::size_t{256} << 20);
  const bool i8 = type == DType::i8;
  const Tensor x = arena.tensor({T, D}, DType::f32);
  const Tensor up = weights(arena, 2 * F, D, type, 1)[0], down = weights(arena, D, F, type, 1)[0];
  const Tensor up_scale = scales(arena, {2 * F}, 1e-4f), down_scale = scales(arena, {D}, 1e-6f);
  fill(x, 1);
  auto norm = [&](Recorder& r) {
    RmsNorm op{.x = x, .y = r.temp({T, D}, type)};
    if (i8) op.y_scale = r.temp({T, 2}, DType::f32);
    r(op, "norm");
    return op;
  };
  Program ours = Program::record(device, temporaries, [&](Recorder& r) {
    for (std::int64_t i = 0; i < kProducts; ++i) {
      const RmsNorm n = norm(r);
      MatMul gate_up{.x = n.y, .w = up, .y = r.temp({T, F}, type), .act = Activation::gelu_tanh, .paired = true};
      if (i8) gate_up.x_scale = n.y_scale, gate_up.w_scale = up_scale, gate_up.y_scale = r.temp({T, 2}, DType::f32);
      r(gate_up, "gate_up");
      MatMul out{.x = gate_up.y, .w = down, .y = x, .add = x};
      if (i8) out.x_scale = gate_up.y_scale, out.w_scale = down_scale;
      r(out, "down");
    }
  });
  Run peer;
#if FLASHRT_WITH_DNNL
  // The peer has no rms_norm: ours runs in front of it, as a program of its own.
  Arena peer_temporaries(std::size_t{64} << 20);
  Program peer_norm = Program::record(device, peer_temporaries, [&](Recorder& r) { norm(r); });
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  bench::DnnlMatMul up_product(engine, {T, F, D}, type, DType::bf16, {}),
      gate_product(engine, {T, F, D}, type, type, {.gelu = true, .times = true}),
      down_product(engine, {T, D, F}, type, DType::f32, {.accumulate = true});
  gate_product.use_times(up_product.y());
  down_product.use_x(gate_product.y());
  peer = [&] {
    for (std::int64_t i = 0; i < kProducts; ++i) {
      peer_norm.replay();
      up_product.run(stream);
      gate_product.run(stream);
      down_product.run(stream);
    }
  };
#endif
  compare(
      settings, device, what, type, ours.total(), kProducts, [&] { ours.replay(); }, peer);
  for (std::size_t i = 0; i < ours.steps().size() / kProducts; ++i) {
    Samples s;
    for (int round = 0; round < std::min(settings.rounds, 10); ++round)
      s.seconds.push_back(timed(settings, [&] { ours.replay_step(i); }));
    fmt::print("    {:18} {:8.3f} ms\n", ours.steps()[i].label, s.least() * 1e3);
  }
}

void run(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (arg == "--copies" || arg == "--cpu-time") {
      (arg == "--copies" ? settings.copies : settings.cpu_time) = true;
      continue;
    }
    require(value, "{} needs a value, or is unknown", arg);
    ++i;
    if (arg == "--threads")
      settings.device.threads = std::atoi(value);
    else if (arg == "--rounds")
      settings.rounds = std::max(1, std::atoi(value));
    else if (arg == "--isa")
      settings.device.isa = value;
    else if (arg == "--only")
      settings.only = value;
    else if (arg == "--type" && dtype_from_name(value))
      settings.types = {*dtype_from_name(value)};
    else
      fail("{} {} is not an option", arg, value);
  }
  auto device = cpu::make_device(settings.device);
  require(!settings.cpu_time || device->info().workers == 1, "--cpu-time needs --threads 1");
  fmt::print("{}, {} workers\n", device->info().model, device->info().workers);
  for (DType type : settings.types) {
    for (const Shape3& s : kShapes) product(settings, *device, s, type);
    chain(settings, *device, 528, 2048, 16384, type);
    chain(settings, *device, 50, 1024, 4096, type);
  }
}

}  // namespace
}  // namespace flashrt

int main(int argc, char** argv) try { flashrt::run(argc, argv); } catch (const std::exception& e) {
  fmt::print(stderr, "gemm: {}\n", e.what());
  return 1;
}
