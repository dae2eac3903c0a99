// SPDX-License-Identifier: Apache-2.0
// pi0.5 checkpoints whose configuration, statistics or tokenizer are wrong, and options out of range: each is refused,
// with a text that names the cause.
#include <limits>

#include "flashrt/models/pi05/describe.h"
#include "flashrt/models/pi05/edited_checkpoint_test.h"

namespace flashrt {
namespace {

using test::Edit;
using test::EditedCheckpoint;
using test::f32_tensor;
using test::Malformed;
using test::RawTensors;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const std::string kPre = "policy_preprocessor.json", kPost = "policy_postprocessor.json";
const std::string kStateFile = "policy_preprocessor_step_3_normalizer_processor.safetensors";
const std::string kActionFile = "policy_postprocessor_step_0_unnormalizer_processor.safetensors";
const std::string kStats = "assets/tiny/norm_stats.json";

Edit file(std::string name, std::string text) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.write(name, text); };
}
Edit removed(std::string name) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.remove(name); };
}
Edit document(std::string name, std::function<void(Json&)> edit) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.json(name, edit); };
}
Edit config(std::string key, Json value) {
  return document("config.json", [=](Json& j) { j[key] = value; });
}
Edit config_at(std::string pointer, Json value) {
  return document("config.json", [=](Json& j) { j[Json::json_pointer(pointer)] = value; });
}
Edit config_without(std::string key) {
  return document("config.json", [=](Json& j) { j.erase(key); });
}
Edit pre(std::string pointer, Json value) {
  return document(kPre, [=](Json& j) { j[Json::json_pointer(pointer)] = value; });
}
Edit post(std::string pointer, Json value) {
  return document(kPost, [=](Json& j) { j[Json::json_pointer(pointer)] = value; });
}
Edit openpi_stats(std::string pointer, Json value) {
  return document(kStats, [=](Json& j) { j[Json::json_pointer(pointer)] = value; });
}
Edit statistics(std::string name, std::function<void(RawTensors&)> edit) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.tensors(edit, name); };
}
Edit without_statistic(std::string name, std::string key) {
  return statistics(name, [=](RawTensors& all) { all.erase(key); });
}
Edit statistic(std::string name, std::string key, std::size_t dim, float value) {
  return statistics(name, [=](RawTensors& all) { all.at(key).set(dim, value); });
}
Edit option(std::function<void(ModelOptions&)> edit) {
  return [=](EditedCheckpoint&, ModelOptions& o) { edit(o); };
}
Edit both(Edit a, Edit b) {
  return [=](EditedCheckpoint& c, ModelOptions& o) {
    a(c, o);
    b(c, o);
  };
}

class Pi05RefusesConfig : public testing::TestWithParam<Malformed> {};
TEST_P(Pi05RefusesConfig, WithTheCause) { test::expect_refusal(GetParam()); }
// What loading refuses, `flashrt inspect` refuses.
TEST_P(Pi05RefusesConfig, WhenDescribed) {
  EditedCheckpoint checkpoint(GetParam().golden);
  ModelOptions options;
  GetParam().edit(checkpoint, options);
  std::string text = test::error_text([&] { pi05::describe_checkpoint(checkpoint.path(), options); });
  for (const std::string& cause : GetParam().causes) test::expect_error(text, cause);
}

