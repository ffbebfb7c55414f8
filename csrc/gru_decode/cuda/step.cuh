// What all decoding kernels share: the memory of a call, the formula of the gates, and what is kept of a panel's scores
// so that a word can be chosen without the scores themselves. See gru_decode/cuda/gru_decode.cu.
#pragma once

#include "common/cuda/device.cuh"
#include "common/math.h"
#include "gru_decode/cuda/plan.h"

namespace svebm {

using GruKey = unsigned long long;

struct GruDecode {
  const SvebmGruDecodeArguments& a;
  const GruPlan& plan;
  unsigned char* workspace;
};

template <typename T>
SVEBM_DEVICE T* place(const GruDecode& d, int64_t offset) {
  return reinterpret_cast<T*>(d.workspace + offset);
}

SVEBM_DEVICE float minus_infinity() { return -INFINITY; }

// ---- scores

// A score that is no number: larger than any other key, so that it stays.
constexpr GruKey kUnknownKey = ~GruKey{0};

// Larger for better scores, and for the lower word among equals; 0 where the word cannot be the best.
SVEBM_DEVICE GruKey key_of(float score, int word) {
  if (score != score) return kUnknownKey;
  if (!(score > minus_infinity())) return 0;
  const uint32_t bits = bits_of(score + 0.0f);  // one zero of the two
  const uint32_t order = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<GruKey>(order) << 32 | ~static_cast<uint32_t>(word);
}

SVEBM_DEVICE int word_of_key(GruKey key) {
  return key == 0 || key == kUnknownKey ? -1 : static_cast<int>(~static_cast<uint32_t>(key));
}

SVEBM_DEVICE float score_of_key(GruKey key) {
  const uint32_t order = static_cast<uint32_t>(key >> 32);
  return float_of((order & 0x80000000u) != 0 ? order & 0x7FFFFFFFu : ~order);
}

SVEBM_DEVICE GruKey larger_key(GruKey x, GruKey y) { return x > y ? x : y; }

// The part of a panel that word with `score` has, relative to the panel's largest. Not a number if the score is not.
SVEBM_DEVICE float share_of(float score, float largest) {
  return score == minus_infinity() ? 0.0f : expf(score - largest);
}

// Largest scaled score of the panel that neighbouring kLanes threads hold, and the sum of e^(score - largest).
template <int kCount, int kLanes>
SVEBM_DEVICE float2 sum_panel(const float (&scores)[kCount], float scale) {
  float largest = minus_infinity(), sum = 0.0f;
  SVEBM_UNROLL
  for (int i = 0; i < kCount; ++i) largest = fmaxf(largest, scores[i] * scale);
  SVEBM_UNROLL
  for (int mask = 1; mask < kLanes; mask *= 2) largest = fmaxf(largest, shuffle_xor(largest, mask));
  SVEBM_UNROLL
  for (int i = 0; i < kCount; ++i) sum += share_of(scores[i] * scale, largest);
  SVEBM_UNROLL
  for (int mask = 1; mask < kLanes; mask *= 2) sum += shuffle_xor(sum, mask);
  return make_float2(largest, sum);
}

// Keeps what choosing needs of a panel of scores, of which each of kLanes neighbouring threads holds kCount: words
// first_word(i).
template <int kCount, int kLanes, class Word>
SVEBM_DEVICE void keep_panel(const GruDecode& d, int64_t row, int panel, bool writes, const float (&scores)[kCount],
                             const Word& word) {
  const int64_t at = row * d.plan.n_panels + panel;
  if (d.plan.keep_keys) {
    GruKey best = 0;
    SVEBM_UNROLL
    for (int i = 0; i < kCount; ++i) best = larger_key(best, key_of(scores[i], word(i)));
    SVEBM_UNROLL
    for (int mask = 1; mask < kLanes; mask *= 2) best = larger_key(best, shuffle_xor(best, mask));
    if (writes) place<GruKey>(d, d.plan.keys)[at] = best;
  }
  if (d.plan.keep_sums) {
    const float2 sum = sum_panel<kCount, kLanes>(scores, d.plan.scale);
    if (writes) place<float2>(d, d.plan.sums)[at] = sum;
  }
  if (d.plan.keep_plain_sums) {
    const float2 sum = sum_panel<kCount, kLanes>(scores, 1.0f);
    if (writes) place<float2>(d, d.plan.plain_sums)[at] = sum;
  }
}

// ---- gates

SVEBM_DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
SVEBM_DEVICE float hyperbolic_tangent(float x) { return 1.0f - 2.0f / (1.0f + expf(2.0f * x)); }

SVEBM_DEVICE bool is_finite(float x) { return x - x == 0.0f; }

// A number as an operand of products, in `fast`.
SVEBM_DEVICE HalfBits half_of(float x) { return static_cast<HalfBits>(pack_halves(x, 0.0f)); }

// n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h' = n + z (h - n),  for one unit of one sentence; the products W_hh h
// are given. `from` and `to` say which copies of the states are read and written.
SVEBM_DEVICE void advance_unit(const GruDecode& d, int64_t row, int unit, int word, float reset_sum, float keep_sum,
                               float candidate_sum, int from, int to) {
  const int H = d.a.hidden;
  const float* const inputs = d.a.input_gates + static_cast<int64_t>(word) * 3 * H + unit;
  const float* const context = d.a.gate_bias + row * 3 * H + unit;
  const float* const bias = d.a.bias + unit;
  const float input_r = inputs[0] + context[0], input_z = inputs[H] + context[H];
  const float input_n = inputs[2 * H] + context[2 * H];
  const float reset = sigmoid(input_r + (reset_sum + bias[0])), keep = sigmoid(input_z + (keep_sum + bias[H]));
  const float candidate = hyperbolic_tangent(input_n + reset * (candidate_sum + bias[2 * H]));
  const int64_t at = row * d.plan.depth + unit;
  const float before = place<float>(d, d.plan.state[from])[at];
  const float after = candidate + keep * (before - candidate);
  place<float>(d, d.plan.state[to])[at] = after;
  if (d.plan.fast) place<HalfBits>(d, d.plan.half_state[to])[at] = half_of(after);
  if (!is_finite(after)) place<int>(d, d.plan.bad)[row] = 1;
}

// ---- before the first step

// Row of W_hh behind a packed row, or -1. A tile of the persistent kernel has 4 units, the gates one after the other;
// a block of the kernels of a step has 32.
SVEBM_DEVICE int64_t gate_row(const GruDecode& d, int64_t packed_row) {
  const int tile = d.plan.persistent ? kGruTile : 3 * kGruGateUnits;
  const int units = d.plan.persistent ? kGruTileUnits : kGruGateUnits;
  const int64_t number = packed_row / tile;
  const int within = static_cast<int>(packed_row - number * tile), gate = within / units;
  const int64_t unit = number * units + within % units;
  return gate < 3 && unit < d.a.hidden ? gate * d.a.hidden + unit : -1;
}

SVEBM_DEVICE bool left_half_range(uint32_t halves) {
  return (halves & 0x7C00u) == 0x7C00u || (halves & 0x7C000000u) == 0x7C000000u;
}

// Eight halves of a packed matrix, in blocks of 16 rows x 32 columns: what the fragments of one product are read from,
// 16 bytes a thread.
SVEBM_DEVICE void pack_eight(const GruDecode& d, const float* row, int column, unsigned char* to) {
  uint32_t pairs[4];
  for (int i = 0; i < 4; ++i) {
    const int k = column + 2 * i;
    pairs[i] = pack_halves(row != nullptr && k < d.a.hidden ? row[k] : 0.0f,
                           row != nullptr && k + 1 < d.a.hidden ? row[k + 1] : 0.0f);
    if (left_half_range(pairs[i])) *d.a.non_finite = 1;
  }
  *reinterpret_cast<uint4*>(to) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
}

SVEBM_DEVICE void pack_halves_of(const GruDecode& d, bool of_gates, int64_t first, int64_t step) {
  const int64_t n_rows = of_gates ? d.plan.n_gate_rows : d.plan.n_words;
  unsigned char* const packed = place<unsigned char>(d, of_gates ? d.plan.gates : d.plan.output);
  const int column_blocks = d.plan.depth / 32;
  for (int64_t i = first; i < n_rows * column_blocks * 4; i += step) {
    const int64_t block = i / 64, tile = block / column_blocks;
    const int64_t packed_row = tile * kGruTile + i % 64 / 4;
    const int column = static_cast<int>(block - tile * column_blocks) * 32 + static_cast<int>(i % 4) * 8;
    const int64_t row = of_gates ? gate_row(d, packed_row) : packed_row < d.a.vocabulary ? packed_row : -1;
    const float* const matrix = of_gates ? d.a.weight : d.a.output;
    pack_eight(d, row < 0 ? nullptr : matrix + row * d.a.hidden, column, packed + 16 * i);
  }
}

// A copy of a matrix with rows filled up.
SVEBM_DEVICE void pad_rows(const GruDecode& d, const float* matrix, int64_t n_rows, float* to, int64_t first,
                           int64_t step) {
  const int depth = d.plan.depth;
  for (int64_t i = first; i < n_rows * depth; i += step) {
    const int64_t row = i / depth;
    const int column = static_cast<int>(i - row * depth);
    to[i] = column < d.a.hidden ? matrix[row * d.a.hidden + column] : 0.0f;
  }
}

SVEBM_DEVICE float score_bias(const GruDecode& d, int64_t word) {
  if (word >= d.a.vocabulary) return minus_infinity();
  for (int i = 0; i < d.a.n_excluded; ++i) {
    if (d.a.excluded[i] == word) return minus_infinity();
  }
  return d.a.output_bias != nullptr ? d.a.output_bias[word] : 0.0f;
}

// Results, state and counters as they are before the first step, and packed weights.
SVEBM_DEVICE void prepare_gru(const GruDecode& d) {
  const SvebmGruDecodeArguments& a = d.a;
  const GruPlan& plan = d.plan;
  const int64_t first = global_thread(), step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  if (first == 0) *place<unsigned>(d, plan.counter) = 0;
  for (int64_t i = first; i <= a.max_tokens; i += step) {
    place<int>(d, plan.n_active)[i] = i == 0 ? static_cast<int>(a.n_rows) : 0;
  }
  for (int64_t i = first; i < a.n_rows; i += step) {
    place<int>(d, plan.active[0])[i] = static_cast<int>(i);
    place<int>(d, plan.word)[i] = a.begin;
    place<int>(d, plan.bad)[i] = 0;
    a.lengths[i] = a.max_tokens;
    if (plan.one_key) place<GruKey>(d, plan.keys)[i] = place<GruKey>(d, plan.keys)[a.n_rows + i] = 0;
  }
  for (int64_t i = first; i < a.n_rows * a.max_tokens; i += step) {
    a.tokens[i] = a.pad;
    if (a.log_probabilities != nullptr) a.log_probabilities[i] = 0.0f;
  }
  for (int64_t i = first; i < a.n_rows * plan.depth; i += step) {
    const int64_t row = i / plan.depth;
    const int unit = static_cast<int>(i - row * plan.depth);
    const float value = unit < a.hidden ? a.state[row * a.hidden + unit] : 0.0f;
    if (plan.fast && left_half_range(half_of(value))) *a.non_finite = 1;
    for (int copy = 0; copy < 2; ++copy) {  // the second for the zeros
      place<float>(d, plan.state[copy])[i] = value;
      if (plan.fast) place<HalfBits>(d, plan.half_state[copy])[i] = half_of(value);
    }
  }
  for (int64_t i = first; i < plan.n_words; i += step) place<float>(d, plan.score_bias)[i] = score_bias(d, i);
  if (plan.fast) {
    pack_halves_of(d, true, first, step);
    pack_halves_of(d, false, first, step);
  } else if (!plan.direct) {
    pad_rows(d, a.weight, int64_t{3} * a.hidden, place<float>(d, plan.gates), first, step);
    pad_rows(d, a.output, a.vocabulary, place<float>(d, plan.output), first, step);
  }
}

SVEBM_DEVICE const float* fp32_gates(const GruDecode& d) {
  return d.plan.direct ? d.a.weight : place<float>(d, d.plan.gates);
}

SVEBM_DEVICE const float* fp32_output(const GruDecode& d) {
  return d.plan.direct ? d.a.output : place<float>(d, d.plan.output);
}

}  // namespace svebm
