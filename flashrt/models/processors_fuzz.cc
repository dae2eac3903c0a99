// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the JSON files of a pi0.5 checkpoint. The first byte names the file, the rest is what it holds; all
// others are right. Either an Error names what is wrong, or the configuration is within its bounds.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "flashrt/core/error.h"
#include "flashrt/models/pi05/config.h"
#include "flashrt/models/pi05/random_checkpoint.h"

namespace {

namespace fs = std::filesystem;

void write(const fs::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A lerobot and an openpi folder of one set of weights, in memory where the system has a place for that.
struct Checkpoints {
  fs::path root, lerobot, openpi;

  Checkpoints() {
    fs::path memory = fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
    std::string pattern = (memory / "flashrt_fuzz_XXXXXX").string();
    if (!mkdtemp(pattern.data())) std::abort();
    root = pattern;
    lerobot = root / "lerobot";
    openpi = root / "openpi";
    flashrt::pi05::save_random_checkpoint(lerobot, "tiny", {});
    fs::create_directories(openpi / "assets" / "arm");
    fs::create_hard_link(lerobot / "model.safetensors", openpi / "model.safetensors");
    write(openpi / "config.json", R"({"action_horizon":10,"vision_config":{"num_attention_heads":4}})");
    write(openpi / "assets/arm/norm_stats.json",
          R"({"norm_stats":{"state":{"q01":[0],"q99":[1]},"actions":{"q01":[0],"q99":[1]}}})");
  }
  ~Checkpoints() { fs::remove_all(root); }
};

// Opens `folder` with `text` as its file `name`.
void open_with(const fs::path& folder, const std::string& name, std::string_view text) {
  static std::map<fs::path, std::string> originals;
  fs::path file = folder / name;
  auto [original, fresh] = originals.try_emplace(file);
  if (fresh) original->second = read(file);
  write(file, text);
  flashrt::ModelOptions options;
  options.normalized_actions = text.size() % 2;
  try {
    auto config = flashrt::pi05::open_checkpoint(folder, options).config;
    bool bounded = config.horizon >= 1 && config.horizon <= 4096 && config.steps >= 1 && config.steps <= 1000 &&
                   config.prompt_tokens >= 1 && config.prompt_tokens <= 1024 && !config.cameras.empty() &&
                   config.cameras.size() <= 8 && config.robot_action_dim >= 1 &&
                   config.robot_action_dim <= config.action_dim && config.vision.width % config.vision.heads == 0;
    if (!bounded) std::abort();
  } catch (const flashrt::Error& e) {
    if (std::string_view(e.what()).empty()) std::abort();
  }
  write(file, original->second);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Checkpoints checkpoints;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'c': open_with(checkpoints.lerobot, "config.json", text); break;
    case 'b': open_with(checkpoints.lerobot, "policy_preprocessor.json", text); break;
    case 'a': open_with(checkpoints.lerobot, "policy_postprocessor.json", text); break;
    case 'o': open_with(checkpoints.openpi, "config.json", text); break;
    case 'n': open_with(checkpoints.openpi, "assets/arm/norm_stats.json", text); break;
    default: return -1;  // of no use to the corpus
  }
  return 0;
}