const Malformed kConfigs[] = {
    {"missing",
     "lerobot_tiny",
     removed("config.json"),
     {"policy_preprocessor.json makes this a lerobot checkpoint", "config.json is missing"}},
    {"no_type",
     "lerobot_tiny",
     config_without("type"),
     {"policy_preprocessor.json makes this a lerobot checkpoint", "config.json has no \"type\""}},
    {"empty", "lerobot_tiny", file("config.json", ""), {"config.json: the file is empty"}},
    {"cut", "lerobot_tiny", file("config.json", "{\"type\":"), {"config.json: is not valid JSON"}},
    {"a_list", "lerobot_tiny", file("config.json", "[]"), {"config.json", "must be an object"}},
    {"deep",
     "lerobot_tiny",
     file("config.json", "{\"type\":" + std::string(100'000, '[')),
     {"config.json", "nested deeper than 64 levels"}},
    {"key_twice", "lerobot_tiny", file("config.json", R"({"type":"pi0","type":"pi05"})"), {"\"type\" appears twice"}},
    {"not_utf8", "lerobot_tiny", file("config.json", "{\"type\":\"\xff\"}"), {"config.json", "UTF-8"}},
    {"of_pi0", "lerobot_tiny", config("type", "pi0"), {"a checkpoint of type \"pi0\" is not pi05"}},
    {"type_is_a_number", "lerobot_tiny", config("type", 5), {"\"type\" must be a string, is an integer"}},
    {"no_chunk_size", "lerobot_tiny", config_without("chunk_size"), {"\"chunk_size\" is missing"}},
    {"chunk_size_zero", "lerobot_tiny", config("chunk_size", 0), {"\"chunk_size\" must be at least 1, is 0"}},
    {"chunk_size_negative", "lerobot_tiny", config("chunk_size", -5), {"\"chunk_size\" must be at least 1, is -5"}},
    {"chunk_size_huge", "lerobot_tiny", config("chunk_size", 1'000'000'000), {"\"chunk_size\" must be at most 4096"}},
    {"chunk_size_text", "lerobot_tiny", config("chunk_size", "5"), {"\"chunk_size\" must be an integer, is a string"}},
    {"chunk_size_fraction", "lerobot_tiny", config("chunk_size", 5.5), {"\"chunk_size\" must be an integer"}},
    {"chunk_size_beyond_64_bits",
     "lerobot_tiny",
     file("config.json", R"({"type":"pi05","chunk_size":99999999999999999999})"),
     {"does not fit 64 bits"}},
    {"no_steps", "lerobot_tiny", config("num_inference_steps", 0), {"\"num_inference_steps\" must be at least 1"}},
    {"model_action_dim", "lerobot_tiny", config("max_action_dim", 32), {"max_action_dim 32, the tensors have 8"}},
    {"image_resolution",
     "lerobot_tiny",
     config("image_resolution", {224, 224}),
     {"image_resolution", "the vision tower takes 28 x 28 images"}},
    {"image_resolution_of_one",
     "lerobot_tiny",
     config("image_resolution", Json::array({28})),
     {"image_resolution", "the vision tower takes 28 x 28 images"}},
    {"no_vision_heads",
     "lerobot_tiny",
     config_without("vision_config"),
     {"a vision tower of width 48 needs \"vision_config\": {\"num_attention_heads\": N}"}},
    {"vision_heads_do_not_divide",
     "lerobot_tiny",
     config_at("/vision_config/num_attention_heads", 5),
     {"5 vision heads do not divide the width 48"}},
    {"vision_heads_zero",
     "openpi_tiny",
     config_at("/vision_config/num_attention_heads", 0),
     {"num_attention_heads\" must be at least 1"}},
    {"prompt_lengths_differ",
     "lerobot_tiny",
     config("tokenizer_max_length", 80),
     {"80 prompt tokens", "policy_preprocessor.json says 72"}},
    {"prompt_too_long",
     "lerobot_tiny",
     config("tokenizer_max_length", 1025),
     {"tokenizer_max_length\" must be at most 1024"}},
    {"too_much_to_record",
     "lerobot_tiny",
     both(both(config("tokenizer_max_length", 1024), pre("/steps/5/config/max_length", 1024)),
          config("num_inference_steps", 160)),
     {"2 cameras (input_features)", "1024 prompt tokens (tokenizer_max_length)", "160 steps (num_inference_steps)",
      "128 programs of 324 layers"}},
    {"period_negative",
     "lerobot_tiny",
     config("min_period", -0.004),
     {"min_period and max_period must be positive and ascending"}},
    {"periods_swapped", "lerobot_tiny", config("max_period", 0.001), {"min_period and max_period"}},
    {"visual_memory", "lerobot_tiny", config("use_visual_memory", true), {"\"use_visual_memory\" is on"}},
    {"proprioceptive_memory",
     "lerobot_tiny",
     config("use_proprioceptive_memory", true),
     {"\"use_proprioceptive_memory\" is on"}},
    {"trained_delay", "lerobot_tiny", config("rtc_training_max_delay", 4), {"\"rtc_training_max_delay\" is set"}},
    {"no_input_features", "lerobot_tiny", config_without("input_features"), {"\"input_features\" is missing"}},
    {"no_camera", "lerobot_tiny", config("input_features", Json::object()), {"names no camera"}},
    {"too_many_cameras",
     "lerobot_tiny",
     document("config.json",
              [](Json& j) {
                for (int i = 0; i < 5000; ++i)
                  j["input_features"]["observation.images." + std::to_string(i)] = {{"type", "VISUAL"},
                                                                                    {"shape", {3, 28, 28}}};
              }),
     {"5002 cameras are named, at most 8"}},
    {"state_of_two_dimensions",
     "lerobot_tiny",
     config_at("/input_features/observation.state/shape", {6, 1}),
     {"observation.state", "a state has one dimension"}},
    {"no_action", "lerobot_tiny", config("output_features", Json::object()), {"\"output_features.action\" is missing"}},
    {"action_wider_than_model",
     "lerobot_tiny",
     config_at("/output_features/action/shape", Json::array({9})),
     {"an action has one dimension of at most 8"}},
    {"action_width",
     "lerobot_tiny",
     config_at("/output_features/action/shape", Json::array({6})),
     {"an action of 6 dimensions, its statistics have 7"}},
    {"openpi_action_dim", "openpi_tiny", config("action_dim", 32), {"action_dim 32, the tensors have 10"}},
    {"openpi_no_horizon",
     "openpi_tiny",
     config_without("action_horizon"),
     {"\"action_horizon\" into its config.json", "option horizon"}},
    {"openpi_horizon", "openpi_tiny", config("action_horizon", 0), {"\"action_horizon\" must be at least 1"}},
    {"openpi_heads",
     "openpi_tiny",
     config_at("/vision_config/num_attention_heads", 7),
     {"7 vision heads do not divide the width 36"}},
};
INSTANTIATE_TEST_SUITE_P(Configs, Pi05RefusesConfig, testing::ValuesIn(kConfigs),
                         [](const auto& i) { return i.param.name; });

const Malformed kStatistics[] = {
    // The processors of lerobot.
    {"no_preprocessor", "lerobot_tiny", removed(kPre), {"policy_preprocessor.json: no such file"}},
    {"no_postprocessor", "lerobot_tiny", removed(kPost), {"policy_postprocessor.json: no such file"}},
    {"preprocessor_cut", "lerobot_tiny", file(kPre, "{\"steps\":[{"), {"policy_preprocessor.json: is not valid JSON"}},
    {"postprocessor_deep",
     "lerobot_tiny",
     file(kPost, std::string(100'000, '[')),
     {"policy_postprocessor.json", "nested deeper"}},
    {"no_steps_list", "lerobot_tiny", file(kPre, "{}"), {"policy_preprocessor.json: key \"steps\" is missing"}},
    {"steps_are_text", "lerobot_tiny", pre("/steps", "all"), {"\"steps\" must be an array, is a string"}},
    {"step_without_name", "lerobot_tiny", pre("/steps/1", Json::object()), {"\"steps[1].registry_name\" is missing"}},
    {"unknown_step",
     "lerobot_tiny",
     pre("/steps/1/registry_name", "crop_processor"),
     {"steps[1]", "\"crop_processor\" is not known"}},
    {"unknown_step_behind",
     "lerobot_tiny",
     post("/steps/2/registry_name", "clip_processor"),
     {"policy_postprocessor.json", "\"clip_processor\" is not known"}},
    {"no_normalizer",
     "lerobot_tiny",
     document(kPre, [](Json& j) { j["steps"].erase(3); }),
     {"no normalizer_processor step"}},
    {"no_unnormalizer",
     "lerobot_tiny",
     document(kPost, [](Json& j) { j["steps"].erase(0); }),
     {"no unnormalizer_processor step"}},
    {"unknown_mode",
     "lerobot_tiny",
     pre("/steps/3/config/norm_map/STATE", "ZSCORE"),
     {"unknown normalisation mode \"ZSCORE\"", "QUANTILES"}},
    {"mode_is_a_number",
     "lerobot_tiny",
     post("/steps/0/config/norm_map/ACTION", 1),
     {"norm_map.ACTION\" must be a string"}},
    {"no_norm_map",
     "lerobot_tiny",
     document(kPre, [](Json& j) { j["steps"][3]["config"].erase("norm_map"); }),
     {"norm_map\" is missing"}},
    {"pictures_normalised",
     "lerobot_tiny",
     pre("/steps/3/config/norm_map/VISUAL", "MEAN_STD"),
     {"policy_preprocessor.json", "VISUAL is \"MEAN_STD\""}},
    {"pictures_unnormalised",
     "lerobot_tiny",
     post("/steps/0/config/norm_map/VISUAL", "MEAN_STD"),
     {"policy_postprocessor.json", "VISUAL is \"MEAN_STD\""}},
    {"unknown_feature_type", "lerobot_tiny", pre("/steps/3/config/norm_map/TOUCH", "MEAN_STD"), {"norm_map.TOUCH\""}},
    {"another_epsilon", "lerobot_tiny", pre("/steps/3/config/eps", 1e-6), {"steps[3].config\": eps is 1e-06"}},
    {"another_epsilon_behind", "lerobot_tiny", post("/steps/0/config/eps", 0), {"steps[0].config\": eps is 0"}},
    {"unknown_normalizer_key",
     "lerobot_tiny",
     pre("/steps/3/config/clip", 5),
     {"\"steps[3].config.clip\" is not known"}},
    {"state_not_a_feature",
     "lerobot_tiny",
     document(kPre, [](Json& j) { j["steps"][3]["config"]["features"].erase("observation.state"); }),
     {"features\": does not list \"observation.state\" as a STATE"}},
    {"state_of_another_type",
     "lerobot_tiny",
     pre("/steps/3/config/features/observation.state/type", "ENV"),
     {"features\": does not list \"observation.state\" as a STATE"}},
    {"state_key_left_out",
     "lerobot_tiny",
     pre("/steps/3/config/normalize_observation_keys", Json::array({"observation.images.base"})),
     {"normalize_observation_keys\": leaves out \"observation.state\""}},
    {"half_precision_inputs",
     "lerobot_tiny",
     pre("/steps/6/config/float_dtype", "float16"),
     {"steps[6].config.float_dtype\": is \"float16\""}},
    {"half_precision_actions",
     "lerobot_tiny",
     post("/steps/2/config/float_dtype", "bfloat16"),
     {"steps[2].config.float_dtype\": is \"bfloat16\""}},
    {"padded_at_the_left", "lerobot_tiny", pre("/steps/5/config/padding_side", "left"), {"padding_side is \"left\""}},
    {"unknown_relative_key",
     "lerobot_tiny",
     pre("/steps/2/config/include_joints", Json::array({"arm"})),
     {"\"steps[2].config.include_joints\" is not known"}},
    {"no_state_file",
     "lerobot_tiny",
     document(kPre, [](Json& j) { j["steps"][3].erase("state_file"); }),
     {"the step has no state_file", "\"observation.state\" are missing"}},
    {"state_file_missing", "lerobot_tiny", removed(kStateFile), {kStateFile + ": no such file"}},
    {"action_file_missing", "lerobot_tiny", removed(kActionFile), {kActionFile + ": no such file"}},
    {"state_file_in_parent",
     "lerobot_tiny",
     pre("/steps/3/state_file", "../" + kStateFile),
     {"must name a file beside it"}},
    {"state_file_absolute",
     "lerobot_tiny",
     post("/steps/0/state_file", "/etc/passwd"),
     {"must name a file beside it", "/etc/passwd"}},
    {"state_file_is_parent", "lerobot_tiny", pre("/steps/3/state_file", ".."), {"must name a file beside it"}},
    {"state_file_is_folder", "lerobot_tiny", pre("/steps/3/state_file", "."), {"must name a file beside it"}},
    {"state_file_empty", "lerobot_tiny", pre("/steps/3/state_file", ""), {"must name a file beside it"}},
    {"state_file_cut",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) { c.bytes(kStateFile, [](std::string& f) { f.resize(f.size() - 4); }); },
     {kStateFile, "beyond the"}},
    {"rename_to_number",
     "lerobot_tiny",
     pre("/steps/0/config/rename_map", {{"a", 1}}),
     {"rename_map.a\" must be a string"}},
    {"prompt_length_huge",
     "lerobot_tiny",
     pre("/steps/5/config/max_length", 1'000'000),
     {"max_length\" must be at most"}},
    {"relative_before_only",
     "lerobot_tiny",
     pre("/steps/2/config/enabled", true),
     {"relative actions are enabled in only one"}},
    {"relative_behind_only",
     "lerobot_tiny",
     post("/steps/1/config/enabled", true),
     {"relative actions are enabled in only one"}},
    // Their statistics.
    {"no_q01",
     "lerobot_tiny",
     without_statistic(kStateFile, "observation.state.q01"),
     {kStateFile, "missing statistic \"observation.state.q01\""}},
    {"no_q99",
     "lerobot_tiny",
     without_statistic(kActionFile, "action.q99"),
     {kActionFile, "missing statistic \"action.q99\""}},
    {"no_deviation",
     "lerobot_tiny",
     both(post("/steps/0/config/norm_map/ACTION", "MEAN_STD"), without_statistic(kActionFile, "action.std")),
     {"missing statistic \"action.std\""}},
    {"no_minimum",
     "lerobot_tiny",
     both(pre("/steps/3/config/norm_map/STATE", "MIN_MAX"), without_statistic(kStateFile, "observation.state.min")),
     {"missing statistic \"observation.state.min\""}},
    {"reversed_state",
     "lerobot_tiny",
     statistic(kStateFile, "observation.state.q99", 2, -1e9f),
     {"\"observation.state\"", "the range of dimension 2 is reversed"}},
    {"reversed_action",
     "lerobot_tiny",
     statistic(kActionFile, "action.q01", 6, 1e9f),
     {"\"action\"", "the range of dimension 6 is reversed"}},
    {"negative_deviation",
     "lerobot_tiny",
     both(post("/steps/0/config/norm_map/ACTION", "MEAN_STD"), statistic(kActionFile, "action.std", 1, -1)),
     {"the standard deviation of dimension 1 is negative"}},
    {"nan_state",
     "lerobot_tiny",
     statistic(kStateFile, "observation.state.q01", 4, kNan),
     {"observation.state.q01", "nan at [4]"}},
    {"infinite_action",
     "lerobot_tiny",
     statistic(kActionFile, "action.q99", 0, std::numeric_limits<float>::infinity()),
     {"action.q99", "inf at [0]"}},
    {"state_lengths_differ",
     "lerobot_tiny",
     statistics(kStateFile, [](RawTensors& all) { all["observation.state.q99"] = f32_tensor({5}, 9); }),
     {"statistics have 6 and 5 values"}},
    {"state_overflows",
     "lerobot_tiny",
     both(statistic(kStateFile, "observation.state.q01", 3, -3e38f),
          statistic(kStateFile, "observation.state.q99", 3, 3e38f)),
     {"\"observation.state\": the statistic of dimension 3", "is too large for f32"}},
    {"action_too_short",
     "lerobot_tiny",
     statistics(kActionFile,
                [](RawTensors& all) {
                  all["action.q01"] = f32_tensor({4}, 0);
                  all["action.q99"] = f32_tensor({4}, 1);
                }),
     {"an action of 7 dimensions, its statistics have 4"}},
    {"empty_statistic",
     "lerobot_tiny",
     statistics(kActionFile, [](RawTensors& all) { all["action.q01"] = all["action.q99"] = f32_tensor({0}); }),
     {"\"action\": statistics have 0 and 0 values"}},
    // Assets of openpi.
    {"no_assets", "openpi_tiny", removed("assets"), {"assets: no norm_stats.json below it"}},
    {"two_assets",
     "openpi_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       std::filesystem::create_directories(c.path("assets/lab/arm"));
       std::filesystem::copy(c.path(kStats), c.path("assets/lab/arm/norm_stats.json"));
     },
     {"several assets (lab/arm, tiny); name one with norm_asset"}},
    {"unknown_asset",
     "openpi_tiny",
     option([](ModelOptions& o) { o.norm_asset = "droid"; }),
     {"no asset \"droid\"; there are: tiny"}},
    {"asset_outside",
     "openpi_tiny",
     option([](ModelOptions& o) { o.norm_asset = "../assets/tiny"; }),
     {"no asset \"../assets/tiny\""}},
    {"openpi_null_q01",
     "openpi_tiny",
     openpi_stats("/norm_stats/actions/q01", nullptr),
     {"missing statistic \"q01\" or \"q99\""}},
    {"openpi_no_state",
     "openpi_tiny",
     document(kStats, [](Json& j) { j["norm_stats"].erase("state"); }),
     {"\"norm_stats.state\" is missing"}},
    {"openpi_no_root", "openpi_tiny", file(kStats, "{}"), {"norm_stats.json: key \"norm_stats\" is missing"}},
    {"openpi_reversed",
     "openpi_tiny",
     openpi_stats("/norm_stats/state/q99/3", -100),
     {"the range of dimension 3 is reversed"}},
    {"openpi_lengths",
     "openpi_tiny",
     openpi_stats("/norm_stats/state/q99", {1, 2, 3}),
     {"statistics have 10 and 3 values"}},
    {"openpi_text",
     "openpi_tiny",
     openpi_stats("/norm_stats/actions/q01/0", "low"),
     {"norm_stats.actions.q01[0]\" must be a number"}},
    {"openpi_nan",
     "openpi_tiny",
     file(kStats, R"({"norm_stats":{"state":{"q01":[NaN],"q99":[1]}}})"),
     {"norm_stats.json: is not valid JSON"}},
    {"openpi_overflow",
     "openpi_tiny",
     file(kStats, R"({"norm_stats":{"state":{"q01":[-1e999],"q99":[1]}}})"),
     {"norm_stats.json: is not valid JSON", "number overflow"}},
    {"openpi_overflow_of_f32",
     "openpi_tiny",
     openpi_stats("/norm_stats/actions/q99/2", 1e39),
     {"\"norm_stats.actions\": the statistic of dimension 2", "is too large for f32"}},
    {"openpi_deep", "openpi_tiny", file(kStats, std::string(100'000, '[')), {"norm_stats.json", "nested deeper"}},
};
INSTANTIATE_TEST_SUITE_P(Statistics, Pi05RefusesConfig, testing::ValuesIn(kStatistics),
                         [](const auto& i) { return i.param.name; });

const Malformed kOptions[] = {
    {"tokenizer_missing",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.tokenizer = "/nowhere/tokenizer.model"; }),
     {"/nowhere/tokenizer.model: no such file"}},
    {"tokenizer_empty", "lerobot_tiny", file("tokenizer.model", ""), {"tokenizer.model: the file is empty"}},
    {"tokenizer_corrupt",
     "lerobot_tiny",
     file("tokenizer.model", "no model at all"),
     {"tokenizer.model: is not a SentencePiece model"}},
    {"tokenizer_cut",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.bytes("tokenizer.model", [](std::string& f) { f.resize(f.size() / 2); });
     },
     {"tokenizer.model: is not a SentencePiece model"}},
    {"tokenizer_too_large",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.tensors([](RawTensors& all) {
         all.at("model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight") =
             f32_tensor({100, 64});
         all.erase("model.paligemma_with_expert.paligemma.lm_head.weight");
         all.erase("model.paligemma_with_expert.gemma_expert.lm_head.weight");
       });
     },
     {"the model's embedding only 100 rows", "another model"}},
    {"views_too_many",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.views = 3; }),
     {"3 views asked for, the checkpoint has 2 cameras"}},
    {"views_negative", "lerobot_tiny", option([](ModelOptions& o) { o.views = -1; }), {"-1 views asked for"}},
    {"steps_negative",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.steps = -1; }),
     {"steps is -1; it must be 1 to 1000"}},
    {"steps_too_many", "lerobot_tiny", option([](ModelOptions& o) { o.steps = 1001; }), {"steps is 1001"}},
    {"horizon_too_long",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.horizon = 4097; }),
     {"horizon is 4097; it must be 1 to 4096"}},
    {"state_prompt_dims",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.state_prompt_dims = -3; }),
     {"state_prompt_dims is -3"}},
    {"state_prompt_dims_too_narrow",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.state_prompt_dims = 5; }),
     {"state_prompt_dims is 5; the state has 6 dimensions"}},
    {"state_dim_too_wide",
     "openpi_tiny",
     option([](ModelOptions& o) { o.state_dim = 11; }),
     {"state_dim is 11; this checkpoint's statistics have 10 dimensions"}},
    {"state_dim_negative", "openpi_tiny", option([](ModelOptions& o) { o.state_dim = -6; }), {"state_dim is -6"}},
    {"state_dim_of_lerobot",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.state_dim = 5; }),
     {"state_dim is 5; this checkpoint's statistics say 6"}},
    {"norm_asset_of_lerobot",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.norm_asset = "droid"; }),
     {"norm_asset is \"droid\"; it is for openpi checkpoints"}},
    {"action_dim_of_lerobot",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.action_dim = 3; }),
     {"action_dim is 3; it is for openpi checkpoints, config.json says 7"}},
    {"action_dim_too_wide",
     "openpi_tiny",
     option([](ModelOptions& o) { o.action_dim = 8; }),
     {"action_dim is 8; this checkpoint's actions have 7 dimensions"}},
    {"action_dim_negative", "openpi_tiny", option([](ModelOptions& o) { o.action_dim = -7; }), {"action_dim is -7"}},
    {"relative_dim_outside",
     "openpi_tiny",
     option([](ModelOptions& o) {
       o.relative_dims = {0, 7};
     }),
     {"relative action dimension 7 is outside [0, 7)"}},
    {"relative_dim_negative",
     "openpi_tiny",
     option([](ModelOptions& o) { o.relative_dims = {-1}; }),
     {"relative action dimension -1"}},
    {"relative_said_twice",
     "lerobot_tiny",
     both(both(pre("/steps/2/config/enabled", true), post("/steps/1/config/enabled", true)),
          option([](ModelOptions& o) { o.relative_dims = {0}; })),
     {"the checkpoint says itself which actions are relative"}},
    {"relative_and_normalized",
     "openpi_tiny",
     option([](ModelOptions& o) {
       o.relative_dims = {0};
       o.normalized_actions = true;
     }),
     {"relative_dims", "normalized_actions"}},
};
INSTANTIATE_TEST_SUITE_P(Options, Pi05RefusesConfig, testing::ValuesIn(kOptions),
                         [](const auto& i) { return i.param.name; });

