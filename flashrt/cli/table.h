// SPDX-License-Identifier: Apache-2.0
// Text tables on a terminal: columns as wide as their widest cell.
#pragma once

#include <string>
#include <vector>

namespace flashrt::cli {

class Table {
 public:
  // A column title that starts with '<' is aligned to the left, all others to the right.
  explicit Table(std::vector<std::string> titles);
  void row(std::vector<std::string> cells);
  // Lines are not padded at their end.
  std::string text() const;
  void print() const;

 private:
  std::vector<bool> left_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace flashrt::cli
