// SPDX-License-Identifier: Apache-2.0
// The subcommands of `flashrt`; each adds its options and a callback that does the work.
#pragma once

#include <CLI/CLI.hpp>

namespace flashrt::cli {

void add_run(CLI::App& app);
void add_bench(CLI::App& app);
void add_explain(CLI::App& app);
void add_compare(CLI::App& app);
void add_check(CLI::App& app);
void add_inspect(CLI::App& app);
void add_doctor(CLI::App& app);
void add_random_checkpoint(CLI::App& app);

}  // namespace flashrt::cli
