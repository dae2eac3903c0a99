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

// lerobot normalises the state only where the step lists it, and by the type that the step gives it.
void check_state_is_listed(const JsonReader& config) {
  if (auto features = config.find("features")) {
    auto state = features->find(kStateFeature);
    require(
        state && state->string("type") == "STATE",
        "{}: does not list \"{}\" as a STATE, so lerobot would not normalise it although norm_map says so; list it, "
        "or set norm_map.STATE to IDENTITY",
        features->where(), kStateFeature);
  }
  if (auto keys = config.find("normalize_observation_keys")) {
    std::vector<std::string> listed = keys->strings();
    require(std::find(listed.begin(), listed.end(), kStateFeature) != listed.end(),
            "{}: leaves out \"{}\", so lerobot would not normalise it although norm_map says so; list it, or set "
            "norm_map.STATE to IDENTITY",
            keys->where(), kStateFeature);
  }
}

// What the step says beside its rules must be what this engine does.
void check_normalizer_config(const JsonReader& config, const JsonReader& map) {
  config.only({"eps", "features", "norm_map", "normalize_observation_keys"});
  map.only({"VISUAL", "STATE", "ACTION", "ENV", "REWARD", "LANGUAGE"});
  std::string visual = map.string_or("VISUAL", "IDENTITY");
  require(visual == "IDENTITY", "{}: VISUAL is {}; pictures are normalised as IDENTITY says and in no other way",
          map.where(), in_quotes(visual));
  double eps = config.number_or("eps", 1e-8);
  require(eps == 1e-8, "{}: eps is {}, this engine computes with 1e-8, lerobot's default", config.where(), eps);
}

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
  check_normalizer_config(config, map);
  auto rule = [&](std::string_view type, const std::string& feature) {
    return lerobot_rule(map.string_or(type, "IDENTITY"), feature, stats ? &*stats : nullptr, config.where(), needed);
  };
  return {rule("STATE", kStateFeature), rule("ACTION", kActionFeature)};
}

// Moves to a device, which is nothing here; a cast to half precision would round pictures and states.
void check_device_step(const JsonReader& step) {
  if (auto config = step.find("config"))
    if (auto type = config->find("float_dtype"))
      require(type->string() == "float32", "{}: is {}; only null and \"float32\" leave the values as they are",
              type->where(), in_quotes(type->string()));
}

std::int64_t tokenizer_step(const JsonReader& config) {
  std::string side = config.string_or("padding_side", "right");
  require(side == "right", "{}: padding_side is {}; prompts are padded at the right only", config.where(),
          in_quotes(side));
  return config.integer_or("max_length", 0, 0, 1 << 16);
}

std::optional<RelativeRule> relative_step(const JsonReader& config) {
  config.only({"enabled", "exclude_joints", "action_names"});
  if (!config.boolean_or("enabled", false)) return std::nullopt;
  RelativeRule rule;
  if (auto e = config.find("exclude_joints"))
    for (const std::string& s : e->strings()) rule.excluded.push_back(lower(s));
  if (auto n = config.find("action_names"))
    for (const std::string& s : n->strings()) rule.names.push_back(lower(s));
  return rule;
}

[[noreturn]] void unknown_step(const JsonReader& step, const std::string& name) {
  fail("{}: the step {} is not known to this engine, so its effect cannot be reproduced", step.where(),
       in_quotes(name));
}

void read_preprocessor(const path& folder, bool needed, RobotProcessing& out) {
  JsonReader pre = JsonReader::read(folder / "policy_preprocessor.json");
  bool normalised = false;
  for (const JsonReader& step : pre.at("steps").elements()) {
    const std::string& name = step.string("registry_name");
    if (name == "rename_observations_processor") {
      step.at("config").only({"rename_map"});
      if (auto map = step.at("config").find("rename_map"))
        for (const auto& [from, to] : map->members()) out.renamed_observations.emplace_back(from, to.string());
    } else if (name == "normalizer_processor") {
      out.state = normalizer_step(step, folder, needed).state;
      if (!out.state.identity()) check_state_is_listed(step.at("config"));
      normalised = true;
    } else if (name == "tokenizer_processor") {
      out.prompt_tokens = tokenizer_step(step.at("config"));
    } else if (name == "relative_actions_processor" || name == "delta_actions_processor") {  // its name in lerobot 0.5
      out.relative_rule = relative_step(step.at("config"));
    } else if (name == "device_processor") {
      check_device_step(step);
    } else if (name != "to_batch_processor" && name != "pi05_prepare_state_tokenizer_processor_step") {
      unknown_step(step, name);
    }
  }
  require(normalised, "{}: no normalizer_processor step", (folder / "policy_preprocessor.json").string());
}

// Whether actions are made absolute again.
bool read_postprocessor(const path& folder, bool needed, RobotProcessing& out) {
  JsonReader post = JsonReader::read(folder / "policy_postprocessor.json");
  bool normalised = false, absolute = false;
  for (const JsonReader& step : post.at("steps").elements()) {
    const std::string& name = step.string("registry_name");
    if (name == "unnormalizer_processor") {
      out.action = normalizer_step(step, folder, needed).action;
      normalised = true;
    } else if (name == "absolute_actions_processor") {
      step.at("config").only({"enabled"});
      absolute = step.at("config").boolean_or("enabled", false);
    } else if (name == "device_processor") {
      check_device_step(step);
    } else if (name != "to_batch_processor") {
      unknown_step(step, name);
    }
  }
  require(normalised, "{}: no unnormalizer_processor step", (folder / "policy_postprocessor.json").string());
  return absolute;
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

std::vector<bool> RelativeRule::mask(std::int64_t width) const {
  std::vector<bool> mask(static_cast<std::size_t>(width), true);
  for (std::size_t i = 0; i < std::min(mask.size(), names.size()); ++i)
    for (const std::string& e : excluded)
      if (!e.empty() && names[i].find(e) != std::string::npos) mask[i] = false;
  return mask;
}

RobotProcessing read_lerobot_processing(const path& folder, bool needed) {
  RobotProcessing out;
  read_preprocessor(folder, needed, out);
  bool absolute = read_postprocessor(folder, needed, out);
  require(absolute == out.relative_rule.has_value(),
          "{}: relative actions are enabled in only one of the pre- and postprocessor", folder.string());
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
