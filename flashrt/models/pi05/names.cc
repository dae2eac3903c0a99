// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/names.h"

#include <array>
#include <string>
#include <utility>

#include "flashrt/models/pi05/config.h"

namespace flashrt::pi05 {
namespace {

using Map = std::pair<std::string_view, std::string_view>;
constexpr std::string_view kPaligemma = "paligemma_with_expert.paligemma.";

// transformers before 4.52 nested the PaliGemma modules the other way round.
constexpr std::array<Map, 4> kBefore452{{{"language_model.model.", "model.language_model."},
                                         {"language_model.lm_head.", "lm_head."},
                                         {"vision_tower.", "model.vision_tower."},
                                         {"multi_modal_projector.", "model.multi_modal_projector."}}};
constexpr std::array<Map, 2> kAliases{
    {{"action_time_mlp_in.", "time_mlp_in."}, {"action_time_mlp_out.", "time_mlp_out."}}};

}  // namespace

std::string declared_name(const std::string& name) {
  if (name.starts_with("model.")) {
    std::string_view rest = std::string_view(name).substr(6);
    for (std::string_view start : {"paligemma_with_expert.", "action_", "time_mlp", "state_proj"})
      if (rest.starts_with(start)) return declared_name(std::string(rest));
  }
  if (name.starts_with(kPaligemma)) {
    std::string_view rest = std::string_view(name).substr(kPaligemma.size());
    for (auto [from, to] : kBefore452)
      if (rest.starts_with(from))
        return std::string(kPaligemma) + std::string(to) + std::string(rest.substr(from.size()));
  }
  for (auto [from, to] : kAliases)
    if (name.starts_with(from)) return std::string(to) + name.substr(from.size());
  // Left over from a pi0 checkpoint that was converted: lerobot drops these as well.
  if (name.starts_with("state_proj.")) return "";
  bool expert_norm =
      name.starts_with(kExpert) && (name.ends_with("layernorm.weight") || name.ends_with("model.norm.weight"));
  return expert_norm ? "" : name;
}

}  // namespace flashrt::pi05
