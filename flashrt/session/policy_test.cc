// SPDX-License-Identifier: Apache-2.0
// The policy session: what it refuses, what it repeats bit for bit, and what it remembers between calls.
#include "flashrt/session/policy.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <limits>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/backends/cpu/features.h"
#include "flashrt/core/error.h"
#include "flashrt/models/pi05/edited_checkpoint_test.h"

namespace flashrt {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

struct Load {
  int threads = 1;
  std::string isa{}, precision = "f32";
  std::uint64_t seed = 0;
  std::filesystem::path folder = std::filesystem::path(FLASHRT_SOURCE_DIR) / "flashrt/models/pi05/golden/lerobot_tiny";
};

Policy load(const Load& l = {}) {
  ModelOptions o;
  o.precision = l.precision;
  auto device = cpu::make_device({.threads = l.threads, .pin = false, .isa = l.isa});
  auto model = pi05::make_policy(*device, pi05::open_checkpoint(l.folder, o), o);
  return {std::move(device), std::move(model), l.seed};
}

// A picture with its own memory; rows may lie further apart than their pixels need.
struct Picture {
  std::int64_t height, width, pitch;
  std::vector<std::uint8_t> pixels;

  explicit Picture(std::int64_t h = 28, std::int64_t w = 28, std::int64_t gap = 0, std::uint8_t fill = 0)
      : height(h), width(w), pitch(3 * w + gap), pixels(static_cast<std::size_t>(h * pitch), fill) {
    for (std::int64_t y = 0; y < h; ++y)
      for (std::int64_t x = 0; x < 3 * w; ++x)
        pixels[static_cast<std::size_t>(y * pitch + x)] = static_cast<std::uint8_t>((y * 31 + x * 17) % 253);
  }
  CameraImage view() const { return {pixels.data(), height, width, pitch == 3 * width ? 0 : pitch}; }
};

const Picture kPicture;
const std::vector<float> kState{0.1f, -0.2f, 0.3f, 0.0f, 0.5f, -0.6f};
const std::string kPrompt = "close the door";

Observation good() {
  return {.images = {kPicture.view(), kPicture.view()}, .prompt = kPrompt, .state = kState, .seed = 7};
}

std::string refusal(Policy& policy, const Observation& o) {
  try {
    policy.predict(o);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

struct Refused {
  std::string name;
  std::function<void(Observation&)> edit;
  std::string cause;
};
void PrintTo(const Refused& r, std::ostream* out) { *out << r.name; }

class PolicyRefuses : public testing::TestWithParam<Refused> {};

TEST_P(PolicyRefuses, AndStaysUsable) {
  Policy policy = load();
  std::vector<float> before = policy.predict(good()).actions;
  Observation o = good();
  GetParam().edit(o);
  std::string text = refusal(policy, o);
  EXPECT_NE(text.find(GetParam().cause), text.npos) << "the text is: " << text;
  EXPECT_EQ(policy.predict(good()).actions, before);
}

const Picture kTall(8193, 1), kSlip(1, 8192);
const std::vector<float> kShort(5, 0.0f),
    kLong(7, 0.0f), kNanState{0, 0, kNan, 0, 0, 0}, kInfState{0, 0, 0, 0, 0, -kInf};
const std::vector<float> kShortNoise(39, 0.0f), kLongNoise(41, 0.0f), kNanNoise = [] {
  std::vector<float> v(40, 0.0f);
  v[17] = kNan;
  return v;
}();
const std::vector<std::int32_t> kTokens{2, 10, 20}, kNegative{2, -1}, kBeyond{2, 640}, kMany(73, 5), kVeryMany(5000, 5);

const Refused kRefused[] = {
    {"no_image", [](Observation& o) { o.images.clear(); }, "no image given; this policy has 2 cameras"},
    {"too_many_images", [](Observation& o) { o.images.push_back(kPicture.view()); },
     "3 images given, this policy has 2"},
    {"prompt_of_white_space", [](Observation& o) { o.prompt = " \n\t"; }, "the prompt is white space alone"},
    {"all_cameras_missing",
     [](Observation& o) {
       o.images = {{}, {}};
     },
     "every camera is missing"},
    {"no_height", [](Observation& o) { o.images[1].height = 0; }, "image 1 (\"observation.images.wrist\") is 0 x 28"},
    {"negative_width", [](Observation& o) { o.images[0].width = -28; },
     "image 0 (\"observation.images.base\") is 28 x -28"},
    {"too_tall", [](Observation& o) { o.images[0] = kTall.view(); }, "8193 x 1; a side must be 1 to 8192 pixels"},
    {"size_wraps", [](Observation& o) { o.images[0].width = (std::int64_t{1} << 32) + 28; },
     "a side must be 1 to 8192"},
    {"nothing_left_when_fitted", [](Observation& o) { o.images[0] = kSlip.view(); }, "leaves no pixel"},
    {"rows_too_close", [](Observation& o) { o.images[0].row_bytes = 83; }, "rows of 83 bytes, 28 pixels need 84"},
    {"negative_row_bytes", [](Observation& o) { o.images[0].row_bytes = -84; }, "rows of -84 bytes"},
    {"state_too_short", [](Observation& o) { o.state = kShort; }, "state has 5 values, this policy takes 6"},
    {"state_too_long", [](Observation& o) { o.state = kLong; }, "state has 7 values, this policy takes 6"},
    {"state_missing", [](Observation& o) { o.state = {}; },
     "no state given; this policy reads the robot's state (6 values)"},
    {"state_nan", [](Observation& o) { o.state = kNanState; }, "state[2] is nan"},
    {"state_infinite", [](Observation& o) { o.state = kInfState; }, "state[5] is -inf"},
    {"noise_too_short", [](Observation& o) { o.noise = kShortNoise; }, "noise has 39 values, it must be [5, 8]"},
    {"noise_too_long", [](Observation& o) { o.noise = kLongNoise; }, "noise has 41 values"},
    {"noise_nan", [](Observation& o) { o.noise = kNanNoise; }, "noise[17] is nan"},
    {"prompt_and_tokens", [](Observation& o) { o.tokens = kTokens; }, "give a prompt or its tokens, not both"},
    {"prompt_too_long",
     [](Observation& o) {
       for (int i = 0; i < 40; ++i) o.prompt += " and the other door";
     },
     "the model takes at most 72; shorten the task text"},
    {"prompt_not_utf8", [](Observation& o) { o.prompt = "close \xff"; }, "UTF-8"},
    {"token_negative", [](Observation& o) { o.prompt.clear(), o.tokens = kNegative; },
     "token id -1 is outside the vocabulary of 640"},
    {"token_beyond", [](Observation& o) { o.prompt.clear(), o.tokens = kBeyond; },
     "token id 640 is outside the vocabulary of 640"},
    {"one_token_too_many", [](Observation& o) { o.prompt.clear(), o.tokens = kMany; },
     "the prompt is 73 tokens long, the model takes at most 72"},
    {"far_too_many_tokens", [](Observation& o) { o.prompt.clear(), o.tokens = kVeryMany; },
     "the prompt is 5000 tokens long"},
};
INSTANTIATE_TEST_SUITE_P(All, PolicyRefuses, testing::ValuesIn(kRefused), [](const auto& i) { return i.param.name; });

TEST(Policy, FirstCallNeedsAPromptAndLaterOnesKeepIt) {
  Policy policy = load();
  Observation silent = good();
  silent.prompt.clear();
  EXPECT_NE(refusal(policy, silent).find("no prompt given; the first call needs one"), std::string::npos);
  // A refused call leaves no prompt behind.
  Observation wrong = good();
  wrong.noise = kShortNoise;
  EXPECT_NE(refusal(policy, wrong), "");
  EXPECT_NE(refusal(policy, silent).find("no prompt given"), std::string::npos);
  std::vector<float> spoken = policy.predict(good()).actions;
  EXPECT_EQ(policy.predict(silent).actions, spoken);
  // The kept prompt is joined with the new state.
  std::vector<float> moved(kState);
  moved[0] = 0.9f;
  Observation silent_moved = silent, spoken_moved = good();
  silent_moved.state = spoken_moved.state = moved;
  EXPECT_EQ(policy.predict(silent_moved).actions, policy.predict(spoken_moved).actions);
  EXPECT_NE(policy.predict(silent_moved).actions, spoken);
}

TEST(Policy, TokensStandForPromptAndState) {
  Policy policy = load();
  std::vector<std::int32_t> ids = policy.model().tokens(kPrompt, kState);
  std::vector<float> spoken = policy.predict(good()).actions;
  Observation o = good();
  o.prompt.clear();
  o.state = {};
  o.tokens = ids;
  EXPECT_EQ(policy.predict(o).actions, spoken);
}

TEST(Policy, SeedsDecideTheNoise) {
  Policy a = load({.seed = 3}), b = load({.seed = 3}), c = load({.seed = 4});
  Observation seeded = good(), free = good();
  free.seed.reset();
  EXPECT_EQ(a.predict(seeded).actions, b.predict(seeded).actions);
  EXPECT_EQ(a.predict(seeded).actions, b.predict(seeded).actions);
  seeded.seed = 8;
  EXPECT_NE(a.predict(seeded).actions, a.predict(good()).actions);
  Policy d = load({.seed = 3}), e = load({.seed = 3});
  std::vector<float> first = d.predict(free).actions, second = d.predict(free).actions;
  EXPECT_NE(first, second);
  EXPECT_EQ(e.predict(free).actions, first);
  EXPECT_EQ(e.predict(free).actions, second);
  EXPECT_NE(c.predict(free).actions, first);
}

TEST(Policy, GivenNoiseIsWhatTheModelStartsFrom) {
  Policy policy = load();
  std::vector<float> noise(40, 0.5f);
  Observation o = good();
  o.noise = noise;
  std::vector<float> first = policy.predict(o).actions;
  o.seed = 99;
  EXPECT_EQ(policy.predict(o).actions, first);
  noise[0] = 0.25f;
  EXPECT_NE(policy.predict(o).actions, first);
}

TEST(Policy, AMissingCameraIsNotABlackOne) {
  Policy policy = load();
  Picture black;
  std::fill(black.pixels.begin(), black.pixels.end(), std::uint8_t{0});
  Observation left_off = good(), null = good(), dark = good();
  left_off.images.pop_back();
  null.images[1] = {};
  dark.images[1] = black.view();
  std::vector<float> one = policy.predict(left_off).actions;
  EXPECT_EQ(policy.predict(null).actions, one);
  EXPECT_NE(policy.predict(dark).actions, one);
  EXPECT_NE(policy.predict(good()).actions, one);
  // With equal pictures the only one present may be either.
  null.images = {{}, kPicture.view()};
  EXPECT_EQ(policy.predict(null).actions, one);
}

TEST(Policy, TakesPicturesOfAnySizeAndPitch) {
  Policy policy = load();
  for (auto [h, w] : {std::pair{480, 640}, {28, 28}, {1, 1}, {13, 300}, {97, 31}}) {
    Picture tight(h, w), loose(h, w, 7, 0xee);
    Observation a = good(), b = good();
    a.images = {tight.view(), tight.view()};
    b.images = {loose.view(), loose.view()};
    Chunk chunk = policy.predict(a);
    EXPECT_EQ(policy.predict(b).actions, chunk.actions) << h << " x " << w;
    EXPECT_EQ(chunk.horizon, 5);
    EXPECT_EQ(chunk.width, 7);
    EXPECT_EQ(chunk.actions.size(), 35u);
    EXPECT_EQ(chunk.normalized.size(), 40u);
    EXPECT_EQ(chunk(2, 3), chunk.actions[17]);
    EXPECT_GE(chunk.ms, chunk.replay_ms);
  }
}

TEST(Policy, MovesAndIsAssigned) {
  Policy a = load();
  std::vector<float> actions = a.predict(good()).actions;
  Policy b = std::move(a);
  Observation silent = good();
  silent.prompt.clear();
  EXPECT_EQ(b.predict(silent).actions, actions);
  Policy c = load();
  c = std::move(b);
  EXPECT_EQ(c.predict(silent).actions, actions);
  EXPECT_EQ(c.latency().count, 3u);
  Policy& same = c;
  c = std::move(same);
  EXPECT_EQ(c.predict(silent).actions, actions);
  a = load();
  EXPECT_EQ(a.predict(good()).actions, actions);
}

// Weights that are finite and overflow inside: no precision may make actions of it.
TEST(Policy, ANumberThatOverflowsInsideMovesNothing) {
  for (const char* precision : {"f32", "bf16", "int8"}) {
    test::EditedCheckpoint damaged("lerobot_tiny");
    int edited = 0;
    damaged.tensors([&](test::RawTensors& all) {
      for (auto& [name, t] : all) {
        if (!name.ends_with("language_model.layers.0.mlp.down_proj.weight")) continue;
        for (std::int64_t i = 0; i < t.shape[1]; ++i) t.set(static_cast<std::size_t>(i), 3e38f);
        ++edited;
      }
    });
    ASSERT_EQ(edited, 1);
    Policy policy = load({.precision = precision, .folder = damaged.path()});
    test::expect_error(refusal(policy, good()), "the checkpoint or its statistics are damaged");
  }
}

TEST(Policy, AForkedChildIsToldToLoadItsOwn) {
  Policy policy = load({.threads = 2});
  policy.predict(good());
  pid_t child = fork();
  if (child == 0) {
    alarm(20);  // ends a child that waits for workers it does not have
    _exit(refusal(policy, good()).find("did not follow the fork") != std::string::npos ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  policy.predict(good());
}

TEST(Policy, RepeatsBitForBit) {
  Policy policy = load();
  std::vector<float> first = policy.predict(good()).actions;
  int different = 0;
  for (int i = 0; i < 1000; ++i) different += policy.predict(good()).actions != first;
  EXPECT_EQ(different, 0);
}

TEST(Policy, GivesTheSameBitsForAnyNumberOfThreadsOfEveryInstructionSet) {
  std::uint64_t features = cpu::detect_features();
  const std::pair<const char*, std::uint64_t> sets[] = {
      {"portable", cpu::kPortable}, {"avx2", cpu::kAvx2}, {"avx512", cpu::kAvx512}};
  for (auto [isa, bit] : sets) {
    if (!(features & bit)) continue;
    for (const char* precision : {"f32", "bf16", "int8"}) {
      Policy alone = load({.threads = 1, .isa = isa, .precision = precision});
      std::vector<float> expected = alone.predict(good()).actions;
      EXPECT_EQ(alone.predict(good()).actions, expected) << isa << " " << precision;
      for (int threads : {2, 4}) {
        Policy crew = load({.threads = threads, .isa = isa, .precision = precision});
        for (int i = 0; i < 3; ++i)
          EXPECT_EQ(crew.predict(good()).actions, expected) << isa << " " << precision << " " << threads << " threads";
      }
    }
  }
}

TEST(LatencyStats, AreNearestRanks) {
  EXPECT_EQ(latency_stats({}).count, 0u);
  LatencyStats one = latency_stats({3});
  EXPECT_EQ(one.count, 1u);
  for (double v : {one.min_ms, one.mean_ms, one.p50_ms, one.p95_ms, one.p99_ms, one.max_ms}) EXPECT_EQ(v, 3);
  std::vector<double> hundred;
  for (int i = 100; i >= 1; --i) hundred.push_back(i);
  LatencyStats s = latency_stats(hundred);
  EXPECT_EQ(s.min_ms, 1);
  EXPECT_EQ(s.p50_ms, 50);
  EXPECT_EQ(s.p95_ms, 95);
  EXPECT_EQ(s.p99_ms, 99);
  EXPECT_EQ(s.max_ms, 100);
  EXPECT_DOUBLE_EQ(s.mean_ms, 50.5);
  LatencyStats two = latency_stats({4, 2});
  EXPECT_EQ(two.p50_ms, 2);
  EXPECT_EQ(two.p99_ms, 4);
}

TEST(Policy, CountsItsCalls) {
  Policy policy = load();
  for (int i = 0; i < 3; ++i) policy.predict(good());
  Observation bad = good();
  bad.images.clear();
  EXPECT_NE(refusal(policy, bad), "");
  LatencyStats s = policy.latency();
  EXPECT_EQ(s.count, 3u);
  EXPECT_LE(s.min_ms, s.p50_ms);
  EXPECT_LE(s.p50_ms, s.max_ms);
  policy.reset_latency();
  EXPECT_EQ(policy.latency().count, 0u);
}

}  // namespace
}  // namespace flashrt
