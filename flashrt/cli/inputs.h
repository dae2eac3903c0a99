// SPDX-License-Identifier: Apache-2.0
// What a policy is asked on the command line: picture and number files, or made-up inputs for measurements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "flashrt/io/image.h"
#include "flashrt/session/policy.h"

namespace flashrt::cli {

struct InputFlags {
  std::vector<std::string> images;  // files in camera order; "none" for a missing camera
  std::string prompt, state, noise;
  std::optional<std::uint64_t> seed;
  std::vector<std::int32_t> tokens;
  std::int64_t prompt_tokens = 16;  // of a made-up prompt

  void add_to(CLI::App&);
  // For commands that measure: made-up pictures and prompt stand in where none is given.
  void add_made_up_to(CLI::App&);
};

// Owns everything an Observation points at.
class Inputs {
 public:
  // Reads the files. Throws Error naming the one at fault.
  static Inputs read(const InputFlags&);
  // The same, with a picture of kMadeUpSide pixels a side for every camera where no picture is named, and tokens where
  // no prompt is. Made-up inputs are the same in every run.
  static Inputs read_or_make_up(const InputFlags&, const PolicyInfo&);
  static constexpr std::int64_t kMadeUpSide = 224;

  Observation observation() const;
  std::int64_t views() const;  // pictures that are there
  bool made_up() const { return made_up_; }

 private:
  void make_up_pictures(const PolicyInfo&);
  void make_up_tokens(std::int64_t count);

  std::vector<Image> pictures_;  // without pixels: a missing camera
  std::string prompt_;
  std::vector<float> state_, noise_;
  std::vector<std::int32_t> tokens_;
  std::optional<std::uint64_t> seed_;
  bool made_up_ = false;
};

}  // namespace flashrt::cli
