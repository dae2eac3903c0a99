// SPDX-License-Identifier: Apache-2.0
// Uses the installed package: compiles against its headers, links its library, calls a public function.
#include <cstdio>

#include "flashrt/core/dtype.h"
#include "flashrt/core/error.h"

int main() {
  if (flashrt::dtype_from_name("f32") != flashrt::DType::f32) return 1;
  try {
    flashrt::fail("the library throws {}", "its own error");
  } catch (const flashrt::Error& error) {
    std::printf("consumer: %s\n", error.what());
    return 0;
  }
}
