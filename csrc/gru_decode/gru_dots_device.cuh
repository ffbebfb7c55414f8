// Scores by plain sums: a warp's threads share the sum over the units of a state. The fp32 products of the persistent
// kernel, and the scores of a panel once more when a word is drawn. See gru_decode_cuda.cu.
#pragma once

#include "gru_decode/gru_step_device.cuh"

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

// Sums of four rows of weights times kStates states, `depth` apart: thread l takes columns 4 l .. + 3 of each 128.
// values[i * kStates + s] is row i, state s; see sum_over_warp for the result.
template <int kStates>
SVEBM_DEVICE int multiply_rows(const float* const (&rows)[4], const float* states, int depth,
                               float (&values)[4 * kStates]) {
  SVEBM_UNROLL
  for (int i = 0; i < 4 * kStates; ++i) values[i] = 0.0f;
#if defined(__CUDACC__)
#pragma unroll 2
#endif
  for (int k = 4 * lane_of_thread(); k < depth; k += 128) {
    float4 weights[4];
    SVEBM_UNROLL
    for (int i = 0; i < 4; ++i) weights[i] = load4(rows[i] + k);
    SVEBM_UNROLL
    for (int s = 0; s < kStates; ++s) {
      const float4 state = load4(states + s * depth + k);
      SVEBM_UNROLL
      for (int i = 0; i < 4; ++i) values[i * kStates + s] = add_products(values[i * kStates + s], weights[i], state);
    }
  }
  return sum_over_warp(values);
}

// Scores, without bias, of words first_word .. + 3 for one state, by a warp.
template <class Keep>
SVEBM_DEVICE void fp32_scores(const GruDecode& d, int first_word, const float* state, const Keep& keep) {
  const float* rows[4];
  SVEBM_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int word = first_word + i < d.a.vocabulary ? first_word + i : d.a.vocabulary - 1;
    rows[i] = fp32_output(d) + static_cast<int64_t>(word) * d.plan.depth;
  }
  float values[4];
  const int index = multiply_rows<1>(rows, state, d.plan.depth, values);
  if (lane_of_thread() % 8 == 0) keep(first_word + index, values[0]);
}

SVEBM_DEVICE float add_halves(float sum, uint32_t x, uint32_t y) {
  const float2 first = unpack_halves(x), second = unpack_halves(y);
  sum += first.x * second.x;
  return sum + first.y * second.y;
}

// Scores of words first_word .. + 7 (a multiple of 8) from packed halves; four threads share a word.
template <class Keep>
SVEBM_DEVICE void half_scores(const GruDecode& d, int first_word, const HalfBits* state, const Keep& keep) {
  const int lane = lane_of_thread(), column_blocks = d.plan.depth / 32;
  const HalfBits* weights =
      place<HalfBits>(d, d.plan.output) +
      (static_cast<int64_t>(first_word / kGruTile) * column_blocks * kGruTile + first_word % kGruTile) * 32 + 8 * lane;
  float sum = 0.0f;
#if defined(__CUDACC__)
#pragma unroll 4
#endif
  for (int block = 0; block < column_blocks; ++block) {
    const uint4 w = load_words4(weights + static_cast<int64_t>(block) * kGruTile * 32);
    const uint4 s = load_words4(state + 32 * block + lane % 4 * 8);
    sum = add_halves(sum, w.x, s.x);
    sum = add_halves(sum, w.y, s.y);
    sum = add_halves(sum, w.z, s.z);
    sum = add_halves(sum, w.w, s.w);
  }
  sum += shuffle_xor(sum, 1);
  sum += shuffle_xor(sum, 2);
  if (lane % 4 == 0) keep(first_word + lane / 4, sum);
}

}  // namespace svebm
