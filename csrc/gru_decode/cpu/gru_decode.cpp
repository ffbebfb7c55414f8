// Decoding on the CPU. A step is one pass over the packed weights: words (and gates) lie on vector lanes, the states of
// a few rows are the factors, so that each weight is read once for a group of rows and meets all of it in registers.
// The best word, or sums that a draw needs, are found while a panel's scores are in the first-level cache; scores are
// never stored whole. Weights dominate where rows are few: then the pass is bound by the bandwidth of the cache that
// holds them, and its order is theirs in memory. Otherwise it is bound by arithmetic, if what comes next is fetched in
// time (gru_decode/cpu/tiles.h).
//
// Every product is a plain sum from first to last (common/cpu/panel.h): a row's words do not depend on the rows beside
// it.
#include "gru_decode/gru_decode.h"

#include "common/cpu/vector_math.h"
#include "common/math.h"
#include "common/philox.h"
#include "gru_decode/cpu/memory.h"
#include "gru_decode/cpu/tiles.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

constexpr float kLog2E = 1.44269504f;

// Exponents are powers of two: (score - peak) times this. Finite at any temperature, so that the best word has 0.
SVEBM_INLINE float draw_factor(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m) {
  const float factor = m.choice == kBestWord ? kLog2E : kLog2E / a.temperature;
  return factor < 3e38f ? factor : 3e38f;
}

SVEBM_INLINE Floats load_part(const float* from, int n) {
  return n >= kWidth ? load_anywhere(from) : load_some(from, n);
}

SVEBM_INLINE Floats sigmoid(Floats x) { return vanishing_logistic(x, 1.0f / (1.0f + exponential(-x))); }
SVEBM_INLINE Floats hyperbolic_tangent(Floats x) { return 1.0f - 2.0f / (1.0f + exponential(x * 2.0f)); }

// n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h' = n + z (h - n)
SVEBM_INLINE void advance(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int row, int panel,
                          const float* products) {
  const int H = a.hidden, unit = panel * kWidth, left = H - unit;
  const int64_t padded = padded_hidden(H);
  const float* const word = a.input_gates + int64_t{m.word[row]} * 3 * H + unit;
  const float* const context = a.gate_bias + int64_t{row} * 3 * H + unit;
  const auto input = [&](int gate) {
    const int at = gate * H;
    return load_part(word + at, left) + load_part(context + at, left);
  };
  const auto recurrent = [&](int gate) {
    return load(products + gate * kWidth) + load(m.gate_bias + gate * padded + unit);
  };
  const Floats reset = sigmoid(input(0) + recurrent(0)), keep = sigmoid(input(1) + recurrent(1));
  const Floats candidate = hyperbolic_tangent(fma(reset, recurrent(2), input(2)));
  const Floats before = load(m.state + row * padded + unit);
  store(m.next_state + row * padded + unit, fma(keep, before - candidate, candidate));
}

// What `advance` reads of the input gates lies anywhere in a large table: it comes while the products are computed.
SVEBM_INLINE void fetch_inputs(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int row, int panel) {
  const int unit = panel * kWidth;
  const int last = (a.hidden - unit < kWidth ? a.hidden - unit : kWidth) - 1;
  for (int gate = 0; gate < 3; ++gate) {
    const float* const word = a.input_gates + (int64_t{m.word[row]} * 3 + gate) * a.hidden + unit;
    __builtin_prefetch(word);
    __builtin_prefetch(word + last);
  }
}

template <typename Kind>
void gates(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, float* tile, int64_t begin, int64_t end) {
  const int n = depth<Kind>(a.hidden);
  int n_tiles = 0;
  for (int group = 0; group < n_groups(m.n_active); ++group) n_tiles += 1 + (group_rows(m.n_active, group) > kGateRows);
  for (int64_t panel = begin; panel < end; ++panel) {
    const float* const weights = static_cast<const float*>(m.packed_gates) + panel * n * kGateLanes;
    Ahead ahead(weights, panel + 1 < end ? n * kGateLanes : 0, n, kGateLanes, n_tiles);
    for (int group = 0; group < n_groups(m.n_active); ++group) {
      const int rows = group_rows(m.n_active, group), part = rows > kGateRows ? (rows + 1) / 2 : rows;
      for (int first = 0; first < rows; first += part) {
        const int count = rows - first < part ? rows - first : part;
        const int32_t* const numbers = m.active + first_row(m.n_active, group) + first;
        TileWork work{group_states<Kind>(a, m, group) + first, rows, weights, kGateLanes, 0, n, tile, kGateLanes};
        ahead.give(work);
        for (int r = 0; r < count; ++r) fetch_inputs(a, m, numbers[r], static_cast<int>(panel));
        group_tile<Kind, 3, kGateRows>(count)(work);
        for (int r = 0; r < count; ++r) {
          advance(a, m, numbers[r], static_cast<int>(panel), tile + r * kGateLanes);
        }
      }
    }
  }
}

