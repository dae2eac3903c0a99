// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/weight_loader.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/quant/packing.h"

namespace flashrt {
namespace {

// Columns of the product, N.
std::int64_t rows_of(const LinearSpec& s) {
  if (s.paired) return 2 * round_up(s.parts.front().rows, kPanel / 2);
  std::int64_t n = 0;
  for (const LinearPart& p : s.parts) n += p.rows;
  return n;
}

// Side of the square patch of a convolution weight.
std::int64_t patch_side(const LinearSpec& s) {
  std::int64_t side = 1;
  while (side * side * s.channels < s.K) ++side;
  require(side * side * s.channels == s.K, "a patch of {} values is not square in {} channels", s.K, s.channels);
  return side;
}

// [channels][p][p] -> [p][p][channels]
void to_channels_last(float* row, std::int64_t channels, std::int64_t pixels, float* scratch) {
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t i = 0; i < pixels; ++i) scratch[i * channels + c] = row[c * pixels + i];
  std::memcpy(row, scratch, static_cast<std::size_t>(channels * pixels) * sizeof(float));
}

// Integers and 8-bit floats are quantised weights, whose scales this declaration knows nothing of.
bool is_plain(StoredType t) {
  return t == StoredType::f32 || t == StoredType::bf16 || t == StoredType::f16 || t == StoredType::f64;
}

std::vector<std::int64_t> dims(const Shape& s) { return {s.dims.begin(), s.dims.begin() + s.rank}; }

}  // namespace

DType Precision::of(std::string_view group) const {
  if (group == "head") return DType::f32;
  auto it = keep.find(group);
  return it == keep.end() ? all : it->second;
}

DType Precision::of(const LinearSpec& s) const {
  DType t = of(s.group);
  return s.high && t == DType::i8 ? DType::bf16 : t;
}

Precision parse_precision(std::string_view text, const std::vector<std::string>& keep,
                          const std::vector<std::string_view>& groups) {
  auto dtype = [](std::string_view t) {
    if (t == "f32" || t == "fp32") return DType::f32;
    if (t == "bf16") return DType::bf16;
    if (t == "int8" || t == "i8") return DType::i8;
    fail("unknown precision \"{}\"; use f32, bf16 or int8", t);
  };
  Precision p;
  p.all = dtype(text.substr(0, text.find(',')));
  std::vector<std::string> exceptions;
  while (text.find(',') != text.npos) {
    text.remove_prefix(text.find(',') + 1);
    exceptions.emplace_back(text.substr(0, text.find(',')));
  }
  exceptions.insert(exceptions.end(), keep.begin(), keep.end());
  for (const std::string& k : exceptions) {
    auto eq = k.find('=');
    std::string group = k.substr(0, eq);
    std::string known;
    for (std::string_view g : groups) known += (known.empty() ? "" : ", ") + std::string(g);
    require(eq != std::string::npos, "\"{}\" is not GROUP=PRECISION; groups of this model: {}", k, known);
    require(std::find(groups.begin(), groups.end(), group) != groups.end(),
            "unknown layer group \"{}\"; groups of this model: {}", group, known);
    DType type = dtype(std::string_view(k).substr(eq + 1));
    require(p.keep.try_emplace(group, type).first->second == type, "the layer group \"{}\" is given two precisions",
            group);
  }
  return p;
}

std::string to_string(const Precision& p) {
  auto text = [](DType t) { return t == DType::i8 ? std::string("int8") : std::string(name(t)); };
  std::string s = text(p.all);
  for (const auto& [group, t] : p.keep) s += "," + group + "=" + text(t);
  return s;
}

void WeightManifest::add(const std::string& name, std::vector<std::int64_t> shape, bool needed) {
  auto [it, fresh] = entries_.try_emplace(name, Entry{std::move(shape), needed});
  if (!fresh) it->second.needed |= needed;
}

void WeightManifest::linear(Linear&, const LinearSpec& s) {
  for (const LinearPart& p : s.parts) {
    if (s.channels) {
      std::int64_t side = patch_side(s);
      add(p.name + ".weight", {p.rows, s.channels, side, side}, true);
    } else {
      add(p.name + ".weight", {p.rows, s.K}, true);
    }
    if (s.bias) add(p.name + ".bias", {p.rows}, true);
  }
  if (!s.offset_gain.empty()) add(s.offset_gain, {s.K}, true);
  sizes_.push_back({s, rows_of(s), s.K});
}

void WeightManifest::tensor(Tensor&, std::string_view, const std::string& name, Shape shape, Keep) {
  add(name, dims(shape), true);
  sizes_.push_back({{}, shape.elements(), 0});
}

