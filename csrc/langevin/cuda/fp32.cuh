// The fp32 kernel: a block takes a tile of chains through all steps. See langevin/cuda/langevin.cu for the idea.
#pragma once

#include "langevin/cuda/activation.cuh"
#include "langevin/cuda/chains.cuh"
#include "langevin/cuda/fp32_plan.h"

namespace svebm {

// ---- packing

// Number `index` of product p's packed weights.
SVEBM_DEVICE float packed_weight(const SvebmLangevinArguments& a, const Product& p, int panel, int index) {
  const int panel_floats = panel * p.n_in, first_column = index / panel_floats * panel;
  const int columns = p.n_out - first_column < panel ? p.n_out - first_column : panel;
  const int within = index - first_column * p.n_in, row = within / columns;
  const int column = first_column + within - row * columns;
  const bool forward = p.kind == kHiddenForward || p.kind == kLogits;
  const int out = forward ? column : row, in = forward ? row : column;
  if (out >= a.widths[p.layer + 1] || in >= a.widths[p.layer]) return 0.0f;
  return a.weights[p.layer][static_cast<int64_t>(out) * a.widths[p.layer] + in];
}

// One number of the workspace: each product's weights as the threads read them, then all biases.
SVEBM_DEVICE void pack_fp32(const SvebmLangevinArguments& a, const Fp32Plan& plan, float* workspace) {
  const int64_t index = global_thread();
  if (index >= plan.workspace_floats) return;
  if (index < plan.workspace_biases) {
    int product = 0;
    while (product + 1 < plan.n_products && index >= plan.products[product + 1].weights) ++product;
    const Product& p = plan.products[product];
    workspace[index] = packed_weight(a, p, fp32_panel_columns(plan.tile.n_chains), static_cast<int>(index - p.weights));
    return;
  }
  const int bias = static_cast<int>(index - plan.workspace_biases);
  int layer = a.n_layers - 1;
  while (bias < plan.products[layer].bias) --layer;
  const int within = bias - plan.products[layer].bias;
  workspace[index] = within < a.widths[layer + 1] ? a.biases[layer][within] : 0.0f;
}

// ---- weights on their way through shared memory

// Chunks of rows of all products, in the order in which evaluations use them, again and again.
struct WeightStream {
  const float* workspace;
  float* chunks;
  int64_t evaluations_left;
  int product = 0, column = 0, row = 0;
  int next = 0, current = kFp32Stages - 1;  // stages to fill and to read
};

SVEBM_DEVICE void request_chunk(WeightStream& s, const Fp32Plan& plan, int panel) {
  if (s.evaluations_left > 0) {
    const Product& p = plan.products[s.product];
    const int columns = p.n_out - s.column < panel ? p.n_out - s.column : panel;
    const int rows = p.n_in - s.row < p.chunk_rows ? p.n_in - s.row : p.chunk_rows;
    const float* const source = s.workspace + p.weights + static_cast<int64_t>(s.column) * p.n_in + s.row * columns;
    float* const target = s.chunks + s.next * plan.stage_floats;
    for (int i = 4 * static_cast<int>(threadIdx.x); i < rows * columns; i += 4 * kFp32Threads) {
      copy_async16(target + i, source + i);
    }
    s.row += rows;
    if (s.row == p.n_in) s.row = 0, s.column += columns;
    if (s.column == p.n_out) s.column = 0, ++s.product;
    if (s.product == plan.n_products) s.product = 0, --s.evaluations_left;
  }
  copy_commit();
  s.next = s.next + 1 < kFp32Stages ? s.next + 1 : 0;
}

// The next chunk. The barrier also tells that all threads are done with the chunk before, whose place is filled at
// once, and with whatever they wrote before.
SVEBM_DEVICE const float* receive_chunk(WeightStream& s, const Fp32Plan& plan, int panel) {
  copy_wait<kFp32Stages - 2>(SVEBM_SITE);
  block_barrier(SVEBM_SITE);
  request_chunk(s, plan, panel);
  s.current = s.current + 1 < kFp32Stages ? s.current + 1 : 0;
  return s.chunks + s.current * plan.stage_floats;
}

// ---- products

// A thread's part of a panel: chains 4 * chain_group .. + 3, and columns first .. + 3 and second .. + 3. Neighbours
// read neighbouring columns, without bank conflicts: hence two times four.
struct ThreadTile {
  int chain_group;
  int share;  // which of the warp's threads with these chains it is
  int first, second;
  bool works, has_first, has_second;
};

template <int kChains, bool kNarrow>
SVEBM_DEVICE ThreadTile thread_tile(int columns) {
  constexpr int kGroups = kChains / 4, kShares = fp32_column_threads(kChains), kWarpColumns = kNarrow ? 8 : 8 * kShares;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  ThreadTile t;
  t.chain_group = lane % kGroups;
  t.share = lane / kGroups;
  t.first = kWarpColumns * warp + (kNarrow ? 0 : 4 * t.share);
  t.second = t.first + kWarpColumns / 2;
  t.works = kWarpColumns * warp < columns;
  t.has_first = t.first < columns;
  t.has_second = t.second < columns;
  return t;
}

SVEBM_DEVICE void add_scaled(float4& sum, float factor, float4 value) {
  sum.x += factor * value.x;
  sum.y += factor * value.y;
  sum.z += factor * value.z;
  sum.w += factor * value.w;
}

// sums[column] += in[row] W[row, column] over rows of a chunk; in narrow products over every kShares-th. What threads
// without a column read is never used.
template <int kChains, bool kNarrow>
SVEBM_DEVICE void multiply(float4 (&sums)[8], const float* input, const float* chunk, int columns, int rows,
                           const ThreadTile& t) {
  constexpr int kShares = fp32_column_threads(kChains), kStep = kNarrow ? kShares : 1;
  constexpr int kSecond = kNarrow ? 4 : 4 * kShares;  // t.second - t.first
  const int start = kNarrow ? t.share : 0;
  const float* in = input + start * fp32_row_stride(kChains) + 4 * t.chain_group;
  const float* weights = chunk + start * columns + t.first;
#if defined(__CUDACC__)
#pragma unroll 4
#endif
  for (int row = start; row < rows; row += kStep) {
    const float4 h = load4(in), w0 = load4(weights), w1 = load4(weights + kSecond);
    add_scaled(sums[0], w0.x, h);
    add_scaled(sums[1], w0.y, h);
    add_scaled(sums[2], w0.z, h);
    add_scaled(sums[3], w0.w, h);
    add_scaled(sums[4], w1.x, h);
    add_scaled(sums[5], w1.y, h);
    add_scaled(sums[6], w1.z, h);
    add_scaled(sums[7], w1.w, h);
    in += kStep * fp32_row_stride(kChains);
    weights += kStep * columns;
  }
}

// Narrow products: the threads that share a sum end with all of it.
template <int kChains>
SVEBM_DEVICE void combine_shares(float4 (&sums)[8]) {
  SVEBM_UNROLL
  for (int o = 0; o < 8; ++o) {
    SVEBM_UNROLL
    for (int mask = kChains / 4; mask < 32; mask *= 2) {
      sums[o].x += shuffle_xor(sums[o].x, mask);
      sums[o].y += shuffle_xor(sums[o].y, mask);
      sums[o].z += shuffle_xor(sums[o].z, mask);
      sums[o].w += shuffle_xor(sums[o].w, mask);
    }
  }
}

// Calls visit(column within the panel, sum) for those of the thread's columns that it finishes: in narrow products each
// sharer takes some of them. `sums` is indexed by constants only, so that it stays in registers.
template <int kChains, bool kNarrow, class Visit>
SVEBM_DEVICE void for_each_column(const ThreadTile& t, const float4 (&sums)[8], const Visit& visit) {
  SVEBM_UNROLL
  for (int o = 0; o < 8; ++o) {
    const bool has = (o < 4 ? t.has_first : t.has_second) && (!kNarrow || o % fp32_column_threads(kChains) == t.share);
    if (has) visit((o < 4 ? t.first : t.second) + o % 4, sums[o]);
  }
}

// Bias and context of four chains.
SVEBM_DEVICE float4 preactivation(const Tile& tile, const Product& p, const float* biases, int column, int chain,
                                  float4 sum) {
  const float bias = biases[p.bias + column];
  float4 result = make_float4(sum.x + bias, sum.y + bias, sum.z + bias, sum.w + bias);
  const int width = tile.a.widths[1];
  if (tile.a.context_shift == nullptr || p.layer != 0 || column >= width) return result;
  const float* const context = tile.a.context_shift + (tile.first_chain + chain) * width + column;
  if (chain < tile.n_valid) result.x += context[0];
  if (chain + 1 < tile.n_valid) result.y += context[width];
  if (chain + 2 < tile.n_valid) result.z += context[2 * width];
  if (chain + 3 < tile.n_valid) result.w += context[3 * width];
  return result;
}

template <int kChains, bool kNarrow, int kActivation>
SVEBM_DEVICE void finish_hidden(const Tile& tile, const Product& p, const float* biases, int first_column,
                                const ThreadTile& t, const float4 (&sums)[8]) {
  const float slope = tile.a.negative_slope;
  for_each_column<kChains, kNarrow>(t, sums, [&](int within, float4 sum) {
    const int column = first_column + within, chain = 4 * t.chain_group;
    const float4 x = preactivation(tile, p, biases, column, chain, sum);
    const Activated h0 = activate<kActivation>(x.x, slope), h1 = activate<kActivation>(x.y, slope);
    const Activated h2 = activate<kActivation>(x.z, slope), h3 = activate<kActivation>(x.w, slope);
    store4(tile.memory + p.output + column * fp32_row_stride(kChains) + chain,
           make_float4(h0.value, h1.value, h2.value, h3.value));
    store4(tile.memory + p.derivative + column * fp32_row_stride(kChains) + chain,
           make_float4(h0.derivative, h1.derivative, h2.derivative, h3.derivative));
  });
}

template <int kChains, bool kNarrow>
SVEBM_DEVICE void finish(const Tile& tile, const Product& p, const float* biases, int first_column, const ThreadTile& t,
                         const float4 (&sums)[8]) {
  if (p.kind == kHiddenForward) {
    switch (tile.a.activation) {
      case kSvebmGelu:
        return finish_hidden<kChains, kNarrow, kSvebmGelu>(tile, p, biases, first_column, t, sums);
      case kSvebmLeakyRelu:
        return finish_hidden<kChains, kNarrow, kSvebmLeakyRelu>(tile, p, biases, first_column, t, sums);
      case kSvebmSilu:
        return finish_hidden<kChains, kNarrow, kSvebmSilu>(tile, p, biases, first_column, t, sums);
      default:
        return finish_hidden<kChains, kNarrow, kSvebmTanh>(tile, p, biases, first_column, t, sums);
    }
  }
  for_each_column<kChains, kNarrow>(t, sums, [&](int within, float4 sum) {
    const int column = first_column + within, chain = 4 * t.chain_group;
    float* const out = tile.memory + p.output + column * fp32_row_stride(kChains) + chain;
    if (p.kind == kHiddenBackward) {
      const float4 derivative = load4(out);
      sum = make_float4(sum.x * derivative.x, sum.y * derivative.y, sum.z * derivative.z, sum.w * derivative.w);
    } else if (p.kind == kLogits) {
      sum = preactivation(tile, p, biases, column, chain, sum);
    }
    store4(out, sum);
  });
}

template <int kChains, bool kNarrow>
SVEBM_DEVICE void run_product(const Tile& tile, const Fp32Plan& plan, const Product& p, WeightStream& stream) {
  constexpr int kPanel = fp32_panel_columns(kChains);
  for (int column = 0; column < p.n_out; column += kPanel) {
    const int columns = p.n_out - column < kPanel ? p.n_out - column : kPanel;
    const ThreadTile t = thread_tile<kChains, kNarrow>(columns);
    float4 sums[8] = {};
    for (int row = 0; row < p.n_in; row += p.chunk_rows) {
      const int rows = p.n_in - row < p.chunk_rows ? p.n_in - row : p.chunk_rows;
      const float* const chunk = receive_chunk(stream, plan, kPanel);
      const float* const input = tile.memory + p.input + row * fp32_row_stride(kChains);
      if (t.works) multiply<kChains, kNarrow>(sums, input, chunk, columns, rows, t);
    }
    if (!t.works) continue;
    if (kNarrow) combine_shares<kChains>(sums);
    finish<kChains, kNarrow>(tile, p, tile.memory + plan.biases, column, t, sums);
  }
}

// ---- a tile of chains

template <int kChains>
SVEBM_DEVICE void run_fp32_tile(const Tile& tile, const Fp32Plan& plan, const float* workspace) {
  const SvebmLangevinArguments& a = tile.a;
  const int64_t evaluations = n_evaluations(a);
  WeightStream stream{workspace, tile.memory + plan.chunks, evaluations};
  for (int stage = 0; stage + 1 < kFp32Stages; ++stage) request_chunk(stream, plan, fp32_panel_columns(kChains));
  const auto nothing = [](int, int, float) {};
  float* const logits = tile.memory + plan.logits;
  constexpr int kStride = fp32_row_stride(kChains);
  const int dimensions = (a.widths[0] + 7) / 8 * 8;
  load_states(tile, dimensions, dimensions, nothing);
  ChainState state;
  for (int64_t i = 0; i < evaluations; ++i) {
    for (int product = 0; product < plan.n_products; ++product) {
      const Product& p = plan.products[product];
      if (p.n_out <= kNarrowColumns) {
        run_product<kChains, true>(tile, plan, p, stream);
      } else {
        run_product<kChains, false>(tile, plan, p, stream);
      }
      if (p.kind != kLogits) continue;
      draw_noise(tile, i);
      block_barrier(SVEBM_SITE);
      write_partials(tile, i - 1);
      start_gradient(tile, logits, kStride, 1, plan.n_logits,
                     [&](int k, int chain, float probability) { logits[k * kStride + chain] = probability; });
    }
    block_barrier(SVEBM_SITE);
    advance(tile, state, i, nothing);
  }
  block_barrier(SVEBM_SITE);
  write_partials(tile, evaluations - 1);
  store_states(tile);
  store_log_weights(tile, state);
}

template <int kChains>
SVEBM_DEVICE void fp32_block(const SvebmLangevinArguments& a, const Fp32Plan& plan, const float* workspace) {
  float* const memory = reinterpret_cast<float*>(shared_memory());
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < plan.n_biases; i += kFp32Threads) {
    memory[plan.biases + i] = workspace[plan.workspace_biases + i];
  }
  for (int turn = 0; turn < plan.tiles_per_block; ++turn) {
    const int64_t first_chain = (static_cast<int64_t>(blockIdx.x) * plan.tiles_per_block + turn) * kChains;
    if (first_chain >= a.n_chains) return;
    Tile tile = make_tile(a, plan.tile, memory, first_chain, thread);
    tile.adds_partials = turn > 0;
    run_fp32_tile<kChains>(tile, plan, workspace);
  }
}

}  // namespace svebm
