// Scores by plain sums, of a panel once more when a word is drawn. See gru_decode/cuda/gru_decode.cu.
#pragma once

#include "common/cuda/warp_dots.cuh"
#include "gru_decode/cuda/step.cuh"

namespace svebm {

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
  const int index = multiply_rows<1>(rows, state, d.plan.depth, d.plan.depth, values);
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
