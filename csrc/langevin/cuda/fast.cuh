// The tensor-core kernel: 16 chains go through all steps with a group of warps. See langevin/cuda/langevin.cu for the
// idea.
#pragma once

#include "langevin/cuda/activation.cuh"
#include "langevin/cuda/chains.cuh"
#include "langevin/cuda/fast_plan.h"

namespace svebm {

SVEBM_DEVICE bool left_half_range(uint32_t halves) {
  return (halves & 0x7C00u) == 0x7C00u || (halves & 0x7C000000u) == 0x7C000000u;
}

// One 32-bit word of the workspace, which blocks copy as it is: two weights or a bias.
SVEBM_DEVICE void pack_fast(const SvebmLangevinArguments& a, const FastPlan& plan, unsigned char* workspace) {
  const int64_t word = global_thread();
  if (4 * word >= plan.resident_bytes) return;
  const int byte = static_cast<int>(4 * word);
  int layer = a.n_layers - 1;
  if (byte >= plan.biases[0]) {
    while (byte < plan.biases[layer]) --layer;
    const int row = (byte - plan.biases[layer]) / 4;
    reinterpret_cast<float*>(workspace)[word] = row < a.widths[layer + 1] ? a.biases[layer][row] : 0.0f;
    return;
  }
  while (byte < plan.weights[layer]) --layer;
  const int within = (byte - plan.weights[layer]) / 2, row = within / plan.strides[layer];
  const int column = within - row * plan.strides[layer], width = a.widths[layer];
  const bool exists = row < a.widths[layer + 1];
  const float* const weights = a.weights[layer] + static_cast<int64_t>(row) * width + column;
  const uint32_t pair =
      pack_halves(exists && column < width ? weights[0] : 0.0f, exists && column + 1 < width ? weights[1] : 0.0f);
  reinterpret_cast<uint32_t*>(workspace)[word] = pair;
  if (left_half_range(pair)) *a.non_finite = 1;
}

// A group of warps and its part of shared memory.
struct Group {
  const FastPlan& plan;
  unsigned char* resident;  // weights and biases of the block
  unsigned char* memory;
  int number, warp, lane;
};

SVEBM_DEVICE HalfBits* operand(const Group& group, int which) {
  return reinterpret_cast<HalfBits*>(group.memory + group.plan.inputs[which]);
}

SVEBM_DEVICE void wait_for_group(const Group& group, Site site) {
  group_barrier(1 + group.number, group.plan.tile.n_threads, site);
}

// Columns 8 * first .. 8 * (first + count) of a product are this warp's.
struct Columns {
  int first, count;
};

SVEBM_DEVICE Columns columns_of_warp(const Group& group, int width) {
  const int n_tiles = width / 8, share = n_tiles >> group.plan.log2_warps, rest = n_tiles & (group.plan.n_warps - 1);
  return {group.warp * share + (group.warp < rest ? group.warp : rest), share + (group.warp < rest ? 1 : 0)};
}

using Sums = float[kFastTiles][4];
using Derivatives = uint32_t[kFastTiles][2];

// Weights of a pair of tiles for 16 rows of depth, or of one tile.
template <bool kBackward>
SVEBM_DEVICE void load_weights(uint32_t (&pair)[4], const HalfBits* from, bool single) {
  if (!single) {
    kBackward ? load_transposed(pair, from) : load_matrices(pair, from);
    return;
  }
  uint32_t half[2];
  kBackward ? load_transposed(half, from) : load_matrices(half, from);
  pair[0] = half[0];
  pair[1] = half[1];
}

// One step of 16 along the depth. As soon as a pair of tiles has used its weights, those of the next step are asked for
// in their place, so that loads run a whole step ahead of products without a second set of registers.
template <bool kBackward, int kCount, bool kLast>
SVEBM_DEVICE void multiply_step(Sums& sums, uint32_t (&pairs)[(kCount + 1) / 2][4], const uint32_t (&left)[4],
                                uint32_t (&next_left)[4], const HalfBits*& left_row, const HalfBits*& weights,
                                int tile_step, int depth_step) {
  left_row += 16;
  weights += depth_step;
  if (!kLast) load_matrices(next_left, left_row);
  SVEBM_UNROLL
  for (int tile = 0; tile < kCount; tile += 2) {
    uint32_t (&pair)[4] = pairs[tile / 2];
    multiply_add(sums[tile], left, pair[0], pair[1]);
    if (tile + 1 < kCount) multiply_add(sums[tile + 1], left, pair[2], pair[3]);
    if (!kLast) load_weights<kBackward>(pair, weights + tile * tile_step, tile + 1 == kCount);
  }
}

// The loop over the depth for a known number of tiles, without branches inside.
template <bool kBackward, int kCount>
SVEBM_DEVICE void multiply_tiles(const HalfBits* left_row, const HalfBits* weights, int stride, int depth, Sums& sums) {
  const int tile_step = kBackward ? 8 : 8 * stride, depth_step = kBackward ? 16 * stride : 16;
  uint32_t even[4], odd[4], pairs[(kCount + 1) / 2][4];
  load_matrices(even, left_row);
  SVEBM_UNROLL
  for (int tile = 0; tile < kCount; ++tile) {
    sums[tile][0] = sums[tile][1] = sums[tile][2] = sums[tile][3] = 0.0f;
    if (tile % 2 == 0) load_weights<kBackward>(pairs[tile / 2], weights + tile * tile_step, tile + 1 == kCount);
  }
#if defined(__CUDACC__)
#pragma unroll 1
#endif
  for (; depth > 32; depth -= 32) {
    multiply_step<kBackward, kCount, false>(sums, pairs, even, odd, left_row, weights, tile_step, depth_step);
    multiply_step<kBackward, kCount, false>(sums, pairs, odd, even, left_row, weights, tile_step, depth_step);
  }
  if (depth > 16) {
    multiply_step<kBackward, kCount, false>(sums, pairs, even, odd, left_row, weights, tile_step, depth_step);
    multiply_step<kBackward, kCount, true>(sums, pairs, odd, even, left_row, weights, tile_step, depth_step);
  } else {
    multiply_step<kBackward, kCount, true>(sums, pairs, even, odd, left_row, weights, tile_step, depth_step);
  }
}

// sums = left W^T, or left W where kBackward: one copy of W serves both, as fragments can be transposed on their way.
template <bool kBackward>
SVEBM_DEVICE void multiply_fast(const Group& group, int layer, const HalfBits* left, Columns columns, Sums& sums) {
  const int stride = group.plan.strides[layer], lane = group.lane;
  const int depth = group.plan.widths[kBackward ? layer + 1 : layer];
  const HalfBits* weights = reinterpret_cast<const HalfBits*>(group.resident + group.plan.weights[layer]);
  // forward: row n of W holds column n of W^T; threads 16 to 31 are at the tile after
  weights += kBackward ? (lane % 16) * stride + 8 * (columns.first + lane / 16)
                       : (8 * columns.first + lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8;
  left += lane % 16 * group.plan.input_stride + lane / 16 * 8;
  switch (columns.count) {
    case 0:
      return;
    case 1:
      return multiply_tiles<kBackward, 1>(left, weights, stride, depth, sums);
    case 2:
      return multiply_tiles<kBackward, 2>(left, weights, stride, depth, sums);
    case 3:
      return multiply_tiles<kBackward, 3>(left, weights, stride, depth, sums);
    case 4:
      return multiply_tiles<kBackward, 4>(left, weights, stride, depth, sums);
    case 5:
      return multiply_tiles<kBackward, 5>(left, weights, stride, depth, sums);
    case 6:
      return multiply_tiles<kBackward, 6>(left, weights, stride, depth, sums);
    default:
      return multiply_tiles<kBackward, kFastTiles>(left, weights, stride, depth, sums);
  }
}

// Calls visit(tile, column) for the warp's tiles, `column` being the thread's first of two in it.
template <class Visit>
SVEBM_DEVICE void for_each_tile(const Group& group, Columns columns, const Visit& visit) {
  SVEBM_UNROLL
  for (int tile = 0; tile < kFastTiles; ++tile) {
    if (tile < columns.count) visit(tile, 8 * (columns.first + tile) + 2 * (group.lane % 4));
  }
}

// Bias and, in the first layer, context.
SVEBM_DEVICE void add_offsets(const Tile& tile, const Group& group, int layer, int column, float (&sums)[4]) {
  const float2 bias = *reinterpret_cast<const float2*>(group.resident + group.plan.biases[layer] + 4 * column);
  sums[0] += bias.x;
  sums[1] += bias.y;
  sums[2] += bias.x;
  sums[3] += bias.y;
  const int width = tile.a.widths[1], chain = group.lane / 4;
  if (tile.a.context_shift == nullptr || layer != 0) return;
  SVEBM_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int row = chain + i / 2 * 8, at = column + i % 2;
    if (row < tile.n_valid && at < width) sums[i] += tile.a.context_shift[(tile.first_chain + row) * width + at];
  }
}

// Writes two neighbouring columns of the thread's two rows into the next product's left operand.
SVEBM_DEVICE void store_operand(const Group& group, HalfBits* out, int column, uint32_t upper, uint32_t lower,
                                uint32_t& largest) {
  HalfBits* const at = out + group.lane / 4 * group.plan.input_stride + column;
  *reinterpret_cast<uint32_t*>(at) = upper;
  *reinterpret_cast<uint32_t*>(at + 8 * group.plan.input_stride) = lower;
  largest = largest_magnitudes(largest_magnitudes(largest, upper), lower);
}

template <int kActivation>
SVEBM_DEVICE void finish_forward(const Tile& tile, const Group& group, int layer, HalfBits* out, Columns columns,
                                 Sums& sums, Derivatives& derivatives, uint32_t& largest) {
  const float slope = tile.a.negative_slope;
  for_each_tile(group, columns, [&](int t, int column) {
    add_offsets(tile, group, layer, column, sums[t]);
    const Activated h0 = activate<kActivation>(sums[t][0], slope), h1 = activate<kActivation>(sums[t][1], slope);
    const Activated h2 = activate<kActivation>(sums[t][2], slope), h3 = activate<kActivation>(sums[t][3], slope);
    derivatives[t][0] = pack_halves(h0.derivative, h1.derivative);
    derivatives[t][1] = pack_halves(h2.derivative, h3.derivative);
    store_operand(group, out, column, pack_halves(h0.value, h1.value), pack_halves(h2.value, h3.value), largest);
  });
}

SVEBM_DEVICE void finish_forward(const Tile& tile, const Group& group, int layer, HalfBits* out, Columns columns,
                                 Sums& sums, Derivatives& derivatives, uint32_t& largest) {
  switch (tile.a.activation) {
    case kSvebmGelu:
      return finish_forward<kSvebmGelu>(tile, group, layer, out, columns, sums, derivatives, largest);
    case kSvebmLeakyRelu:
      return finish_forward<kSvebmLeakyRelu>(tile, group, layer, out, columns, sums, derivatives, largest);
    case kSvebmSilu:
      return finish_forward<kSvebmSilu>(tile, group, layer, out, columns, sums, derivatives, largest);
    default:
      return finish_forward<kSvebmTanh>(tile, group, layer, out, columns, sums, derivatives, largest);
  }
}

SVEBM_DEVICE void finish_backward(const Group& group, HalfBits* out, Columns columns, const Sums& sums,
                                  const Derivatives& derivatives, uint32_t& largest) {
  for_each_tile(group, columns, [&](int t, int column) {
    const float2 upper = unpack_halves(derivatives[t][0]), lower = unpack_halves(derivatives[t][1]);
    store_operand(group, out, column, pack_halves(sums[t][0] * upper.x, sums[t][1] * upper.y),
                  pack_halves(sums[t][2] * lower.x, sums[t][3] * lower.y), largest);
  });
}

// Logits or gradient, in fp32.
SVEBM_DEVICE void finish_fp32(const Group& group, float* out, int stride, Columns columns, const Sums& sums) {
  for_each_tile(group, columns, [&](int t, int column) {
    float* const at = out + group.lane / 4 * stride + column;
    *reinterpret_cast<float2*>(at) = make_float2(sums[t][0], sums[t][1]);
    *reinterpret_cast<float2*>(at + 8 * stride) = make_float2(sums[t][2], sums[t][3]);
  });
}

// Registers hold the derivatives of one hidden layer; those of the first of two wait in shared memory, where each
// thread has its own place. (Written out for each layer instead, the code would not fit the instruction cache.)
SVEBM_DEVICE uint2* saved_derivatives(const Group& group) {
  return reinterpret_cast<uint2*>(group.memory + group.plan.derivatives) +
         32 * group.plan.derivative_tiles * group.warp + group.lane;
}

SVEBM_DEVICE void save_derivatives(const Group& group, Columns columns, const Derivatives& derivatives) {
  uint2* const place = saved_derivatives(group);
  for_each_tile(group, columns, [&](int t, int) { place[32 * t] = make_uint2(derivatives[t][0], derivatives[t][1]); });
}

SVEBM_DEVICE void restore_derivatives(const Group& group, Columns columns, Derivatives& derivatives) {
  const uint2* const place = saved_derivatives(group);
  for_each_tile(group, columns, [&](int t, int) {
    derivatives[t][0] = place[32 * t].x;
    derivatives[t][1] = place[32 * t].y;
  });
}

// Energy and gradient at x, whose 16-bit copy is operand 0. Between the two halves noise is drawn for the move that
// follows.
SVEBM_DEVICE void evaluate_fast(const Tile& tile, const Group& group, int64_t i, uint32_t& largest) {
  const FastPlan& plan = group.plan;
  const int last = tile.a.n_layers - 1;
  float* const memory = reinterpret_cast<float*>(group.memory);
  Sums sums;
  Derivatives derivatives = {};
  int from = 0;
  for (int layer = 0; layer <= last; ++layer) {  // one copy of the code for all layers
    const Columns columns = columns_of_warp(group, layer == last ? plan.n_logits : plan.widths[layer + 1]);
    multiply_fast<false>(group, layer, operand(group, from), columns, sums);
    from ^= 1;
    if (layer == last) {
      for_each_tile(group, columns, [&](int t, int column) { add_offsets(tile, group, last, column, sums[t]); });
      finish_fp32(group, memory + plan.logits, plan.logits_stride, columns, sums);
      break;
    }
    if (layer > 0) save_derivatives(group, columns_of_warp(group, plan.widths[layer]), derivatives);
    finish_forward(tile, group, layer, operand(group, from), columns, sums, derivatives, largest);
    wait_for_group(group, SVEBM_SITE);
  }
  draw_noise(tile, i);
  wait_for_group(group, SVEBM_SITE);

  write_partials(tile, i - 1);
  HalfBits* const start = operand(group, from);
  start_gradient(tile, memory + plan.logits, 1, plan.logits_stride, plan.widths[last + 1],
                 [&](int k, int chain, float probability) {
                   start[chain * plan.input_stride + k] = static_cast<HalfBits>(pack_halves(probability, 0.0f));
                 });
  wait_for_group(group, SVEBM_SITE);
  for (int layer = last; layer >= 0; --layer) {
    const Columns columns = columns_of_warp(group, layer == 0 ? plan.n_dimensions : plan.widths[layer]);
    multiply_fast<true>(group, layer, operand(group, from), columns, sums);
    from ^= 1;
    if (layer == 0) {
      finish_fp32(group, memory + plan.tile.gradient, plan.tile.chain_stride, columns, sums);
    } else {
      finish_backward(group, operand(group, from), columns, sums, derivatives, largest);
      if (layer > 1) restore_derivatives(group, columns_of_warp(group, plan.widths[layer - 1]), derivatives);
    }
    wait_for_group(group, SVEBM_SITE);
  }
}

SVEBM_DEVICE void run_fast_group(const Tile& tile, const Group& group) {
  const SvebmLangevinArguments& a = tile.a;
  const int64_t evaluations = n_evaluations(a);
  HalfBits* const position = operand(group, 0);
  uint32_t largest = 0;
  // Columns beyond D meet weights that are zero; any finite number may stand there later.
  const auto store = [&](int d, int chain, float x) {
    const uint32_t half = pack_halves(x, 0.0f);
    position[chain * group.plan.input_stride + d] = static_cast<HalfBits>(half);
    largest = largest_magnitudes(largest, half);
  };
  load_states(tile, group.plan.n_dimensions, group.plan.widths[0], store);
  ChainState state;
  for (int64_t i = 0; i < evaluations; ++i) {
    wait_for_group(group, SVEBM_SITE);
    evaluate_fast(tile, group, i, largest);
    advance(tile, state, i, store);
  }
  wait_for_group(group, SVEBM_SITE);
  write_partials(tile, evaluations - 1);
  store_states(tile);
  store_log_weights(tile, state);
  if (left_half_range(largest)) *a.non_finite = 1;
}

SVEBM_DEVICE void fast_block(const SvebmLangevinArguments& a, const FastPlan& plan, const unsigned char* workspace) {
  unsigned char* const memory = shared_memory();
  const int thread = static_cast<int>(threadIdx.x), n_threads = 32 * plan.n_warps;
  for (int i = 16 * thread; i < plan.resident_bytes; i += 16 * static_cast<int>(blockDim.x)) {
    copy_async16(memory + i, workspace + i);
  }
  copy_commit();
  copy_wait<0>(SVEBM_SITE);
  block_barrier(SVEBM_SITE);
  const int number = thread / n_threads;
  unsigned char* const own = memory + plan.resident_bytes + number * plan.group_bytes;
  const Group group{plan, memory, own, number, thread / 32 % plan.n_warps, thread % 32};
  const int64_t first_chain = (static_cast<int64_t>(blockIdx.x) * plan.n_groups + number) * kFastChains;
  if (first_chain >= a.n_chains) return;
  const Tile tile = make_tile(a, plan.tile, reinterpret_cast<float*>(own), first_chain, thread % n_threads);
  run_fast_group(tile, group);
}

}  // namespace svebm
