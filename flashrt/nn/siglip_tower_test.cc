// SPDX-License-Identifier: Apache-2.0
// The SigLIP tower and its projector against transformers' SiglipVisionModel, two views at once and one alone.
#include "flashrt/nn/siglip_tower.h"

#include <algorithm>

#include "flashrt/nn/nn_golden_test.h"

namespace flashrt {
namespace {

constexpr SiglipConfig kConfig{
    .width = 36, .depth = 2, .mlp = 52, .heads = 3, .image = 42, .patch = 14, .projection = 44};

struct Tower {
  SiglipTower tower;
  test::NnFixture nn;
  KvCache kv;

  explicit Tower(DType type)
      : nn(type, [&](Weights& w) { tower.weights(w, kConfig, "vision", "siglip.", "projector"); }),
        kv(nn.state, 1, 2 * kConfig.heads, kConfig.tokens(), kConfig.head_dim(),
           type == DType::f32 ? DType::f32 : DType::bf16) {}

  // Features of the golden's views [first, first + count).
  Tensor features(std::int64_t first, std::int64_t count) {
    std::vector<float> pixels = test::golden("siglip/images");
    const std::int64_t size = kConfig.image * kConfig.image * 3;
    std::vector<Tensor> images;
    for (std::int64_t v = first; v < first + count; ++v) {
      images.push_back(nn.state.tensor({kConfig.image, kConfig.image * 3}, DType::f32));
      std::copy_n(pixels.begin() + v * size, size, images.back().as<float>());
    }
    Tensor y = nn.state.tensor({count * kConfig.tokens(), kConfig.projection}, DType::f32);
    nn.run([&](Recorder& r) { tower.forward(r, images, kv.layers.front(), y); });
    return y;
  }
};

class SiglipTowerGolden : public ::testing::TestWithParam<DType> {};

TEST_P(SiglipTowerGolden, TwoViews) {
  test::expect_golden(Tower(GetParam()).features(0, 2), "siglip/features", 0, GetParam());
}

TEST_P(SiglipTowerGolden, SecondViewAlone) {
  Tower t(GetParam());
  test::expect_golden(t.features(1, 1), "siglip/features", kConfig.tokens(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, SiglipTowerGolden, ::testing::Values(DType::f32, DType::bf16, DType::i8),
                         [](const auto& p) { return std::string(name(p.param)); });

}  // namespace
}  // namespace flashrt