// Best score of each lane: panels come in the order of words, so that the first of equals stays. A score that is no
// number stays for good.
SVEBM_INLINE void keep_best(const GruDecodeMemory& m, int64_t slot, int panel, const float* scores) {
  float* const best = m.best + slot * 16;
  int32_t* const words = m.best_word + slot * 16;
  Ints lane;
  for (int i = 0; i < kWidth; ++i) lane[i] = i;
  for (int part = 0; part < (kWidth < 16 ? 16 : kWidth); part += kWidth) {
    Floats most = load(best + part);
    Ints word = *reinterpret_cast<const Ints*>(words + part), unknown{};
    for (int i = part; i < kWordPanel; i += 16) {
      const Floats score = load(scores + i);
      const Ints better = score > most;
      most = better ? score : most;
      word = better ? lane + (panel * kWordPanel + i) : word;
      unknown |= score != score;
    }
    store(best + part, unknown ? broadcast(float_of(0x7FC00000u)) : most);
    *reinterpret_cast<Ints*>(words + part) = word;
  }
}

// Sum of e^((score - peak) scale) over a panel's words, where `factor` is scale log2(e).
SVEBM_INLINE float sum_exponentials(const float* scores, Floats peak, float factor) {
  Floats total = zero();
  for (int i = 0; i < kWordPanel; i += kWidth) total += vanishing_power((load(scores + i) - peak) * factor);
  return sum_of_lanes(total);
}

// What a draw needs of a panel: its largest score, and the sum of exponentials of what the others lack to it.
SVEBM_INLINE void keep_sums(const GruDecodeMemory& m, int64_t at, const float* scores, float factor) {
  Floats most = load(scores);
  for (int i = kWidth; i < kWordPanel; i += kWidth) most = larger(load(scores + i), most);
  const Floats peak = largest_lane(most);
  const bool possible = peak[0] - peak[0] == 0.0f;  // some word of the panel can come
  m.panel_max[at] = peak[0];
  m.panel_sum[at] = possible ? sum_exponentials(scores, peak, factor) : 0.0f;
  if (m.keep_plain_sums) m.plain_panel_sum[at] = possible ? sum_exponentials(scores, peak, kLog2E) : 0.0f;
}

// Scores of a panel's words for the rows of a group: bias, and what is kept of them.
SVEBM_INLINE void finish_scores(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int worker, int panel,
                                int row, float factor, float* found) {
  const float* const bias = m.score_bias + int64_t{panel} * kWordPanel;
  for (int i = 0; i < kWordPanel; i += kWidth) store(found + i, load(found + i) + load(bias + i));
  const int64_t at = int64_t{row} * word_panels(a.vocabulary) + panel;
  if (m.choice == kBestWord) keep_best(m, worker * a.n_rows + row, panel, found);
  if (m.choice == kFromScores) std::memcpy(m.scores + at * kWordPanel, found, sizeof(float) * kWordPanel);
  if (m.keep_sums) keep_sums(m, at, found, factor);
}

