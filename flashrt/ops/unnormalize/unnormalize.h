// SPDX-License-Identifier: Apache-2.0
// y = x * scale + offset + mask * state: normalised actions to robot units, relative ones made absolute.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct Unnormalize {
  static constexpr std::string_view name = "unnormalize";
  Tensor x;        // [C, A] f32; columns from R on are padding
  Tensor scale;    // [R] f32
  Tensor offset;   // [R] f32
  Tensor state{};  // [R] f32: the robot's state in its units; unset: actions are absolute already
  Tensor mask{};   // [R] f32, multiplies the state; unset: 1
  Tensor y;        // [C, R] f32, R <= A

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Unnormalize&);

}  // namespace flashrt
