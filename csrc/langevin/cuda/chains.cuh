// What both kernels do with a tile of chains between two evaluations of the gradient: noise, softmax, the move, the
// sums. Threads of a tile stand as `parts` neighbours for each chain, who share its dimensions or categories.
#pragma once

#include "common/cuda/device.cuh"
#include "langevin/cuda/plan.h"
#include "philox/cuda/philox.cuh"

namespace svebm {

// Chains first_chain .. first_chain + n_valid of the call; those beyond, up to plan.n_chains, are zeros in shared
// memory and reach nothing outside it.
struct Tile {
  const SvebmLangevinArguments& a;
  const TilePlan& plan;
  float* memory;
  int64_t first_chain;
  int n_valid;
  int thread, chain, part;
  bool adds_partials;  // to what the tile before has written
};

// What a thread remembers of its chain from one step to the next.
struct ChainState {
  float log_weight = 0.0f;
  float kept_energy = 0.0f;      // Metropolis
  float forward_squares = 0.0f;  // ... and of the noise of the proposal, this thread's dimensions only
};

SVEBM_DEVICE Tile make_tile(const SvebmLangevinArguments& a, const TilePlan& plan, float* memory, int64_t first_chain,
                            int thread) {
  const int64_t left = a.n_chains - first_chain;
  const int n_valid = left < 0 ? 0 : left < plan.n_chains ? static_cast<int>(left) : plan.n_chains;
  return {a, plan, memory, first_chain, n_valid, thread, thread / plan.n_parts, thread % plan.n_parts, false};
}

// Where a chain has 32 threads already, the others have none; whole warps, as 32 divides the number of those that do.
SVEBM_DEVICE bool has_chain(const Tile& tile) { return tile.chain < tile.plan.n_chains; }

SVEBM_DEVICE float sum_of_parts(const Tile& tile, float value) {
  for (int mask = tile.plan.n_parts / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

SVEBM_DEVICE float largest_of_parts(const Tile& tile, float value) {
  for (int mask = tile.plan.n_parts / 2; mask > 0; mask /= 2) value = fmaxf(value, shuffle_xor(value, mask));
  return value;
}

SVEBM_DEVICE int element(const TilePlan& plan, int dimension, int chain) {
  return dimension * plan.dimension_stride + chain * plan.chain_stride;
}

SVEBM_DEVICE PhiloxWords random_words(const SvebmLangevinArguments& a, int64_t chain_id, int64_t step, int block,
                                      uint32_t stream) {
  const uint64_t seed = a.seed_tensor != nullptr ? *a.seed_tensor : a.seed;
  const PhiloxWords counter =
      philox_counter(chain_id, static_cast<uint32_t>(a.first_step + step), static_cast<uint32_t>(block), stream);
  return philox4x32_10(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

SVEBM_DEVICE float step_size_of(const SvebmLangevinArguments& a, int64_t step) {
  return a.step_sizes != nullptr ? a.step_sizes[step] : a.step_size;
}

SVEBM_DEVICE float temper_of(const SvebmLangevinArguments& a, int64_t step) {
  return a.temper != nullptr ? a.temper[step] : 1.0f;
}

// Evaluations of the gradient in a call: with Metropolis also that of the last proposal.
SVEBM_DEVICE int64_t n_evaluations(const SvebmLangevinArguments& a) { return a.n_steps + (a.metropolis != 0 ? 1 : 0); }

SVEBM_DEVICE int64_t state_row(const Tile& tile, int chain) {
  const int64_t n = tile.first_chain + chain;
  return tile.a.bank_indices != nullptr ? tile.a.bank_indices[n] : n;
}

// Reads the states, with zeros up to `padded_dimensions`; `store(dimension, chain, x)` gets them too, for a copy in
// another format, with zeros up to `stored_dimensions`.
template <class Store>
SVEBM_DEVICE void load_states(const Tile& tile, int padded_dimensions, int stored_dimensions, const Store& store) {
  const int D = tile.a.widths[0];
  if (!has_chain(tile)) return;
  const bool valid = tile.chain < tile.n_valid;
  const float* const row = tile.a.states + (valid ? state_row(tile, tile.chain) : 0) * D;
  for (int d = tile.part; d < stored_dimensions; d += tile.plan.n_parts) {
    const float x = valid && d < D ? row[d] : 0.0f;
    if (d < padded_dimensions) tile.memory[tile.plan.x + element(tile.plan, d, tile.chain)] = x;
    store(d, tile.chain, x);
  }
}

SVEBM_DEVICE void store_states(const Tile& tile) {
  const int D = tile.a.widths[0];
  if (!has_chain(tile) || tile.chain >= tile.n_valid) return;
  float* const out = tile.a.z + (tile.first_chain + tile.chain) * D;
  float* const back = tile.a.bank_indices != nullptr ? tile.a.states + state_row(tile, tile.chain) * D : nullptr;
  bool finite = true;
  for (int d = tile.part; d < D; d += tile.plan.n_parts) {
    const float x = tile.memory[tile.plan.x + element(tile.plan, d, tile.chain)];
    finite = finite && fabsf(x) < INFINITY;  // false for NaN
    out[d] = x;
    if (back != nullptr) back[d] = x;
  }
  if (!finite) *tile.a.non_finite = 1;
}

// N(0, 1) for all dimensions of a step. Threads are taken from the last on: in the phase that calls this, the first
// ones have more to do.
SVEBM_DEVICE void draw_noise(const Tile& tile, int64_t step) {
  const SvebmLangevinArguments& a = tile.a;
  const int n_chains = tile.plan.n_chains, n_blocks = (a.widths[0] + 3) / 4;
  if (a.noise_scale == 0.0f || step >= a.n_steps) return;
  for (int i = tile.plan.n_threads - 1 - tile.thread; i < n_chains * n_blocks; i += tile.plan.n_threads) {
    const int chain = i & (n_chains - 1), block = i >> tile.plan.log2_chains;
    if (chain >= tile.n_valid) continue;
    const float4 normal = normal4(random_words(a, a.chain_ids[tile.first_chain + chain], step, block, a.stream));
    float* const out = tile.memory + tile.plan.noise + element(tile.plan, 4 * block, chain);
    out[0] = normal.x;
    out[tile.plan.dimension_stride] = normal.y;
    out[2 * tile.plan.dimension_stride] = normal.z;
    out[3 * tile.plan.dimension_stride] = normal.w;
  }
}

// Energy of each chain, and `store(category, chain, p)` of what its gradient starts from: the softmax of the logits, or
// the indicator of the label; zero for the categories that fill up. Element (k, c) of the logits, which are
// overwritten, lies at k * category_stride + c * chain_stride.
template <class Store>
SVEBM_DEVICE void start_gradient(const Tile& tile, float* logits, int category_stride, int chain_stride,
                                 int padded_categories, const Store& store) {
  const SvebmLangevinArguments& a = tile.a;
  const int K = a.widths[a.n_layers], chain = tile.chain;
  if (!has_chain(tile)) return;
  float* const own = logits + chain * chain_stride;
  if (a.labels != nullptr) {
    const int label = chain < tile.n_valid ? static_cast<int>(a.labels[tile.first_chain + chain]) : 0;
    if (label % tile.plan.n_parts == tile.part) {  // the thread that overwrites this logit
      tile.memory[tile.plan.energy + chain] = own[label * category_stride];
    }
    for (int k = tile.part; k < padded_categories; k += tile.plan.n_parts) store(k, chain, k == label ? 1.0f : 0.0f);
    return;
  }
  float largest = -INFINITY, sum = 0.0f;
  for (int k = tile.part; k < K; k += tile.plan.n_parts) largest = fmaxf(largest, own[k * category_stride]);
  largest = largest_of_parts(tile, largest);
  const float inverse_temperature = fast_reciprocal(a.temperature);
  for (int k = tile.part; k < K; k += tile.plan.n_parts) {
    const float exponential = fast_exp((own[k * category_stride] - largest) * inverse_temperature);
    own[k * category_stride] = exponential;
    sum += exponential;
  }
  sum = sum_of_parts(tile, sum);
  const float scale = fast_reciprocal(sum);
  for (int k = tile.part; k < padded_categories; k += tile.plan.n_parts) {
    store(k, chain, k < K ? own[k * category_stride] * scale : 0.0f);
  }
  if (tile.part == 0) tile.memory[tile.plan.energy + chain] = largest + a.temperature * logf(sum);
}

// Sums over groups of chains of what the last call of advance() has recorded, that of evaluation i.
SVEBM_DEVICE void write_partials(const Tile& tile, int64_t i) {
  const SvebmLangevinArguments& a = tile.a;
  if (a.partials == nullptr || i < 0) return;
  const int n_chains = tile.plan.n_chains, size = n_chains < kSvebmChainGroup ? n_chains : kSvebmChainGroup;
  for (int task = tile.thread; task < kSvebmPartials * (n_chains / size); task += tile.plan.n_threads) {
    const int quantity = task % kSvebmPartials, first = task / kSvebmPartials * size;
    // whether the move of step i - 1 was accepted is known at evaluation i
    const int64_t step = quantity == kSvebmSumAccepted && a.metropolis != 0 ? i - 1 : i;
    if (step < 0 || step >= a.n_steps || first >= tile.n_valid) continue;
    float sum = 0.0f;
    for (int c = 0; c < size; ++c) sum += tile.memory[tile.plan.records + quantity * n_chains + first + c];
    const int64_t n_groups = (a.n_chains + kSvebmChainGroup - 1) / kSvebmChainGroup;
    const int64_t group = (tile.first_chain + first) / kSvebmChainGroup;
    float* const out = a.partials + (step * n_groups + group) * kSvebmPartials + quantity;
    *out = tile.adds_partials ? *out + sum : sum;
  }
}

SVEBM_DEVICE void record(const Tile& tile, int quantity, float value) {
  if (tile.part != 0) return;
  tile.memory[tile.plan.records + quantity * tile.plan.n_chains + tile.chain] =
      tile.chain < tile.n_valid ? value : 0.0f;
}

// Metropolis: accepts the proposal x of step t or returns to where the chain was. Returns the energy there.
SVEBM_DEVICE float decide(const Tile& tile, const ChainState& state, int64_t t, float energy) {
  const SvebmLangevinArguments& a = tile.a;
  const TilePlan& plan = tile.plan;
  const float step_size = step_size_of(a, t), temper = temper_of(a, t), precision = a.reference_precision;
  float differences = -state.forward_squares, squares = 0.0f;
  for (int d = tile.part; d < a.widths[0]; d += tile.plan.n_parts) {
    const int at = element(plan, d, tile.chain);
    const float x = tile.memory[plan.x + at], kept = tile.memory[plan.kept_x + at];
    const float drift = temper * tile.memory[plan.gradient + at] - precision * x;
    const float backward = kept - x - step_size * drift;
    differences += backward * backward;
    squares += x * x - kept * kept;
  }
  const float proposals = sum_of_parts(tile, -differences / (4.0f * step_size) - 0.5f * precision * squares);
  const float log_ratio = temper * (energy - state.kept_energy) + proposals;
  const int64_t id = tile.chain < tile.n_valid ? a.chain_ids[tile.first_chain + tile.chain] : 0;
  const PhiloxWords words = random_words(a, id, t, 0, a.metropolis_stream);
  const bool accept = logf(uniform_from_word(words.w0)) < log_ratio;  // false for NaN
  record(tile, kSvebmSumAccepted, accept ? 1.0f : 0.0f);
  if (accept) return energy;
  for (int d = tile.part; d < a.widths[0]; d += tile.plan.n_parts) {
    const int at = element(plan, d, tile.chain);
    tile.memory[plan.x + at] = tile.memory[plan.kept_x + at];
    tile.memory[plan.gradient + at] = tile.memory[plan.kept_gradient + at];
  }
  return state.kept_energy;
}

// Moves x by s grad log p_t plus noise, and returns |grad log p_t|^2 over this thread's dimensions.
template <class Store>
SVEBM_DEVICE float move(const Tile& tile, ChainState& state, int64_t t, const Store& store) {
  const SvebmLangevinArguments& a = tile.a;
  const TilePlan& plan = tile.plan;
  const float step_size = step_size_of(a, t), temper = temper_of(a, t), precision = a.reference_precision;
  const float scale = a.noise_scale * sqrtf(2.0f * step_size);
  const bool noisy = a.noise_scale != 0.0f && tile.chain < tile.n_valid;
  float norm = 0.0f;
  state.forward_squares = 0.0f;
  for (int d = tile.part; d < a.widths[0]; d += tile.plan.n_parts) {
    const int at = element(plan, d, tile.chain);
    const float x = tile.memory[plan.x + at], gradient = tile.memory[plan.gradient + at];
    const float drift = temper * gradient - precision * x;
    const float noise = noisy ? scale * tile.memory[plan.noise + at] : 0.0f;
    const float moved = x + step_size * drift + noise;
    if (a.metropolis != 0) {
      tile.memory[plan.kept_x + at] = x;
      tile.memory[plan.kept_gradient + at] = gradient;
      state.forward_squares += noise * noise;
    }
    norm += drift * drift;
    tile.memory[plan.x + at] = moved;
    store(d, tile.chain, moved);
  }
  return norm;
}

// After evaluation i, with energy and gradient of x in shared memory: decides on the move of step i - 1 (Metropolis),
// records step i and makes its move. `store(dimension, chain, x)` gets the new position.
template <class Store>
SVEBM_DEVICE void advance(const Tile& tile, ChainState& state, int64_t i, const Store& store) {
  const SvebmLangevinArguments& a = tile.a;
  if (!has_chain(tile)) return;
  float energy = tile.memory[tile.plan.energy + tile.chain];
  if (a.metropolis == 0) {
    record(tile, kSvebmSumAccepted, 0.0f);
  } else if (i > 0) {
    energy = decide(tile, state, i - 1, energy);
  }
  if (i >= a.n_steps) return;
  state.kept_energy = energy;
  if (a.temper_changes != nullptr) state.log_weight += a.temper_changes[i] * energy;
  float norm = move(tile, state, i, store);
  if (a.partials == nullptr) return;
  norm = sum_of_parts(tile, norm);
  record(tile, kSvebmSumEnergy, energy);
  record(tile, kSvebmSumGradientNorm, sqrtf(norm));
}

SVEBM_DEVICE void store_log_weights(const Tile& tile, const ChainState& state) {
  if (tile.a.log_weights == nullptr || tile.part != 0 || !has_chain(tile) || tile.chain >= tile.n_valid) return;
  tile.a.log_weights[tile.first_chain + tile.chain] = state.log_weight;
}

}  // namespace svebm
