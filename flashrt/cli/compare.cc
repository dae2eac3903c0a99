// SPDX-License-Identifier: Apache-2.0
// flashrt compare: op by op, how far one precision is from another, or from the references; and flashrt check: every
// kernel against its reference on the memory of a real call.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "flashrt/cli/commands.h"
#include "flashrt/cli/inputs.h"
#include "flashrt/cli/model_flags.h"
#include "flashrt/cli/report.h"
#include "flashrt/cli/table.h"
#include "flashrt/core/readings.h"

namespace flashrt::cli {
namespace {

struct Flags {
  ModelFlags model;
  InputFlags inputs;
  std::string against = "f32";
  double tolerance = 0.02;
  bool launches = false, json = false;
};

// The worst launch of those whose labels differ only in numbers.
struct Worst {
  std::string group;
  StepDifference step;
  int count = 0;
};

bool worse(const Difference& a, const Difference& b) {
  return a.finite != b.finite ? !a.finite : a.relative_l2 > b.relative_l2;
}

// In the order of the call.
std::vector<Worst> worst_of_groups(const std::vector<StepDifference>& steps, bool apart) {
  std::vector<Worst> list;
  std::map<std::string, std::size_t> at;
  for (const StepDifference& s : steps) {
    std::string group = apart ? s.label : group_label(s.label);
    auto [it, is_new] = at.emplace(group, list.size());
    if (is_new) list.push_back({group, s, 0});
    Worst& w = list[it->second];
    if (worse(s.error, w.step.error)) w.step = s;
    ++w.count;
  }
  return list;
}

OrderedJson error_json(const Difference& d) {
  auto number = [](double v) { return std::isfinite(v) ? OrderedJson(figure(v)) : OrderedJson(nullptr); };
  return {{"relative_l2", number(d.relative_l2)},
          {"cosine", number(d.cosine)},
          {"max_abs", number(d.max_abs)},
          {"finite", d.finite}};
}

std::vector<std::string> cells(const Difference& d) {
  return {fmt::format("{:.2e}", d.relative_l2), fmt::format("{:.8f}", d.cosine), fmt::format("{:.2e}", d.max_abs),
          d.finite ? "" : "not finite"};
}

OrderedJson list_json(const std::vector<Worst>& list) {
  OrderedJson out = OrderedJson::array();
  for (const Worst& w : list) {
    OrderedJson entry = {
        {"label", w.group}, {"op", w.step.op}, {"kernel", w.step.kernel}, {"calls", w.count}, {"worst", w.step.label}};
    entry.update(error_json(w.step.error));
    out.push_back(std::move(entry));
  }
  return out;
}

void print(const std::vector<Worst>& list) {
  Table table({"<label", "<op", "<kernel", "calls", "rel L2", "cosine", "max abs", "<"});
  for (const Worst& w : list) {
    std::vector<std::string> row{w.group, std::string(w.step.op), std::string(w.step.kernel), std::to_string(w.count)};
    for (std::string& cell : cells(w.step.error)) row.push_back(std::move(cell));
    table.row(std::move(row));
  }
  table.print();
}

// A policy's program for one observation, with what check and compare need.
Program record(Policy& policy, const Inputs& inputs, Reading reading) {
  Observation o = inputs.observation();
  std::size_t tokens = o.tokens.empty() ? policy.model().tokens(o.prompt, o.state).size() : o.tokens.size();
  return policy.model().record(inputs.views(), static_cast<std::int64_t>(tokens), reading);
}

std::vector<float> actions_of(Policy& policy) {
  Tensor t = policy.model().actions();
  std::vector<float> out;
  for (std::int64_t i = 0; i < t.dim(0); ++i) out.insert(out.end(), t.row<float>(i), t.row<float>(i) + t.dim(1));
  return out;
}

// Column `d` of rows of `width`.
std::vector<float> column(const std::vector<float>& v, std::size_t width, std::size_t d) {
  std::vector<float> out;
  for (std::size_t i = d; i < v.size(); i += width) out.push_back(v[i]);
  return out;
}

void compare_policies(const Flags& flags) {
  Policy a = flags.model.load();
  Inputs inputs = Inputs::read_or_make_up(flags.inputs, a.info());
  bool reference = flags.against == "reference";
  std::unique_ptr<Policy> other;
  if (!reference) {
    LoadOptions o = flags.model.load_options();
    o.precision = flags.against;
    o.keep.clear();
    other = std::make_unique<Policy>(flags.model.load(o));
    other->prepare(inputs.observation());
  }
  a.prepare(inputs.observation());
  Policy& b = reference ? a : *other;
  Program program_a = record(a, inputs, Reading::fast);
  Program program_b = record(b, inputs, reference ? Reading::reference : Reading::fast);
  program_b.replay();
  std::vector<float> expected = actions_of(b);
  std::vector<Worst> list = worst_of_groups(compare(program_a, program_b), flags.launches);
  std::vector<float> actual = actions_of(a);
  Difference all = difference(actual, expected);
  auto width = static_cast<std::size_t>(a.info().action_dim);
  if (flags.json) {
    OrderedJson json = to_json(a.info(), a.device().info());
    json["against"] = reference ? "reference" : b.info().precision;
    json["ops"] = list_json(list);
    json["actions"] = error_json(all);
    OrderedJson dims = OrderedJson::array();
    for (std::size_t d = 0; d < width; ++d)
      dims.push_back(error_json(difference(column(actual, width, d), column(expected, width, d))));
    json["actions"]["dimensions"] = std::move(dims);
    return print_json(json);
  }
  fmt::print("{}{}\nagainst {}; each runs on its own activations, so errors add up as they do in use\n",
             headline(a.info(), a.device().info()), inputs.made_up() ? ", made-up inputs" : "",
             reference ? "the reference of every op" : b.info().precision);
  print(list);
  Table table({"<actions", "rel L2", "cosine", "max abs", "<"});
  auto add = [&](std::string label, const Difference& d) {
    std::vector<std::string> row{std::move(label)};
    for (std::string& cell : cells(d)) row.push_back(std::move(cell));
    table.row(std::move(row));
  };
  for (std::size_t d = 0; d < width; ++d)
    add(fmt::format("a{}", d), difference(column(actual, width, d), column(expected, width, d)));
  add("all", all);
  fmt::print("\n");
  table.print();
}

void check_policy(const Flags& flags) {
  Policy policy = flags.model.load();
  Inputs inputs = Inputs::read_or_make_up(flags.inputs, policy.info());
  policy.prepare(inputs.observation());
  Program program = record(policy, inputs, Reading::fast);
  std::vector<StepDifference> steps = check(program);
  std::vector<Worst> list = worst_of_groups(steps, flags.launches);
  auto bad = [&](const StepDifference& s) { return !s.error.finite || !(s.error.relative_l2 <= flags.tolerance); };
  auto first = std::find_if(steps.begin(), steps.end(), bad);
  if (flags.json) {
    OrderedJson json = to_json(policy.info(), policy.device().info());
    json["tolerance"] = flags.tolerance;
    json["launches"] = steps.size();
    json["failed"] = std::count_if(steps.begin(), steps.end(), bad);
    json["ops"] = list_json(list);
    print_json(json);
  } else {
    fmt::print("{}{}\n", headline(policy.info(), policy.device().info()), inputs.made_up() ? ", made-up inputs" : "");
    print(list);
  }
  if (first != steps.end())
    fail("{} of {} launches are off by more than {:g}; the first is {} \"{}\", kernel {}, with relative L2 {:.2e}{}",
         std::count_if(steps.begin(), steps.end(), bad), steps.size(), flags.tolerance, first->op, first->label,
         first->kernel, first->error.relative_l2, first->error.finite ? "" : ", not finite");
  if (!flags.json) fmt::print("{} launches, all within {:g} of their reference\n", steps.size(), flags.tolerance);
}

CLI::App* add_common(CLI::App& app, const char* command, const char* description, Flags& flags) {
  CLI::App* sub = app.add_subcommand(command, description);
  flags.model.add_to(*sub);
  flags.inputs.add_to(*sub);
  flags.inputs.add_made_up_to(*sub);
  sub->add_flag("--launches", flags.launches, "Every launch, not the worst of equal ones");
  sub->add_flag("--json", flags.json, "Write one JSON object");
  return sub;
}

}  // namespace

void add_compare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = add_common(app, "compare", "Op by op, how far one precision is from another", *flags);
  sub->add_option("--against", flags->against, "Another precision, or reference: the plain loops of every op (slow)")
      ->capture_default_str();
  sub->callback([flags] { compare_policies(*flags); });
}

void add_check(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = add_common(app, "check", "Every kernel against its reference, on the memory of a call", *flags);
  sub->add_option("--tolerance", flags->tolerance, "Relative L2 error that is too much")->capture_default_str();
  sub->callback([flags] { check_policy(*flags); });
}

}  // namespace flashrt::cli
