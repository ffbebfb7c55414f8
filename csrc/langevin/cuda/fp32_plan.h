// Plan of the fp32 kernel. See langevin/cuda/langevin.cu.
#pragma once

#include <initializer_list>

#include "common/inline.h"
#include "langevin/cuda/plan.h"

namespace svebm {

enum ProductKind { kHiddenForward, kLogits, kHiddenBackward, kGradient };

// One product of an evaluation, out[n_out] = in[n_in] W for all chains of a tile. Widths are multiples of 8, filled up
// with zeros; offsets are in floats of shared memory unless said otherwise.
struct Product {
  int32_t kind, layer;
  int32_t n_in, n_out;
  int32_t input, output;  // rows of one number of every chain
  int32_t derivative;     // rows of act' of the layer
  int32_t bias;
  int32_t chunk_rows;  // rows of W copied at a time
  int64_t weights;     // in the workspace: [n_in, columns] for each panel of columns
};

struct Fp32Plan {
  TilePlan tile;
  Product products[2 * kMostLayers];
  int32_t n_products;
  int32_t tiles_per_block;  // one after the other: more than one where a group of partial sums needs several tiles
  int32_t logits, n_logits;
  int32_t biases, n_biases;
  int32_t chunks, chunk_floats, stage_floats;
  int32_t shared_floats;
  int64_t workspace_biases;
  int64_t workspace_floats;
  int64_t n_blocks;
};

constexpr int kFp32Threads = 256;
constexpr int kFp32Warps = kFp32Threads / 32;
constexpr int kFp32Stages = 3;  // of chunks of weights: one in use, two on their way

// A thread has 4 chains x 8 columns. A warp has chains / 4 threads along the chains, and the others along columns; or,
// where there are at most 64 columns, it has eight of them and its threads share the sum.
constexpr int kNarrowColumns = 8 * kFp32Warps;
SVEBM_INLINE constexpr int fp32_column_threads(int n_chains) { return 32 / (n_chains / 4); }
SVEBM_INLINE constexpr int fp32_panel_columns(int n_chains) { return kNarrowColumns * fp32_column_threads(n_chains); }

// Floats between rows of a tile. Rows are also read along columns: an odd multiple of four spreads them over the banks.
// Small tiles are for wide networks, where room counts for more.
SVEBM_INLINE constexpr int fp32_row_stride(int n_chains) { return n_chains < 16 ? n_chains : n_chains + 4; }

inline Product fp32_product(const SvebmLangevinArguments& a, bool forward, int layer) {
  Product p{};
  const bool last = forward ? layer + 1 == a.n_layers : layer == 0;
  p.kind = forward ? (last ? kLogits : kHiddenForward) : (last ? kGradient : kHiddenBackward);
  p.layer = layer;
  p.n_in = round_up(a.widths[forward ? layer : layer + 1], 8);
  p.n_out = round_up(a.widths[forward ? layer + 1 : layer], 8);
  return p;
}

// At most `most` rows, and full rounds of the unrolled loop over rows where that leaves any.
inline int32_t fp32_chunk_rows(const Product& p, int32_t most, int n_chains) {
  const int32_t round = 4 * (p.n_out <= kNarrowColumns ? fp32_column_threads(n_chains) : 1);
  if (most >= p.n_in) return p.n_in;
  return most >= round ? most / round * round : most;
}

// Chains of a tile in {32, 16, 8, 4}. Returns whether the plan fits into the device's shared memory.
inline bool plan_fp32_tile(const SvebmLangevinArguments& a, DeviceLimits limits, int n_chains, int chunk_floats,
                           Fp32Plan& plan) {
  plan = {};
  if (!widths_in_range(a)) return false;
  Arena memory(kSharedAlignment);
  const int32_t stride = fp32_row_stride(n_chains), last = a.n_layers - 1;
  plan.tile.n_chains = n_chains;
  plan.tile.n_threads = kFp32Threads;
  plan.tile.dimension_stride = stride;
  plan.tile.chain_stride = 1;
  plan_tile(a, round_up(a.widths[0], 8) * stride, memory, plan.tile);
  plan.n_logits = round_up(a.widths[a.n_layers], 8);
  plan.logits = take_floats(memory, plan.n_logits * stride);
  int32_t activations[kMostLayers], derivatives[kMostLayers];
  for (int l = 0; l < last; ++l) {
    activations[l] = take_floats(memory, round_up(a.widths[l + 1], 8) * stride);
    derivatives[l] = take_floats(memory, round_up(a.widths[l + 1], 8) * stride);
  }
  for (int l = 0; l <= last; ++l) {
    Product& p = plan.products[plan.n_products++] = fp32_product(a, true, l);
    p.input = l == 0 ? plan.tile.x : activations[l - 1];
    p.output = l == last ? plan.logits : activations[l];
    p.derivative = l == last ? 0 : derivatives[l];
    p.bias = plan.n_biases;
    plan.n_biases += p.n_out;
  }
  for (int l = last; l >= 0; --l) {  // v = W^T (...) takes the place of the derivative that it is multiplied by
    Product& p = plan.products[plan.n_products++] = fp32_product(a, false, l);
    p.input = l == last ? plan.logits : derivatives[l];
    p.output = l == 0 ? plan.tile.gradient : derivatives[l - 1];
  }
  plan.biases = take_floats(memory, plan.n_biases);
  plan.chunk_floats = chunk_floats;
  // threads without a column read on behind the last row, up to the columns of a whole warp
  plan.stage_floats = chunk_floats + 8 * fp32_column_threads(n_chains);
  plan.chunks = take_floats(memory, kFp32Stages * plan.stage_floats);
  plan.shared_floats = n_floats(memory);
  bool fits = plan.shared_floats <= limits.shared_bytes / 4;
  for (int i = 0; i < plan.n_products; ++i) {
    Product& p = plan.products[i];
    const int32_t panel = fp32_panel_columns(n_chains), columns = p.n_out < panel ? p.n_out : panel;
    fits = fits && columns <= chunk_floats;
    p.chunk_rows = fp32_chunk_rows(p, chunk_floats / columns, n_chains);
    p.weights = plan.workspace_floats;
    plan.workspace_floats += static_cast<int64_t>(p.n_in) * p.n_out;
  }
  plan.workspace_biases = plan.workspace_floats;
  plan.workspace_floats += plan.n_biases;
  plan.tiles_per_block = a.partials != nullptr && n_chains < kSvebmChainGroup ? kSvebmChainGroup / n_chains : 1;
  const int64_t block_chains = static_cast<int64_t>(n_chains) * plan.tiles_per_block;
  plan.n_blocks = (a.n_chains + block_chains - 1) / block_chains;
  return fits;
}

// The plan that should take the least time. Returns false where nothing fits into the device's shared memory.
inline bool plan_fp32(const SvebmLangevinArguments& arguments, DeviceLimits limits, Fp32Plan& best) {
  // time of a tile of so many chains against one of 32: it reads the same weights, and leaves more threads idle
  constexpr struct {
    int n_chains;
    double time;
  } kTiles[] = {{32, 1.0}, {16, 0.6}, {8, 0.4}, {4, 0.3}};
  double least = 0.0;
  bool found = false;
  for (const auto& tile : kTiles) {
    for (const int chunk_floats : {4096, 2048, 1024}) {
      Fp32Plan plan;
      if (!plan_fp32_tile(arguments, limits, tile.n_chains, chunk_floats, plan)) continue;
      const double time = static_cast<double>(n_waves(plan.n_blocks, limits)) * plan.tiles_per_block * tile.time;
      if (!found || time < least) best = plan, least = time, found = true;
      break;
    }
  }
  return found;
}

}  // namespace svebm
