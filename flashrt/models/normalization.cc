// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/normalization.h"

#include <cmath>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {
constexpr double kOpenpiEpsilon = 1e-6;
constexpr float kLerobotEpsilon = 1e-8f;

float lerobot_range(double lo, double hi) {
  float range = static_cast<float>(hi) - static_cast<float>(lo);
  return range == 0 ? kLerobotEpsilon : range;
}
}  // namespace

Normalizer::Normalizer(Rule rule, std::vector<double> a, std::vector<double> b, const std::string& what)
    : rule_(rule), a_(std::move(a)), b_(std::move(b)) {
  require(!a_.empty() && a_.size() == b_.size(), "{}: statistics have {} and {} values; they must have the same number",
          what, a_.size(), b_.size());
  for (std::size_t i = 0; i < a_.size(); ++i) {
    require(std::isfinite(a_[i]) && std::isfinite(b_[i]), "{}: the statistic of dimension {} is not finite", what, i);
    if (rule_ == Rule::mean_std)
      require(b_[i] >= 0, "{}: the standard deviation of dimension {} is negative ({})", what, i, b_[i]);
    else
      require(b_[i] >= a_[i], "{}: the range of dimension {} is reversed ({} to {})", what, i, a_[i], b_[i]);
  }
  // Applied in f32, where both bounds may fit and their difference not.
  Affine back = inverse(width());
  for (std::size_t i = 0; i < a_.size(); ++i)
    require(std::isfinite(back.scale[i]) && std::isfinite(back.offset[i]) && std::isfinite(static_cast<float>(a_[i])) &&
                std::isfinite(static_cast<float>(b_[i])),
            "{}: the statistic of dimension {} ({} and {}) is too large for f32", what, i, a_[i], b_[i]);
}

std::vector<double> Normalizer::forward(std::span<const float> x) const {
  std::vector<double> y(x.begin(), x.end());
  if (identity()) return y;
  require(x.size() <= a_.size(), "{} values given, statistics cover {}", x.size(), a_.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    switch (rule_) {
      case Rule::identity: break;
      case Rule::quantiles:
        y[i] = static_cast<float>(2.0f * (x[i] - static_cast<float>(a_[i])) / lerobot_range(a_[i], b_[i])) - 1.0f;
        break;
      case Rule::mean_std:
        y[i] = (x[i] - static_cast<float>(a_[i])) / (static_cast<float>(b_[i]) + kLerobotEpsilon);
        break;
      case Rule::quantiles_padded: y[i] = (x[i] - a_[i]) / (b_[i] - a_[i] + kOpenpiEpsilon) * 2.0 - 1.0; break;
    }
  }
  return y;
}

Normalizer::Affine Normalizer::inverse(std::int64_t width) const {
  auto n = static_cast<std::size_t>(width);
  Affine out{std::vector<float>(n, 1.0f), std::vector<float>(n, 0.0f)};
  for (std::size_t i = 0; i < std::min(n, a_.size()); ++i) {
    double scale = 1, offset = 0;
    switch (rule_) {
      case Rule::identity: break;
      case Rule::quantiles:
        scale = static_cast<double>(lerobot_range(a_[i], b_[i])) / 2;
        offset = a_[i] + scale;
        break;
      case Rule::mean_std:
        scale = b_[i];
        offset = a_[i];
        break;
      case Rule::quantiles_padded:
        scale = (b_[i] - a_[i] + kOpenpiEpsilon) / 2;
        offset = a_[i] + scale;
        break;
    }
    out.scale[i] = static_cast<float>(scale);
    out.offset[i] = static_cast<float>(offset);
  }
  return out;
}

}  // namespace flashrt
