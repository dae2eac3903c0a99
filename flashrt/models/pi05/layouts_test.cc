// SPDX-License-Identifier: Apache-2.0
// Every layout a pi0.5 checkpoint comes in loads, and gives the actions of the golden checkpoint it was made from.
#include <cmath>

#include "flashrt/core/readings.h"
#include "flashrt/models/pi05/edited_checkpoint_test.h"
#include "flashrt/text/sentencepiece.h"

namespace flashrt {
namespace {

using test::Edit;
using test::EditedCheckpoint;
using test::f32_tensor;
using test::LoadedPolicy;
using test::RawTensors;

const std::string kPg = "paligemma_with_expert.paligemma.";
const std::string kEmbedding = "model." + kPg + "model.language_model.embed_tokens.weight";
const std::string kHead = "model." + kPg + "lm_head.weight";

void rename(RawTensors& all, const std::string& from, const std::string& to) {
  RawTensors out;
  for (auto& [name, t] : all) {
    std::string n = name;
    if (n.starts_with(from)) n = to + n.substr(from.size());
    out[n] = std::move(t);
  }
  all = std::move(out);
}
Edit weights(std::function<void(RawTensors&)> edit) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.tensors(edit); };
}

Edit config(std::function<void(Json&)> edit) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.json("config.json", edit); };
}

struct Variant {
  std::string name, golden;
  Edit edit;
  double tolerance = 0;  // relative L2 of the actions; 0: bit for bit
};
void PrintTo(const Variant& v, std::ostream* out) { *out << v.name; }

class Pi05Layouts : public testing::TestWithParam<Variant> {};

TEST_P(Pi05Layouts, GivesTheSameActions) {
  EditedCheckpoint original(GetParam().golden), variant(GetParam().golden);
  ModelOptions options, variant_options;
  options.precision = variant_options.precision = "f32";
  GetParam().edit(variant, variant_options);
  auto expected = LoadedPolicy::open(original.path(), options).run();
  auto actual = LoadedPolicy::open(variant.path(), variant_options).run();
  if (GetParam().tolerance == 0) {
    EXPECT_EQ(actual.robot, expected.robot);
  } else {
    Difference d = difference(actual.robot, expected.robot);
    EXPECT_LE(d.relative_l2, GetParam().tolerance);
    EXPECT_GT(d.relative_l2, 0);
  }
}

const Variant kVariants[] = {
    {"without_prefix", "lerobot_tiny", weights([](RawTensors& all) { rename(all, "model.", ""); })},
    {"with_prefix", "openpi_tiny", weights([](RawTensors& all) { rename(all, "", "model."); })},
    {"names_before_transformers_4_52", "lerobot_tiny", weights([](RawTensors& all) {
       std::string pg = "model." + kPg;
       rename(all, pg + "model.language_model.", pg + "language_model.model.");
       rename(all, pg + "lm_head.", pg + "language_model.lm_head.");
       rename(all, pg + "model.vision_tower.", pg + "vision_tower.");
       rename(all, pg + "model.multi_modal_projector.", pg + "multi_modal_projector.");
     })},
    {"time_mlp_aliases", "openpi_tiny", weights([](RawTensors& all) { rename(all, "time_mlp_", "action_time_mlp_"); })},
    {"left_over_from_pi0", "openpi_tiny", weights([](RawTensors& all) {
       all["state_proj.weight"] = f32_tensor({24, 10}, 1);
       all["paligemma_with_expert.gemma_expert.model.layers.0.input_layernorm.weight"] = f32_tensor({24}, 1);
     })},
    {"embedding_only", "lerobot_tiny", weights([](RawTensors& all) { all.erase(kHead); })},
    {"head_only", "lerobot_tiny", weights([](RawTensors& all) {
       all[kHead] = all.at(kEmbedding);
       all.erase(kEmbedding);
     })},
    {"another_head_beside_the_embedding", "lerobot_tiny", weights([](RawTensors& all) {
       all[kHead] = f32_tensor({640, 64}, 3);
     })},
    {"no_expert_head", "lerobot_tiny",
     weights([](RawTensors& all) { all.erase("model.paligemma_with_expert.gemma_expert.lm_head.weight"); })},
    {"bf16_file", "lerobot_tiny", weights([](RawTensors& all) {
       for (auto& [name, t] : all) test::to_bf16_tensor(t);
     }),
     0.05},
    {"mixed_types", "lerobot_tiny", weights([](RawTensors& all) {
       for (auto& [name, t] : all)
         if (name.find("norm") == std::string::npos && name.find("vision_tower") == std::string::npos)
           test::to_bf16_tensor(t);
     }),
     0.05},
    {"sharded", "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       RawTensors shards[2];
       Json map = Json::object();
       std::size_t i = 0;
       for (auto& [name, t] : test::parse_tensors(c.read("model.safetensors"))) {
         map[name] = "model-0000" + std::to_string(i % 2 + 1) + "-of-00002.safetensors";
         shards[i++ % 2][name] = t;
       }
       for (int s : {0, 1})
         c.write("model-0000" + std::to_string(s + 1) + "-of-00002.safetensors", test::format_tensors(shards[s]));
       c.write("model.safetensors.index.json", Json{{"metadata", {{"total_size", 0}}}, {"weight_map", map}}.dump());
       c.remove("model.safetensors");
     }},
    {"rename_map", "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.json("policy_preprocessor.json", [](Json& j) {
         j["steps"][0]["config"]["rename_map"] = {{"observation.images.front", "observation.images.base"}};
       });
     }},
    {"delta_actions_step_that_is_off", "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.json("policy_preprocessor.json", [](Json& j) { j["steps"][2]["registry_name"] = "delta_actions_processor"; });
     }},
    {"state_listed_to_be_normalised", "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.json("policy_preprocessor.json",
              [](Json& j) { j["steps"][3]["config"]["normalize_observation_keys"] = {"observation.state"}; });
     }},
    {"state_width_of_the_base_model", "lerobot_tiny",
     config([](Json& j) { j["input_features"]["observation.state"]["shape"] = {32}; })},
    {"no_state_feature", "lerobot_tiny", config([](Json& j) { j["input_features"].erase("observation.state"); })},
    {"another_state_behind", "lerobot_tiny", config([](Json& j) {
       j["input_features"]["observation.state.gripper"] = {{"type", "STATE"}, {"shape", {2, 1}}};
     })},
    {"horizon_by_option", "openpi_tiny",
     [](EditedCheckpoint& c, ModelOptions& o) {
       c.json("config.json", [](Json& j) { j.erase("action_horizon"); });
       o.horizon = 6;
     }},
    {"asset_by_name", "openpi_tiny",
     [](EditedCheckpoint& c, ModelOptions& o) {
       std::filesystem::create_directories(c.path("assets/lab/arm"));
       std::filesystem::copy(c.path("assets/tiny/norm_stats.json"), c.path("assets/lab/arm/norm_stats.json"));
       o.norm_asset = "lab/arm";
     }},
    {"no_tokenizer", "lerobot_tiny", [](EditedCheckpoint& c, ModelOptions&) { c.remove("tokenizer.model"); }},
};
INSTANTIATE_TEST_SUITE_P(All, Pi05Layouts, testing::ValuesIn(kVariants), [](const auto& i) { return i.param.name; });

