// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/config.h"

#include <algorithm>
#include <cmath>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"
#include "flashrt/io/random_source.h"
#include "flashrt/io/safetensors.h"
#include "flashrt/models/pi05/names.h"
#include "flashrt/models/pi05/options.h"
#include "flashrt/models/pi05/pi05.h"
#include "flashrt/models/pi05/tokenizer.h"
#include "flashrt/models/renamed_source.h"

namespace flashrt::pi05 {
namespace {

using std::filesystem::path;

// Extents of a tensor that must exist with this rank.
std::vector<std::int64_t> extents(const TensorSource& s, const std::string& name, std::size_t rank) {
  const TensorInfo* info = s.find(name);
  require(info, "{}: missing tensor \"{}\", so this is no complete pi0.5 checkpoint", s.description(), name);
  require(info->shape.size() == rank, "{}: tensor \"{}\" is {}, it must have {} dimensions", s.description(), name,
          to_string(*info), rank);
  for (std::int64_t d : info->shape)
    require(d > 0, "{}: tensor \"{}\" is {}, it must not be empty", s.description(), name, to_string(*info));
  return info->shape;
}

std::int64_t count_layers(const TensorSource& s, const std::string& prefix, const std::string& suffix) {
  std::int64_t n = 0;
  while (s.find(prefix + std::to_string(n) + suffix)) ++n;
  return n;
}

GemmaConfig gemma_shape(const TensorSource& s, const std::string& model) {
  GemmaConfig c;
  std::string first = model + "layers.0.";
  auto q = extents(s, first + "self_attn.q_proj.weight", 2), k = extents(s, first + "self_attn.k_proj.weight", 2);
  auto gate = extents(s, first + "mlp.gate_proj.weight", 2);
  c.width = q[1];
  c.kv_heads = 1;  // every published variant: so the head size is the height of k_proj
  c.head_dim = k[0];
  c.heads = q[0] / c.head_dim;
  c.mlp = gate[0];
  c.depth = count_layers(s, model + "layers.", ".self_attn.k_proj.weight");
  require(q[0] % c.head_dim == 0 && c.head_dim % 2 == 0, "{}: {} query rows are not whole heads of {}", s.description(),
          q[0], c.head_dim);
  return c;
}

void infer_shapes(const TensorSource& s, const std::optional<JsonReader>& json, Config& c) {
  auto patch = extents(s, std::string(kVision) + "embeddings.patch_embedding.weight", 4);
  auto position = extents(s, std::string(kVision) + "embeddings.position_embedding.weight", 2);
  SiglipConfig& v = c.vision;
  v.width = patch[0];
  v.patch = patch[2];
  require(patch[1] == 3 && patch[2] == patch[3], "{}: the patch embedding must be [D, 3, p, p]", s.description());
  auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(position[0]))));
  require(side * side == position[0], "{}: {} image positions are no square", s.description(), position[0]);
  v.image = side * v.patch;
  v.depth = count_layers(s, std::string(kVision) + "encoder.layers.", ".layer_norm1.weight");
  v.mlp = extents(s, std::string(kVision) + "encoder.layers.0.mlp.fc1.weight", 2)[0];
  v.projection = extents(s, std::string(kProjector) + ".weight", 2)[0];
  // The head count is the one number that no tensor shows.
  std::optional<JsonReader> heads;
  if (json)
    if (auto vision = json->find("vision_config")) heads = vision->find("num_attention_heads");
  require(heads || v.width == 1152,
          "{}: a vision tower of width {} needs \"vision_config\": {{\"num_attention_heads\": N}} in config.json",
          s.description(), v.width);
  v.heads = heads ? heads->integer(1, v.width) : 16;
  require(v.width % v.heads == 0, "{}: {} vision heads do not divide the width {}", s.description(), v.heads, v.width);

  c.prefix = gemma_shape(s, std::string(kLanguage));
  c.expert = gemma_shape(s, std::string(kExpert));
  require(
      c.prefix.depth == c.expert.depth && c.prefix.head_dim == c.expert.head_dim && c.prefix.heads == c.expert.heads,
      "{}: language model ({} layers, {} heads of {}) and action expert ({} layers, {} heads of {}) cannot attend "
      "together",
      s.description(), c.prefix.depth, c.prefix.heads, c.prefix.head_dim, c.expert.depth, c.expert.heads,
      c.expert.head_dim);
  c.vocabulary = extents(s, std::string(kEmbedding), 2)[0];
  c.action_dim = extents(s, std::string(kActionIn) + ".weight", 2)[1];
}

