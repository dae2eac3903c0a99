// SPDX-License-Identifier: Apache-2.0
// Actions from a checkpoint, a prompt and pictures: predict CHECKPOINT PROMPT IMAGE...
#include <cstdio>

#include "flashrt/api/flashrt.h"
#include "flashrt/io/image.h"

int main(int argc, char** argv) try {
  if (argc < 4) return std::fprintf(stderr, "usage: predict CHECKPOINT PROMPT IMAGE...\n"), 2;
  flashrt::LoadOptions options;
  options.precision = "int8";
  flashrt::Policy policy = flashrt::load_model(argv[1], options);

  std::vector<flashrt::Image> pictures;
  for (int i = 3; i < argc; ++i) pictures.push_back(flashrt::read_image(argv[i]));
  std::vector<float> state(static_cast<std::size_t>(policy.info().state_dim));  // here: the robot's own, in its units

  flashrt::Observation seen;
  for (const flashrt::Image& p : pictures) seen.images.push_back({p.pixels.data(), p.height, p.width});
  seen.prompt = argv[2];
  seen.state = state;
  flashrt::Chunk chunk = policy.predict(seen);

  std::printf("%d actions of %d values in %.1f ms\n", int(chunk.horizon), int(chunk.width), chunk.ms);
  for (int step = 0; step < chunk.horizon; ++step)
    for (int dim = 0; dim < chunk.width; ++dim)
      std::printf("%9.4f%s", double(chunk(step, dim)), dim + 1 == chunk.width ? "\n" : " ");
} catch (const flashrt::Error& e) {
  std::fprintf(stderr, "predict: %s\n", e.what());
  return 1;
}
