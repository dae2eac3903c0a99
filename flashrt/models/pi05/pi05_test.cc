// SPDX-License-Identifier: Apache-2.0
// pi0.5 against what lerobot and openpi compute themselves (golden/, made by tools/oracle).
#include "flashrt/models/pi05/pi05.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/core/readings.h"
#include "flashrt/io/json.h"
#include "flashrt/io/safetensors.h"
#include "flashrt/models/pi05/policy.h"

namespace flashrt {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(FLASHRT_SOURCE_DIR) / "flashrt/models/pi05/golden";

struct Case {
  std::string folder, name;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.folder << "_" << c.name; }
};

// One golden run: inputs, and values by key.
class Golden {
 public:
  explicit Golden(const Case& c)
      : case_(c),
        json_(JsonReader::read(kGolden / c.folder / "golden.json").at("cases").at(c.name)),
        values_(kGolden / c.folder / "golden.safetensors") {}

  const JsonReader& json() const { return json_; }
  std::int64_t steps() const { return json_.integer("num_steps"); }
  bool has(const std::string& key) const { return values_.find(case_.name + "/" + key); }
  std::vector<float> get(const std::string& key) const {
    std::string name = case_.name + "/" + key;
    const TensorInfo* info = values_.find(name);
    if (!info) fail("no golden {}", name);
    std::vector<float> v(static_cast<std::size_t>(info->elements()));
    values_.read_rows(name, 0, info->rows(), v.data());
    return v;
  }
  std::vector<std::int32_t> token_ids() const {
    std::vector<std::int32_t> ids;
    for (std::int64_t id : json_.at("token_ids").integers()) ids.push_back(static_cast<std::int32_t>(id));
    return ids;
  }
  // Images in the policy's camera order; cameras the case does not have have no pixels.
  std::vector<ImageView> images(const std::vector<std::string>& cameras) {
    std::vector<ImageView> list;
    for (const std::string& camera : cameras) {
      std::string name = case_.name + "/images/" + camera.substr(camera.rfind('.') + 1);
      const TensorInfo* info = values_.find(name);
      ImageView image;
      if (info) {
        image.pixels = reinterpret_cast<const std::uint8_t*>(values_.files().front().view(name).data);
        image.height = static_cast<std::int32_t>(info->shape[0]);
        image.width = static_cast<std::int32_t>(info->shape[1]);
        image.pitch = 3 * image.width;
      }
      list.push_back(image);
    }
    return list;
  }

 private:
  Case case_;
  JsonReader json_;
  SafetensorsSource values_;
};

// A checkpoint loaded on a crew of two.
struct Policy {
  std::unique_ptr<Device> device;
  std::unique_ptr<PolicyModel> model;
};
Policy load(const std::string& folder, const ModelOptions& o) {
  Policy p;
  p.device = cpu::make_device({.threads = 2, .pin = false});
  p.model = pi05::make_policy(*p.device, pi05::open_checkpoint(kGolden / folder, o), o);
  return p;
}

ModelOptions options_for(const Case& c, const Golden& g, const std::string& precision) {
  ModelOptions o;
  o.precision = precision;
  o.steps = g.steps();
  if (c.folder == "openpi_tiny") {
    o.state_in_prompt = g.json().boolean("state_in_prompt");
    o.state_dim = 6;  // its statistics have 10
    o.tokenizer = kGolden / "lerobot_tiny" / "tokenizer.model";
  }
  return o;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const char* folder : {"lerobot_tiny", "openpi_tiny"})
    for (const auto& [name, value] : JsonReader::read(kGolden / folder / "golden.json").at("cases").members())
      list.push_back({folder, name});
  return list;
}

std::vector<float> rows_of(const Tensor& t) {
  std::vector<float> v;
  for (std::int64_t i = 0; i < t.dim(0); ++i) v.insert(v.end(), t.row<float>(i), t.row<float>(i) + t.dim(1));
  return v;
}

