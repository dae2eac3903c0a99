// SPDX-License-Identifier: Apache-2.0
// How a checkpoint normalises states and actions: statistics and rules as the lerobot and openpi layouts store them.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace flashrt {

// The names of lerobot's features that every robot has.
inline constexpr const char *kStateFeature = "observation.state", *kActionFeature = "action";

// The rule of one feature, ready to apply. Every rule is affine a dimension.
class Normalizer {
 public:
  enum class Rule : std::uint8_t {
    identity,
    quantiles,         // lerobot: 2 (x - lo) / (hi - lo) - 1, a zero range replaced by 1e-8
    mean_std,          // lerobot: (x - mean) / (std + 1e-8); back: x * std + mean
    quantiles_padded,  // openpi: (x - lo) / (hi - lo + 1e-6) * 2 - 1
  };

  Normalizer() = default;  // identity
  // `a` is lo or mean, `b` is hi or std. Throws Error naming `what` when they differ in length, hold a NaN or an
  // infinity or what becomes one in f32, or a range or deviation is negative.
  Normalizer(Rule rule, std::vector<double> a, std::vector<double> b, const std::string& what);

  bool identity() const { return rule_ == Rule::identity; }
  Rule rule() const { return rule_; }
  std::span<const double> low() const { return a_; }                           // or the mean
  std::span<const double> high() const { return b_; }                          // or the deviation
  std::int64_t width() const { return static_cast<std::int64_t>(a_.size()); }  // 0 for identity
  // lerobot computes in f32 and openpi in double; state bins at an edge depend on it. x may be shorter than the
  // statistics (openpi); lerobot's must have their length.
  std::vector<double> forward(std::span<const float> x) const;
  // y = x * scale + offset takes normalised values back to robot units.
  struct Affine {
    std::vector<float> scale, offset;
  };
  Affine inverse(std::int64_t width) const;

 private:
  Rule rule_ = Rule::identity;
  std::vector<double> a_, b_;
};

// Which actions a lerobot checkpoint means relative to the state, by their names.
struct RelativeRule {
  std::vector<std::string> excluded, names;  // lower case; an action whose name holds an excluded one is absolute
  std::vector<bool> mask(std::int64_t width) const;
};

// What a checkpoint's processor files say.
struct RobotProcessing {
  Normalizer state, action;
  std::optional<RelativeRule> relative_rule;
  // Output dimensions to which the raw state is added (relative actions); empty: none.
  std::vector<bool> relative;
  std::vector<std::pair<std::string, std::string>> renamed_observations;  // from -> to
  std::int64_t prompt_tokens = 0;                                         // the tokenizer's max_length; 0: not stated
};

// Reads policy_preprocessor.json and policy_postprocessor.json of a lerobot checkpoint folder and their statistics.
// Throws Error naming the file, step, key or statistic that is missing, unknown or wrong. Without `statistics_needed`
// missing statistics mean identity, as they do upstream.
RobotProcessing read_lerobot_processing(const std::filesystem::path& folder, bool statistics_needed);

// Reads assets/<asset>/norm_stats.json of an openpi checkpoint. An empty `asset` takes the only one there is.
RobotProcessing read_openpi_processing(const std::filesystem::path& folder, const std::string& asset,
                                       bool statistics_needed);

}  // namespace flashrt
