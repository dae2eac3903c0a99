// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/resize_image/resize_image.h"

#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

constexpr ResizeRule kRules[] = {ResizeRule::lerobot_pad, ResizeRule::pillow_pad};

// A frame with gaps between its rows. Bytes are the top ones of x -> 1664525 x + 1013904223, from 1000 height + width.
ImageView frame(TestMemory& m, std::int32_t height, std::int32_t width) {
  Tensor t = m.output({height, 3 * std::int64_t{width}}, DType::u8);
  m.belongs_to_caller(t);
  auto x = static_cast<std::uint32_t>(1000 * height + width);
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t i = 0; i < 3 * width; ++i) {
      x = 1664525u * x + 1013904223u;
      t.row<std::uint8_t>(y)[i] = static_cast<std::uint8_t>(x >> 24);
    }
  return {.pixels = t.as<std::uint8_t>(), .height = height, .width = width, .pitch = t.row_bytes()};
}

ResizeImage make(TestMemory& m, const ImageView& view, Shape output, ResizeRule rule) {
  return {.image = m.value(view), .y = m.output({output[0], 3 * output[1]}, DType::f32), .rule = rule};
}

TEST(ResizeImage, EveryRowFollowsTheReference) {
  for (ResizeRule rule : kRules)
    for (auto [h, w, H, W] : {std::array{37, 53, 28, 28},
                              {48, 64, 28, 28},
                              {100, 30, 28, 28},
                              {20, 31, 28, 28},
                              {12, 18, 28, 28},
                              {28, 28, 28, 28},
                              {1, 1, 5, 5},
                              {2, 90, 16, 16},
                              {90, 4, 3, 17},
                              {480, 640, 224, 224},
                              {17, 13, 40, 20}}) {
      TestMemory m;
      // Pillow's bytes are exact; torch's sums are in f32.
      op_test(m, make(m, frame(m, h, w), {H, W}, rule), {.abs = rule == ResizeRule::pillow_pad ? 0 : 6e-7});
    }
}

std::uint64_t fnv(const ResizeImage& op) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (std::int64_t y = 0; y < op.y.dim(0); ++y)
    for (std::int64_t i = 0; i < op.y.dim(1); ++i) {
      const float byte = (op.y.row<float>(y)[i] + 1.0f) / 2.0f * 255.0f;
      EXPECT_NEAR(byte, std::round(byte), 1e-4);
      hash = (hash ^ static_cast<std::uint8_t>(std::lround(byte))) * 0x100000001b3u;
    }
  return hash;
}

// FNV-1a of the bytes that openpi_client's resize_with_pad makes of the same frames with Pillow 12.3.
TEST(ResizeImage, PillowRuleGivesPillowsBytes) {
  struct Golden {
    std::int32_t height, width, side;
    std::uint64_t hash;
  };
  for (const Golden& g : {Golden{480, 640, 224, 0x8e24b04935b8f2aau},
                          {240, 320, 224, 0xb08fd1309c256bafu},
                          {180, 320, 224, 0x68fa98b4853175ccu},
                          {360, 270, 224, 0x0f62de6c9dc5de81u},
                          {224, 224, 224, 0x1ab19444b23274aeu},
                          {256, 256, 224, 0x3f24b33892798d25u},
                          {60, 80, 224, 0x0b0e9399c1e65288u},
                          {100, 9, 28, 0xe769eb85c67ac510u},
                          {9, 200, 28, 0xc8a021c920c2c56cu},
                          {12, 18, 28, 0xb4c27b78583c947bu},
                          {28, 14, 28, 0xc498762c9cec090cu},
                          {1, 1, 28, 0xa5eceda76f14a8f5u},
                          {31, 29, 30, 0xab678d0c392d3045u}}) {
    TestMemory m;
    const ResizeImage op = make(m, frame(m, g.height, g.width), {g.side, g.side}, ResizeRule::pillow_pad);
    for (const Kernel<ResizeImage>& row : cpu_kernels<ResizeImage>()) {
      if (!row.supports(op, cpu::detect())) continue;
      std::vector<std::byte> scratch(row.scratch(op, {}));
      std::atomic<std::int32_t> ticket{0};
      row.run(op, {.scratch = scratch.data(), .ticket = &ticket});
      EXPECT_EQ(fnv(op), g.hash) << row.name << ": " << g.height << " x " << g.width << " to " << g.side;
    }
  }
}

