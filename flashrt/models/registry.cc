// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/registry.h"

#include <deque>
#include <mutex>

#include "flashrt/core/error.h"
#include "flashrt/models/pi05/describe.h"
#include "flashrt/models/pi05/policy.h"
#include "flashrt/models/pi05/random_checkpoint.h"

namespace flashrt {
namespace {

struct Registry {
  std::mutex mutex;
  std::deque<ModelEntry> entries{
      {"pi05", "pi0.5: images, prompt and state to an action chunk",
       [](Device& d, const std::filesystem::path& p, const ModelOptions& o) {
         return pi05::make_policy(d, pi05::open_checkpoint(p, o), o);
       },
       [](Device& d, const std::string& shape, const ModelOptions& o) {
         return pi05::make_policy(d, pi05::random_checkpoint(shape, o), o);
       },
       pi05::save_random_checkpoint, pi05::describe_checkpoint},
  };
};

Registry& registry() {
  static Registry r;
  return r;
}

}  // namespace

void register_model(ModelEntry entry) {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  for (const ModelEntry& e : r.entries)
    require(e.name != entry.name, "a model named \"{}\" is registered already", e.name);
  r.entries.push_back(std::move(entry));
}

const ModelEntry& find_model(const std::string& name) {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  std::string known;
  for (const ModelEntry& e : r.entries) {
    if (e.name == name) return e;
    known += (known.empty() ? "" : ", ") + e.name;
  }
  fail("unknown model \"{}\"; this build knows: {}", name, known);
}

std::vector<ModelEntry> known_models() {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  return {r.entries.begin(), r.entries.end()};
}

}  // namespace flashrt
