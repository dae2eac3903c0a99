// SPDX-License-Identifier: Apache-2.0
// pi0.5 checkpoints whose weights are damaged: each is refused, with a text that names the cause.
#include <limits>

#include "flashrt/models/pi05/edited_checkpoint_test.h"

namespace flashrt {
namespace {

using test::Edit;
using test::EditedCheckpoint;
using test::f32_tensor;
using test::Malformed;
using test::RawTensor;
using test::RawTensors;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
const std::string kFile = "model.safetensors", kIndex = "model.safetensors.index.json";
const std::string kVlm = "model.paligemma_with_expert.paligemma.model.";
const std::string kVision = kVlm + "vision_tower.vision_model.", kLanguage = kVlm + "language_model.";
const std::string kExpert = "model.paligemma_with_expert.gemma_expert.model.";
// The same without the outer prefix, as errors name tensors.
std::string declared(const std::string& name) { return "\"" + name.substr(6) + "\""; }

Edit file_bytes(std::function<void(std::string&)> edit) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.bytes(kFile, edit); };
}
Edit cut_to(std::size_t bytes) {
  return file_bytes([=](std::string& file) { file.resize(bytes); });
}
Edit cut_from_end(std::size_t bytes) {
  return file_bytes([=](std::string& file) { file.resize(file.size() - bytes); });
}
Edit header_length(std::uint64_t length) {
  return file_bytes([=](std::string& file) { std::memcpy(file.data(), &length, 8); });
}
Edit header_entry(std::string tensor, std::string field, Json value) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.header_json([&](Json& h) { h[tensor][field] = value; }); };
}
Edit weights(std::function<void(RawTensors&)> edit) {
  return [=](EditedCheckpoint& c, ModelOptions&) { c.tensors(edit); };
}
Edit without(std::string tensor) {
  return weights([=](RawTensors& all) {
    if (all.erase(tensor) != 1) throw std::logic_error("no tensor " + tensor);
  });
}
Edit shaped(std::string tensor, std::vector<std::int64_t> shape) {
  return weights([=](RawTensors& all) { all.at(tensor) = f32_tensor(shape); });
}
Edit extra(std::string tensor, std::vector<std::int64_t> shape) {
  return weights([=](RawTensors& all) { all[tensor] = f32_tensor(shape); });
}
Edit poisoned(std::string tensor, std::size_t element, float value) {
  return weights([=](RawTensors& all) { all.at(tensor).set(element, value); });
}
// The same bits under another type of the same width, or of another.
Edit typed(std::string tensor, std::string dtype, std::size_t bytes) {
  return weights([=](RawTensors& all) {
    RawTensor& t = all.at(tensor);
    t.dtype = dtype;
    t.bytes.assign(bytes * t.elements(), '\1');
  });
}
Edit index(std::string text) {
  return [=](EditedCheckpoint& c, ModelOptions&) {
    std::filesystem::rename(c.path(kFile), c.path("part1.safetensors"));
    c.write(kIndex, text);
  };
}

const std::string kV0 = kLanguage + "layers.0.self_attn.v_proj.weight";
const std::string kDense1 = kExpert + "layers.1.input_layernorm.dense.weight";

class Pi05RefusesWeights : public testing::TestWithParam<Malformed> {};
TEST_P(Pi05RefusesWeights, WithTheCause) { test::expect_refusal(GetParam()); }

