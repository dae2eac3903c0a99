// SPDX-License-Identifier: Apache-2.0
// Uses the installed package as a robot program would: makes a policy, asks for actions, and is told of a mistake.
#include <cstdio>
#include <vector>

#include "flashrt/api/flashrt.h"

int main() {
  flashrt::LoadOptions options;
  options.threads = 1;
  flashrt::Policy policy = flashrt::random_model("tiny", options);
  std::vector<std::uint8_t> picture(48 * 64 * 3, 128);
  const std::int32_t tokens[] = {2, 17, 5};
  flashrt::Observation seen;
  seen.images = {{picture.data(), 48, 64}};
  seen.tokens = tokens;
  flashrt::Chunk chunk = policy.predict(seen);
  std::printf("consumer: FlashRT %s, %d x %d actions\n", flashrt::version(), static_cast<int>(chunk.horizon),
              static_cast<int>(chunk.width));
  if (chunk.horizon != policy.info().horizon || chunk.width != policy.info().action_dim) return 1;
  try {
    policy.predict({});
  } catch (const flashrt::Error& error) {
    std::printf("consumer: %s\n", error.what());
    return 0;
  }
  return 1;
}
