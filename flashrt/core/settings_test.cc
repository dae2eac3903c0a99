// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/settings.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {

Settings read(const std::map<std::string, std::string>& variables) {
  return Settings::read([&](const char* name) -> const char* {
    auto it = variables.find(name);
    return it == variables.end() ? nullptr : it->second.c_str();
  });
}

TEST(Settings, AnEmptyEnvironmentGivesTheDefaults) {
  Settings s = read({{"FLASHRT_THREADS", ""}});
  EXPECT_EQ(s.threads, 0);
  EXPECT_TRUE(s.pin);
  EXPECT_TRUE(s.isa.empty());
  EXPECT_TRUE(s.kernels.empty());
  EXPECT_TRUE(s.tokenizer.empty());
}

TEST(Settings, ReadsEveryVariable) {
  Settings s = read({{"FLASHRT_THREADS", "3"},
                     {"FLASHRT_PIN", "0"},
                     {"FLASHRT_ISA", "avx2"},
                     {"FLASHRT_KERNELS", "mat_mul=avx2,rope=portable"},
                     {"FLASHRT_TOKENIZER", "/t.model"}});
  EXPECT_EQ(s.threads, 3);
  EXPECT_FALSE(s.pin);
  EXPECT_EQ(s.isa, "avx2");
  EXPECT_EQ(s.kernels.at("mat_mul"), "avx2");
  EXPECT_EQ(s.kernels.at("rope"), "portable");
  EXPECT_EQ(s.tokenizer, "/t.model");
}

TEST(Settings, RefusesWhatItCannotRead) {
  EXPECT_THROW(read({{"FLASHRT_THREADS", "two"}}), Error);
  EXPECT_THROW(read({{"FLASHRT_THREADS", "2x"}}), Error);
  EXPECT_THROW(read({{"FLASHRT_THREADS", "-1"}}), Error);
  EXPECT_THROW(read({{"FLASHRT_PIN", "yes"}}), Error);
  EXPECT_THROW(read({{"FLASHRT_KERNELS", "mat_mul"}}), Error);
  EXPECT_THROW(read({{"FLASHRT_KERNELS", "=avx2"}}), Error);
  EXPECT_THROW(read({{"FLASHRT_KERNELS", "a=b,,c=d"}}), Error);
}

TEST(Settings, NamesUnknownVariables) {
  ::setenv("FLASHRT_THREDS", "2", 1);
  EXPECT_EQ(unknown_settings(), std::vector<std::string>{"FLASHRT_THREDS"});
  ::unsetenv("FLASHRT_THREDS");
  EXPECT_TRUE(unknown_settings().empty());
}

}  // namespace
}  // namespace flashrt
