// SPDX-License-Identifier: Apache-2.0
#include "flashrt/cli/inputs.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "flashrt/core/error.h"
#include "flashrt/io/npy.h"

namespace flashrt::cli {
namespace {

// Numbers of a .npy file, or of a list such as "0.1,0.2".
std::vector<float> numbers(const std::string& text, const char* option) {
  if (text.ends_with(".npy")) return read_npy(text).floats();
  std::vector<float> out;
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    float value = 0;
    auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    require(error == std::errc() && end == item.data() + item.size(),
            "{}: \"{}\" is no number; give numbers with commas between them, or a .npy file", option, item);
    out.push_back(value);
  }
  return out;
}

}  // namespace

void InputFlags::add_to(CLI::App& app) {
  app.add_option("--image,-i", images,
                 "JPEG or PNG file, one a camera in the checkpoint's order; none: a missing camera")
      ->allow_extra_args(false);
  app.add_option("--prompt,-p", prompt, "What the robot is to do");
  app.add_option("--state", state, "The robot's state: numbers with commas between them, or a .npy file");
  app.add_option("--noise", noise, "Where the flow starts, a .npy file; by default drawn from the seed");
  app.add_option("--seed", seed, "The same seed gives the same actions");
  app.add_option("--tokens", tokens, "Token ids with commas between them, instead of prompt and state text")
      ->delimiter(',')
      ->allow_extra_args(false);
}

void InputFlags::add_made_up_to(CLI::App& app) {
  app.add_option("--prompt-tokens", prompt_tokens, "Tokens of the made-up prompt used where no prompt is given")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

Inputs Inputs::read(const InputFlags& flags) {
  Inputs in;
  for (const std::string& name : flags.images) in.pictures_.push_back(name == "none" ? Image{} : read_image(name));
  in.prompt_ = flags.prompt;
  in.tokens_ = flags.tokens;
  in.seed_ = flags.seed;
  in.state_ = numbers(flags.state, "--state");
  if (!flags.noise.empty()) in.noise_ = read_npy(flags.noise).floats();
  return in;
}

Inputs Inputs::read_or_make_up(const InputFlags& flags, const PolicyInfo& info) {
  Inputs in = read(flags);
  if (in.pictures_.empty()) in.make_up_pictures(info);
  if (in.prompt_.empty() && in.tokens_.empty()) in.make_up_tokens(flags.prompt_tokens);
  if (in.state_.empty() && info.state_needed)
    in.state_.assign(static_cast<std::size_t>(info.state_dim ? info.state_dim : info.action_dim), 0.0f);
  if (!in.seed_) in.seed_ = 0;
  return in;
}

void Inputs::make_up_pictures(const PolicyInfo& info) {
  made_up_ = true;
  std::uint32_t noise = 1;
  for (std::size_t v = 0; v < info.cameras.size(); ++v) {
    Image& p = pictures_.emplace_back();
    p.height = p.width = kMadeUpSide;
    p.pixels.reserve(static_cast<std::size_t>(3 * kMadeUpSide * kMadeUpSide));
    // A gradient with noise on it: no two patches alike.
    for (std::int64_t y = 0; y < kMadeUpSide; ++y)
      for (std::int64_t x = 0; x < kMadeUpSide; ++x)
        for (std::int64_t c = 0; c < 3; ++c) {
          noise = noise * 1664525u + 1013904223u;
          p.pixels.push_back(static_cast<std::uint8_t>((c == 0 ? x : c == 1 ? y : x + y) / 2 + (noise >> 27)));
        }
  }
}

void Inputs::make_up_tokens(std::int64_t count) {
  made_up_ = true;
  tokens_.push_back(2);  // the start of a text
  for (std::int64_t i = 1; i < count; ++i) tokens_.push_back(static_cast<std::int32_t>(3 + 37 * i % 500));
}

Observation Inputs::observation() const {
  Observation o;
  for (const Image& p : pictures_)
    o.images.push_back({.pixels = p.pixels.empty() ? nullptr : p.pixels.data(), .height = p.height, .width = p.width});
  o.prompt = prompt_;
  o.state = state_;
  o.noise = noise_;
  o.seed = seed_;
  o.tokens = tokens_;
  return o;
}

std::int64_t Inputs::views() const {
  return std::count_if(pictures_.begin(), pictures_.end(), [](const Image& p) { return !p.pixels.empty(); });
}

}  // namespace flashrt::cli
