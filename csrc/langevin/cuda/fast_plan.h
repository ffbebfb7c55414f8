// Plan of the tensor-core kernel. See langevin/cuda/langevin.cu.
#pragma once

#include "langevin/cuda/plan.h"

namespace svebm {

constexpr int kFastChains = kSvebmChainGroup;  // of a group of warps: the rows of a matrix fragment
constexpr int kFastTiles = 7;                  // of 8 columns: the most that a warp has
constexpr int kFastMostThreads = 384;

// A block holds all weights in 16 bits, and groups of warps that share nothing else. Widths are multiples of 16, filled
// up with zeros.
struct FastPlan {
  TilePlan tile;                          // floats from the start of a group's memory
  int32_t n_groups, n_warps, log2_warps;  // groups of a block, warps of a group
  int32_t widths[kMostLayers + 1];
  int32_t n_dimensions, n_logits;  // D and K as multiples of 8: columns of results in fp32
  // Bytes from the start of shared memory and of the workspace, which begin alike. A row of weights has `strides`
  // halves, an odd multiple of 16 bytes: eight rows then lie on different banks.
  int32_t weights[kMostLayers], strides[kMostLayers], biases[kMostLayers];
  int32_t resident_bytes;
  int32_t group_bytes;
  int32_t inputs[2], input_stride;  // left operands, one read while the other is written: bytes in a group; halves
  int32_t logits, logits_stride;    // floats
  int32_t derivatives;              // of the first of two hidden layers: bytes
  int32_t derivative_tiles;         // that a warp has room for
  int32_t shared_bytes;
  int64_t n_blocks;
};

// Returns whether the plan fits into the device's shared memory and the kernel's registers.
inline bool plan_fast_groups(const SvebmLangevinArguments& a, DeviceLimits limits, int n_groups, int n_warps,
                             FastPlan& plan) {
  plan = {};
  if (!widths_in_range(a)) return false;
  plan.n_groups = n_groups;
  plan.n_warps = n_warps;
  plan.log2_warps = log2_of(n_warps);
  int32_t widest = 0;
  for (int l = 0; l <= a.n_layers; ++l) {
    plan.widths[l] = round_up(a.widths[l], 16);
    if (plan.widths[l] > widest) widest = plan.widths[l];
  }
  Arena resident(kSharedAlignment), group(kSharedAlignment);
  for (int l = 0; l < a.n_layers; ++l) {
    plan.strides[l] = plan.widths[l] + 8;
    plan.weights[l] = 4 * take_floats(resident, plan.widths[l + 1] * plan.strides[l] / 2);
  }
  for (int l = 0; l < a.n_layers; ++l) plan.biases[l] = 4 * take_floats(resident, plan.widths[l + 1]);
  plan.resident_bytes = 4 * n_floats(resident);

  // rows of eight floats more than a multiple of 32: chains and fragments' rows spread over the banks
  plan.tile.n_chains = kFastChains;
  plan.tile.n_threads = 32 * n_warps;
  plan.tile.dimension_stride = 1;
  plan.n_dimensions = round_up(a.widths[0], 8);
  plan.n_logits = round_up(a.widths[a.n_layers], 8);
  plan.tile.chain_stride = round_to_remainder(plan.n_dimensions, 32, 8);
  plan_tile(a, kFastChains * plan.tile.chain_stride, group, plan.tile);
  plan.logits_stride = round_to_remainder(plan.n_logits, 32, 8);
  plan.logits = take_floats(group, kFastChains * plan.logits_stride);
  plan.input_stride = widest + 8;
  for (int32_t& input : plan.inputs) input = 4 * take_floats(group, kFastChains * plan.input_stride / 2);
  plan.derivative_tiles = (plan.widths[1] / 8 + n_warps - 1) / n_warps;
  plan.derivatives = 4 * take_floats(group, a.n_layers == 3 ? 64 * n_warps * plan.derivative_tiles : 0);
  plan.group_bytes = 4 * n_floats(group);
  const int64_t bytes = plan.resident_bytes + static_cast<int64_t>(n_groups) * plan.group_bytes;
  plan.shared_bytes = static_cast<int32_t>(bytes);
  const int64_t block_chains = static_cast<int64_t>(n_groups) * kFastChains;
  plan.n_blocks = (a.n_chains + block_chains - 1) / block_chains;
  return bytes <= limits.shared_bytes && widest <= 8 * kFastTiles * n_warps &&
         32 * n_groups * n_warps <= kFastMostThreads;
}

// The plan that should take the least time. Returns false where the weights do not fit into shared memory.
inline bool plan_fast(const SvebmLangevinArguments& arguments, DeviceLimits limits, FastPlan& best) {
  // time of a block against one of two groups, which hide each other's waiting; a group alone has twice the warps
  constexpr struct {
    int n_groups, n_warps;
    double time;
  } kBlocks[] = {{1, 8, 0.75}, {2, 4, 1.0}, {3, 4, 1.35}};
  double least = 0.0;
  bool found = false;
  for (const auto& block : kBlocks) {
    FastPlan plan;
    if (!plan_fast_groups(arguments, limits, block.n_groups, block.n_warps, plan)) continue;
    const double time = static_cast<double>(n_waves(plan.n_blocks, limits)) * block.time;
    if (!found || time < least) best = plan, least = time, found = true;
  }
  return found;
}

}  // namespace svebm
