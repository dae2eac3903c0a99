// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using test::error_text;
using test::expect_error;

TEST(MappedFile, MapsAndMoves) {
  test::TempFolder folder;
  std::string text(10000, 'x');
  text.back() = 'y';
  MappedFile a(folder.write("f", text));
  MappedFile b = std::move(a);
  EXPECT_EQ(a.size(), 0u);
  EXPECT_EQ(b.size(), 10000u);
  for (auto advice : {MappedFile::Advice::will_need, MappedFile::Advice::dont_need}) {
    b.advise(0, 10000, advice);
    b.advise(5000, 1u << 30, advice);
    b.advise(1u << 30, 1, advice);
    EXPECT_EQ(static_cast<char>(b.bytes()[0]), 'x');
    EXPECT_EQ(static_cast<char>(b.bytes()[9999]), 'y');
  }
}

TEST(MappedFile, NamesWhyItCannotBeOpened) {
  test::TempFolder folder;
  expect_error(error_text([&] { MappedFile(folder.path("none")); }), "/none: no such file");
  expect_error(error_text([&] { MappedFile(folder.path()); }), "is a directory");
  expect_error(error_text([&] { MappedFile(folder.write("empty", "")); }), "the file is empty");
  expect_error(error_text([&] { MappedFile(folder.write("f", "x") / "below"); }), "no such file");
  ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
  expect_error(error_text([&] { MappedFile(folder.path("pipe")); }), "is not a regular file");
}

TEST(MappedFile, NamesMissingPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  test::TempFolder folder;
  auto file = folder.write("secret", "x");
  ASSERT_EQ(chmod(file.c_str(), 0), 0);
  expect_error(error_text([&] { MappedFile f(file); }), "permission denied");
}

}  // namespace
}  // namespace flashrt