void WeightManifest::unused(const std::string& name, Shape shape) { add(name, dims(shape), false); }

std::size_t WeightManifest::packed_bytes(const Precision& precision) const {
  std::int64_t total = 0;
  for (const Size& s : sizes_) {
    DType t = precision.of(s.spec);
    total += s.K ? bytes_for(t, packed_elements(t, s.rows, s.K)) + 8 * s.rows : 4 * s.rows;
    total += 4 * static_cast<std::int64_t>(Arena::kAlign);
  }
  return static_cast<std::size_t>(total);
}

std::int64_t WeightManifest::parameters() const {
  std::int64_t total = 0;
  for (const auto& [name, entry] : entries_) {
    std::int64_t n = 1;
    for (std::int64_t d : entry.shape) n *= d;
    if (entry.needed) total += n;
  }
  return total;
}

void WeightManifest::check(const TensorSource& source) const {
  constexpr int kShown = 12;
  std::string problems;
  int count = 0;
  auto report = [&](const std::string& line) {
    if (++count <= kShown) problems += "\n  " + line;
  };
  for (const auto& [name, entry] : entries_) {
    const TensorInfo* info = source.find(name);
    if (!info) {
      if (entry.needed) report(fmt::format("missing tensor \"{}\" {}", name, shape_text(entry.shape)));
    } else if (info->shape != entry.shape) {
      report(fmt::format("tensor \"{}\" is {}, the model needs {}", name, shape_text(info->shape),
                         shape_text(entry.shape)));
    } else if (entry.needed && !is_plain(info->type)) {
      report(
          fmt::format("tensor \"{}\" is {}; weights without a scale must be F32, F16 or BF16", name, to_string(*info)));
    }
  }
  for (const std::string& name : source.names())
    if (!entries_.contains(name)) report(fmt::format("unknown tensor \"{}\", which this model does not use", name));
  if (count > kShown) problems += fmt::format("\n  and {} more", count - kShown);
  require(count == 0, "{} does not fit the model:{}", source.description(), problems);
}

WeightLoader::WeightLoader(const TensorSource& source, const Precision& precision, Arena& arena)
    : source_(source), precision_(precision), arena_(arena) {}

void WeightLoader::linear(Linear& out, const LinearSpec& spec) {
  DType dtype = precision_.of(spec);
  std::int64_t N = rows_of(spec);
  require(!spec.paired || (spec.parts.size() == 2 && spec.parts[0].rows == spec.parts[1].rows && !spec.bias),
          "paired weights need two equal parts without bias");
  out = {};
  out.paired = spec.paired;
  Shape shape{N, spec.K};
  out.w = packed_rhs(arena_.allocate(static_cast<std::size_t>(packed_rhs_bytes(shape, dtype))), shape, dtype);
  if (dtype == DType::i8) out.w_scale = arena_.tensor({N}, DType::f32);
  add_panels(out, spec);
  if (!spec.bias) return;
  out.bias = arena_.tensor({N}, DType::f32);
  jobs_.push_back({{}, [this, spec, out](std::vector<float>&) {
                     std::int64_t n = 0;
                     for (const LinearPart& p : spec.parts) {
                       source_.read_finite_rows(p.name + ".bias", 0, p.rows, out.bias.as<float>() + n);
                       n += p.rows;
                     }
                     for (std::int64_t i = 0; i < n; ++i) out.bias.as<float>()[i] *= spec.scale;
                   }});
}

