// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/policy.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/models/pi05/pi05.h"
#include "flashrt/models/pi05/tokenizer.h"
#include "flashrt/text/robot_prompt.h"

namespace flashrt::pi05 {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

constexpr std::size_t kTemporaries = std::size_t{1} << 36;  // address space; only what programs use costs memory

class Policy final : public PolicyModel {
 public:
  Policy(Device& device, Checkpoint checkpoint, std::optional<Tokenizer> tokenizer, const ModelOptions& options)
      : device_(device),
        config_(std::move(checkpoint.config)),
        processing_(std::move(checkpoint.processing)),
        tokenizer_(std::move(tokenizer)) {
    auto start = Clock::now();
    Precision precision = parse_precision(options.precision, options.keep, {"vision", "prefix", "expert"});
    load_weights(*checkpoint.tensors, precision);
    describe(*checkpoint.tensors, precision);
    info_.load_ms = ms_since(start);
    start = Clock::now();
    record_all();
    info_.record_ms = ms_since(start);
  }

  const PolicyInfo& info() const override { return info_; }

  std::vector<std::int32_t> tokens(const std::string& prompt, std::span<const float> state) const override {
    require(tokenizer_.has_value(),
            "no tokenizer: put the SentencePiece file tokenizer.model beside the checkpoint or name it with tokenizer");
    std::vector<std::int32_t> ids{tokenizer_->bos()};
    auto append = [&](const std::string& text) {
      for (std::int32_t id : tokenizer_->encode(text)) ids.push_back(id);
    };
    if (config_.state_in_prompt) {
      std::vector<double> normalised = processing_.state.forward(state);
      normalised.resize(std::max(normalised.size(), static_cast<std::size_t>(config_.state_prompt_dims)), 0.0);
      append(state_prompt(prompt, state_bins(normalised)));
    } else {
      append(plain_prompt(prompt));
      append("\n");
    }
    require(static_cast<std::int64_t>(ids.size()) <= config_.prompt_tokens,
            "the prompt is {} tokens long, the model takes at most {}; shorten the task text", ids.size(),
            config_.prompt_tokens);
    return ids;
  }

  Program& prepare(const PolicyInputs& in) override {
    std::int64_t views = 0;
    for (const ImageView* image : in.images)
      if (image) state_.images[static_cast<std::size_t>(views++)].set(*image);
    auto length = static_cast<std::int64_t>(in.tokens.size());
    require(length <= config_.prompt_tokens, "the prompt is {} tokens long, the model takes at most {}", length,
            config_.prompt_tokens);
    std::int64_t bucket = round_up(std::max<std::int64_t>(length, 1), kPromptBucket);
    auto program = programs_.find({views, bucket});
    require(program != programs_.end(), "no program for {} cameras and {} prompt tokens (at most {} and {})", views,
            length, config_.cameras.size(), config_.prompt_tokens);
    for (std::int32_t id : in.tokens)
      require(id >= 0 && id < config_.vocabulary, "token id {} is outside the vocabulary of {}", id,
              config_.vocabulary);
    std::copy(in.tokens.begin(), in.tokens.end(), state_.tokens.as<std::int32_t>());
    state_.prompt_length.set(static_cast<std::int32_t>(length));
    state_.prefix_length.set(static_cast<std::int32_t>(views * config_.vision.tokens() + length));
    state_.noise.set({.seed = in.seed, .stream = in.stream, .given = !in.noise.empty()});
    std::copy(in.noise.begin(), in.noise.end(), state_.given_noise.as<float>());
    if (state_.relative) {
      // A dimension behind the state's end can only be absolute.
      for (std::size_t d = in.state.size(); d < processing_.relative.size(); ++d)
        require(!processing_.relative[d], "action {} is relative to a state that has only {} values", d,
                in.state.size());
      std::copy_n(in.state.begin(), std::min<std::int64_t>(std::ssize(in.state), config_.robot_action_dim),
                  state_.robot_state.as<float>());
    }
    return program->second;
  }

  Tensor actions() const override { return state_.actions; }
  Tensor model_actions() const override { return state_.x; }

  Program record(std::int64_t views, std::int64_t tokens, Reading reading) override {
    std::int64_t bucket = round_up(std::max<std::int64_t>(tokens, 1), kPromptBucket);
    return Program::record(
        device_, temporaries_, [&](Recorder& r) { forward(r, model_, state_, views, bucket); }, reading);
  }

 private:
  void load_weights(const TensorSource& source, const Precision& precision) {
    WeightManifest all;
    declare_all(all, config_);
    all.check(source);
    info_.parameters = all.parameters();

    const GemmaConfig& e = config_.expert;
    Shape modulation{2 * e.depth + 1, config_.steps, 3 * e.width};
    std::size_t folded = static_cast<std::size_t>(modulation.elements()) * sizeof(float) + Arena::kAlign;
    WeightManifest kept;
    model_.weights(kept, config_);
    weights_ = Arena(kept.packed_bytes(precision) + folded);
    model_.modulation = weights_.tensor(modulation, DType::f32);
    fold_modulation(device_, source, config_, model_.modulation);
    WeightLoader loader(source, precision, weights_);
    model_.weights(loader, config_);
    loader.load(device_);

    // The expert reads the cache that the prefix wrote, so both work in one type.
    DType kv = working_dtype(model_.prefix.layers.front().qkv);
    require(kv == working_dtype(model_.expert.layers.front().qkv),
            "prefix and expert share a key-value cache: keep both f32, or neither");
    state_memory_ = Arena(State::bytes(config_));
    state_ = State(state_memory_, config_, processing_, working_dtype(model_.vision.patch), kv);
    state_memory_.prefault(state_memory_.used());
  }

  void describe(const TensorSource& source, const Precision& precision) {
    info_.model = "pi05";
    info_.source = source.description();
    info_.precision = to_string(precision);
    info_.cameras = config_.cameras;
    for (const auto& [from, to] : processing_.renamed_observations) info_.renamed_observations.emplace(from, to);
    info_.state_dim = config_.state_dim;
    info_.state_needed = config_.state_in_prompt || state_.relative;
    info_.action_dim = config_.robot_action_dim;
    info_.model_action_dim = config_.action_dim;
    info_.horizon = config_.horizon;
    info_.steps = config_.steps;
    info_.image_size = config_.vision.image;
    info_.prompt_tokens = config_.prompt_tokens;
    info_.weight_bytes = weights_.used();
  }

  void record_all() {
    temporaries_ = Arena(kTemporaries);
    std::int64_t views = std::ssize(config_.cameras);
    for (std::int64_t v = views; v >= 1; --v)
      for (std::int64_t p = kPromptBucket; p <= round_up(config_.prompt_tokens, kPromptBucket); p += kPromptBucket) {
        Program program = record(v, p, Reading::fast);
        program.forget_accesses();
        programs_.emplace(std::pair{v, p}, std::move(program));
      }
    info_.programs = programs_.size();
  }

  Device& device_;
  Config config_;
  RobotProcessing processing_;
  std::optional<Tokenizer> tokenizer_;
  Arena weights_, state_memory_, temporaries_;
  Model model_;
  State state_;
  std::map<std::pair<std::int64_t, std::int64_t>, Program> programs_;  // by cameras and prompt rows
  PolicyInfo info_;
};

}  // namespace

std::unique_ptr<PolicyModel> make_policy(Device& device, Checkpoint checkpoint, const ModelOptions& options) {
  std::optional<Tokenizer> tokenizer = open_tokenizer(checkpoint);
  return std::make_unique<Policy>(device, std::move(checkpoint), std::move(tokenizer), options);
}

}  // namespace flashrt::pi05
