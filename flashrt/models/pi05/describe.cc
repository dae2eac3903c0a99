// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/describe.h"

#include <fmt/format.h>

#include "flashrt/models/pi05/config.h"
#include "flashrt/models/pi05/pi05.h"
#include "flashrt/models/pi05/tokenizer.h"
#include "flashrt/models/weight_loader.h"

namespace flashrt::pi05 {
namespace {

std::string text(const Normalizer& n) {
  using Rule = Normalizer::Rule;
  if (n.identity()) return "as it is";
  bool deviation = n.rule() == Rule::mean_std;
  std::string values;
  for (std::size_t i = 0; i < n.low().size(); ++i)
    values += fmt::format("{}{:.4g} {} {:.4g}", i ? ", " : "", n.low()[i], deviation ? "+-" : "to", n.high()[i]);
  return fmt::format("{} dimensions by {}: {}", n.width(), deviation ? "mean and deviation" : "range", values);
}

std::string text(const GemmaConfig& c) {
  return fmt::format("{} layers of width {}, {} heads of {}, MLP {}", c.depth, c.width, c.heads, c.head_dim, c.mlp);
}

}  // namespace

std::vector<CheckpointFact> describe_checkpoint(const std::filesystem::path& folder, const ModelOptions& options) {
  Checkpoint checkpoint = open_checkpoint(folder, options);
  const Config& c = checkpoint.config;
  WeightManifest manifest;
  declare_all(manifest, c);
  manifest.check(*checkpoint.tensors);
  open_tokenizer(checkpoint);
  const SiglipConfig& v = c.vision;
  return {
      {"layout", checkpoint.layout == Layout::lerobot ? "lerobot" : "openpi"},
      {"parameters", std::to_string(manifest.parameters())},
      {"vision", fmt::format("{} layers of width {}, {} heads, MLP {}, {} x {} pixels in patches of {}", v.depth,
                             v.width, v.heads, v.mlp, v.image, v.image, v.patch)},
      {"language model", text(c.prefix)},
      {"action expert", text(c.expert)},
      {"vocabulary", std::to_string(c.vocabulary)},
      {"cameras", fmt::format("{}", fmt::join(c.cameras, ", "))},
      {"prompt", fmt::format("at most {} tokens, state {}in it", c.prompt_tokens, c.state_in_prompt ? "" : "not ")},
      {"state", c.state_dim ? fmt::format("{} dimensions", c.state_dim) : "width not stated"},
      {"actions", fmt::format("{} of {} dimensions, model width {}, {} steps", c.horizon, c.robot_action_dim,
                              c.action_dim, c.steps)},
      {"state statistics", text(checkpoint.processing.state)},
      {"action statistics", text(checkpoint.processing.action)},
      {"tokenizer", checkpoint.tokenizer.empty() ? "none found" : checkpoint.tokenizer.string()},
  };
}

}  // namespace flashrt::pi05