// Panels [begin, end) for groups [first_group, last_group). One or two rows alone are bound by the cache that holds the
// weights: they take two panels together, so that more is under way.
template <typename Kind>
void score_groups(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int worker, float* tile, int64_t begin,
                  int64_t end, int first_group, int last_group) {
  constexpr int kFewRows = 2;
  const int n = depth<Kind>(a.hidden);
  const float factor = draw_factor(a, m);
  const bool few = m.n_active <= kFewRows;
  int n_panels = 1;
  for (int64_t panel = begin; panel < end; panel += n_panels) {
    const float* const weights = static_cast<const float*>(m.packed_output) + panel * n * kWordPanel;
    n_panels = few && 4 * kWidth > kWordPanel && panel + 1 < end ? 2 : 1;
    const int lanes = n_panels * kWordPanel, vectors = few && lanes >= 4 * kWidth ? 4 : 2;
    const int64_t jump = n_panels == 2 ? int64_t{n} * kWordPanel : 2 * kWidth;
    const int n_tiles = (last_group - first_group) * lanes / (vectors * kWidth);
    Ahead ahead(weights, panel + n_panels < end && !few ? n * kWordPanel : 0, n, kWordPanel, n_tiles);
    for (int group = first_group; group < last_group; ++group) {
      const int first = first_row(m.n_active, group), rows = group_rows(m.n_active, group);
      const GroupTile compute = vectors == 4 ? group_tile<Kind, 4, kFewRows>(rows) : group_tile<Kind, 2, kGroup>(rows);
      for (int lane = 0; lane < lanes; lane += vectors * kWidth) {
        TileWork work{group_states<Kind>(a, m, group), rows, weights + lane, kWordPanel, jump, n, tile + lane, lanes};
        ahead.give(work);
        compute(work);
      }
      for (int r = 0; r < rows; ++r) {
        for (int p = 0; p < n_panels; ++p) {
          finish_scores(a, m, worker, static_cast<int>(panel) + p, m.active[first + r], factor,
                        tile + r * lanes + p * kWordPanel);
        }
      }
    }
  }
}

// States that meet every panel must stay in the second-level cache beside it; of more rows, part after part meets all
// panels.
template <typename Kind>
void score(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int worker, float* tile, int64_t begin,
           int64_t end) {
  constexpr int kStateBytes = 1 << 19;
  const int n = n_groups(m.n_active), most = kStateBytes / (kGroup * 4 * depth<Kind>(a.hidden));
  const int n_parts = most < 1 ? n : (n + most - 1) / most;
  for (int part = 0; part < n_parts; ++part) {
    const int first = static_cast<int>(int64_t{n} * part / n_parts),
              last = static_cast<int>(int64_t{n} * (part + 1) / n_parts);
    score_groups<Kind>(a, m, worker, tile, begin, end, first, last);
  }
}

// Sum of exponentials over panels, relative to that of the largest score; shares[p] (where not null) gets each panel's
// part.
SVEBM_INLINE double sum_panels(const float* largest, const float* sums, int n, float factor, float* peak_found,
                               float* shares) {
  float peak = largest[0];
  for (int p = 1; p < n; ++p) peak = largest[p] > peak ? largest[p] : peak;
  double total[4] = {};  // none has to wait for the one before
  for (int p = 0; p < n; p += kWidth) {
    const int count = n - p < kWidth ? n - p : kWidth;
    const Floats part = vanishing_power((load_part(largest + p, count) - peak) * factor) * load_part(sums + p, count);
    for (int i = 0; i < count; ++i) {
      total[i % 4] += part[i];
      if (shares != nullptr) shares[p + i] = part[i];
    }
  }
  *peak_found = peak;
  return (total[0] + total[1]) + (total[2] + total[3]);
}

// Scores of a panel's words, the bits that `score` had.
template <typename Kind>
void scores_again(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t row, int panel, float* tile) {
  const int n = depth<Kind>(a.hidden);
  const float* state = m.next_state + row * padded_hidden(a.hidden);
  if constexpr (Kind::kPairs) {
    float* const pairs = tile + kGroup * kWordPanel;
    pack_rows<Kind>(&state, 1, a.hidden, pairs);
    state = pairs;
  }
  const float* const weights = static_cast<const float*>(m.packed_output) + int64_t{panel} * n * kWordPanel;
  for (int lane = 0; lane < kWordPanel; lane += 2 * kWidth) {
    compute_group<Kind, 1, 2>(
        {state, 1, weights + lane, kWordPanel, 0, n, tile + lane, kWordPanel, reinterpret_cast<const char*>(weights)});
  }
  const float* const bias = m.score_bias + int64_t{panel} * kWordPanel;
  for (int i = 0; i < kWordPanel; i += kWidth) store(tile + i, load(tile + i) + load(bias + i));
}

