// SPDX-License-Identifier: Apache-2.0
// MatMul on the CPU: tasks are panels of 32 output columns; a worker streams each panel of w from memory once and runs
// all rows of x against it.
//
// A panel is taken in depth blocks of about 256 KiB, which stay in L2 while the rows pass in register tiles; x comes
// from L3, 14 rows a tile. Sums of unfinished rows wait in scratch. While the last row blocks run, the next depth
// block, or the first of the panel this worker has already claimed, is brought into L2.
#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/cpu_rows.h"
#include "flashrt/ops/mat_mul/epilogue.h"
#include "flashrt/ops/mat_mul/mat_mul.h"
#include "flashrt/ops/tiles/gemm_tile.h"

namespace flashrt::FLASHRT_ISA {
namespace {

constexpr std::int64_t kMostRowBlocks = 48;  // of one task, so that unfinished sums stay in L2
constexpr std::int64_t kFineTasks = 4;       // a panel of the last ones is cut into, so that workers end together
constexpr std::int64_t kStart = 2048;        // bytes that requests for a panel read once are ahead of its use

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

constexpr int tile_rows(DType t) {
  return t == DType::f32 ? kTileRows<DType::f32> : t == DType::bf16 ? kTileRows<DType::bf16> : kTileRows<DType::i8>;
}

// Row blocks [first, last) of one panel.
struct Task {
  std::int64_t panel = -1, first = 0, last = 0;
  explicit operator bool() const { return panel >= 0; }
};

// How a product is cut; depends on shapes and the number of workers, the results do not.
struct Cut {
  std::int64_t rows, row_blocks, panels, depth, block_depth;
  std::int64_t tasks_a_panel, fine_panels, fine_tasks_a_panel;

  Cut(const MatMul& op, int workers) {
    const std::int64_t group = packed_group(op.x.dtype);
    rows = op.x.dim(0);
    depth = op.x.dim(1);
    panels = ceil_div(op.w.dim(0), kPanel);
    row_blocks = ceil_div(rows, tile_rows(op.x.dtype));
    const std::int64_t groups = ceil_div(depth, group);
    // One row block has no use for w again, and a block a quarter larger still fits.
    const std::int64_t blocks =
        row_blocks == 1 || groups <= kMatMulBlockGroups * 5 / 4 ? 1 : ceil_div(groups, kMatMulBlockGroups);
    block_depth = ceil_div(groups, blocks) * group;
    tasks_a_panel = ceil_div(row_blocks, kMostRowBlocks);
    fine_panels = panels < workers ? panels : workers;
    fine_tasks_a_panel = row_blocks < kFineTasks ? row_blocks : kFineTasks;
    if (fine_tasks_a_panel < tasks_a_panel) fine_tasks_a_panel = tasks_a_panel;
  }
  // Even blocks of rows: 528 rows are 38 blocks of 13 or 14.
  std::int64_t first_row(std::int64_t block) const { return rows * block / row_blocks; }
  std::int64_t rows_a_task() const { return ceil_div(row_blocks, tasks_a_panel) * ceil_div(rows, row_blocks); }

  Task task(std::int64_t i) const {
    const std::int64_t coarse = (panels - fine_panels) * tasks_a_panel;
    std::int64_t panel, part, parts;
    if (i < coarse) {
      parts = tasks_a_panel;
      panel = i / parts;
    } else {
      i -= coarse;
      parts = fine_tasks_a_panel;
      panel = panels - fine_panels + i / parts;
      if (panel >= panels) return {};
    }
    part = i % parts;
    return {panel, row_blocks * part / parts, row_blocks * (part + 1) / parts};
  }
};

template <DType T>
void run_task(const MatMul& op, const Cut& cut, const Task& task, const Task& next, std::byte* scratch) noexcept {
  constexpr std::int64_t kElement = bits(T) / 8;
  const std::int64_t panel_bytes = packed_panel(T, cut.depth) * kElement;
  const std::byte* panel = op.w.data + task.panel * panel_bytes;
  const PanelVectors vectors = panel_vectors(op, task.panel);
  const std::int64_t block_bytes = cut.block_depth * kPanel * kElement, first_row = cut.first_row(task.first);
  const bool whole = cut.block_depth >= cut.depth;
  const std::int64_t tiles = task.last - task.first;
  auto* sums = reinterpret_cast<TileSum<T>*>(scratch);

  TileArgs t;
  t.a_pitch = op.x.row_bytes();
  t.c_pitch = kPanel;
  t.row_pitch = op.y.row_bytes();

  for (std::int64_t k = 0; k < cut.depth; k += cut.block_depth, panel += block_bytes) {
    const bool last = k + cut.block_depth >= cut.depth;
    const std::byte* coming = !last ? panel + block_bytes : next ? op.w.data + next.panel * panel_bytes : nullptr;
    t.b = panel;
    t.depth = last ? cut.depth - k : cut.block_depth;
    t.accumulate = k > 0;
    for (std::int64_t i = task.first; i < task.last; ++i) {
      const std::int64_t row = cut.first_row(i), count = cut.first_row(i + 1) - row;
      t.a = op.x.data + row * t.a_pitch + k * kElement;
      t.c = whole ? sums : sums + (row - first_row) * kPanel;
      // Without it the stores of the results would wait for their lines one after another.
      t.rows_wanted = last ? count : 0;
      t.row_wanted = op.y.data + row * t.row_pitch + vectors.y_column * bits(op.y.dtype) / 8;
      if (tiles == 1) {
        // Nothing is read twice. Few rows keep up with one linear stream; more of them need a start on it.
        t.coming = count > 8 ? panel + kStart : nullptr;
        t.coming_share = 1;
      } else {
        // The last tiles of this block fetch the next one.
        const std::int64_t share = tiles < 4 ? 2 : 4, left = task.last - i;
        t.coming = coming && left <= share ? coming + (share - left) * block_bytes / share : nullptr;
        t.coming_share = share;
      }
      multiply_tile<T>(count, vectors.columns, t);
      if (last) finish(op, vectors, row, count, static_cast<const TileSum<T>*>(t.c));
    }
  }
}

template <DType T>
void run_typed(const MatMul& op, const Exec& exec) noexcept {
  const Cut cut(op, exec.workers);
  for (Task task = cut.task(exec.claim()), next; task; task = next) {
    next = cut.task(exec.claim());
    run_task<T>(op, cut, task, next, exec.scratch);
  }
}

void run(const MatMul& op, const Exec& exec) noexcept {
  switch (op.x.dtype) {
    case DType::bf16: return run_typed<DType::bf16>(op, exec);
    case DType::i8: return run_typed<DType::i8>(op, exec);
    default: return run_typed<DType::f32>(op, exec);
  }
}

bool supports(const MatMul& op, const DeviceInfo& device) {
  return (device.features & FLASHRT_ISA_FEATURE) && op.y.dtype != DType::i8;
}

std::size_t scratch(const MatMul& op, const DeviceInfo& device) {
  return static_cast<std::size_t>(Cut(op, device.workers).rows_a_task() * kPanel) * sizeof(float);
}

}  // namespace

std::span<const Kernel<MatMul>> rows(const MatMul*) {
  static constexpr Kernel<MatMul> kRows[] = {{FLASHRT_ISA_NAME, supports, scratch, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
