// SPDX-License-Identifier: Apache-2.0
// The Python extension: options, one policy, its errors. Shapes, names and types are prepared in Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <mutex>
#include <utility>

#include "flashrt/api/flashrt.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace flashrt {
namespace {

using Picture = nb::ndarray<const std::uint8_t, nb::shape<-1, -1, 3>, nb::device::cpu, nb::c_contig>;
using Numbers = nb::ndarray<const float, nb::ndim<1>, nb::device::cpu, nb::c_contig>;

nb::object to_numpy(std::vector<float> values, std::size_t rows, std::size_t width) {
  auto* kept = new std::vector<float>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, float, nb::ndim<2>>(kept->data(), {rows, width}, owner));
}

std::span<const float> view(const std::optional<Numbers>& a) {
  return a ? std::span<const float>(a->data(), a->size()) : std::span<const float>{};
}

// A policy that several Python threads may call; calls on one policy wait for each other, without the GIL.
class NativePolicy {
 public:
  explicit NativePolicy(Policy policy) : policy_(std::move(policy)) {}

  nb::tuple predict(const std::vector<std::optional<Picture>>& pictures, const std::string& prompt,
                    const std::optional<Numbers>& state, const std::optional<Numbers>& noise,
                    std::optional<std::uint64_t> seed, const std::vector<std::int32_t>& tokens) {
    Observation o;
    for (const auto& p : pictures) {
      CameraImage& image = o.images.emplace_back();
      if (p) image = {p->data(), static_cast<std::int64_t>(p->shape(0)), static_cast<std::int64_t>(p->shape(1)), 0};
    }
    o.prompt = prompt;
    o.state = view(state);
    o.noise = view(noise);
    o.seed = seed;
    o.tokens = tokens;
    Chunk chunk;
    {
      nb::gil_scoped_release unlocked;
      std::lock_guard lock(mutex_);
      chunk = policy_.predict(o);
    }
    auto rows = static_cast<std::size_t>(chunk.horizon);
    std::size_t model_width = chunk.normalized.size() / rows;
    return nb::make_tuple(to_numpy(std::move(chunk.actions), rows, static_cast<std::size_t>(chunk.width)),
                          to_numpy(std::move(chunk.normalized), rows, model_width), chunk.ms, chunk.replay_ms);
  }

  std::vector<std::int32_t> tokens(const std::string& prompt, const std::optional<Numbers>& state) {
    nb::gil_scoped_release unlocked;
    std::lock_guard lock(mutex_);
    return policy_.model().tokens(prompt, view(state));
  }

  nb::dict info() {
    const PolicyInfo& i = policy_.info();
    nb::dict d;
    d["model"] = i.model;
    d["source"] = i.source;
    d["precision"] = i.precision;
    d["threads"] = policy_.device().info().workers;
    d["cpu"] = policy_.device().info().model;
    d["cameras"] = i.cameras;
    d["renamed_observations"] = i.renamed_observations;
    d["state_dim"] = i.state_dim;
    d["state_needed"] = i.state_needed;
    d["action_dim"] = i.action_dim;
    d["model_action_dim"] = i.model_action_dim;
    d["horizon"] = i.horizon;
    d["num_steps"] = i.steps;
    d["image_size"] = i.image_size;
    d["prompt_tokens"] = i.prompt_tokens;
    d["parameters"] = i.parameters;
    d["weight_bytes"] = i.weight_bytes;
    d["load_ms"] = i.load_ms;
    d["record_ms"] = i.record_ms;
    d["programs"] = i.programs;
    return d;
  }

  nb::dict latency() {
    LatencyStats s;
    {
      nb::gil_scoped_release unlocked;
      std::lock_guard lock(mutex_);
      s = policy_.latency();
    }
    nb::dict d;
    d["count"] = s.count;
    d["min_ms"] = s.min_ms;
    d["mean_ms"] = s.mean_ms;
    d["p50_ms"] = s.p50_ms;
    d["p95_ms"] = s.p95_ms;
    d["p99_ms"] = s.p99_ms;
    d["max_ms"] = s.max_ms;
    return d;
  }

  void reset_latency() {
    nb::gil_scoped_release unlocked;
    std::lock_guard lock(mutex_);
    policy_.reset_latency();
  }

 private:
  std::mutex mutex_;
  Policy policy_;
};

}  // namespace
}  // namespace flashrt

using namespace flashrt;

NB_MODULE(_native, m) {
  nb::exception<Error>(m, "Error", PyExc_RuntimeError);
  m.attr("version") = version();

  nb::class_<LoadOptions>(m, "LoadOptions")
      .def(nb::init<>())
      .def_rw("config", &LoadOptions::config)
      .def_rw("threads", &LoadOptions::threads)
      .def_rw("pin", &LoadOptions::pin)
      .def_rw("isa", &LoadOptions::isa)
      .def_rw("kernels", &LoadOptions::kernels)
      .def_rw("seed", &LoadOptions::seed)
      .def_rw("precision", &LoadOptions::precision)
      .def_rw("keep", &LoadOptions::keep)
      .def_rw("views", &LoadOptions::views)
      .def_rw("horizon", &LoadOptions::horizon)
      .def_rw("steps", &LoadOptions::steps)
      .def_rw("state_prompt_dims", &LoadOptions::state_prompt_dims)
      .def_rw("state_in_prompt", &LoadOptions::state_in_prompt, nb::arg().none())
      .def_rw("pad_value", &LoadOptions::pad_value, nb::arg().none())
      .def_rw("state_dim", &LoadOptions::state_dim)
      .def_rw("action_dim", &LoadOptions::action_dim)
      .def_rw("relative_dims", &LoadOptions::relative_dims)
      .def_rw("normalized_actions", &LoadOptions::normalized_actions)
      .def_rw("norm_asset", &LoadOptions::norm_asset)
      .def_rw("tokenizer", &LoadOptions::tokenizer)
      .def_rw("random_seed", &LoadOptions::random_seed);

  nb::class_<NativePolicy>(m, "Policy")
      .def("predict", &NativePolicy::predict, "pictures"_a, "prompt"_a, "state"_a.none(), "noise"_a.none(),
           "seed"_a.none(), "tokens"_a)
      .def("tokens", &NativePolicy::tokens, "prompt"_a, "state"_a.none())
      .def("info", &NativePolicy::info)
      .def("latency", &NativePolicy::latency)
      .def("reset_latency", &NativePolicy::reset_latency);

  m.def(
      "load_model",
      [](const std::filesystem::path& checkpoint, const LoadOptions& options) {
        nb::gil_scoped_release unlocked;
        return new NativePolicy(load_model(checkpoint, options));
      },
      "checkpoint"_a, "options"_a, nb::rv_policy::take_ownership);
  m.def(
      "save_random_model",
      [](const std::filesystem::path& folder, const std::string& shape, const LoadOptions& options) {
        nb::gil_scoped_release unlocked;
        save_random_model(folder, shape, options);
      },
      "folder"_a, "shape"_a, "options"_a);
}