// The rule that the processor files name decides, with the statistics it needs.
TEST(Pi05NormMap, DecidesHowActionsComeBack) {
  const std::string file = "policy_postprocessor_step_0_unnormalizer_processor.safetensors";
  for (const char* mode : {"QUANTILES", "QUANTILE10", "MIN_MAX", "MEAN_STD", "IDENTITY"}) {
    EditedCheckpoint c("lerobot_tiny");
    c.json("policy_postprocessor.json", [&](Json& j) { j["steps"][0]["config"]["norm_map"]["ACTION"] = mode; });
    RawTensors stats = test::parse_tensors(c.read(file));
    ModelOptions options;
    options.precision = "f32";
    auto actions = LoadedPolicy::open(c.path(), options).run();
    for (std::size_t i = 0; i < actions.robot.size(); ++i) {
      std::size_t d = i % 7;
      double x = actions.model[i / 7 * 8 + d], y = x;
      auto s = [&](const char* key) { return double{stats.at(std::string("action.") + key).get(d)}; };
      std::string m = mode;
      if (m == "MEAN_STD") y = x * s("std") + s("mean");
      if (m == "MIN_MAX") y = (x + 1) / 2 * (s("max") - s("min")) + s("min");
      if (m == "QUANTILES") y = (x + 1) / 2 * (s("q99") - s("q01")) + s("q01");
      if (m == "QUANTILE10") y = (x + 1) / 2 * (s("q90") - s("q10")) + s("q10");
      EXPECT_NEAR(actions.robot[i], y, 1e-5 * (1 + std::fabs(y))) << mode << " " << i;
    }
  }
}

TEST(Pi05NormalizedActions, NeedNoStatistics) {
  for (const char* golden : {"lerobot_tiny", "openpi_tiny"}) {
    EditedCheckpoint c(golden);
    ModelOptions options;
    options.precision = "f32";
    options.normalized_actions = true;
    auto with = LoadedPolicy::open(c.path(), options).run();
    EXPECT_EQ(with.robot, with.model);
    c.remove("assets");
    if (std::string(golden) == "lerobot_tiny")
      for (const char* json : {"policy_preprocessor.json", "policy_postprocessor.json"})
        c.json(json, [](Json& j) {
          for (auto& step : j["steps"]) step.erase("state_file");
        });
    auto without = LoadedPolicy::open(c.path(), options).run();
    EXPECT_EQ(without.robot, with.model);
  }
}

