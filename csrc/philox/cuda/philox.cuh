// One thread makes the four numbers of one counter. See philox/cuda/philox.cu.
#pragma once

#include "common/cuda/device.cuh"
#include "common/philox.h"
#include "philox/philox.h"

namespace svebm {

SVEBM_DEVICE float4 uniform4(PhiloxWords words) {
  return make_float4(uniform_from_word(words.w0), uniform_from_word(words.w1), uniform_from_word(words.w2),
                     uniform_from_word(words.w3));
}

// Box-Muller: words (0, 1) give sqrt(-2 log u0) (cos, sin)(2 pi u1), words (2, 3) likewise. sincospif reduces its
// argument exactly, and so needs no slow path for large ones.
SVEBM_DEVICE float4 normal4(PhiloxWords words) {
  const float4 u = uniform4(words);
  float4 normal;
  sincospif(2.0f * u.y, &normal.y, &normal.x);
  sincospif(2.0f * u.w, &normal.w, &normal.z);
  const float first = sqrtf(-2.0f * logf(u.x)), second = sqrtf(-2.0f * logf(u.z));
  return make_float4(first * normal.x, first * normal.y, second * normal.z, second * normal.w);
}

// Numbers of chains first_chain .. first_chain + n_chains of step blockIdx.y; n_chains * blocks < 2^31, so that the one
// division is of 32 bits.
SVEBM_DEVICE void philox_thread(const SvebmPhiloxArguments& a, int64_t first_chain, uint32_t n_chains,
                                int64_t first_step) {
  const uint32_t blocks = static_cast<uint32_t>((a.dim + 3) / 4);
  const uint32_t index = static_cast<uint32_t>(global_thread());
  if (index >= n_chains * blocks) return;
  const uint32_t chain = index / blocks, block = index - chain * blocks;
  const int64_t step = first_step + blockIdx.y;
  const uint64_t seed = a.seed_tensor != nullptr ? *a.seed_tensor : a.seed;

  const PhiloxWords counter =
      philox_counter(a.chain_ids[first_chain + chain], static_cast<uint32_t>(a.first_step + step), block, a.stream);
  const PhiloxWords words = philox4x32_10(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  const float4 numbers = a.normal != 0 ? normal4(words) : uniform4(words);

  float* const out = a.numbers + (step * a.n_chains + first_chain + chain) * a.dim + 4 * static_cast<int64_t>(block);
  if (a.dim % 4 == 0) {  // then every row starts on 16 bytes
    store4(out, numbers);
    return;
  }
  const int64_t kept = a.dim - 4 * static_cast<int64_t>(block);
  out[0] = numbers.x;
  if (kept > 1) out[1] = numbers.y;
  if (kept > 2) out[2] = numbers.z;
  if (kept > 3) out[3] = numbers.w;
}

}  // namespace svebm
