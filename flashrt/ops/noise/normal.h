// SPDX-License-Identifier: Apache-2.0
// The random numbers behind Noise: a counter-based generator and normals made from it, the same bits on every machine.
#pragma once

#include <array>
#include <cstdint>

namespace flashrt {

// Philox4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 2> key, std::array<std::uint32_t, 4> counter) noexcept;
// The four random words of block `block`, as noise.h defines them.
std::array<std::uint32_t, 4> noise_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t block) noexcept;

// Elements [first, first + n) of the endless sequence of normals of (seed, stream).
void normals(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::int64_t n, float* out) noexcept;

}  // namespace flashrt
