// SPDX-License-Identifier: Apache-2.0
// The Gemma stack against transformers' GemmaModel: several key heads, a padded prefix, a suffix that sees all of it.
#include "flashrt/nn/gemma_stack.h"

#include <algorithm>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/nn/nn_golden_test.h"

namespace flashrt {
namespace {

constexpr GemmaConfig kConfig{.width = 40, .depth = 3, .mlp = 56, .heads = 6, .kv_heads = 2, .head_dim = 12};
constexpr std::int64_t kPrefix = 11, kBucket = 14, kSuffix = 5, kRows = kBucket + kSuffix;

struct Stack {
  GemmaStack stack;
  test::NnFixture nn;
  KvCache kv;
  RotaryTable rotary;
  std::int32_t valid = kPrefix;

  Stack(DType type, GemmaEnd end)
      : nn(type, [&](Weights& w) { stack.weights(w, kConfig, "body", "gemma.", GemmaNorm::plain, end); }),
        kv(nn.state, kConfig.depth, kConfig.kv_heads, kRows, kConfig.head_dim,
           type == DType::f32 ? DType::f32 : DType::bf16),
        rotary(nn.state, kRows, kConfig.head_dim, kConfig.rope_theta) {}

  // Rows [first, first + count) of the golden's input, and `padding` rows of noise behind them.
  Tensor input(std::int64_t first, std::int64_t count, std::int64_t padding) {
    Tensor x = nn.state.tensor({count + padding, kConfig.width}, DType::f32);
    std::fill_n(x.as<float>(), x.elements(), 3.0f);
    std::copy_n(test::golden("gemma/x0").begin() + first * kConfig.width, count * kConfig.width, x.as<float>());
    return x;
  }
  GemmaContext prefix_context() const {
    return {.cos = rotary.cos, .sin = rotary.sin, .keys = kBucket, .prefix = kBucket, .valid = &valid};
  }
  GemmaContext suffix_context() const {
    return {.cos = rotary.cos,
            .sin = rotary.sin,
            .position = &valid,
            .cache_row = kBucket,
            .keys = kRows,
            .prefix = kBucket,
            .valid = &valid};
  }
  void run_layers(const Tensor& x, const GemmaContext& at) {
    nn.run([&](Recorder& r) {
      for (std::size_t i = 0; i < stack.layers.size(); ++i) {
        Recorder::Scope scope(r, std::to_string(i));
        gemma_layer(r, x, stack.layers[i], kConfig, kv.layers[i], at);
      }
    });
  }
  // The cached row of a golden token: the suffix stands behind the bucket.
  static std::int64_t cache_row(std::int64_t token) { return token < kPrefix ? token : token - kPrefix + kBucket; }
  // Keys and values of `layer`, tokens [0, count), against the golden's [kv heads, T, head_dim].
  void expect_cache(std::int64_t layer, std::int64_t count, double limit) {
    const KvLayer& at = kv.layers[static_cast<std::size_t>(layer)];
    std::vector<float> k = test::golden("gemma/k" + std::to_string(layer)),
                       v = test::golden("gemma/v" + std::to_string(layer)), ours_k, ours_v, want_k, want_v;
    for (std::int64_t g = 0; g < kConfig.kv_heads; ++g)
      for (std::int64_t t = 0; t < count; ++t)
        for (std::int64_t d = 0; d < kConfig.head_dim; ++d) {
          auto from = static_cast<std::size_t>((g * (kPrefix + kSuffix) + t) * kConfig.head_dim + d);
          want_k.push_back(k[from]), want_v.push_back(v[from]);
          ours_k.push_back(packed_value(at.k, g, cache_row(t), d));
          ours_v.push_back(packed_value(at.v, g, d, cache_row(t)));
        }
    EXPECT_LE(difference(ours_k, want_k).relative_l2, limit) << "keys of layer " << layer;
    EXPECT_LE(difference(ours_v, want_v).relative_l2, limit) << "values of layer " << layer;
  }
};

class GemmaStackGolden : public ::testing::TestWithParam<DType> {};

TEST_P(GemmaStackGolden, PrefixThenSuffix) {
  Stack s(GetParam(), GemmaEnd::whole);
  Tensor prefix = s.input(0, kPrefix, kBucket - kPrefix), suffix = s.input(kPrefix, kSuffix, 0);
  s.run_layers(prefix, s.prefix_context());
  s.run_layers(suffix, s.suffix_context());
  test::expect_golden(prefix.rows(0, kPrefix), "gemma/x3", 0, GetParam());
  test::expect_golden(suffix, "gemma/x3", kPrefix, GetParam());
  for (std::int64_t i = 0; i < kConfig.depth; ++i)
    s.expect_cache(i, kPrefix + kSuffix, GetParam() == DType::f32 ? 1e-6 : 0.03);
}

INSTANTIATE_TEST_SUITE_P(All, GemmaStackGolden, ::testing::Values(DType::f32, DType::bf16, DType::i8),
                         [](const auto& p) { return std::string(name(p.param)); });

TEST(GemmaStack, LastLayerThatOnlyFeedsTheCacheLoadsKeysAndValuesAlone) {
  Stack s(DType::f32, GemmaEnd::cache_only);
  const GemmaLayer& last = s.stack.layers.back();
  EXPECT_EQ(last.qkv.N(), 2 * kConfig.kv_heads * kConfig.head_dim);
  EXPECT_FALSE(last.o.w);
  EXPECT_FALSE(last.down.w);
  Tensor x = s.input(0, kPrefix, kBucket - kPrefix);
  s.nn.run([&](Recorder& r) {
    for (std::size_t i = 0; i + 1 < s.stack.layers.size(); ++i)
      gemma_layer(r, x, s.stack.layers[i], kConfig, s.kv.layers[i], s.prefix_context());
    gemma_keys(r, x, last, kConfig, s.kv.layers.back(), s.prefix_context());
  });
  for (std::int64_t i = 0; i < kConfig.depth; ++i) s.expect_cache(i, kPrefix, 1e-6);
}

}  // namespace
}  // namespace flashrt