const Malformed kFiles[] = {
    // The file.
    {"cut_in_length", "lerobot_tiny", cut_to(5), {"model.safetensors: 5 bytes are too few"}},
    {"cut_in_header", "lerobot_tiny", cut_to(1000), {"model.safetensors", "truncated"}},
    {"cut_in_data", "lerobot_tiny", cut_to(600'000), {"model.safetensors", "beyond the"}},
    {"cut_by_one_byte", "openpi_tiny", cut_from_end(1), {"model.safetensors", "beyond the"}},
    {"empty_file", "openpi_tiny", cut_to(0), {"model.safetensors: the file is empty"}},
    {"rest_behind_data",
     "openpi_tiny",
     file_bytes([](std::string& f) { f += "rest"; }),
     {"4 bytes after the last tensor"}},
    {"header_length_overflows", "lerobot_tiny", header_length(~std::uint64_t{0}), {"above the limit"}},
    {"header_length_wraps", "lerobot_tiny", header_length(~std::uint64_t{0} - 7), {"above the limit"}},
    {"header_length_beyond_file", "lerobot_tiny", header_length(9'000'000), {"truncated"}},
    {"header_of_empty_objects",
     "lerobot_tiny",
     file_bytes([](std::string& f) {
       std::string header = "{";
       for (int i = 0; header.size() <= 16 << 20; ++i) header += fmt::format("\"{}\":{{}},", i);
       header.back() = '}';
       f = test::safetensors_bytes(header, "");
     }),
     {"above the limit of 16777216"}},
    {"a_pickle",
     "lerobot_tiny",
     file_bytes([](std::string& f) { f = "\x80\x02}q\x01(X\x05 and more of it"; }),
     {"not a safetensors file"}},
    {"a_folder",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.remove(kFile);
       std::filesystem::create_directory(c.path(kFile));
     },
     {"model.safetensors: is a directory"}},
    {"no_weights",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) { c.remove(kFile); },
     {"holds neither model.safetensors nor model.safetensors.index.json"}},
    // The header.
    {"header_is_cut_json",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) { c.header([](std::string& h) { h.resize(h.size() / 2); }); },
     {"is not valid JSON"}},
    {"header_is_deep",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.header([](std::string& h) { h = "{\"a\":" + std::string(50'000, '[') + std::string(50'000, ']') + "}"; });
     },
     {"nested deeper than 64 levels"}},
    {"tensor_twice",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.header(
           [](std::string& h) { h.replace(h.find("model.action_in_proj.weight"), 27, "model.action_in_proj.bias"); });
     },
     {"\"model.action_in_proj.bias\" appears twice"}},
    {"two_tensors_on_the_same_bytes",
     "lerobot_tiny",
     [](EditedCheckpoint& c, ModelOptions&) {
       c.header_json([](Json& h) {
         h["model.time_mlp_out.weight"]["data_offsets"] = h["model.time_mlp_in.weight"]["data_offsets"];
       });
     },
     {"\"model.time_mlp_in.weight\" and \"model.time_mlp_out.weight\" overlap"}},
    {"hole",
     "openpi_tiny",
     [](EditedCheckpoint& c, ModelOptions&) { c.header_json([](Json& h) { h.erase("action_out_proj.bias"); }); },
     {"belong to no tensor"}},
    {"offsets_reversed",
     "openpi_tiny",
     header_entry("time_mlp_in.bias", "data_offsets", Json{96, 0}),
     {"time_mlp_in.bias", "reversed"}},
    {"offsets_beyond_file",
     "openpi_tiny",
     header_entry("time_mlp_in.bias", "data_offsets", Json{0, 99'999'999}),
     {"time_mlp_in.bias", "beyond the"}},
    {"shape_overflows",
     "openpi_tiny",
     header_entry("time_mlp_in.bias", "shape", Json{4294967296, 4294967296}),
     {"time_mlp_in.bias", "too large"}},
    {"shape_is_negative",
     "openpi_tiny",
     header_entry("time_mlp_in.bias", "shape", Json{-24}),
     {"time_mlp_in.bias.shape[0]"}},
    {"shape_beyond_bytes",
     "openpi_tiny",
     header_entry("time_mlp_in.bias", "shape", Json{25}),
     {"time_mlp_in.bias", "takes 100 bytes"}},
    {"dtype_of_other_size",
     "openpi_tiny",
     header_entry("time_mlp_in.bias", "dtype", "BF16"),
     {"time_mlp_in.bias", "takes 48 bytes"}},
    {"dtype_unknown",
     "openpi_tiny",
     header_entry("time_mlp_in.bias", "dtype", "Q4_0"),
     {"the dtype \"Q4_0\" is not one"}},
    // The index of a sharded checkpoint.
    {"index_without_map", "lerobot_tiny", index(R"({"metadata":{}})"), {"model.safetensors.index.json", "weight_map"}},
    {"shard_missing",
     "lerobot_tiny",
     index(R"({"weight_map":{"model.action_in_proj.bias":"part2.safetensors"}})"),
     {"part2.safetensors", "is missing"}},
    {"shard_outside",
     "lerobot_tiny",
     index(R"({"weight_map":{"model.action_in_proj.bias":"../part1.safetensors"}})"),
     {"must be a file name beside the index"}},
    {"index_lists_too_little",
     "lerobot_tiny",
     index(R"({"weight_map":{"model.action_in_proj.bias":"part1.safetensors"}})"),
     {"is not in the index"}},
};
INSTANTIATE_TEST_SUITE_P(Files, Pi05RefusesWeights, testing::ValuesIn(kFiles),
                         [](const auto& i) { return i.param.name; });

