// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/random_source.h"

#include <algorithm>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"

namespace flashrt {
namespace {

// Sum of the four bytes of a mixed 32-bit counter: mean 510, variance (256^2 - 1) / 3.
constexpr float kByteSumMean = 510.0f, kByteSumDeviation = 147.80054f;

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::uint64_t hash(std::uint64_t seed, std::string_view name) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (unsigned char c : name) h = (h ^ c) * 0x100000001b3u;
  return mix(h ^ mix(seed + 0x9e3779b97f4a7c15u));
}

// Elements whose index has the same upper half; plain 32-bit arithmetic, so that the loop vectorises.
void fill(std::uint32_t key, std::uint32_t first, std::int64_t n, float scale, float shift, float* out) noexcept {
  std::uint32_t counter = first * 0x9e3779b9u;
  for (std::int64_t i = 0; i < n; ++i, counter += 0x9e3779b9u) {
    std::uint32_t x = counter ^ key;
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    x ^= x >> 16;
    std::uint32_t pairs = (x & 0x00ff00ffu) + ((x >> 8) & 0x00ff00ffu);
    out[i] = static_cast<float>(static_cast<std::int32_t>((pairs & 0xffffu) + (pairs >> 16))) * scale + shift;
  }
}

}  // namespace

void RandomSource::declare(std::string_view name, std::vector<std::int64_t> shape, float deviation, float mean) {
  std::int64_t elements = 1;
  for (std::int64_t d : shape)
    require(d >= 0 && !__builtin_mul_overflow(elements, d, &elements), "{}: tensor {} cannot have shape {}",
            description_, in_quotes(name), shape_text(shape));
  auto [it, fresh] = entries_.try_emplace(std::string(name));
  Entry& e = it->second;
  require(fresh || (e.info.shape == shape && e.deviation == deviation && e.mean == mean),
          "{}: tensor {} was declared before as {} with deviation {} and mean {}", description_, in_quotes(name),
          to_string(e.info), e.deviation, e.mean);
  e.info.shape = std::move(shape);
  e.deviation = deviation;
  e.mean = mean;
  e.key = hash(seed_, name);
}

const TensorInfo* RandomSource::find(std::string_view name) const {
  auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second.info;
}

std::vector<std::string> RandomSource::names() const {
  std::vector<std::string> out;
  for (const auto& [name, e] : entries_) out.push_back(name);
  return out;
}

void RandomSource::read_elements(std::string_view name, const TensorInfo&, std::int64_t first, std::int64_t count,
                                 float* out) const {
  const Entry& e = entries_.find(name)->second;
  float scale = e.deviation / kByteSumDeviation, shift = e.mean - kByteSumMean * scale;
  constexpr std::int64_t kBlock = std::int64_t{1} << 32;
  for (std::int64_t done = 0; done < count;) {
    std::int64_t at = first + done, n = std::min(count - done, kBlock - at % kBlock);
    auto key = static_cast<std::uint32_t>(mix(e.key + static_cast<std::uint64_t>(at / kBlock)));
    fill(key, static_cast<std::uint32_t>(at % kBlock), n, scale, shift, out + done);
    done += n;
  }
}

}  // namespace flashrt
