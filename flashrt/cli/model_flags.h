// SPDX-License-Identifier: Apache-2.0
// The options that say which model is loaded and how, shared by the subcommands that load one.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "flashrt/api/flashrt.h"

namespace flashrt::cli {

struct ModelFlags {
  std::string checkpoint;
  bool random = false;
  std::string shape = "full";
  std::vector<std::string> kernels;
  LoadOptions options;

  void add_to(CLI::App&);
  LoadOptions load_options() const;
  Policy load() const { return load(load_options()); }
  Policy load(const LoadOptions&) const;
};

// The options of `o` alone, without the ones that say where weights come from.
void add_load_options(CLI::App&, LoadOptions& o, std::vector<std::string>& kernels);

}  // namespace flashrt::cli