const Malformed kTensors[] = {
    // Missing.
    {"no_patch_embedding",
     "lerobot_tiny",
     without(kVision + "embeddings.patch_embedding.weight"),
     {"missing tensor", "patch_embedding.weight"}},
    {"no_vision_qproj",
     "lerobot_tiny",
     without(kVision + "encoder.layers.0.self_attn.q_proj.weight"),
     {"missing tensor", "encoder.layers.0.self_attn.q_proj.weight"}},
    {"no_vision_bias",
     "lerobot_tiny",
     without(kVision + "encoder.layers.1.mlp.fc2.bias"),
     {"missing tensor", "layers.1.mlp.fc2.bias"}},
    {"no_vision_norm",
     "lerobot_tiny",
     without(kVision + "post_layernorm.weight"),
     {"missing tensor", "post_layernorm.weight"}},
    {"no_projector",
     "lerobot_tiny",
     without(kVlm + "multi_modal_projector.linear.bias"),
     {"missing tensor", "multi_modal_projector.linear.bias"}},
    {"no_embedding",
     "lerobot_tiny",
     weights([](RawTensors& all) {
       all.erase(kLanguage + "embed_tokens.weight");
       all.erase("model.paligemma_with_expert.paligemma.lm_head.weight");
     }),
     {"missing tensor", "embed_tokens.weight", "lm_head.weight"}},
    {"no_first_qproj",
     "lerobot_tiny",
     without(kLanguage + "layers.0.self_attn.q_proj.weight"),
     {"missing tensor", "language_model.layers.0.self_attn.q_proj.weight"}},
    {"no_language_norm",
     "lerobot_tiny",
     without(kLanguage + "layers.0.post_attention_layernorm.weight"),
     {"missing tensor", "layers.0.post_attention_layernorm.weight"}},
    {"no_expert_gate",
     "lerobot_tiny",
     without(kExpert + "layers.1.mlp.gate_proj.weight"),
     {"missing tensor", "gemma_expert.model.layers.1.mlp.gate_proj.weight"}},
    {"no_expert_layer",
     "lerobot_tiny",
     weights([](RawTensors& all) {
       std::erase_if(all, [](const auto& t) { return t.first.starts_with(kExpert + "layers.1."); });
     }),
     {"language model (2 layers", "action expert (1 layers", "cannot attend together"}},
    {"no_time_mlp",
     "lerobot_tiny",
     without("model.time_mlp_in.weight"),
     {"missing tensor \"time_mlp_in.weight\" [32, 32]"}},
    {"no_time_mlp_bias", "openpi_tiny", without("time_mlp_out.bias"), {"missing tensor \"time_mlp_out.bias\""}},
    {"no_action_in",
     "lerobot_tiny",
     without("model.action_in_proj.weight"),
     {"missing tensor \"action_in_proj.weight\""}},
    {"no_action_out", "openpi_tiny", without("action_out_proj.bias"), {"missing tensor \"action_out_proj.bias\""}},
    {"no_adaptive_norm", "lerobot_tiny", without(kDense1), {"missing tensor " + declared(kDense1) + " [96, 32]"}},
    {"no_final_adaptive_norm",
     "lerobot_tiny",
     without(kExpert + "norm.dense.bias"),
     {"missing tensor", "gemma_expert.model.norm.dense.bias"}},
    {"many_missing",
     "lerobot_tiny",
     weights([](RawTensors& all) { std::erase_if(all, [](const auto& t) { return t.first.ends_with("bias"); }); }),
     {"missing tensor", "more"}},
    // Of another shape.
    {"time_mlp_shape",
     "lerobot_tiny",
     shaped("model.time_mlp_in.weight", {32, 31}),
     {"\"time_mlp_in.weight\" is [32, 31], the model needs [32, 32]"}},
    {"action_out_shape",
     "lerobot_tiny",
     shaped("model.action_out_proj.weight", {7, 32}),
     {"\"action_out_proj.weight\" is [7, 32], the model needs [8, 32]"}},
    {"transposed",
     "lerobot_tiny",
     shaped(kLanguage + "layers.0.mlp.down_proj.weight", {96, 64}),
     {"is [96, 64], the model needs [64, 96]"}},
    {"adaptive_norm_shape",
     "lerobot_tiny",
     shaped(kDense1, {64, 32}),
     {declared(kDense1), "is [64, 32], the model needs [96, 32]"}},
    {"rank_of_qproj",
     "lerobot_tiny",
     shaped(kLanguage + "layers.0.self_attn.q_proj.weight", {8192}),
     {"q_proj.weight", "must have 2 dimensions"}},
    {"empty_tensor",
     "lerobot_tiny",
     shaped(kLanguage + "layers.0.self_attn.k_proj.weight", {0, 64}),
     {"k_proj.weight", "must not be empty"}},
    {"heads_not_whole",
     "lerobot_tiny",
     shaped(kLanguage + "layers.0.self_attn.k_proj.weight", {18, 64}),
     {"query rows are not whole heads"}},
    {"odd_head",
     "openpi_tiny",
     shaped(kVlm.substr(6) + "language_model.layers.0.self_attn.k_proj.weight", {15, 48}),
     {"whole heads of 15"}},
    {"positions_not_square",
     "lerobot_tiny",
     shaped(kVision + "embeddings.position_embedding.weight", {5, 48}),
     {"5 image positions are no square"}},
    {"four_channels",
     "lerobot_tiny",
     shaped(kVision + "embeddings.patch_embedding.weight", {48, 4, 14, 14}),
     {"the patch embedding must be [D, 3, p, p]"}},
    {"oblong_patch",
     "lerobot_tiny",
     shaped(kVision + "embeddings.patch_embedding.weight", {48, 3, 14, 7}),
     {"the patch embedding must be [D, 3, p, p]"}},
    {"embedding_width",
     "lerobot_tiny",
     shaped(kLanguage + "embed_tokens.weight", {640, 32}),
     {"embed_tokens.weight\" is [640, 32], the model needs [640, 64]"}},
    {"unused_tensor_shape",
     "lerobot_tiny",
     shaped(kLanguage + "norm.weight", {63}),
     {"language_model.norm.weight\" is [63], the model needs [64]"}},
    {"unused_head_shape",
     "lerobot_tiny",
     extra("model.paligemma_with_expert.paligemma.lm_head.weight", {640, 63}),
     {"paligemma.lm_head.weight\" is [640, 63], the model needs [640, 64]"}},
    {"projector_width",
     "lerobot_tiny",
     weights([](RawTensors& all) {
       all.at(kVlm + "multi_modal_projector.linear.weight") = f32_tensor({60, 48});
       all.at(kVlm + "multi_modal_projector.linear.bias") = f32_tensor({60});
     }),
     {"projector", "60", "64"}},
    // Of another type.
    {"integer_weight", "lerobot_tiny", typed(kV0, "I32", 4), {declared(kV0), "I32", "F32"}},
    {"byte_weight_without_scale", "lerobot_tiny", typed(kV0, "I8", 1), {declared(kV0), "I8"}},
    {"fp8_weight_without_scale", "lerobot_tiny", typed(kV0, "F8_E4M3", 1), {declared(kV0), "F8_E4M3"}},
    {"boolean_weight", "lerobot_tiny", typed(kV0, "BOOL", 1), {declared(kV0), "BOOL"}},
    {"integer_embedding",
     "lerobot_tiny",
     typed(kLanguage + "embed_tokens.weight", "I64", 8),
     {"embed_tokens.weight", "I64"}},
    // Too many.
    {"unknown_tensor",
     "lerobot_tiny",
     extra("model.paligemma_with_expert.gemma_expert.model.layers.0.self_attn.q_norm.weight", {16}),
     {"unknown tensor", "q_norm.weight"}},
    {"memory_tensor",
     "lerobot_tiny",
     extra("model.proprio_history_proj.weight", {64, 8}),
     {"unknown tensor \"model.proprio_history_proj.weight\""}},
    {"layer_too_many",
     "lerobot_tiny",
     extra(kVision + "encoder.layers.5.mlp.fc1.bias", {80}),
     {"unknown tensor", "layers.5.mlp.fc1.bias"}},
    {"with_and_without_prefix",
     "lerobot_tiny",
     extra("action_in_proj.bias", {32}),
     {"\"action_in_proj.bias\" and \"model.action_in_proj.bias\" are the same one under two names"}},
    {"old_and_new_name",
     "lerobot_tiny",
     extra("model.paligemma_with_expert.paligemma.multi_modal_projector.linear.bias", {64}),
     {"the same one under two names"}},
    {"alias_and_name",
     "openpi_tiny",
     extra("action_time_mlp_in.bias", {24}),
     {"\"action_time_mlp_in.bias\" and \"time_mlp_in.bias\" are the same one"}},
    {"weights_of_pi0",
     "openpi_tiny",
     weights([](RawTensors& all) {
       std::erase_if(all, [](const auto& t) { return t.first.find("dense") != std::string::npos; });
       for (const char* end : {"in.weight", "in.bias", "out.weight", "out.bias"}) {
         auto node = all.extract(std::string("time_mlp_") + end);
         node.key() = std::string("action_time_mlp_") + end;
         all.insert(std::move(node));
       }
       all["state_proj.weight"] = f32_tensor({24, 10});
       all["action_time_mlp_in.weight"] = f32_tensor({24, 48});
     }),
     {"missing tensor", "input_layernorm.dense.weight", "and 3 more"}},
    // Not finite: the tensor and the element.
    {"nan_in_qproj",
     "lerobot_tiny",
     poisoned(kLanguage + "layers.0.self_attn.q_proj.weight", 3 * 64 + 5, kNan),
     {"layers.0.self_attn.q_proj.weight", "nan at [3, 5]"}},
    {"inf_in_bias",
     "lerobot_tiny",
     poisoned("model.action_out_proj.bias", 6, kInf),
     {"action_out_proj.bias", "inf at [6]"}},
    {"minus_inf_in_gate",
     "lerobot_tiny",
     poisoned(kExpert + "layers.1.mlp.gate_proj.weight", 47 * 32 + 31, -kInf),
     {"gemma_expert.model.layers.1.mlp.gate_proj.weight", "-inf at [47, 31]"}},
    {"nan_in_patch_embedding",
     "lerobot_tiny",
     poisoned(kVision + "embeddings.patch_embedding.weight", 588 + 196 + 14, kNan),
     {"patch_embedding.weight", "nan at [1, 1, 1, 0]"}},
    {"nan_in_vision_norm",
     "lerobot_tiny",
     poisoned(kVision + "encoder.layers.1.layer_norm2.bias", 47, kNan),
     {"layers.1.layer_norm2.bias", "nan at [47]"}},
    {"nan_in_embedding",
     "lerobot_tiny",
     poisoned(kLanguage + "embed_tokens.weight", 639 * 64, kNan),
     {"embed_tokens.weight", "nan at [639, 0]"}},
    {"nan_in_folded_gain",
     "lerobot_tiny",
     poisoned(kLanguage + "layers.0.input_layernorm.weight", 1, kNan),
     {"layers.0.input_layernorm.weight", "nan at [1]"}},
    {"nan_in_time_mlp",
     "openpi_tiny",
     poisoned("time_mlp_out.weight", 24, kNan),
     {"time_mlp_out.weight", "nan at [1, 0]"}},
    {"nan_in_adaptive_norm",
     "lerobot_tiny",
     poisoned(kDense1, 95 * 32, kNan),
     {"layers.1.input_layernorm.dense.weight", "nan at [95, 0]"}},
    {"nan_in_bf16",
     "lerobot_tiny",
     weights([](RawTensors& all) {
       RawTensor& t = all.at(kLanguage + "layers.1.self_attn.v_proj.weight");
       t.set(64, kNan);
       test::to_bf16_tensor(t);
     }),
     {"layers.1.self_attn.v_proj.weight", "nan at [1, 0]"}},
};
INSTANTIATE_TEST_SUITE_P(Tensors, Pi05RefusesWeights, testing::ValuesIn(kTensors),
                         [](const auto& i) { return i.param.name; });

// What the others are made from.
TEST(Pi05RefusesWeights, OnlyWhatIsDamaged) {
  for (const char* golden : {"lerobot_tiny", "openpi_tiny"}) {
    EditedCheckpoint c(golden);
    c.tensors([](RawTensors&) {});
    EXPECT_EQ(test::error_text([&] { test::LoadedPolicy::open(c.path(), {}); }), "") << golden;
  }
}

}  // namespace
}  // namespace flashrt