// Which a checkpoint has no part in.
class Pi05RefusesPrecision : public testing::TestWithParam<Malformed> {};
TEST_P(Pi05RefusesPrecision, WithTheCause) { test::expect_refusal(GetParam()); }

const Malformed kPrecisions[] = {
    {"precision_unknown",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.precision = "fp4"; }),
     {"unknown precision \"fp4\"; use f32, bf16 or int8"}},
    {"keep_without_precision",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.keep = {"vision"}; }),
     {"\"vision\" is not GROUP=PRECISION", "vision, prefix, expert"}},
    {"keep_unknown_group",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.keep = {"decoder=bf16"}; }),
     {"unknown layer group \"decoder\"", "vision, prefix, expert"}},
    {"keep_unknown_precision",
     "lerobot_tiny",
     option([](ModelOptions& o) { o.keep = {"vision=int2"}; }),
     {"unknown precision \"int2\""}},
    {"cache_of_two_types",
     "lerobot_tiny",
     option([](ModelOptions& o) {
       o.precision = "bf16";
       o.keep = {"expert=f32"};
     }),
     {"prefix and expert share a key-value cache"}},
};
INSTANTIATE_TEST_SUITE_P(All, Pi05RefusesPrecision, testing::ValuesIn(kPrecisions),
                         [](const auto& i) { return i.param.name; });

TEST(Pi05RefusesFolders, ThatAreNone) {
  test::TempFolder folder;
  auto refusal = [&](const std::filesystem::path& path) {
    return test::error_text([&] { test::LoadedPolicy::open(path, {}); });
  };
  test::expect_error(refusal(folder.path()), "holds neither model.safetensors nor model.safetensors.index.json");
  test::expect_error(refusal(folder.path("none")), "none: no such checkpoint folder");
  test::expect_error(refusal(folder.write("weights.bin", "x")), "weights.bin: no such checkpoint folder");
  test::expect_error(refusal(""), "no such checkpoint folder");
}

}  // namespace
}  // namespace flashrt