std::int64_t state_dim(const std::string& golden, const Edit& edit) {
  EditedCheckpoint c(golden);
  ModelOptions options;
  edit(c, options);
  return pi05::open_checkpoint(c.path(), options).config.state_dim;
}

// The session refuses states of any other width.
TEST(Pi05StateWidth, IsThatOfTheStatisticsOrOfTheOption) {
  Edit none = [](EditedCheckpoint&, ModelOptions&) {};
  Edit base_width = config([](Json& j) { j["input_features"]["observation.state"]["shape"] = {32}; });
  EXPECT_EQ(state_dim("lerobot_tiny", base_width), 6);
  EXPECT_EQ(state_dim("openpi_tiny", none), 10);
  EXPECT_EQ(state_dim("openpi_tiny", [](EditedCheckpoint&, ModelOptions& o) { o.state_dim = 6; }), 6);
  // Without statistics the configuration decides, unless the option does.
  Edit without = [&](EditedCheckpoint& c, ModelOptions& o) {
    base_width(c, o);
    c.json("policy_preprocessor.json", [](Json& j) { j["steps"][3]["config"]["norm_map"]["STATE"] = "IDENTITY"; });
  };
  EXPECT_EQ(state_dim("lerobot_tiny", without), 32);
  EXPECT_EQ(state_dim("lerobot_tiny",
                      [&](EditedCheckpoint& c, ModelOptions& o) {
                        without(c, o);
                        o.state_dim = 7;
                      }),
            7);
}

// Relative actions, with every name but the gripper's.
void make_relative(const EditedCheckpoint& c, const std::string& step) {
  c.json("policy_preprocessor.json", [&](Json& j) {
    j["steps"][2]["registry_name"] = step;
    j["steps"][2]["config"] = {{"enabled", true},
                               {"exclude_joints", {"GRIPPER", ""}},
                               {"action_names", {"a", "b", "left_gripper.pos", "d", "e", "f", "Gripper"}}};
  });
  c.json("policy_postprocessor.json", [](Json& j) { j["steps"][1]["config"]["enabled"] = true; });
}

TEST(Pi05RelativeActions, AreAddedToTheStateExceptForExcludedNames) {
  ModelOptions options;
  options.precision = "f32";
  for (const char* step : {"relative_actions_processor", "delta_actions_processor"})
    for (const char* mode : {"QUANTILES", "IDENTITY"}) {
      EditedCheckpoint c("lerobot_tiny");
      c.json("policy_postprocessor.json", [&](Json& j) { j["steps"][0]["config"]["norm_map"]["ACTION"] = mode; });
      auto absolute = LoadedPolicy::open(c.path(), options).run();
      make_relative(c, step);
      auto relative = LoadedPolicy::open(c.path(), options).run();
      for (std::size_t i = 0; i < absolute.robot.size(); ++i) {
        float added = i % 7 == 2 || i % 7 == 6 ? 0.0f : 0.25f;  // the state that run() gives
        EXPECT_NEAR(relative.robot[i] - absolute.robot[i], added, 1e-5) << step << " " << mode << " " << i;
      }
    }
}

TEST(Pi05RelativeActions, AreTheModelsOwnWhereNormalizedOnesAreAskedFor) {
  EditedCheckpoint c("lerobot_tiny");
  make_relative(c, "relative_actions_processor");
  ModelOptions options;
  options.normalized_actions = true;
  auto actions = LoadedPolicy::open(c.path(), options).run();
  EXPECT_EQ(actions.robot, actions.model);
}

std::string prompt_text(const ModelOptions& options) {
  EditedCheckpoint c("lerobot_tiny");
  LoadedPolicy policy = LoadedPolicy::open(c.path(), options);
  Tokenizer tokenizer = Tokenizer::load(c.path("tokenizer.model"));
  std::string text;
  std::vector<float> state(6, 0.25f);
  for (std::int32_t id : policy.model->tokens("open the door", state)) text += tokenizer.piece(id);
  return text;
}

TEST(Pi05StatePromptDims, PadTheStateWithZeros) {
  ModelOptions padded;
  padded.state_prompt_dims = 8;
  std::string wanted = prompt_text({}), space = "\u2581";
  wanted.insert(wanted.find(';'), space + "128" + space + "128");
  EXPECT_EQ(prompt_text(padded), wanted);
}

TEST(Pi05RenameMap, IsToldWithTheCameras) {
  EditedCheckpoint c("lerobot_tiny");
  c.json("policy_preprocessor.json", [](Json& j) {
    j["steps"][0]["config"]["rename_map"] = {{"observation.images.front", "observation.images.base"}};
  });
  std::map<std::string, std::string> wanted{{"observation.images.front", "observation.images.base"}};
  EXPECT_EQ(LoadedPolicy::open(c.path(), {}).model->info().renamed_observations, wanted);
}

}  // namespace
}  // namespace flashrt