// lerobot 0.6.1's resize_with_pad_torch, then * 2 - 1.
TEST(ResizeImage, LerobotRuleGivesLerobotsPixels) {
  const float shrunk[2][12] = {{0.10808825f, -0.32328433f, -0.14117646f, -0.19019604f, 0.040931344f, -0.53382349f,
                                0.20269608f, 0.29485297f, 0.36004901f, -0.39681375f, 0.67401958f, 0.035294175f},
                               {-0.089705884f, -0.025980353f, -0.57426471f, 0.22058821f, -0.56078434f, 0.55514705f,
                                -0.13799018f, -0.15245092f, -0.10024506f, -0.51151955f, 0.026225448f, 0.24460793f}};
  const float enlarged[5][9] = {{-0.19999999f, 0.14509809f, -0.372549f, 0.19215691f, -0.31372547f, -0.43921566f,
                                 0.58431375f, -0.77254903f, -0.50588238f},
                                {-0.26588231f, 0.4337256f, -0.087058783f, -0.1419608f, 0.13803923f, -0.1772548f,
                                 -0.018039286f, -0.15764701f, -0.26745099f},
                                {-0.36470586f, 0.86666667f, 0.34117651f, -0.64313722f, 0.81568623f, 0.21568632f,
                                 -0.92156863f, 0.7647059f, 0.090196133f},
                                {-0.5670588f, 0.033725381f, 0.068235278f, -0.32784307f, 0.15686262f, 0.31921577f,
                                 -0.088627279f, 0.27999985f, 0.57019615f},
                                {-0.7019608f, -0.52156866f, -0.11372548f, -0.11764705f, -0.28235292f, 0.38823533f,
                                 0.4666667f, -0.043137252f, 0.89019608f}};
  TestMemory m;
  const ResizeImage small = make(m, frame(m, 5, 7), {4, 4}, ResizeRule::lerobot_pad);
  op_test(m, small, {.abs = 6e-7}, [&](const ResizeImage& op) {
    for (std::int64_t i = 0; i < 12; ++i) {
      EXPECT_EQ(op.y.row<float>(0)[i], -1.0f);
      EXPECT_NEAR(op.y.row<float>(1)[i], shrunk[0][i], 1e-6);
      EXPECT_NEAR(op.y.row<float>(2)[i], shrunk[1][i], 1e-6);
      EXPECT_EQ(op.y.row<float>(3)[i], -1.0f);
    }
  });
  const ResizeImage large = make(m, frame(m, 3, 2), {5, 5}, ResizeRule::lerobot_pad);
  op_test(m, large, {.abs = 6e-7}, [&](const ResizeImage& op) {
    for (std::int64_t y = 0; y < 5; ++y)
      for (std::int64_t i = 0; i < 15; ++i) {
        const float expected = i < 3 || i >= 12 ? -1.0f : enlarged[y][i - 3];
        EXPECT_NEAR(op.y.row<float>(y)[i], expected, 1e-6) << y << ", " << i;
      }
  });
}

TEST(ResizeImage, ExtremeFramesStayWithinTheScratch) {
  for (ResizeRule rule : kRules)
    for (auto [h, w] : {std::array{293, 8192}, {585, 8192}, {8192, 293}, {8192, 585}}) {
      TestMemory m;
      std::vector<std::uint8_t> pixels(static_cast<std::size_t>(h) * static_cast<std::size_t>(w) * 3, 200);
      ImageView view{.pixels = pixels.data(), .height = h, .width = w, .pitch = 3 * std::int64_t{w}};
      check_image(view, 28, 28);
      op_test(m, make(m, view, {28, 28}, rule), {.abs = 6e-7},
              [](const ResizeImage& op) { EXPECT_NEAR(op.y.row<float>(13)[39], 200.0f / 255.0f * 2.0f - 1.0f, 1e-6); });
    }
}

TEST(ResizeImage, NoCameraIsAllBars) {
  for (ResizeRule rule : kRules) {
    TestMemory m;
    ResizeImage op = make(m, {}, {9, 9}, rule);
    op.pad = -3;
    op_test(m, op, {}, [](const ResizeImage& done) {
      for (std::int64_t i = 0; i < 27; ++i) EXPECT_EQ(done.y.row<float>(4)[i], -3.0f);
    });
  }
}

TEST(ResizeImage, TheBarsHaveThePadValue) {
  TestMemory m;
  ResizeImage op = make(m, frame(m, 10, 20), {8, 8}, ResizeRule::lerobot_pad);
  op.pad = -3;
  op_test(m, op, {.abs = 6e-7}, [](const ResizeImage& done) {
    EXPECT_EQ(done.y.row<float>(1)[0], -3.0f);
    EXPECT_GE(done.y.row<float>(2)[0], -1.0f);
    EXPECT_GE(done.y.row<float>(5)[23], -1.0f);
    EXPECT_EQ(done.y.row<float>(6)[23], -3.0f);
  });
}

TEST(ResizeImage, RefusesWrongArguments) {
  TestMemory m;
  const ResizeImage good = make(m, {}, {4, 4}, ResizeRule::pillow_pad);
  ResizeImage op = good;
  op.image = nullptr;
  expect_refused(op, "image is null");
  op = good;
  op.y = m.output({4, 13}, DType::f32);
  expect_refused(op, "three channels a pixel");
  op = good;
  op.y = m.output({4, 12}, DType::bf16);
  expect_refused(op, "y is bf16[4, 12]; it must be f32[4, 12]");
  op = good;
  op.pad = std::nanf("");
  expect_refused(op, "pad is nan");
}

TEST(CheckImage, NamesWhatIsWrong) {
  const std::uint8_t pixel[3] = {};
  auto text = [](const ImageView& view) -> std::string {
    try {
      check_image(view, 28, 28);
    } catch (const std::exception& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(text({.pixels = pixel, .height = 1, .width = 1, .pitch = 3}), "");
  EXPECT_EQ(text({}), "an image has no pixels");
  EXPECT_EQ(text({.pixels = pixel, .height = 0, .width = 1, .pitch = 3}),
            "an image is 0 x 1 (height x width); each side must be 1 to 8192 pixels");
  EXPECT_EQ(text({.pixels = pixel, .height = 9, .width = 8193, .pitch = 30000}),
            "an image is 9 x 8193 (height x width); each side must be 1 to 8192 pixels");
  EXPECT_EQ(text({.pixels = pixel, .height = 2, .width = 2, .pitch = 5}),
            "an image 2 pixels wide has rows 5 bytes apart; they hold 6");
  EXPECT_EQ(
      text({.pixels = pixel, .height = 7, .width = 200, .pitch = 600}),
      "an image of 7 x 200 (height x width) leaves no pixel when fitted into 28 x 28; crop it to a less extreme shape");
}

}  // namespace
}  // namespace flashrt
