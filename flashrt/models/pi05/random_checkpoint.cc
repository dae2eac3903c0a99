// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/random_checkpoint.h"

#include <fstream>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"
#include "flashrt/io/safetensors_writer.h"
#include "flashrt/models/pi05/config.h"

namespace flashrt::pi05 {
namespace {

constexpr std::int64_t kChunkValues = std::int64_t{1} << 20;  // written at a time

void write_json(const std::filesystem::path& file, const Json& json) {
  std::ofstream out(file);
  out << json.dump(2) << "\n";
  out.close();
  require(out.good(), "{}: cannot write; is the disk full or the folder read-only?", file.string());
}

void write_weights(const std::filesystem::path& file, const TensorSource& tensors, StoredType type) {
  SafetensorsWriter writer(file);
  writer.metadata("format", "pt");
  for (const std::string& name : tensors.names()) writer.declare("model." + name, type, tensors.find(name)->shape);
  std::vector<float> values;
  for (const std::string& name : tensors.names()) {
    const TensorInfo& info = *tensors.find(name);
    std::int64_t width = info.row_elements(), at_once = std::max<std::int64_t>(1, kChunkValues / width);
    for (std::int64_t row = 0; row < info.rows(); row += at_once) {
      std::int64_t count = std::min(at_once, info.rows() - row);
      values.resize(static_cast<std::size_t>(count * width));
      tensors.read_rows(name, row, count, values.data());
      writer.append("model." + name, values);
    }
  }
  writer.finish();
}

Json config_json(const Config& c) {
  Json inputs = Json::object();
  for (const std::string& camera : c.cameras)
    inputs["observation.images." + camera] = {{"type", "VISUAL"}, {"shape", {3, c.vision.image, c.vision.image}}};
  inputs["observation.state"] = {{"type", "STATE"}, {"shape", {c.state_dim}}};
  return {{"type", "pi05"},
          {"paligemma_variant", "gemma_2b"},
          {"action_expert_variant", "gemma_300m"},
          {"chunk_size", c.horizon},
          {"n_action_steps", c.horizon},
          {"max_state_dim", c.action_dim},
          {"max_action_dim", c.action_dim},
          {"num_inference_steps", c.steps},
          {"image_resolution", {c.vision.image, c.vision.image}},
          {"tokenizer_max_length", c.prompt_tokens},
          {"min_period", c.min_period},
          {"max_period", c.max_period},
          {"normalization_mapping", {{"VISUAL", "IDENTITY"}, {"STATE", "QUANTILES"}, {"ACTION", "QUANTILES"}}},
          {"vision_config", {{"num_attention_heads", c.vision.heads}}},
          {"input_features", inputs},
          {"output_features", {{"action", {{"type", "ACTION"}, {"shape", {c.robot_action_dim}}}}}}};
}

Json normalizer_json(const char* registry_name, const char* state_file) {
  return {{"registry_name", registry_name},
          {"config", {{"norm_map", {{"VISUAL", "IDENTITY"}, {"STATE", "QUANTILES"}, {"ACTION", "QUANTILES"}}}}},
          {"state_file", state_file}};
}

void write_statistics(const std::filesystem::path& file, const Config& c) {
  SafetensorsWriter writer(file);
  const std::pair<const char*, std::int64_t> features[] = {{"observation.state", c.state_dim},
                                                           {"action", c.robot_action_dim}};
  for (auto [feature, width] : features)
    for (const char* key : {".q01", ".q99"}) writer.declare(std::string(feature) + key, StoredType::f32, {width});
  for (auto [feature, width] : features) {
    writer.append(std::string(feature) + ".q01", std::vector<float>(static_cast<std::size_t>(width), -1.0f));
    writer.append(std::string(feature) + ".q99", std::vector<float>(static_cast<std::size_t>(width), 1.0f));
  }
  writer.finish();
}

}  // namespace

void save_random_checkpoint(const std::filesystem::path& folder, const std::string& shape,
                            const ModelOptions& options) {
  require(options.precision == "bf16" || options.precision == "f32",
          "random weights are stored as bf16 or f32, not \"{}\"", options.precision);
  Checkpoint checkpoint = random_checkpoint(shape, options);
  std::filesystem::create_directories(folder);
  // Whatever lies there may be worth more than random weights.
  require(std::filesystem::is_empty(folder),
          "{}: the folder is not empty, perhaps it is a checkpoint already; name another folder", folder.string());
  write_weights(folder / "model.safetensors", *checkpoint.tensors,
                options.precision == "f32" ? StoredType::f32 : StoredType::bf16);
  const Config& c = checkpoint.config;
  const char *pre = "policy_preprocessor_step_0_normalizer_processor.safetensors",
             *post = "policy_postprocessor_step_0_unnormalizer_processor.safetensors";
  write_statistics(folder / pre, c);
  write_statistics(folder / post, c);
  write_json(folder / "policy_preprocessor.json",
             {{"name", "policy_preprocessor"},
              {"steps",
               {normalizer_json("normalizer_processor", pre),
                {{"registry_name", "pi05_prepare_state_tokenizer_processor_step"}, {"config", Json::object()}},
                {{"registry_name", "tokenizer_processor"}, {"config", {{"max_length", c.prompt_tokens}}}}}}});
  write_json(folder / "policy_postprocessor.json",
             {{"name", "policy_postprocessor"}, {"steps", {normalizer_json("unnormalizer_processor", post)}}});
  write_json(folder / "config.json", config_json(c));
}

}  // namespace flashrt::pi05
