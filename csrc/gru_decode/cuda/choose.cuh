// Choosing one sentence's next word from what was kept of its panels of scores, by all threads of a block. See
// gru_decode/cuda/gru_decode.cu.
#pragma once

#include "common/philox.h"
#include "gru_decode/cuda/dots.cuh"

namespace svebm {

// In shared memory. Each place is written once for a word, and two barriers at least lie between that and the next
// word: so calls may follow each other without a barrier.
struct GruChoiceMemory {
  double warp_sums[16];
  double passed;  // before the panel
  GruKey warp_keys[16];
  float warp_largest[2][16], warp_plain_sums[16];
  float scores[kGruScorePanel], shares[kGruScorePanel];
  int warp_first[16], warp_last[16];
  int panel;
};
static_assert(sizeof(GruChoiceMemory) <= 1024, "the plan has room for so much");

SVEBM_DEVICE int n_block_warps() { return static_cast<int>(blockDim.x) / 32; }

// One sentence at one step.
struct GruTurn {
  int64_t row;
  int step;
  int copy;  // of the states: the one that the scores come from
};

SVEBM_DEVICE float block_largest(float value, float (&warps)[16]) {
  SVEBM_UNROLL
  for (int mask = 1; mask < 32; mask *= 2) value = fmaxf(value, shuffle_xor(value, mask));
  if (lane_of_thread() == 0) warps[warp_of_thread()] = value;
  block_barrier(SVEBM_SITE);
  SVEBM_LOOP
  for (int w = 0; w < n_block_warps(); ++w) value = fmaxf(value, warps[w]);
  return value;
}

SVEBM_DEVICE float largest_of_panels(const GruDecode& d, const float2* sums, float (&warps)[16]) {
  float largest = minus_infinity();
  for (int p = static_cast<int>(threadIdx.x); p < d.plan.n_panels; p += static_cast<int>(blockDim.x)) {
    largest = fmaxf(largest, sums[p].x);
  }
  return block_largest(largest, warps);
}

SVEBM_DEVICE float panel_share(float2 sum, float largest) {
  return sum.y == 0.0f ? 0.0f : sum.y * expf(sum.x - largest);
}

// log of the sum of e^score over all words, for thread 0.
SVEBM_DEVICE float log_sum_of_panels(const GruDecode& d, const GruTurn& turn, GruChoiceMemory& choice) {
  const float2* const sums =
      place<float2>(d, d.plan.keep_plain_sums ? d.plan.plain_sums : d.plan.sums) + turn.row * d.plan.n_panels;
  const float largest = largest_of_panels(d, sums, choice.warp_largest[1]);
  float total = 0.0f;
  for (int p = static_cast<int>(threadIdx.x); p < d.plan.n_panels; p += static_cast<int>(blockDim.x)) {
    total += panel_share(sums[p], largest);
  }
  SVEBM_UNROLL
  for (int mask = 1; mask < 32; mask *= 2) total += shuffle_xor(total, mask);
  if (lane_of_thread() == 0) choice.warp_plain_sums[warp_of_thread()] = total;
  block_barrier(SVEBM_SITE);
  total = 0.0f;
  SVEBM_LOOP
  for (int w = 0; w < n_block_warps(); ++w) total += choice.warp_plain_sums[w];
  return largest + logf(total);
}

SVEBM_DEVICE GruKey best_of_panels(const GruDecode& d, const GruTurn& turn, GruChoiceMemory& choice) {
  const GruKey* const keys = place<GruKey>(d, d.plan.keys) + turn.row * d.plan.n_panels;
  GruKey best = 0;
  for (int p = static_cast<int>(threadIdx.x); p < d.plan.n_panels; p += static_cast<int>(blockDim.x)) {
    best = larger_key(best, keys[p]);
  }
  SVEBM_UNROLL
  for (int mask = 1; mask < 32; mask *= 2) best = larger_key(best, shuffle_xor(best, mask));
  if (lane_of_thread() == 0) choice.warp_keys[warp_of_thread()] = best;
  block_barrier(SVEBM_SITE);
  SVEBM_LOOP
  for (int w = 0; w < n_block_warps(); ++w) best = larger_key(best, choice.warp_keys[w]);
  return best;
}

SVEBM_DEVICE float uniform_of(const GruDecode& d, const GruTurn& turn) {
  const uint64_t seed = d.a.seed_tensor != nullptr ? *d.a.seed_tensor : d.a.seed;
  const PhiloxWords words =
      philox4x32_10(philox_counter(d.a.ids[turn.row], static_cast<uint32_t>(turn.step), 0, d.a.stream),
                    static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return uniform_from_word(words.w0);
}

// What the words of all threads before this one have together, each thread having `own`; the block's total as well.
SVEBM_DEVICE double sum_before(double own, GruChoiceMemory& choice, double& total) {
  const int lane = lane_of_thread(), warp = warp_of_thread();
  double before = 0.0, all = own;
  SVEBM_UNROLL
  for (int mask = 1; mask < 32; mask *= 2) {
    const double other = shuffle_xor(all, mask);
    if ((lane & mask) != 0) before += other;
    all += other;
  }
  if (lane == 0) choice.warp_sums[warp] = all;
  block_barrier(SVEBM_SITE);
  total = 0.0;
  SVEBM_LOOP
  for (int w = 0; w < n_block_warps(); ++w) {
    if (w == warp) before += total;
    total += choice.warp_sums[w];
  }
  return before;
}

// The first thread for which `reaches` holds, or where there is none the last that can have the word; -1 without any.
SVEBM_DEVICE int choose_thread(bool possible, bool reaches, GruChoiceMemory& choice) {
  constexpr unsigned kNone = 1u << 20;
  unsigned first = reaches ? threadIdx.x : kNone, last = possible ? threadIdx.x + 1 : 0;
  SVEBM_UNROLL
  for (int mask = 1; mask < 32; mask *= 2) {
    const unsigned other_first = shuffle_xor(first, mask), other_last = shuffle_xor(last, mask);
    first = other_first < first ? other_first : first;
    last = other_last > last ? other_last : last;
  }
  if (lane_of_thread() == 0) {
    choice.warp_first[warp_of_thread()] = static_cast<int>(first);
    choice.warp_last[warp_of_thread()] = static_cast<int>(last);
  }
  block_barrier(SVEBM_SITE);
  int chosen = static_cast<int>(kNone), possible_one = 0;
  SVEBM_LOOP
  for (int w = 0; w < n_block_warps(); ++w) {
    if (choice.warp_first[w] < chosen) chosen = choice.warp_first[w];
    if (choice.warp_last[w] > possible_one) possible_one = choice.warp_last[w];
  }
  return chosen < static_cast<int>(kNone) ? chosen : possible_one - 1;
}

// The panel in which the distribution function reaches the target, and what it is before it, in choice.panel and
// choice.passed. Returns false where the sums are not finite.
SVEBM_DEVICE bool draw_panel(const GruDecode& d, const GruTurn& turn, GruChoiceMemory& choice, float& largest,
                             double& target) {
  const float2* const sums = place<float2>(d, d.plan.sums) + turn.row * d.plan.n_panels;
  largest = largest_of_panels(d, sums, choice.warp_largest[0]);
  const int share = (d.plan.n_panels + static_cast<int>(blockDim.x) - 1) / static_cast<int>(blockDim.x);
  const int begin = static_cast<int>(threadIdx.x) * share;
  const int end = begin + share < d.plan.n_panels ? begin + share : d.plan.n_panels;
  double own = 0.0, total;
  for (int p = begin; p < end; ++p) own += panel_share(sums[p], largest);
  double passed = sum_before(own, choice, total);
  if (!(total > 0.0) || total - total != 0.0) return false;
  target = static_cast<double>(uniform_of(d, turn)) * total;
  const bool possible = own > 0.0;
  const bool mine =
      choose_thread(possible, possible && passed + own >= target, choice) == static_cast<int>(threadIdx.x);
  bool found = false;
  for (int p = begin; mine && !found && p < end; ++p) {
    const float part = panel_share(sums[p], largest);
    if (part > 0.0f) {  // the last possible panel, if rounding lets none reach the target
      choice.panel = p;
      choice.passed = passed;
    }
    passed += part;
    found = part > 0.0f && passed >= target;
  }
  block_barrier(SVEBM_SITE);
  return true;
}

// Scores of the drawn panel once more, and each word's share.
SVEBM_DEVICE void panel_again(const GruDecode& d, const GruTurn& turn, GruChoiceMemory& choice, float largest) {
  const float scale = d.plan.scale;
  const int first = choice.panel * d.plan.panel;
  const int64_t state = turn.row * d.plan.depth;
  const auto keep = [&](int word, float sum) {
    const float score = sum + place<float>(d, d.plan.score_bias)[word];
    choice.scores[word - first] = score;
    choice.shares[word - first] = share_of(score * scale, largest);
  };
  const int at_once = d.plan.fast ? 8 : 4;
  for (int i = at_once * warp_of_thread(); i < d.plan.panel; i += at_once * n_block_warps()) {
    if (d.plan.fast) {
      half_scores(d, first + i, place<HalfBits>(d, d.plan.half_state[turn.copy]) + state, keep);
    } else {
      fp32_scores(d, first + i, place<float>(d, d.plan.state[turn.copy]) + state, keep);
    }
  }
  block_barrier(SVEBM_SITE);
}

// The word at which the distribution function, in the order of the vocabulary, reaches the uniform number, for thread
// 0; -1 where the sums are not finite.
SVEBM_DEVICE int draw_word(const GruDecode& d, const GruTurn& turn, GruChoiceMemory& choice, float& score) {
  float largest;
  double target;
  if (!draw_panel(d, turn, choice, largest, target)) return -1;
  panel_again(d, turn, choice, largest);
  if (threadIdx.x != 0) return -1;
  double passed = choice.passed;
  int chosen = 0;
  bool found = false;
  for (int i = 0; !found && i < d.plan.panel; ++i) {
    const float part = choice.shares[i];
    chosen = part > 0.0f ? i : chosen;
    passed += part;
    found = part > 0.0f && passed >= target;
  }
  score = choice.scores[chosen];
  return choice.panel * d.plan.panel + chosen;
}

// Writes the word, which is -1 where no score can be compared, and returns the next input.
SVEBM_DEVICE int write_word(const GruDecode& d, const GruTurn& turn, int word, float score, float log_sum) {
  if (word < 0 || place<int>(d, d.plan.bad)[turn.row] != 0) {
    *d.a.non_finite = 1;
    word = d.a.end;
    score = NAN;
  }
  const int64_t at = turn.row * d.a.max_tokens + turn.step;
  d.a.tokens[at] = word;
  if (d.a.log_probabilities != nullptr) d.a.log_probabilities[at] = score - log_sum;
  if (word == d.a.end) d.a.lengths[turn.row] = turn.step + 1;
  return word;
}

// All threads of a block; thread 0 returns the word. (Greedy without log probabilities: once for a block.)
SVEBM_DEVICE int choose_word(const GruDecode& d, const GruTurn& turn, GruChoiceMemory& choice) {
  float score = 0.0f, log_sum = 0.0f;
  int word;
  if (d.a.log_probabilities != nullptr) log_sum = log_sum_of_panels(d, turn, choice);
  if (d.plan.keep_keys) {
    const GruKey best = best_of_panels(d, turn, choice);
    word = word_of_key(best);
    score = score_of_key(best);
  } else {
    word = draw_word(d, turn, choice, score);
  }
  if (threadIdx.x != 0) return 0;
  word = write_word(d, turn, word, score, log_sum);
  place<int>(d, d.plan.word)[turn.row] = word;
  return word;
}

}  // namespace svebm
