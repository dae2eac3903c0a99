// SPDX-License-Identifier: Apache-2.0
// Copies of the golden checkpoints that a test damages or rewrites before it opens them.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/io/json.h"
#include "flashrt/io/test_files.h"
#include "flashrt/models/pi05/policy.h"

namespace flashrt::test {

// One tensor as its file holds it.
struct RawTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;

  float get(std::size_t i) const {
    float v;
    std::memcpy(&v, bytes.data() + 4 * i, 4);
    return v;
  }
  void set(std::size_t i, float v) { std::memcpy(bytes.data() + 4 * i, &v, 4); }
  std::size_t elements() const {
    std::size_t n = 1;
    for (std::int64_t d : shape) n *= static_cast<std::size_t>(d);
    return n;
  }
};
using RawTensors = std::map<std::string, RawTensor>;

inline RawTensor f32_tensor(std::vector<std::int64_t> shape, float value = 0) {
  RawTensor t{"F32", std::move(shape), {}};
  t.bytes.resize(4 * t.elements());
  for (std::size_t i = 0; i < t.elements(); ++i) t.set(i, value);
  return t;
}

// The low half of every f32 is dropped: a bf16 tensor, for golden weights close enough.
inline void to_bf16_tensor(RawTensor& t) {
  std::string bytes(2 * t.elements(), '\0');
  for (std::size_t i = 0; i < t.elements(); ++i) {
    std::uint16_t h = to_bf16(t.get(i));
    std::memcpy(bytes.data() + 2 * i, &h, 2);
  }
  t.dtype = "BF16";
  t.bytes = std::move(bytes);
}

inline std::string header_of(const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  return file.substr(8, length);
}

inline RawTensors parse_tensors(const std::string& file) {
  std::string header = header_of(file);
  RawTensors out;
  const Json entries = parse_json(header, "header");
  for (const auto& [name, e] : entries.items()) {
    if (name == "__metadata__") continue;
    std::size_t begin = e["data_offsets"][0], end = e["data_offsets"][1];
    out[name] = {e["dtype"], e["shape"], file.substr(8 + header.size() + begin, end - begin)};
  }
  return out;
}

inline std::string format_tensors(const RawTensors& tensors) {
  Json header = Json::object();
  std::string data;
  for (const auto& [name, t] : tensors) {
    header[name] = {
        {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.bytes.size()}}};
    data += t.bytes;
  }
  return safetensors_bytes(header.dump(), data);
}

class EditedCheckpoint {
 public:
  // `golden` is lerobot_tiny or openpi_tiny.
  explicit EditedCheckpoint(const std::string& golden) {
    namespace fs = std::filesystem;
    fs::path from = fs::path(FLASHRT_SOURCE_DIR) / "flashrt/models/pi05/golden" / golden;
    fs::copy(from, folder_.path(), fs::copy_options::recursive);
    remove("golden.json");
    remove("golden.safetensors");
  }

  const std::filesystem::path& path() const { return folder_.path(); }
  std::filesystem::path path(std::string_view name) const { return folder_.path(name); }
  void remove(std::string_view name) const { std::filesystem::remove_all(path(name)); }
  void write(std::string_view name, std::string_view bytes) const { folder_.write(name, bytes); }
  std::string read(std::string_view name) const { return folder_.read(name); }

  void bytes(std::string_view name, const std::function<void(std::string&)>& edit) const {
    std::string all = read(name);
    edit(all);
    write(name, all);
  }
  void json(std::string_view name, const std::function<void(Json&)>& edit) const {
    Json document = parse_json(read(name), name);
    edit(document);
    write(name, document.dump(1));
  }
  // The header of model.safetensors as text; its length field follows.
  void header(const std::function<void(std::string&)>& edit) const {
    bytes("model.safetensors", [&](std::string& file) {
      std::string text = header_of(file), data = file.substr(8 + text.size());
      edit(text);
      file = safetensors_bytes(text, data);
    });
  }
  void header_json(const std::function<void(Json&)>& edit) const {
    header([&](std::string& text) {
      Json h = parse_json(text, "header");
      edit(h);
      text = h.dump();
    });
  }
  void tensors(const std::function<void(RawTensors&)>& edit, std::string_view name = "model.safetensors") const {
    bytes(name, [&](std::string& file) {
      RawTensors all = parse_tensors(file);
      edit(all);
      file = format_tensors(all);
    });
  }

 private:
  TempFolder folder_;
};

// A loaded policy and the device below it.
struct LoadedPolicy {
  std::unique_ptr<Device> device;
  std::unique_ptr<PolicyModel> model;

  static LoadedPolicy open(const std::filesystem::path& folder, const ModelOptions& options) {
    LoadedPolicy p{cpu::make_device({.threads = 1, .pin = false}), nullptr};
    p.model = pi05::make_policy(*p.device, pi05::open_checkpoint(folder, options), options);
    return p;
  }

  struct Actions {
    std::vector<float> robot, model;
  };
  // One call on fixed pictures, ids, state and noise.
  Actions run() const {
    const PolicyInfo& info = model->info();
    auto side = static_cast<std::size_t>(info.image_size);
    std::vector<std::uint8_t> pixels(side * side * 3);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
    ImageView view{pixels.data(), static_cast<std::int32_t>(side), static_cast<std::int32_t>(side),
                   static_cast<std::int64_t>(3 * side)};
    std::vector<std::int32_t> ids{2, 11, 23, 47, 5};
    std::vector<float> state(static_cast<std::size_t>(info.state_dim), 0.25f);
    std::vector<float> noise(static_cast<std::size_t>(info.horizon * info.model_action_dim));
    for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<float>(i * 29 % 41) / 20 - 1;
    PolicyInputs in;
    in.images.assign(info.cameras.size(), &view);
    in.tokens = ids;
    in.state = state;
    in.noise = noise;
    model->prepare(in).replay();
    auto values = [](const Tensor& t) {
      std::vector<float> v;
      for (std::int64_t i = 0; i < t.dim(0); ++i) v.insert(v.end(), t.row<float>(i), t.row<float>(i) + t.dim(1));
      return v;
    };
    return {values(model->actions()), values(model->model_actions())};
  }
};

// What a test does to a checkpoint and to the options it is opened with.
using Edit = std::function<void(EditedCheckpoint&, ModelOptions&)>;

struct Malformed {
  std::string name, golden;
  Edit edit;
  std::vector<std::string> causes;  // parts of the error's text
};
inline void PrintTo(const Malformed& m, std::ostream* out) { *out << m.name; }

inline void expect_refusal(const Malformed& m) {
  EditedCheckpoint checkpoint(m.golden);
  ModelOptions options;
  options.precision = "f32";
  m.edit(checkpoint, options);
  std::string text = error_text([&] { LoadedPolicy::open(checkpoint.path(), options); });
  for (const std::string& cause : m.causes) expect_error(text, cause);
}

}  // namespace flashrt::test
