// SPDX-License-Identifier: Apache-2.0
// Replays the tiny random pi0.5 many times and counts what a replay must never do: allocate, lock, fault a page.
// Usage: replay [REPLAYS (100000)] [THREADS (every core)]; exits with 1 when a count is not 0 or actions change.
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "flashrt/api/flashrt.h"

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0}, locks{0};
void count(std::atomic<long>& counter) {
  if (counting.load(std::memory_order_relaxed)) counter.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

// The C library's own entries under its other names; operator new ends in these too.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t n) {
  count(allocations);
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
  count(allocations);
  return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
  count(allocations);
  return __libc_realloc(p, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) {
  count(allocations);
  return __libc_memalign(alignment, n);
}
void* memalign(std::size_t alignment, std::size_t n) {
  count(allocations);
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t n) {
  count(allocations);
  *out = __libc_memalign(alignment, n);
  return *out ? 0 : 12;  // ENOMEM
}
void free(void* p) {
  count(allocations);
  __libc_free(p);
}

int pthread_mutex_lock(pthread_mutex_t* m) {
  static std::atomic<int (*)(pthread_mutex_t*)> next{nullptr};
  auto call = next.load(std::memory_order_relaxed);
  if (!call) next = call = reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  count(locks);
  return call(m);
}
int pthread_mutex_trylock(pthread_mutex_t* m) {
  static std::atomic<int (*)(pthread_mutex_t*)> next{nullptr};
  auto call = next.load(std::memory_order_relaxed);
  if (!call) next = call = reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_trylock"));
  count(locks);
  return call(m);
}
}

namespace {

struct Faults {
  long minor = 0, major = 0;
};

Faults process_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return {usage.ru_minflt, usage.ru_majflt};
}

// By thread id, from fields 10 and 12 of /proc/self/task/*/stat.
std::map<int, Faults> thread_faults() {
  std::map<int, Faults> all;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = tasks ? readdir(tasks) : nullptr) {
    int id = std::atoi(entry->d_name);
    if (id <= 0) continue;
    std::ifstream file("/proc/self/task/" + std::string(entry->d_name) + "/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    // The second field is the name in parentheses and may hold spaces.
    std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
    std::string skip;
    for (int i = 3; i < 10; ++i) fields >> skip;
    Faults f;
    fields >> f.minor >> skip >> f.major;
    all[id] = f;
  }
  if (tasks) closedir(tasks);
  return all;
}

double ms_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double, std::milli>(b - a).count();
}

int run(long replays, int threads) {
  using Clock = std::chrono::steady_clock;
  flashrt::LoadOptions options;
  options.threads = threads;
  flashrt::Policy policy = flashrt::random_model("tiny", options);
  const flashrt::PolicyInfo& info = policy.info();

  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(info.image_size * info.image_size * 3));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  std::vector<std::int32_t> tokens{2, 17, 33, 121, 9, 77};
  flashrt::Observation observation;
  observation.images.assign(info.cameras.size(), {pixels.data(), info.image_size, info.image_size});
  observation.tokens = tokens;
  observation.seed = 1;
  flashrt::Program& program = policy.prepare(observation);

  auto record_start = Clock::now();
  policy.model().record(static_cast<std::int64_t>(info.cameras.size()), std::ssize(tokens), flashrt::Reading::fast);
  double record_ms = ms_between(record_start, Clock::now());

  // The first replays fault in code, stacks and the clock's page; the list of times is touched here.
  std::vector<double> times(static_cast<std::size_t>(replays), 0.0);
  for (int i = 0; i < 200; ++i) {
    auto start = Clock::now();
    program.replay();
    times[0] = ms_between(start, Clock::now());
  }
  flashrt::Tensor actions = policy.model().actions();
  std::vector<float> first(static_cast<std::size_t>(actions.elements()));
  std::copy_n(actions.as<float>(), first.size(), first.begin());

  std::map<int, Faults> workers_before = thread_faults();
  process_faults();
  Faults before = process_faults();
  long changed = 0;
  counting = true;
  for (double& t : times) {
    auto start = Clock::now();
    program.replay();
    t = ms_between(start, Clock::now());
    changed += std::memcmp(first.data(), actions.as<float>(), first.size() * sizeof(float)) != 0;
  }
  counting = false;
  Faults after = process_faults();

  Faults process{after.minor - before.minor, after.major - before.major};
  std::printf("pi05 tiny, %s, %d threads, %zu launches, %ld replays\n", info.precision.c_str(),
              policy.device().info().workers, program.steps().size(), replays);
  std::printf("record: %.3f ms this program, %.1f ms all %zu programs at load\n", record_ms, info.record_ms,
              info.programs);
  std::printf("allocations %ld\nlocks %ld\npage faults %ld minor, %ld major\n", allocations.load(), locks.load(),
              process.minor, process.major);
  for (const auto& [id, faults] : thread_faults()) {
    const Faults& old = workers_before[id];
    // Reading these counts makes the main thread fault by itself; its replays are part of the line above.
    if (id != static_cast<int>(getpid()))
      std::printf("  worker %d: %ld minor, %ld major\n", id, faults.minor - old.minor, faults.major - old.major);
  }
  std::sort(times.begin(), times.end());
  auto at = [&](double share) {
    return times[std::min(times.size() - 1, static_cast<std::size_t>(share * static_cast<double>(times.size())))];
  };
  std::printf("replay ms: min %.4f, p50 %.4f, p99 %.4f, p99.9 %.4f, max %.4f\n", times.front(), at(0.5), at(0.99),
              at(0.999), times.back());
  std::printf("replays whose actions differ in a bit: %ld\n", changed);
  return allocations.load() == 0 && locks.load() == 0 && process.minor == 0 && process.major == 0 && changed == 0 ? 0
                                                                                                                  : 1;
}

}  // namespace

int main(int argc, char** argv) {
  long replays = argc > 1 ? std::atol(argv[1]) : 100'000;
  int threads = argc > 2 ? std::atoi(argv[2]) : 0;
  if (replays < 1 || threads < 0) {
    std::fprintf(stderr, "usage: replay [REPLAYS] [THREADS]\n");
    return 2;
  }
  try {
    return run(replays, threads);
  } catch (const flashrt::Error& e) {
    std::fprintf(stderr, "replay: %s\n", e.what());
    return 2;
  }
}
