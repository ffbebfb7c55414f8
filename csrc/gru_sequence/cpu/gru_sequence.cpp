// Rows of the batch are independent of each other: a thread takes 16 or 32 of them, on vector lanes, through all time
// steps, and no thread waits for another. The packed weights (3 MB at H = 512) are read from the third-level cache at
// each step; with 32 lanes that is less than a tenth of what it delivers.
#include "gru_sequence/gru_sequence.h"

#include "gru_sequence/cpu/block.h"

namespace svebm {
namespace SVEBM_VARIANT {

int64_t gru_panels(const SvebmGruSequenceArguments& a, bool backward) {
  const int64_t units = backward ? kGateRows : kUnits;
  return (a.hidden + units - 1) / units;
}

int64_t gru_weight_numbers(const SvebmGruSequenceArguments& a, bool backward) {
  // pairs take half of it
  return round_up(gru_panels(a, backward) * panel_numbers(backward ? 3 * a.hidden : a.hidden), 16);
}

int64_t gru_worker_numbers(const SvebmGruSequenceArguments& a) {
  GruBuffers buffers;
  return buffers.lay_out(a.hidden, 32, nullptr);
}

void gru_pack(const SvebmGruSequenceArguments& a, const GruMemory& memory, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; ++item) {
#if defined(__AVX512BF16__)
    if (memory.pairs) {
      pack_gru_panel<Bf16Pairs>(a, memory, item, gru_panels(a, memory.backward),
                                gru_weight_numbers(a, memory.backward));
      continue;
    }
#endif
    pack_gru_panel<Single>(a, memory, item, gru_panels(a, memory.backward), gru_weight_numbers(a, memory.backward));
  }
}

namespace {

template <typename Kind, int kLanes>
void run_item(const SvebmGruSequenceArguments& a, const GruMemory& memory, int worker, int64_t item) {
  const int direction = static_cast<int>(item % a.n_directions);
  GruBuffers buffers;
  buffers.lay_out(a.hidden, kLanes, memory.workers + worker * memory.worker_numbers);
  GruBlock<Kind, kLanes> block{a,
                               memory,
                               buffers,
                               direction,
                               item / a.n_directions * kLanes,
                               memory.weights + direction * gru_weight_numbers(a, memory.backward),
                               gru_panels(a, memory.backward)};
  if (memory.backward) {
    block.backward();
  } else {
    block.forward();
  }
}

}  // namespace

void gru_blocks(const SvebmGruSequenceArguments& a, const GruMemory& memory, int worker, int lanes, int64_t begin,
                int64_t end) {
  for (int64_t item = begin; item < end; ++item) {
#if defined(__AVX512BF16__)
    if (memory.pairs) {
      lanes == 16 ? run_item<Bf16Pairs, 16>(a, memory, worker, item) : run_item<Bf16Pairs, 32>(a, memory, worker, item);
      continue;
    }
#endif
    lanes == 16 ? run_item<Single, 16>(a, memory, worker, item) : run_item<Single, 32>(a, memory, worker, item);
  }
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include <algorithm>

#include "common/cpu/thread_pool.h"

namespace svebm {
namespace {

// Rows in a block: weights are read once for a block, so that 32 are cheaper than twice 16; but few blocks may leave
// threads idle.
int choose_lanes(int64_t n_rows, int n_directions, int n_threads) {
  const auto time = [&](int lanes, double cost) {
    const int64_t n_items = (n_rows + lanes - 1) / lanes * n_directions;
    return static_cast<double>((n_items + n_threads - 1) / n_threads) * cost;
  };
  return time(16, 0.57) < time(32, 1.0) ? 16 : 32;
}

// Lays the workspace of a pass out, or only counts where there is no memory; returns its bytes.
int64_t lay_out(const SvebmGruSequenceArguments& a, bool backward, void* workspace, int n_threads, GruMemory& memory,
                int64_t*& starts) {
  Arena arena(64, workspace);
  memory.worker_numbers = SVEBM_CHOOSE_VARIANT(gru_worker_numbers)(a);
  starts = arena.take<int64_t>(a.n_steps);
  memory.biases = arena.take<float>(a.n_directions * gru_bias_numbers(a.hidden));
  memory.weights = arena.take<float>(a.n_directions * SVEBM_CHOOSE_VARIANT(gru_weight_numbers)(a, backward));
  memory.workers = arena.take<float>(n_threads * memory.worker_numbers);
  return arena.used();
}

void run(const SvebmGruSequenceArguments& a, bool backward, void* workspace, int n_threads) {
  const auto pack = SVEBM_CHOOSE_VARIANT(gru_pack);
  const auto blocks = SVEBM_CHOOSE_VARIANT(gru_blocks);
  GruMemory memory{};
  memory.backward = backward;
  memory.pairs = a.fast != 0 && cpu_variant() == CpuVariant::kAvx512Bf16;
  int64_t* starts = nullptr;
  lay_out(a, backward, workspace, n_threads, memory, starts);
  for (int64_t t = 0, start = 0; t < a.n_steps; ++t) {
    starts[t] = start;
    start += a.batch_sizes[t];
  }
  memory.starts = starts;
  const int64_t n_panels = SVEBM_CHOOSE_VARIANT(gru_panels)(a, backward);
  parallel_for(n_threads, a.n_directions * n_panels, 4,
               [&](int64_t begin, int64_t end) { pack(a, memory, begin, end); });
  const int lanes = choose_lanes(a.n_rows, a.n_directions, n_threads);
  // one at a time, those with the longest rows first
  parallel_parts(n_threads, (a.n_rows + lanes - 1) / lanes * a.n_directions, 1,
                 [&](int worker, int64_t begin, int64_t end) { blocks(a, memory, worker, lanes, begin, end); });
}

}  // namespace

int64_t gru_sequence_cpu_workspace(const SvebmGruSequenceArguments& a, int n_threads) {
  GruMemory memory{};
  int64_t* starts = nullptr;
  return std::max(lay_out(a, false, nullptr, n_threads, memory, starts),
                  lay_out(a, true, nullptr, n_threads, memory, starts));
}

void gru_sequence_cpu(const SvebmGruSequenceArguments& a, void* workspace, int n_threads) {
  run(a, false, workspace, n_threads);
}

void gru_sequence_backward_cpu(const SvebmGruSequenceArguments& a, void* workspace, int n_threads) {
  run(a, true, workspace, n_threads);
}

}  // namespace svebm

#endif
