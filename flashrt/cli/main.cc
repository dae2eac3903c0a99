// SPDX-License-Identifier: Apache-2.0
// The flashrt command. Exit status: 0 done, 1 an error (its text on standard error), 2 wrong usage.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "flashrt/api/flashrt.h"
#include "flashrt/cli/commands.h"

namespace {

int run(int argc, char** argv) {
  CLI::App app("Realtime inference engine for robot policies", "flashrt");
  app.set_version_flag("--version", fmt::format("flashrt {}", flashrt::version()));
  app.require_subcommand(1);
  flashrt::cli::add_run(app);
  flashrt::cli::add_bench(app);
  flashrt::cli::add_explain(app);
  flashrt::cli::add_compare(app);
  flashrt::cli::add_check(app);
  flashrt::cli::add_inspect(app);
  flashrt::cli::add_doctor(app);
  flashrt::cli::add_random_checkpoint(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "flashrt: %s\n", e.what());
    return 1;
  }
}