const std::vector<std::string>& openpi_cameras() {
  static const std::vector<std::string> names{"base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb"};
  return names;
}

std::int64_t one_dimension(const JsonReader& feature, const char* what, std::int64_t most) {
  auto shape = feature.at("shape").integers(1, kMaxDim);
  require(shape.size() == 1 && shape[0] <= most, "{}: {} has one dimension of at most {}", feature.where(), what, most);
  return shape[0];
}

void read_lerobot_config(const JsonReader& j, const RobotProcessing& processing, Config& c) {
  c.horizon = j.integer("chunk_size", 1, kMaxHorizon);
  c.steps = j.integer_or("num_inference_steps", 10, 1, kMaxSteps);
  c.prompt_tokens = j.integer_or("tokenizer_max_length", 200, 1, kMaxPrompt);
  if (processing.prompt_tokens > 0)
    require(processing.prompt_tokens == c.prompt_tokens,
            "config.json says {} prompt tokens (tokenizer_max_length), policy_preprocessor.json says {}",
            c.prompt_tokens, processing.prompt_tokens);
  c.min_period = j.number_or("min_period", 4e-3);
  c.max_period = j.number_or("max_period", 4.0);
  require(c.min_period > 0 && c.max_period > c.min_period,
          "{}: min_period and max_period must be positive and ascending", j.where());
  for (const char* memory : {"use_visual_memory", "use_proprioceptive_memory"})
    require(!j.boolean_or(memory, false), "{}: \"{}\" is on, which this engine does not support yet", j.where(),
            memory);
  require(j.integer_or("rtc_training_max_delay", 0) == 0,
          "{}: \"rtc_training_max_delay\" is set; per-token flow times are not supported yet", j.where());
  std::int64_t declared = j.integer_or("max_action_dim", c.action_dim, 1, kMaxDim);
  require(declared == c.action_dim, "config.json says max_action_dim {}, the tensors have {}", declared, c.action_dim);
  if (auto resolution = j.find("image_resolution")) {
    auto size = resolution->integers(1, 1 << 14);
    require(size.size() == 2 && size[0] == c.vision.image && size[1] == c.vision.image,
            "{}: the vision tower takes {} x {} images", resolution->where(), c.vision.image, c.vision.image);
  }
  for (const auto& [feature, description] : j.at("input_features").members()) {
    if (description.string("type") == "VISUAL") c.cameras.push_back(feature);
    // The only one that reaches the prompt upstream, whatever else is a STATE.
    if (feature == kStateFeature) c.state_dim = one_dimension(description, "a state", kMaxDim);
  }
  // Fine-tunes of a base model keep the base's width, 32; what they normalise has the robot's.
  if (std::int64_t covered = processing.state.width()) c.state_dim = covered;
  require(std::ssize(c.cameras) <= kMaxCameras, "{}: {} cameras are named, at most {} are supported",
          j.at("input_features").where(), c.cameras.size(), kMaxCameras);
  c.robot_action_dim = one_dimension(j.at("output_features").at("action"), "an action", c.action_dim);
}

void read_openpi_config(const std::optional<JsonReader>& j, const RobotProcessing& processing, Config& c) {
  c.accumulated_time = true;
  c.resize = ResizeRule::pillow_pad;
  c.cameras = openpi_cameras();
  if (j) {
    c.horizon = j->integer_or("action_horizon", 0, 1, kMaxHorizon);
    std::int64_t declared = j->integer_or("action_dim", c.action_dim, 1, kMaxDim);
    require(declared == c.action_dim, "config.json says action_dim {}, the tensors have {}", declared, c.action_dim);
  }
  // Statistics may be padded to the model's width; the robot's own is not stored, so it is what they cover.
  c.state_dim = processing.state.width();
  std::int64_t covered = processing.action.width();
  c.robot_action_dim = covered > 0 ? std::min(covered, c.action_dim) : c.action_dim;
}

