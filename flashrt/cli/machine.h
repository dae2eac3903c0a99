// SPDX-License-Identifier: Apache-2.0
// Facts about the machine and this process that the commands report.
#pragma once

#include <cstddef>
#include <string>

namespace flashrt::cli {

struct Memory {
  double total_mib = 0, available_mib = 0;  // the machine's, or the container's limit where that is lower
};
Memory memory();
double peak_rss_mib();  // the most this process ever held
// The setting of transparent huge pages: "always", "madvise", "never", or empty where it cannot be read.
std::string huge_pages();
// One line of text of a file, without its end; empty where it cannot be read.
std::string first_line(const char* file);

}  // namespace flashrt::cli
