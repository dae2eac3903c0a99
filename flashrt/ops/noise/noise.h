// SPDX-License-Identifier: Apache-2.0
// Standard normal noise that depends on a key and the element's index only; or noise that the caller gives.
//
// Element n = c * A + a of y is one of the four normals of block n / 4:
//     u[0..3] = Philox4x32-10 with key {seed low, seed high} and counter {block low, block high, stream low, stream
//     high} (low and high 32 bits), and for j = 0 and 2 radius = sqrt(-2 ln((u[j] + 1/2) / 2^32)), angle = 2 pi (u[j +
//     1] + 1/2) / 2^32, z[j] = radius cos(angle), z[j + 1] = radius sin(angle), rounded once to f32.
// All rows call the same code of normal.cc: the same bits on every machine and for any number of workers.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

// What changes between replays. A session that counts `stream` up gets fresh noise in every call and can repeat any.
struct NoiseKey {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  bool given = false;  // copy `given` instead
};

struct Noise {
  static constexpr std::string_view name = "noise";
  const NoiseKey* key = nullptr;  // read when the program runs
  Tensor given;                   // [C, A] f32, used when key->given
  Tensor y;                       // [C, A] f32

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Noise&);

}  // namespace flashrt
