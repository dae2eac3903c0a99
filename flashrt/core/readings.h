// SPDX-License-Identifier: Apache-2.0
// Readings of a recorded program: check it against its references, compare two of it, explain where its time goes.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "flashrt/core/program.h"

namespace flashrt {

// How far `actual` is from `expected`.
struct Difference {
  double relative_l2 = 0;  // |actual - expected| / |expected|
  double cosine = 1;
  double max_abs = 0;
  bool finite = true;
};
Difference difference(const std::vector<float>& actual, const std::vector<float>& expected);

struct StepDifference {
  std::string label;
  std::string_view op, kernel;
  Difference error;
};

// Every step's kernel against its reference, on the memory the program has at that point; one entry a step, the step's
// worst output. The program must have been recorded with its accesses kept.
std::vector<StepDifference> check(Program&);

// Runs two programs of one forward side by side (two precisions, or kernels and references) and compares the outputs
// of steps with the same label; `a` is the one under test. Each runs on its own activations, so errors add up as they
// would in use. i8 outputs are compared by value, their scales applied.
std::vector<StepDifference> compare(Program& a, Program& b);

struct StepTime {
  std::string label;
  std::string_view op, kernel;
  Cost cost;
  double us = 0;  // best of the rounds
};
// Times each step alone, with a barrier around it; the sum is a little more than a replay takes.
std::vector<StepTime> explain(Program&, int rounds = 3);

// A label without its numbers: "prefix.*.attn.qkv".
std::string group_label(std::string_view label);

// Steps whose labels differ only in numbers ("prefix.3.attn.qkv"), added up, most expensive first.
struct StepGroup {
  std::string label;  // numbers replaced by *
  std::string_view op, kernel;
  Cost cost;
  double us = 0;
  int count = 0;
};
std::vector<StepGroup> group_steps(const std::vector<StepTime>&);

}  // namespace flashrt
