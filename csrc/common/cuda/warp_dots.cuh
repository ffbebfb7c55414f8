// Products of few rows by plain sums: a warp's threads share the sum over the columns.
#pragma once

#include "common/cuda/device.cuh"

namespace svebm {

SVEBM_DEVICE int lane_of_thread() { return static_cast<int>(threadIdx.x) % 32; }
SVEBM_DEVICE int warp_of_thread() { return static_cast<int>(threadIdx.x) / 32; }

// Sums over all threads of the warp, kCount of them at a time: at each level, as long as there are several, a thread
// gives away half of them. Returns the number of the sum that ends in values[0]. Each sum is added up in the same order
// whatever kCount is.
template <int kCount>
SVEBM_DEVICE int sum_over_warp(float (&values)[kCount]) {
  const int lane = lane_of_thread();
  int index = 0;
  SVEBM_UNROLL
  for (int level = 0; level < 5; ++level) {
    const int mask = 16 >> level, half = kCount >> (level + 1);
    const bool upper = (lane & mask) != 0;
    if (half > 0) {
      SVEBM_UNROLL
      for (int i = 0; i < (kCount > 1 ? kCount / 2 : 1); ++i) {
        if (i >= half) continue;
        const float given = upper ? values[i] : values[i + half], kept = upper ? values[i + half] : values[i];
        values[i] = kept + shuffle_xor(given, mask);
      }
      index += upper ? half : 0;
    } else {
      values[0] += shuffle_xor(values[0], mask);
    }
  }
  return index;
}

SVEBM_DEVICE float add_products(float sum, float4 x, float4 y) {
  sum += x.x * y.x;
  sum += x.y * y.y;
  sum += x.z * y.z;
  sum += x.w * y.w;
  return sum;
}

// Sums of four rows of weights times kStates states, `stride` apart, over `depth` columns: thread l takes columns
// 4 l .. + 3 of each 128. values[i * kStates + s] is row i, state s; see sum_over_warp for the result.
template <int kStates, int kUnroll = 2>
SVEBM_DEVICE int multiply_rows(const float* const (&rows)[4], const float* states, int depth, int stride,
                               float (&values)[4 * kStates]) {
  SVEBM_UNROLL
  for (int i = 0; i < 4 * kStates; ++i) values[i] = 0.0f;
#if defined(__CUDACC__)
#pragma unroll kUnroll
#endif
  for (int k = 4 * lane_of_thread(); k < depth; k += 128) {
    float4 weights[4];
    SVEBM_UNROLL
    for (int i = 0; i < 4; ++i) weights[i] = load4(rows[i] + k);
    SVEBM_UNROLL
    for (int s = 0; s < kStates; ++s) {
      const float4 state = load4(states + s * stride + k);
      SVEBM_UNROLL
      for (int i = 0; i < 4; ++i) values[i * kStates + s] = add_products(values[i * kStates + s], weights[i], state);
    }
  }
  return sum_over_warp(values);
}

}  // namespace svebm
