// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/cores.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace flashrt::cpu {
namespace {

using Cpus = std::vector<int>;

TEST(Cores, OneOfEveryCoreComesFirst) {
  EXPECT_EQ(cores_first({0, 1, 2, 3}, {"0,2", "1,3", "0,2", "1,3"}), (Cpus{0, 1, 2, 3}));
  EXPECT_EQ(cores_first({0, 1, 2, 3}, {"0-1", "0-1", "2-3", "2-3"}), (Cpus{0, 2, 1, 3}));
  EXPECT_EQ(cores_first({1, 2, 3}, {"0-1", "2-3", "2-3"}), (Cpus{1, 2, 3}));
  EXPECT_EQ(cores_first({4, 5}, {"", ""}), (Cpus{4, 5})) << "unknown: each a core";
}

TEST(Cores, DefaultsAreCoresOfThisProcess) {
  EXPECT_GE(default_workers(), 1);
  EXPECT_LE(default_workers(), static_cast<int>(allowed_cores().size()));
}

class Quota : public ::testing::Test {
 protected:
  Quota() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashrt_XXXXXX").string();
    root = mkdtemp(pattern.data());
    std::filesystem::create_directories(root / "a/b");
  }
  ~Quota() override { std::filesystem::remove_all(root); }
  void write(const char* file, const char* text) { std::ofstream(root / file) << text; }
  std::filesystem::path root;
};

TEST_F(Quota, TheLeastOfTheGroupsAboveCounts) {
  EXPECT_FALSE(quota_of(root, "/a/b"));
  write("a/b/cpu.max", "max 100000\n");
  EXPECT_FALSE(quota_of(root, "/a/b"));
  write("a/cpu.max", "250000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root, "/a/b").value(), 2.5);
  write("a/b/cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root, "/a/b").value(), 2.5);
  write("cpu.max", "50000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root, "/a/b").value(), 0.5);
}

TEST_F(Quota, OfTheFirstVersionAndOfNonsense) {
  write("a/cpu.cfs_quota_us", "-1\n");
  write("a/cpu.cfs_period_us", "100000\n");
  EXPECT_FALSE(quota_of(root, "/a"));
  write("a/cpu.cfs_quota_us", "150000\n");
  EXPECT_DOUBLE_EQ(quota_of(root, "/a").value(), 1.5);
  write("a/b/cpu.max", "what\n");
  EXPECT_DOUBLE_EQ(quota_of(root, "/a/b").value(), 1.5);
  EXPECT_FALSE(quota_of(root / "missing", "/x"));
}

}  // namespace
}  // namespace flashrt::cpu