// Full: the public checkpoints (specification of pi0.5). Tiny: every part, small enough for a test.
Config random_shape(const std::string& shape) {
  Config c;
  if (shape == "full") {
    c.vision = {.width = 1152, .depth = 27, .mlp = 4304, .heads = 16, .image = 224, .patch = 14, .projection = 2048};
    c.prefix = {.width = 2048, .depth = 18, .mlp = 16384, .heads = 8, .kv_heads = 1, .head_dim = 256};
    c.expert = {.width = 1024, .depth = 18, .mlp = 4096, .heads = 8, .kv_heads = 1, .head_dim = 256};
    c.vocabulary = 257152;
    c.horizon = 50;
  } else {
    require(shape == "tiny", "unknown shape \"{}\"; use full or tiny", shape);
    c.vision = {.width = 96, .depth = 2, .mlp = 192, .heads = 4, .image = 28, .patch = 14, .projection = 64};
    c.prefix = {.width = 64, .depth = 2, .mlp = 128, .heads = 4, .kv_heads = 1, .head_dim = 16};
    c.expert = {.width = 32, .depth = 2, .mlp = 64, .heads = 4, .kv_heads = 1, .head_dim = 16};
    c.vocabulary = 512;
    c.action_dim = 8;
    c.horizon = 10;
    c.prompt_tokens = 48;
  }
  c.cameras = openpi_cameras();
  c.state_dim = 8;
  c.robot_action_dim = std::min<std::int64_t>(c.action_dim, 8);
  return c;
}

}  // namespace

Checkpoint open_checkpoint(const path& folder, const ModelOptions& options) {
  require(std::filesystem::is_directory(folder), "{}: no such checkpoint folder", folder.string());
  Checkpoint out;
  std::optional<JsonReader> json;
  if (std::filesystem::exists(folder / "config.json")) json = JsonReader::read(folder / "config.json");
  bool lerobot = json && json->find("type");
  require(lerobot || !std::filesystem::exists(folder / "policy_preprocessor.json"),
          "{}: policy_preprocessor.json makes this a lerobot checkpoint, but config.json {}", folder.string(),
          json ? "has no \"type\"" : "is missing");
  out.layout = lerobot ? Layout::lerobot : Layout::openpi;
  if (lerobot)
    require(json->string("type") == "pi05", "{}: a checkpoint of type {} is not pi05", folder.string(),
            in_quotes(json->string("type")));
  auto tensors = std::make_unique<RenamedSource>(std::make_unique<SafetensorsSource>(folder), declared_name);
  // One of the two tied embeddings is dropped when a checkpoint is written; where both are, lm_head is not used.
  if (!tensors->find(kEmbedding)) {
    require(tensors->find(kHead), "{}: missing tensor \"{}\" (nor \"{}\")", folder.string(), kEmbedding, kHead);
    tensors->move_name(std::string(kHead), std::string(kEmbedding));
  }
  infer_shapes(*tensors, json, out.config);
  bool needed = !options.normalized_actions;
  if (lerobot) {
    require(options.norm_asset.empty(),
            "norm_asset is {}; it is for openpi checkpoints, this one names its statistics in policy_preprocessor.json",
            in_quotes(options.norm_asset));
    out.processing = read_lerobot_processing(folder, needed);
    read_lerobot_config(*json, out.processing, out.config);
  } else {
    out.processing = read_openpi_processing(folder, options.norm_asset, needed);
    read_openpi_config(json, out.processing, out.config);
  }
  apply_options(options, out);
  out.tensors = std::move(tensors);
  out.tokenizer = find_tokenizer(folder, options);
  return out;
}

Checkpoint random_checkpoint(const std::string& shape, const ModelOptions& options) {
  Checkpoint out;
  out.layout = Layout::openpi;  // whose options are the wider ones
  out.config = random_shape(shape);
  apply_options(options, out);
  auto source = std::make_unique<RandomSource>(options.random_seed);
  WeightManifest manifest;
  declare_all(manifest, out.config);
  for (const auto& [name, entry] : manifest.entries()) {
    if (name == kExpertHead || name == kHead) continue;
    // Variance-preserving matrices and small vectors keep every activation finite at any depth.
    std::int64_t fan_in = 1;
    for (std::size_t d = 1; d < entry.shape.size(); ++d) fan_in *= entry.shape[d];
    bool norm_gain = name.find("layer_norm") != std::string::npos || name.find("post_layernorm") != std::string::npos;
    float deviation = entry.shape.size() == 1 ? 0.02f : 1.0f / std::sqrt(static_cast<float>(fan_in));
    source->declare(name, entry.shape, deviation, norm_gain && name.ends_with(".weight") ? 1.0f : 0.0f);
  }
  out.tensors = std::move(source);
  out.tokenizer = options.tokenizer;
  return out;
}

}  // namespace flashrt::pi05