// Everything a call computes on the way, by golden key.
struct Trace {
  std::map<std::string, std::vector<float>> values;
  std::vector<float> actions;
};

Trace run(Policy& policy, Golden& g) {
  std::vector<float> state = g.get("state"), noise = g.get("noise");
  std::vector<std::int32_t> ids = g.token_ids();
  std::vector<ImageView> images = g.images(policy.model->info().cameras);
  PolicyInputs in;
  std::int64_t views = 0;
  for (const ImageView& m : images) {
    in.images.push_back(m.pixels ? &m : nullptr);
    views += m.pixels != nullptr;
  }
  in.state = state;
  in.noise = noise;
  in.tokens = ids;
  policy.model->prepare(in);
  Program p = policy.model->record(views, std::ssize(ids), Reading::fast);
  Trace t;
  Tensor x = policy.model->model_actions();
  for (std::size_t i = 0; i < p.steps().size(); ++i) {
    p.replay_step(i);
    const Step& s = p.steps()[i];
    if (s.label == "vision.projector") {
      for (const Access& a : s.accesses)
        if (a.write) t.values["image_features"] = rows_of(a.tensor);
    } else if (s.label.starts_with("prefix.") && s.label.ends_with("attn.rope")) {
      // Keys and values of the valid prefix rows, as the golden has them: [rows, head_dim].
      std::size_t rows = static_cast<std::size_t>(views) * 4 + ids.size();
      std::vector<Tensor> caches;
      for (const Access& a : s.accesses)
        if (a.write && a.tensor.layout == Layout::packed_rhs) caches.push_back(a.tensor);
      if (caches.size() != 2) fail("rope writes {} caches", caches.size());
      for (std::size_t n = 0; n < rows; ++n)
        for (std::int64_t k = 0; k < caches[0].dim(-1); ++k) {
          auto row = static_cast<std::int64_t>(n);
          t.values["prefix_k"].push_back(packed_value(caches[0], 0, row, k));
          t.values["prefix_v"].push_back(packed_value(caches[1], 0, k, row));
        }
    } else if (s.label == "noise" || s.label.ends_with(".action_out")) {
      auto now = rows_of(x);
      t.values["x"].insert(t.values["x"].end(), now.begin(), now.end());
    }
  }
  // x has one entry more than the golden: the result. v follows from two neighbours.
  std::size_t chunk = static_cast<std::size_t>(x.elements());
  auto& xs = t.values["x"];
  t.values["actions_normalized"].assign(xs.end() - static_cast<std::ptrdiff_t>(chunk), xs.end());
  for (std::size_t i = 0; i + chunk < xs.size(); ++i)
    t.values["v"].push_back((xs[i] - xs[i + chunk]) * static_cast<float>(g.steps()));
  xs.resize(xs.size() - chunk);
  t.actions = rows_of(policy.model->actions());
  return t;
}

// Upstream runs the tower on black pictures for absent cameras as well, behind those that are present.
std::vector<float> of_present_cameras(const std::vector<float>& all, const std::vector<ImageView>& images) {
  auto present = std::count_if(images.begin(), images.end(), [](const ImageView& m) { return m.pixels != nullptr; });
  return {all.begin(), all.begin() + std::ssize(all) / std::ssize(images) * present};
}

class Pi05Golden : public ::testing::TestWithParam<Case> {};

TEST_P(Pi05Golden, F32MatchesUpstreamAtEveryStage) {
  Golden g(GetParam());
  Policy policy = load(GetParam().folder, options_for(GetParam(), g, "f32"));
  Trace t = run(policy, g);
  for (const char* key : {"image_features", "prefix_k", "prefix_v", "x", "v", "actions_normalized"}) {
    if (!g.has(key)) continue;
    std::vector<float> expected = g.get(key);
    if (std::string(key) == "image_features")
      expected = of_present_cameras(expected, g.images(policy.model->info().cameras));
    Difference d = difference(t.values.at(key), expected);
    EXPECT_LE(d.relative_l2, 1e-5) << key << " max abs " << d.max_abs;
    EXPECT_TRUE(d.finite) << key;
  }
  EXPECT_LE(difference(t.actions, g.get("actions")).relative_l2, 1e-5);
}

