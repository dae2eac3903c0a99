// SPDX-License-Identifier: Apache-2.0
// flashrt doctor: what this machine can do, what the engine will use of it, and what to change.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "flashrt/api/flashrt.h"
#include "flashrt/backends/cpu/cores.h"
#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/backends/cpu/features.h"
#include "flashrt/backends/cpu/peaks.h"
#include "flashrt/cli/commands.h"
#include "flashrt/cli/machine.h"
#include "flashrt/cli/report.h"
#include "flashrt/core/settings.h"
#include "flashrt/models/registry.h"

namespace flashrt::cli {
namespace {

struct Flags {
  bool json = false;
};

struct Findings {
  DeviceInfo device;
  std::vector<int> cores;
  unsigned machine_cores = 0;
  std::optional<double> quota;
  Memory memory;
  std::string huge_pages, governor;
  bool pinning = true;
  std::string pinning_error;
  cpu::Peaks one, all;
  std::vector<std::string> advice;
};

void advise(Findings& f) {
  auto say = [&](std::string text) { f.advice.push_back(std::move(text)); };
  if (!(f.device.features & cpu::kAvx512))
    say(f.device.features & cpu::kAvx2
            ? "this CPU lacks AVX-512 with BF16 and VNNI: the avx2 rows run, bf16 and int8 gain little over f32"
            : "this CPU lacks AVX2: only the portable rows run, which are slow");
  if (f.quota && *f.quota + 0.01 < static_cast<double>(f.cores.size()))
    say(fmt::format(
        "the container may use {:.1f} of {} cores' time: {} workers are the default, more would wait for each other",
        *f.quota, f.cores.size(), f.device.workers));
  if (f.huge_pages == "never")
    say("transparent huge pages are off: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root) saves "
        "TLB misses");
  if (!f.governor.empty() && f.governor != "performance")
    say(fmt::format("the frequency governor is {}: cpupower frequency-set -g performance (as root) steadies latency",
                    f.governor));
  if (!f.pinning) say("workers cannot be pinned to cores (" + f.pinning_error + "): run with --no-pin");
  if (f.memory.available_mib < 8 * 1024)
    say(fmt::format("{:.1f} GiB of memory are free; pi0.5 needs about 7.5 in bf16 and 4.5 in int8",
                    f.memory.available_mib / 1024));
  for (const std::string& name : unknown_settings())
    say(name + " is set but no variable of this engine; see the list below");
}

cpu::Peaks measure(int threads, bool pin) {
  auto device = cpu::make_device({.threads = threads, .pin = pin});
  return cpu::measure_peaks(*device);
}

Findings examine() {
  Findings f;
  f.device = cpu::detect();
  f.cores = cpu::allowed_cores();
  f.machine_cores = std::thread::hardware_concurrency();
  f.quota = cpu::cpu_quota();
  f.memory = memory();
  f.huge_pages = huge_pages();
  f.governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  try {
    cpu::make_device({.threads = static_cast<int>(f.cores.size()), .pin = true});
  } catch (const Error& e) {
    f.pinning = false;
    f.pinning_error = e.what();
  }
  f.one = measure(1, f.pinning);
  f.all = measure(f.device.workers, f.pinning);
  advise(f);
  return f;
}

OrderedJson json_of(const Findings& f) {
  auto peaks = [](const cpu::Peaks& p) -> OrderedJson {
    return {{"f32_gops", figure(p.f32)},
            {"bf16_gops", figure(p.bf16)},
            {"i8_gops", figure(p.i8)},
            {"dram_gbps", figure(p.dram_read)}};
  };
  OrderedJson json = {{"version", version()},
                      {"cpu", f.device.model},
                      {"rows", cpu::feature_names(f.device.features)},
                      {"cores_allowed", f.cores},
                      {"cores_of_machine", f.machine_cores},
                      {"cpu_quota", f.quota ? OrderedJson(*f.quota) : OrderedJson(nullptr)},
                      {"l2_kib", f.device.l2_bytes >> 10},
                      {"l3_kib", f.device.l3_bytes >> 10},
                      {"memory_mib", figure(f.memory.total_mib)},
                      {"memory_available_mib", figure(f.memory.available_mib)},
                      {"huge_pages", f.huge_pages},
                      {"pinning", f.pinning},
                      {"peaks_one_thread", peaks(f.one)},
                      {"peaks_all_threads", peaks(f.all)},
                      {"advice", f.advice}};
  OrderedJson models = OrderedJson::array();
  for (const ModelEntry& m : known_models()) models.push_back(m.name);
  json["models"] = std::move(models);
  return json;
}

void print(const Findings& f) {
  auto line = [](const char* what, const std::string& text) { fmt::print("{:<14} {}\n", what, text); };
  auto peaks = [](const cpu::Peaks& p) {
    return fmt::format("f32 {:.0f}, bf16 {:.0f}, i8 {:.0f} GOP/s; memory {:.1f} GB/s", p.f32, p.bf16, p.i8,
                       p.dram_read);
  };
  line("flashrt", version());
  line("CPU", f.device.model);
  line("kernel rows", cpu::feature_names(f.device.features));
  line("cores", fmt::format("{} of {} allowed ({}){}", f.cores.size(), f.machine_cores, fmt::join(f.cores, " "),
                            f.quota ? fmt::format(", quota of {:.1f} cores", *f.quota) : ""));
  line("caches", fmt::format("L2 {} KiB a core, L3 {} KiB", f.device.l2_bytes >> 10, f.device.l3_bytes >> 10));
  line("memory",
       fmt::format("{:.1f} GiB, {:.1f} GiB available", f.memory.total_mib / 1024, f.memory.available_mib / 1024));
  line("huge pages", f.huge_pages.empty() ? "unknown" : f.huge_pages);
  if (!f.governor.empty()) line("governor", f.governor);
  line("pinning", f.pinning ? "possible" : "not possible: " + f.pinning_error);
  line("peak, 1 thread", peaks(f.one));
  line(fmt::format("peak, {}", f.device.workers).c_str(), peaks(f.all));
  for (const ModelEntry& m : known_models()) line("model", m.name + ": " + m.description);
  for (const SettingInfo& s : known_settings()) line("environment", fmt::format("{}: {}", s.variable, s.meaning));
  if (f.advice.empty()) line("advice", "nothing to change");
  for (const std::string& text : f.advice) line("advice", text);
}

}  // namespace

void add_doctor(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("doctor", "What this machine can do, and what to change");
  sub->add_flag("--json", flags->json, "Write one JSON object");
  sub->callback([flags] {
    Findings f = examine();
    if (flags->json)
      print_json(json_of(f));
    else
      print(f);
  });
}

}  // namespace flashrt::cli
