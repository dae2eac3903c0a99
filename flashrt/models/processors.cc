// SPDX-License-Identifier: Apache-2.0
// The processor files of the lerobot and openpi layouts.
#include <algorithm>
#include <cctype>
#include <map>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"
#include "flashrt/io/safetensors.h"
#include "flashrt/models/normalization.h"

namespace flashrt {
namespace {

using std::filesystem::path;

std::string lower(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  return s;
}

std::vector<double> statistic(const TensorSource& stats, const std::string& feature, const std::string& key) {
  std::string name = feature + "." + key;
  require(stats.find(name), "{}: missing statistic \"{}\"; re-export the checkpoint with dataset statistics",
          stats.description(), name);
  std::vector<float> values = stats.read(name);
  return {values.begin(), values.end()};
}

// The rule that `mode` names, with the statistics it needs.
Normalizer lerobot_rule(const std::string& mode, const std::string& feature, const TensorSource* stats,
                        const std::string& where, bool needed) {
  using Rule = Normalizer::Rule;
  static const std::map<std::string, std::tuple<Rule, std::string, std::string>> kModes{
      {"QUANTILES", {Rule::quantiles, "q01", "q99"}},
      {"QUANTILE10", {Rule::quantiles, "q10", "q90"}},
      {"MIN_MAX", {Rule::quantiles, "min", "max"}},
      {"MEAN_STD", {Rule::mean_std, "mean", "std"}},
  };
  if (mode == "IDENTITY") return {};
  auto it = kModes.find(mode);
  require(it != kModes.end(),
          "{}: unknown normalisation mode {}; known: IDENTITY, MEAN_STD, MIN_MAX, QUANTILES, QUANTILE10", where,
          in_quotes(mode));
  auto [rule, a, b] = it->second;
  if (!stats || (!needed && !stats->find(feature + "." + a))) {
    require(!needed,
            "{}: the step has no state_file, so the statistics of \"{}\" are missing; re-export the checkpoint "
            "with dataset statistics, or ask for normalised actions",
            where, feature);
    return {};
  }
  return {rule, statistic(*stats, feature, a), statistic(*stats, feature, b),
          stats->description() + ": \"" + feature + "\""};
}

struct Normalization {
  Normalizer state, action;
};

Normalization normalizer_step(const JsonReader& step, const path& folder, bool needed) {
  JsonReader config = step.at("config");
  std::optional<SafetensorsSource> stats;
  if (auto file = step.find("state_file")) {
    path name = file->string();
    bool plain = name == name.filename() && !name.empty() && name != "." && name != "..";
    require(plain, "{} must name a file beside it, not {}", file->where(), in_quotes(name.string()));
    stats.emplace(folder / name);
  }
  auto map = config.at("norm_map");
  auto rule = [&](std::string_view type, const std::string& feature) {
    return lerobot_rule(map.string_or(type, "IDENTITY"), feature, stats ? &*stats : nullptr, config.where(), needed);
  };
  return {rule("STATE", "observation.state"), rule("ACTION", "action")};
}

std::vector<bool> relative_mask(const JsonReader& config, std::int64_t width) {
  std::vector<std::string> excluded, names;
  if (auto e = config.find("exclude_joints"))
    for (const std::string& s : e->strings()) excluded.push_back(lower(s));
  if (auto n = config.find("action_names")) names = n->strings();
  std::vector<bool> mask(static_cast<std::size_t>(width), true);
  if (excluded.empty()) return mask;
  for (std::size_t i = 0; i < std::min(mask.size(), names.size()); ++i)
    for (const std::string& e : excluded)
      if (!e.empty() && lower(names[i]).find(e) != std::string::npos) mask[i] = false;
  return mask;
}

JsonReader only_asset(const path& assets, const std::string& asset) {
  std::vector<std::string> found;
  std::error_code ec;
  for (auto it = std::filesystem::recursive_directory_iterator(assets, ec); !ec && it != std::filesystem::end(it);
       ++it) {
    if (it.depth() > 4) it.disable_recursion_pending();
    if (it->path().filename() == "norm_stats.json")
      found.push_back(std::filesystem::relative(it->path().parent_path(), assets).generic_string());
  }
  std::sort(found.begin(), found.end());
  std::string list;
  for (const std::string& f : found) list += (list.empty() ? "" : ", ") + f;
  if (!asset.empty()) {
    require(std::find(found.begin(), found.end(), asset) != found.end(), "{}: no asset \"{}\"; there are: {}",
            assets.string(), asset, list.empty() ? "none" : list);
    return JsonReader::read(assets / asset / "norm_stats.json");
  }
  require(!found.empty(),
          "{}: no norm_stats.json below it, so states and actions cannot be normalised; copy the "
          "checkpoint's assets folder, or ask for normalised actions",
          assets.string());
  require(found.size() == 1, "{}: several assets ({}); name one with norm_asset", assets.string(), list);
  return JsonReader::read(assets / found.front() / "norm_stats.json");
}

Normalizer openpi_rule(const JsonReader& stats, std::string_view feature) {
  JsonReader f = stats.at(feature);
  require(f.find("q01") && f.find("q99"), "{}: missing statistic \"q01\" or \"q99\"; pi0.5 normalises by quantiles",
          f.where());
  return {Normalizer::Rule::quantiles_padded, f.at("q01").numbers(), f.at("q99").numbers(), f.where()};
}

}  // namespace

RobotProcessing read_lerobot_processing(const path& folder, bool needed) {
  RobotProcessing out;
  JsonReader pre = JsonReader::read(folder / "policy_preprocessor.json");
  bool normalised = false;
  std::optional<JsonReader> relative;
  for (const JsonReader& step : pre.at("steps").elements()) {
    const std::string& name = step.string("registry_name");
    if (name == "rename_observations_processor") {
      if (auto map = step.at("config").find("rename_map"))
        for (const auto& [from, to] : map->members()) out.renamed_observations.emplace_back(from, to.string());
    } else if (name == "normalizer_processor") {
      out.state = normalizer_step(step, folder, needed).state;
      normalised = true;
    } else if (name == "tokenizer_processor") {
      out.prompt_tokens = step.at("config").integer_or("max_length", 0, 0, 1 << 16);
    } else if (name == "relative_actions_processor") {
      if (step.at("config").boolean_or("enabled", false)) relative = step.at("config");
    } else {
      require(name == "to_batch_processor" || name == "device_processor" ||
                  name == "pi05_prepare_state_tokenizer_processor_step",
              "{}: the step {} is not known to this engine, so its effect cannot be reproduced", step.where(),
              in_quotes(name));
    }
  }
  require(normalised, "{}: no normalizer_processor step", (folder / "policy_preprocessor.json").string());

  JsonReader post = JsonReader::read(folder / "policy_postprocessor.json");
  normalised = false;
  bool absolute = false;
  for (const JsonReader& step : post.at("steps").elements()) {
    const std::string& name = step.string("registry_name");
    if (name == "unnormalizer_processor") {
      out.action = normalizer_step(step, folder, needed).action;
      normalised = true;
    } else if (name == "absolute_actions_processor") {
      absolute = step.at("config").boolean_or("enabled", false);
    } else {
      require(name == "device_processor" || name == "to_batch_processor",
              "{}: the step {} is not known to this engine, so its effect cannot be reproduced", step.where(),
              in_quotes(name));
    }
  }
  require(normalised, "{}: no unnormalizer_processor step", (folder / "policy_postprocessor.json").string());
  require(absolute == relative.has_value(),
          "{}: relative actions are enabled in only one of the pre- and postprocessor", folder.string());
  if (relative) {
    require(!out.action.identity(), "{}: relative actions need action statistics", folder.string());
    out.relative = relative_mask(*relative, out.action.width());
  }
  return out;
}

RobotProcessing read_openpi_processing(const path& folder, const std::string& asset, bool needed) {
  RobotProcessing out;
  if (!needed && !std::filesystem::exists(folder / "assets")) return out;
  JsonReader root = only_asset(folder / "assets", asset);
  JsonReader stats = root.at("norm_stats");
  out.state = openpi_rule(stats, "state");
  out.action = openpi_rule(stats, "actions");
  return out;
}

}  // namespace flashrt