void WeightLoader::add_panels(const Linear& out, const LinearSpec& spec) {
  std::int64_t N = out.N(), K = out.K();
  // About a megabyte of f32 a job: small enough to share out, large enough to read in long runs.
  std::int64_t per_job = std::clamp<std::int64_t>((std::int64_t{1} << 18) / (kPanel * K), 1, 64);
  std::int64_t panels = round_up(N, kPanel) / kPanel;
  std::shared_ptr<std::vector<float>> gain;
  if (!spec.offset_gain.empty()) {
    gain = std::make_shared<std::vector<float>>(source_.read(spec.offset_gain));
    for (float& g : *gain) g += 1.0f;
  }
  auto shared = std::make_shared<const LinearSpec>(spec);
  std::vector<std::string> weights;
  for (const LinearPart& p : spec.parts) weights.push_back(p.name + ".weight");
  for (std::int64_t first = 0; first < panels; first += per_job) {
    std::int64_t last = std::min(first + per_job, panels);
    jobs_.push_back({weights, [this, shared, out, gain, first, last, N, K](std::vector<float>& rows) {
                       const LinearSpec& s = *shared;
                       rows.resize(static_cast<std::size_t>((kPanel + 1) * K));
                       // Rows [n, n + count) of the stacked parts go to `to`.
                       auto read_stacked = [&](std::int64_t n, std::int64_t count, float* to) {
                         for (const LinearPart& p : s.parts) {
                           std::int64_t take = std::min(count, p.rows - n);
                           if (take > 0) {
                             source_.read_finite_rows(p.name + ".weight", n, take, to);
                             to += take * K;
                             count -= take;
                             n += take;
                           }
                           n -= p.rows;
                         }
                       };
                       for (std::int64_t p = first; p < last; ++p) {
                         std::int64_t count = std::min(kPanel, N - p * kPanel);
                         if (s.paired) {
                           std::int64_t half = kPanel / 2, there = std::min(half, s.parts.front().rows - p * half);
                           if (there < half) std::fill(rows.begin(), rows.end(), 0.0f);
                           for (std::int64_t branch = 0; branch < 2; ++branch)
                             source_.read_finite_rows(s.parts[static_cast<std::size_t>(branch)].name + ".weight",
                                                      p * half, there, rows.data() + branch * half * K);
                         } else {
                           read_stacked(p * kPanel, count, rows.data());
                         }
                         for (std::int64_t i = 0; i < count; ++i) {
                           float* row = rows.data() + i * K;
                           if (s.channels) to_channels_last(row, s.channels, K / s.channels, rows.data() + kPanel * K);
                           if (gain)
                             for (std::int64_t k = 0; k < K; ++k) row[k] *= (*gain)[static_cast<std::size_t>(k)];
                           if (s.scale != 1)
                             for (std::int64_t k = 0; k < K; ++k) row[k] *= s.scale;
                         }
                         std::byte* panel = out.w.data + bytes_for(out.w.dtype, p * packed_panel(out.w.dtype, K));
                         pack_panel(rows.data(), count, K, out.w.dtype, panel,
                                    out.w_scale ? out.w_scale.as<float>() + p * kPanel : nullptr);
                       }
                     }});
  }
}

void WeightLoader::tensor(Tensor& out, std::string_view group, const std::string& name, Shape shape, Keep keep) {
  DType dtype = DType::f32;
  if (keep == Keep::stored) {
    const TensorInfo* info = source_.find(name);
    require(info, "{}: missing tensor \"{}\"", source_.description(), name);
    if (info->type == StoredType::bf16 || info->type == StoredType::f16)
      dtype = info->type == StoredType::bf16 ? DType::bf16 : DType::f16;
    else if (precision_.of(group) != DType::f32)
      dtype = DType::bf16;
  }
  out = arena_.tensor(shape, dtype);
  std::int64_t rows = shape.rank ? shape[0] : 1, width = shape.elements() / std::max<std::int64_t>(rows, 1);
  std::int64_t per_job = std::max<std::int64_t>(1, (std::int64_t{1} << 18) / std::max<std::int64_t>(width, 1));
  for (std::int64_t first = 0; first < rows; first += per_job) {
    std::int64_t count = std::min(per_job, rows - first);
    jobs_.push_back({{name}, [this, out, name, first, count, width](std::vector<float>& scratch) {
                       auto n = static_cast<std::size_t>(count * width);
                       if (out.dtype == DType::f32)
                         return source_.read_finite_rows(name, first, count, out.as<float>() + first * width);
                       scratch.resize(n);
                       source_.read_finite_rows(name, first, count, scratch.data());
                       auto* to = out.as<std::uint16_t>() + first * width;
                       if (out.dtype == DType::bf16)
                         for (std::size_t i = 0; i < n; ++i) to[i] = to_bf16(scratch[i]);
                       else
                         for (std::size_t i = 0; i < n; ++i) to[i] = to_f16(scratch[i]);
                     }});
  }
}

void WeightLoader::load(Device& device) {
  // A tensor's pages leave this process once its last job has ended, so that the file and its packed copy are never
  // both resident. Giving them back row by row was measured three times slower: every call interrupts both cores.
  std::map<std::string, std::atomic<int>, std::less<>> left;
  for (const Job& job : jobs_)
    for (const std::string& tensor : job.tensors) ++left[tensor];
  std::vector<std::vector<float>> scratch(static_cast<std::size_t>(device.info().workers));
  device.parallel(std::ssize(jobs_), [&](int worker, std::int64_t i) {
    const Job& job = jobs_[static_cast<std::size_t>(i)];
    job.run(scratch[static_cast<std::size_t>(worker)]);
    for (const std::string& tensor : job.tensors)
      if (--left.at(tensor) == 0) source_.release(tensor);
  });
  jobs_.clear();
}

}  // namespace flashrt