// The largest error of each action dimension against the spread of that dimension's golden values.
void expect_close(const std::vector<float>& actual, const std::vector<float>& expected, std::size_t width,
                  double cosine, double share) {
  Difference d = difference(actual, expected);
  EXPECT_GE(d.cosine, cosine) << "relative l2 " << d.relative_l2 << ", max abs " << d.max_abs;
  double scale = 0;
  for (float e : expected) scale = std::max(scale, std::fabs(static_cast<double>(e)));
  for (std::size_t i = 0; i < width; ++i) {
    double worst = 0;
    for (std::size_t j = i; j < actual.size(); j += width)
      worst = std::max(worst, std::fabs(static_cast<double>(actual[j]) - expected[j]));
    EXPECT_LE(worst, share * scale) << "dimension " << i;
  }
}

TEST_P(Pi05Golden, Bf16) {
  Golden g(GetParam());
  Policy policy = load(GetParam().folder, options_for(GetParam(), g, "bf16"));
  Trace t = run(policy, g);
  auto width = static_cast<std::size_t>(policy.model->info().model_action_dim);
  expect_close(t.values.at("actions_normalized"), g.get("actions_normalized"), width, 0.9999, 0.03);
}

TEST_P(Pi05Golden, Int8) {
  Golden g(GetParam());
  Policy policy = load(GetParam().folder, options_for(GetParam(), g, "int8"));
  Trace t = run(policy, g);
  auto width = static_cast<std::size_t>(policy.model->info().model_action_dim);
  expect_close(t.values.at("actions_normalized"), g.get("actions_normalized"), width, 0.999, 0.08);
}

TEST_P(Pi05Golden, PromptGivesUpstreamsTokens) {
  Golden g(GetParam());
  Policy policy = load(GetParam().folder, options_for(GetParam(), g, "f32"));
  std::vector<float> state = g.get("state");
  if (GetParam().name == "prompt_cut_at_the_limit") {
    // Upstream cuts the state and "Action:" off without a word; here that is an error.
    EXPECT_THROW(policy.model->tokens(g.json().string("prompt"), state), Error);
    return;
  }
  EXPECT_EQ(policy.model->tokens(g.json().string("prompt"), state), g.token_ids());
}

