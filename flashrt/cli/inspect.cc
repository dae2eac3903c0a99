// SPDX-License-Identifier: Apache-2.0
// flashrt inspect: what is in a checkpoint, and what is wrong with it.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "flashrt/api/flashrt.h"
#include "flashrt/cli/commands.h"
#include "flashrt/cli/report.h"
#include "flashrt/cli/table.h"
#include "flashrt/core/readings.h"
#include "flashrt/io/json.h"
#include "flashrt/io/safetensors.h"
#include "flashrt/models/registry.h"

namespace flashrt::cli {
namespace {

struct Flags {
  std::string path;
  LoadOptions options;
  bool tensors = false, json = false;
};

// Tensors whose names differ only in numbers and that are alike.
struct TensorGroup {
  std::string name;
  StoredType type;
  std::vector<std::int64_t> shape;
  int count = 0;
  std::uint64_t bytes = 0;
};

struct Findings {
  struct File {
    std::string name;
    std::uint64_t bytes = 0;
  };
  std::vector<File> files;
  SafetensorsFile::Metadata metadata;
  std::vector<TensorGroup> tensors;
  std::size_t tensor_count = 0;
  std::uint64_t tensor_bytes = 0;
  std::vector<CheckpointFact> facts;
  std::vector<std::string> problems;

  // Runs one part; what it throws becomes a problem, and the other parts still run.
  template <class Part>
  void attempt(Part&& part) {
    try {
      part();
    } catch (const std::exception& e) {
      if (std::find(problems.begin(), problems.end(), e.what()) == problems.end()) problems.emplace_back(e.what());
    }
  }
};

void list_tensors(const std::filesystem::path& path, bool apart, Findings& f) {
  SafetensorsSource source(path);
  f.metadata = source.metadata();
  for (const std::string& name : source.names()) {
    const TensorInfo& info = *source.find(name);
    std::string group = apart ? name : group_label(name);
    auto same = [&](const TensorGroup& g) { return g.name == group && g.type == info.type && g.shape == info.shape; };
    auto it = std::find_if(f.tensors.begin(), f.tensors.end(), same);
    if (it == f.tensors.end()) it = f.tensors.insert(it, {group, info.type, info.shape, 0, 0});
    ++it->count;
    it->bytes += info.end - info.begin;
    ++f.tensor_count;
    f.tensor_bytes += info.end - info.begin;
  }
}

// Whether a model reads a file of this name. Others, such as the tokenizer.json of many megabytes that transformers
// writes, are listed and left alone.
bool is_read(std::string_view name) {
  constexpr std::string_view kJson[] = {"config.json", "policy_preprocessor.json", "policy_postprocessor.json",
                                        "norm_stats.json", "model.safetensors.index.json"};
  return name.ends_with(".safetensors") || std::find(std::begin(kJson), std::end(kJson), name) != std::end(kJson);
}

void open_file(const std::filesystem::path& file) {
  if (file.extension() == ".json") JsonReader::read(file);
  if (file.extension() == ".safetensors") SafetensorsFile::open(file);
}

Findings examine(const Flags& flags) {
  namespace fs = std::filesystem;
  Findings f;
  fs::path path = flags.path;
  require(fs::exists(path), "{}: no such file or folder", flags.path);
  bool folder = fs::is_directory(path);
  if (folder) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file()) f.files.push_back({fs::relative(entry.path(), path).string(), entry.file_size()});
    std::sort(f.files.begin(), f.files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  } else {
    f.files.push_back({path.filename().string(), fs::file_size(path)});
  }
  f.attempt([&] { list_tensors(path, flags.tensors, f); });
  // Each file apart, since describe() below ends at the first that is wrong.
  for (const auto& file : f.files) {
    fs::path full = folder ? path / file.name : path;
    if (!folder || is_read(full.filename().string())) f.attempt([&] { open_file(full); });
  }
  if (folder && find_model(flags.options.config).describe)
    f.attempt([&] { f.facts = find_model(flags.options.config).describe(path, flags.options); });
  return f;
}

OrderedJson json_of(const Flags& flags, const Findings& f) {
  OrderedJson json = {{"path", flags.path}, {"model", flags.options.config}};
  json["files"] = OrderedJson::object();
  for (const auto& file : f.files) json["files"][file.name] = file.bytes;
  json["metadata"] = f.metadata;
  json["facts"] = OrderedJson::object();
  for (const CheckpointFact& fact : f.facts) json["facts"][fact.name] = fact.value;
  json["tensor_count"] = f.tensor_count;
  json["tensor_bytes"] = f.tensor_bytes;
  json["tensors"] = OrderedJson::array();
  for (const TensorGroup& g : f.tensors)
    json["tensors"].push_back(
        {{"name", g.name}, {"count", g.count}, {"type", name(g.type)}, {"shape", g.shape}, {"bytes", g.bytes}});
  json["problems"] = f.problems;
  return json;
}

void print(const Findings& f) {
  for (const auto& file : f.files) fmt::print("{:>12}  {}\n", file.bytes, file.name);
  fmt::print("\n");
  for (const CheckpointFact& fact : f.facts) fmt::print("{:<18} {}\n", fact.name, fact.value);
  for (const auto& [key, value] : f.metadata)
    fmt::print("{:<18} {} = {}\n", "metadata", in_quotes(key), in_quotes(value));
  if (!f.facts.empty() || !f.metadata.empty()) fmt::print("\n");
  Table table({"<tensor", "count", "<type", "<shape", "bytes"});
  for (const TensorGroup& g : f.tensors)
    table.row(
        {g.name, std::to_string(g.count), std::string(name(g.type)), shape_text(g.shape), std::to_string(g.bytes)});
  table.row({"all", std::to_string(f.tensor_count), "", "", std::to_string(f.tensor_bytes)});
  table.print();
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("inspect", "What is in a checkpoint, and what is wrong with it");
  sub->add_option("path", flags->path, "Checkpoint folder, or a safetensors or index file")->required();
  sub->add_option("--model", flags->options.config, "Which model it is of")->capture_default_str();
  sub->add_option("--norm-asset", flags->options.norm_asset, "openpi checkpoints: which folder of assets to read");
  sub->add_option("--horizon", flags->options.horizon, "Actions in a chunk, where the checkpoint does not say it");
  sub->add_option("--state-dim", flags->options.state_dim, "Width of the robot's state, as for loading");
  sub->add_option("--action-dim", flags->options.action_dim, "Width of a robot action, as for loading");
  sub->add_option("--tokenizer", flags->options.tokenizer, "SentencePiece file, where it is not beside the checkpoint");
  sub->add_flag("--normalized-actions", flags->options.normalized_actions, "Statistics may be missing");
  sub->add_flag("--tensors", flags->tensors, "Every tensor, not groups of equal ones");
  sub->add_flag("--json", flags->json, "Write one JSON object");
  sub->callback([flags] {
    Findings f = examine(*flags);
    if (flags->json)
      print_json(json_of(*flags, f));
    else
      print(f);
    std::fflush(stdout);
    if (!f.problems.empty()) fail("{}", fmt::join(f.problems, "\nflashrt: "));
  });
}

}  // namespace flashrt::cli
