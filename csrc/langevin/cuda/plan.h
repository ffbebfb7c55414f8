// Shared by the plans of the two CUDA kernels: where a tile of chains keeps what in a block's shared memory. Plans are
// plain C++, so that tests can ask for them without a device.
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/cuda/device_limits.h"
#include "langevin/langevin.h"

namespace svebm {

constexpr int kMostLayers = 3;
constexpr int kMostWidth = 16384;  // beyond, nothing fits anyway, and 32-bit offsets could overflow

// The smallest n' >= n with n' mod `modulus` = remainder, 0 < remainder < modulus.
inline int32_t round_to_remainder(int32_t n, int32_t modulus, int32_t remainder) {
  return round_up(n > remainder ? n - remainder : 0, modulus) + remainder;
}

inline bool widths_in_range(const SvebmLangevinArguments& arguments) {
  for (int l = 0; l <= arguments.n_layers; ++l) {
    if (arguments.widths[l] > kMostWidth) return false;
  }
  return true;
}

// Rounds of blocks over the device: the measure of time, up to what a block takes.
inline int64_t n_waves(int64_t n_blocks, DeviceLimits limits) {
  return (n_blocks + limits.n_multiprocessors - 1) / limits.n_multiprocessors;
}

// Arrays of a tile of chains, as offsets in floats. Element (dimension d, chain c) of one that belongs to z lies at
// d * dimension_stride + c * chain_stride, and there is room for a multiple of four dimensions.
struct TilePlan {
  int32_t n_chains, log2_chains;  // n_chains = 2^log2_chains
  int32_t n_threads, n_parts;     // threads of the tile; neighbours that share a chain, at most a warp
  int32_t dimension_stride, chain_stride;
  int32_t x, gradient, noise;     // x: where the gradient is taken
  int32_t kept_x, kept_gradient;  // Metropolis: where the chain is while x is a proposal
  int32_t energy, records;        // [chains], [kSvebmPartials][chains]
};

constexpr int kSharedAlignment = 16;  // bytes: what cp.async copies at a time

// Floats from the start of an arena's memory to a part of `count` floats, and floats given out so far.
inline int32_t take_floats(Arena& memory, int32_t count) {
  return static_cast<int32_t>(memory.take_bytes(4 * int64_t{count}) / 4);
}
inline int32_t n_floats(const Arena& memory) { return static_cast<int32_t>(memory.used() / 4); }

inline int32_t log2_of(int32_t power_of_two) {
  int32_t result = 0;
  while ((1 << result) < power_of_two) ++result;
  return result;
}

// Fills the offsets for arrays of `array_floats` each, and what follows from n_chains, n_threads and the strides, which
// are there already.
inline void plan_tile(const SvebmLangevinArguments& arguments, int32_t array_floats, Arena& memory, TilePlan& tile) {
  tile.log2_chains = log2_of(tile.n_chains);
  tile.n_parts = tile.n_threads / tile.n_chains < 32 ? tile.n_threads / tile.n_chains : 32;
  tile.x = take_floats(memory, array_floats);
  tile.gradient = take_floats(memory, array_floats);
  tile.noise = take_floats(memory, array_floats);
  tile.kept_x = arguments.metropolis != 0 ? take_floats(memory, array_floats) : tile.x;
  tile.kept_gradient = arguments.metropolis != 0 ? take_floats(memory, array_floats) : tile.gradient;
  tile.energy = take_floats(memory, tile.n_chains);
  tile.records = take_floats(memory, kSvebmPartials * tile.n_chains);
}

}  // namespace svebm