TEST_P(Pi05Golden, EveryKernelMatchesItsReference) {
  Golden g(GetParam());
  for (const char* precision : {"f32", "bf16", "int8"}) {
    Policy policy = load(GetParam().folder, options_for(GetParam(), g, precision));
    run(policy, g);
    std::int64_t views = 0;
    for (const ImageView& m : g.images(policy.model->info().cameras)) views += m.pixels != nullptr;
    Program p = policy.model->record(views, std::ssize(g.token_ids()), Reading::fast);
    for (const StepDifference& s : check(p)) {
      // A value on the edge between two integers or two bf16 values may go either way: one part in 127, or in 256.
      double bound = std::string(precision) == "f32" ? 2e-5 : 8e-3;
      EXPECT_LE(s.error.relative_l2, bound) << precision << " " << s.label << " " << s.kernel;
      EXPECT_TRUE(s.error.finite) << s.label;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Pi05Golden, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.folder + "_" + info.param.name; });

TEST(Pi05, RelativeActionsAreAddedToTheState) {
  Case c{"openpi_tiny", "three_cameras"};
  Golden g(c);
  ModelOptions o = options_for(c, g, "f32");
  o.relative_dims = {0, 1, 2, 3, 4, 5};
  Policy policy = load(c.folder, o);
  Trace t = run(policy, g);
  EXPECT_LE(difference(t.actions, g.get("actions_absolute")).relative_l2, 1e-5);
}

TEST(Pi05, NormalizedActionsAreTheModelsOwn) {
  for (Case c : {Case{"lerobot_tiny", "native"}, Case{"openpi_tiny", "three_cameras"}}) {
    Golden g(c);
    ModelOptions o = options_for(c, g, "f32");
    o.normalized_actions = true;
    Policy policy = load(c.folder, o);
    Trace t = run(policy, g);
    EXPECT_EQ(t.actions, t.values.at("actions_normalized")) << c;
    EXPECT_LE(difference(t.actions, g.get("actions_normalized")).relative_l2, 1e-5) << c;
  }
}

TEST(Pi05, TimesAndEmbeddingMatchThePublishedValues) {
  pi05::Config c;
  c.expert.width = 1024;
  c.steps = 10;
  Arena arena(1 << 20);
  Tensor e = arena.tensor({10, 1024}, DType::f32);
  pi05::time_embedding(c, e);
  const std::pair<int, float> at_one[] = {{1, -0.7832190f},   {2, 0.8717405f},   {255, -0.2528857f}, {511, 1.0f},
                                          {513, -0.6217460f}, {767, 0.9674962f}, {1023, 0.0f}};
  for (auto [i, v] : at_one) EXPECT_NEAR(e.row<float>(0)[i], v, 1e-6) << i;
  const std::pair<int, float> at_nine[] = {
      {1, -0.1322822f}, {255, 0.8555128f}, {511, 0.9876883f}, {767, 0.5177817f}, {1023, 0.1564345f}};
  // The published vector is of fp32(0.9), which openpi and lerobot both round to here within 1e-7 of t.
  for (auto [i, v] : at_nine) EXPECT_NEAR(e.row<float>(1)[i], v, 2e-4) << i;
  c.accumulated_time = true;
  const float accumulated[] = {1.0f,         0.899999976f, 0.799999952f, 0.699999928f, 0.599999905f,
                               0.499999911f, 0.399999917f, 0.299999923f, 0.199999928f, 0.099999927f};
  auto times = pi05::flow_times(c);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(times[i], accumulated[i]) << i;
  c.accumulated_time = false;
  const float direct[] = {1.0f, 0.899999976f, 0.800000012f, 0.699999988f, 0.600000024f,
                          0.5f, 0.400000006f, 0.300000012f, 0.200000003f, 0.100000001f};
  times = pi05::flow_times(c);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(times[i], direct[i]) << i;
}

TEST(Pi05, NamesOfEveryLayoutMeetTheDeclaredOnes) {
  using pi05::declared_name;
  EXPECT_EQ(declared_name("model.action_in_proj.weight"), "action_in_proj.weight");
  EXPECT_EQ(declared_name("model.paligemma_with_expert.paligemma.lm_head.weight"),
            "paligemma_with_expert.paligemma.lm_head.weight");
  EXPECT_EQ(declared_name("paligemma_with_expert.paligemma.language_model.model.layers.3.mlp.up_proj.weight"),
            "paligemma_with_expert.paligemma.model.language_model.layers.3.mlp.up_proj.weight");
  EXPECT_EQ(declared_name("paligemma_with_expert.paligemma.multi_modal_projector.linear.bias"),
            "paligemma_with_expert.paligemma.model.multi_modal_projector.linear.bias");
  EXPECT_EQ(declared_name("action_time_mlp_out.bias"), "time_mlp_out.bias");
  EXPECT_EQ(declared_name("state_proj.weight"), "");
  EXPECT_EQ(declared_name("paligemma_with_expert.gemma_expert.model.layers.0.input_layernorm.weight"), "");
  EXPECT_EQ(declared_name("model.something_else"), "model.something_else");
}

}  // namespace
}  // namespace flashrt
