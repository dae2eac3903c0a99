// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/readings.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <tuple>

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"

namespace flashrt {
namespace {

// Elements of a tensor in order; of a packed one, without its padding.
std::vector<float> values(const Tensor& t) {
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(t.elements()));
  if (t.layout == Layout::packed_rhs) {
    for (std::int64_t b = 0; b < (t.rank() == 3 ? t.dim(0) : 1); ++b)
      for (std::int64_t n = 0; n < t.dim(-2); ++n)
        for (std::int64_t k = 0; k < t.dim(-1); ++k) out.push_back(packed_value(t, b, n, k));
    return out;
  }
  for (std::int64_t i = 0; i < t.elements(); ++i) {
    std::int64_t rest = i, at = 0;
    for (int d = t.rank() - 1; d >= 0; --d) {
      at += rest % t.dim(d) * t.stride[static_cast<std::size_t>(d)];
      rest /= t.dim(d);
    }
    out.push_back(load_as_float(t.data, t.dtype, at));
  }
  return out;
}

std::vector<Tensor> outputs(const Step& s) {
  std::vector<Tensor> list;
  for (const Access& a : s.accesses)
    if (a.write) list.push_back(a.tensor);
  return list;
}

std::vector<std::vector<std::byte>> snapshot(const std::vector<Tensor>& tensors) {
  std::vector<std::vector<std::byte>> bytes;
  for (const Tensor& t : tensors) bytes.emplace_back(t.data, t.data + t.span_bytes());
  return bytes;
}
void restore(const std::vector<Tensor>& tensors, const std::vector<std::vector<std::byte>>& bytes) {
  for (std::size_t i = 0; i < tensors.size(); ++i) std::copy(bytes[i].begin(), bytes[i].end(), tensors[i].data);
}

bool has_accesses(const Program& p) {
  return std::any_of(p.steps().begin(), p.steps().end(), [](const Step& s) { return !s.accesses.empty(); });
}

// What a step's outputs say, one list each. An i8 one is multiplied by the scales written beside it; these are two
// lists, since the sums that stand with them are thousands of times as large.
std::vector<std::vector<float>> results(const std::vector<Tensor>& out) {
  std::vector<std::vector<float>> all;
  for (std::size_t o = 0; o < out.size(); ++o) {
    all.push_back(values(out[o]));
    if (out[o].dtype != DType::i8 || out[o].layout != Layout::strided || o + 1 == out.size()) continue;
    const Tensor& scales = out[++o];  // [T, 2]
    std::vector<float>& v = all.back();
    auto width = static_cast<std::size_t>(out[o - 1].dim(-1));
    for (std::size_t i = 0; i < v.size(); ++i) v[i] *= *scales.row<float>(static_cast<std::int64_t>(i / width));
    all.push_back(values(scales.cols(0, 1)));
    all.push_back(values(scales.cols(1, 1)));
  }
  return all;
}

// The worst of the outputs that both have; the first pair that is not finite.
Difference worst_of(const std::vector<std::vector<float>>& actual, const std::vector<std::vector<float>>& expected) {
  Difference worst;
  for (std::size_t o = 0; o < std::min(actual.size(), expected.size()); ++o) {
    Difference d = difference(actual[o], expected[o]);
    if (!d.finite) return d;
    if (d.relative_l2 > worst.relative_l2) worst = d;
  }
  return worst;
}

}  // namespace

Difference difference(const std::vector<float>& actual, const std::vector<float>& expected) {
  Difference d;
  double dot = 0, aa = 0, ee = 0, dd = 0;
  if (actual.size() != expected.size()) return {INFINITY, 0, INFINITY, false};
  for (std::size_t i = 0; i < actual.size(); ++i) {
    double a = actual[i], e = expected[i];
    d.finite &= std::isfinite(a) && std::isfinite(e);
    dot += a * e;
    aa += a * a;
    ee += e * e;
    dd += (a - e) * (a - e);
    d.max_abs = std::max(d.max_abs, std::fabs(a - e));
  }
  d.relative_l2 = dd == 0 ? 0 : ee > 0 ? std::sqrt(dd / ee) : INFINITY;
  d.cosine = dd == 0 ? 1 : aa > 0 && ee > 0 ? dot / std::sqrt(aa * ee) : 0;
  return d;
}

std::vector<StepDifference> check(Program& program) {
  require(has_accesses(program), "the program was recorded without its accesses; record it again to check it");
  std::vector<StepDifference> report;
  for (std::size_t i = 0; i < program.steps().size(); ++i) {
    const Step& step = program.steps()[i];
    std::vector<Tensor> out = outputs(step);
    auto before = snapshot(out);
    program.replay_step(i);
    auto after = snapshot(out);
    auto actual = results(out);
    restore(out, before);
    step.reference(step.args);
    report.push_back({step.label, step.op, step.kernel, worst_of(actual, results(out))});
    restore(out, after);
  }
  return report;
}

std::vector<StepDifference> compare(Program& a, Program& b) {
  require(has_accesses(a) && has_accesses(b),
          "a program was recorded without its accesses; record it again to compare");
  std::map<std::string, std::vector<std::vector<float>>, std::less<>> wanted;
  for (std::size_t i = 0; i < b.steps().size(); ++i) {
    b.replay_step(i);
    wanted[b.steps()[i].label] = results(outputs(b.steps()[i]));
  }
  std::vector<StepDifference> report;
  for (std::size_t i = 0; i < a.steps().size(); ++i) {
    a.replay_step(i);
    const Step& step = a.steps()[i];
    auto it = wanted.find(step.label);
    if (it == wanted.end()) continue;  // only one of the two has it, such as a quantisation
    auto actual = results(outputs(step));
    if (actual.empty() || it->second.empty() || actual[0].size() != it->second[0].size()) continue;
    report.push_back({step.label, step.op, step.kernel, worst_of(actual, it->second)});
  }
  require(!report.empty(), "the two programs have no label in common; they are not of one forward");
  return report;
}

std::vector<StepTime> explain(Program& program, int rounds) {
  using Clock = std::chrono::steady_clock;
  std::vector<StepTime> times;
  for (const Step& s : program.steps()) times.push_back({s.label, s.op, s.kernel, s.cost, INFINITY});
  for (int r = 0; r < rounds; ++r)
    for (std::size_t i = 0; i < times.size(); ++i) {
      auto start = Clock::now();
      program.replay_step(i);
      times[i].us = std::min(times[i].us, std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
  return times;
}

std::string group_label(std::string_view label) {
  std::string group;
  for (char c : label) {
    if (c < '0' || c > '9') {
      group += c;
    } else if (group.empty() || group.back() != '*') {
      group += '*';
    }
  }
  return group;
}

std::vector<StepGroup> group_steps(const std::vector<StepTime>& times) {
  std::map<std::tuple<std::string, std::string_view>, StepGroup> groups;
  for (const StepTime& t : times) {
    std::string label = group_label(t.label);
    StepGroup& g = groups.try_emplace({label, t.kernel}, StepGroup{label, t.op, t.kernel, {}, 0, 0}).first->second;
    g.cost.flops += t.cost.flops;
    g.cost.bytes += t.cost.bytes;
    g.cost.math = t.cost.math;
    g.us += t.us;
    ++g.count;
  }
  std::vector<StepGroup> list;
  for (auto& [key, g] : groups) list.push_back(std::move(g));
  std::sort(list.begin(), list.end(), [](const StepGroup& a, const StepGroup& b) { return a.us > b.us; });
  return list;
}

}  // namespace flashrt