SVEBM_INLINE float uniform_of(const SvebmGruDecodeArguments& a, int64_t row, int64_t step) {
  const uint64_t seed = a.seed_tensor != nullptr ? *a.seed_tensor : a.seed;
  const PhiloxWords words = philox4x32_10(philox_counter(a.ids[row], static_cast<uint32_t>(step), 0, a.stream),
                                          static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return uniform_from_word(words.w0);
}

// The word at which the distribution function, in the order of the vocabulary, reaches u, and its score; -1 where the
// scores are not finite.
template <typename Kind>
int draw(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t row, float* tile, float* score) {
  const int n_panels = word_panels(a.vocabulary);
  const int64_t at = row * n_panels;
  const float factor = draw_factor(a, m);
  float peak;
  float* const shares = m.panel_max + at;  // no longer needed once it has been read
  const double total = sum_panels(m.panel_max + at, m.panel_sum + at, n_panels, factor, &peak, shares);
  if (!(total > 0.0) || total - total != 0.0) return -1;
  const double target = static_cast<double>(uniform_of(a, row, m.step)) * total;
  double passed = 0.0;
  int panel = 0, last_possible = 0;
  for (; panel < n_panels; ++panel) {
    if (shares[panel] > 0.0f) last_possible = panel;
    if (shares[panel] > 0.0f && passed + shares[panel] >= target) break;
    passed += shares[panel];
  }
  if (panel == n_panels) panel = last_possible;  // rounding of the sum
  scores_again<Kind>(a, m, row, panel, tile);
  alignas(64) float parts[kWordPanel];
  for (int i = 0; i < kWordPanel; i += kWidth) store(parts + i, vanishing_power((load(tile + i) - peak) * factor));
  int chosen = -1;
  for (int i = 0; i < kWordPanel; ++i) {
    if (parts[i] > 0.0f) chosen = i;
    passed += parts[i];
    if (parts[i] > 0.0f && passed >= target) break;
  }
  chosen = chosen < 0 ? 0 : chosen;
  *score = tile[chosen];
  return panel * kWordPanel + chosen;
}

SVEBM_INLINE int best_of_lanes(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t row, int n_workers,
                               float* score) {
  int word = -1;
  for (int worker = 0; worker < n_workers; ++worker) {
    const int64_t slot = (worker * a.n_rows + row) * 16;
    for (int i = 0; i < (kWidth < 16 ? 16 : kWidth); ++i) {
      const float found = m.best[slot + i];
      const int found_word = m.best_word[slot + i];
      if (found != found) return -1;
      if (found_word < 0) continue;
      if (word < 0 || found > *score || (found == *score && found_word < word)) *score = found, word = found_word;
    }
  }
  return word;
}

SVEBM_INLINE bool finite_state(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t row) {
  const float* const state = m.next_state + row * padded_hidden(a.hidden);
  float sum = 0.0f;
  for (int i = 0; i < a.hidden; ++i) sum += state[i] - state[i];
  return sum == 0.0f;
}

template <typename Kind>
void choose(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int n_workers, float* tile, int64_t begin,
            int64_t end) {
  const int n_panels = word_panels(a.vocabulary);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = m.active[i], at = row * a.max_tokens + m.step;
    float log_sum = 0.0f, score = 0.0f;
    int word = -1;
    if (finite_state(a, m, row)) {
      if (a.log_probabilities != nullptr) {
        const float* const sums = m.keep_plain_sums ? m.plain_panel_sum : m.panel_sum;
        float peak;
        const double total =
            sum_panels(m.panel_max + row * n_panels, sums + row * n_panels, n_panels, kLog2E, &peak, nullptr);
        log_sum = peak + log_positive(static_cast<float>(total));
      }
      word = m.choice == kBestWord ? best_of_lanes(a, m, row, n_workers, &score) : draw<Kind>(a, m, row, tile, &score);
    }
    if (word < 0) {  // no score can be compared
      __atomic_store_n(a.non_finite, 1, __ATOMIC_RELAXED);
      word = a.end;
      score = float_of(0x7FC00000u);
    }
    m.word[row] = word;
    a.tokens[at] = word;
    if (a.log_probabilities != nullptr) a.log_probabilities[at] = score - log_sum;
  }
}

template <typename Kind>
GruDecodePhases phases_of() {
  return {kGroup,
          kWidth,
          &depth<Kind>,
          &packed_gate_elements<Kind>,
          &packed_output_elements<Kind>,
          &pack<Kind>,
          &pack_states<Kind>,
          &gates<Kind>,
          &score<Kind>,
          &choose<Kind>};
}

}  // namespace

GruDecodePhases gru_decode_phases(bool fast) {
#if defined(__AVX512BF16__)
  if (fast) return phases_of<Bf16Pairs>();
#endif
  (void)fast;
  return phases_of<Single>();
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm
