// SPDX-License-Identifier: Apache-2.0
// Tensor names of pi0.5 as the openpi PyTorch layout spells them; other layouts are mapped to these.
#pragma once

#include <string_view>

namespace flashrt::pi05 {

inline constexpr std::string_view kVision = "paligemma_with_expert.paligemma.model.vision_tower.vision_model.";
inline constexpr std::string_view kProjector = "paligemma_with_expert.paligemma.model.multi_modal_projector.linear";
inline constexpr std::string_view kLanguage = "paligemma_with_expert.paligemma.model.language_model.";
inline constexpr std::string_view kEmbedding =
    "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight";
inline constexpr std::string_view kHead = "paligemma_with_expert.paligemma.lm_head.weight";
inline constexpr std::string_view kExpert = "paligemma_with_expert.gemma_expert.model.";
inline constexpr std::string_view kExpertHead = "paligemma_with_expert.gemma_expert.lm_head.weight";
inline constexpr std::string_view kActionIn = "action_in_proj";
inline constexpr std::string_view kActionOut = "action_out_proj";
inline constexpr std::string_view kTimeIn = "time_mlp_in";
inline constexpr std::string_view kTimeOut = "time_mlp_out";

}  // namespace flashrt::pi05
