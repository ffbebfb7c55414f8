// Decoding on the CPU. A step is one pass over the packed weights: words (and gates) lie on vector lanes, the states of
// a few rows are the factors, so that each weight is read once for a group of rows and meets all of it in registers.
// The best word, or sums that a draw needs, are found while a panel's scores are in the first-level cache; scores are
// never stored whole. Weights dominate where rows are few: then the pass is bound by the bandwidth of the cache that
// holds them, and its order is theirs in memory.
//
// Every product is a plain sum from first to last (common/panel.h): a row's words do not depend on the rows beside it.
#include "common/math.h"
#include "common/panel.h"
#include "common/philox.h"
#include "common/vector_math.h"
#include "gru_decode/gru_decode.h"
#include "gru_decode/gru_decode_memory.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

constexpr int kGroup = kWidth == 16 ? 6 : 4;  // most rows whose sums fit the registers
constexpr int kGateLanes = 3 * kWidth;

SVEBM_INLINE int unit_panels(int hidden) { return (hidden + kWidth - 1) / kWidth; }
SVEBM_INLINE int padded_hidden(int hidden) { return unit_panels(hidden) * kWidth; }
SVEBM_INLINE int word_panels(int vocabulary) { return (vocabulary + kWordPanel - 1) / kWordPanel; }

// Numbers of four bytes that a state takes as a factor.
template <typename Kind>
int depth(int hidden) {
  return Kind::kPairs ? (hidden + 1) / 2 : hidden;
}

// Groups of nearly equal size: rows [first_row(g), first_row(g + 1)) of the active ones.
SVEBM_INLINE int n_groups(int n_active) { return (n_active + kGroup - 1) / kGroup; }
SVEBM_INLINE int first_row(int n_active, int group) {
  return static_cast<int>(int64_t{n_active} * group / n_groups(n_active));
}

// compute_tile for `rows` rows and kColumns vectors.
template <typename Kind, int kColumns>
TileFunction group_tile(int rows) {
  if constexpr (kGroup == 6) {
    if (rows == 6) return &compute_tile<Kind, 6, kColumns>;
    if (rows == 5) return &compute_tile<Kind, 5, kColumns>;
  }
  if (rows == 4) return &compute_tile<Kind, 4, kColumns>;
  if (rows == 3) return &compute_tile<Kind, 3, kColumns>;
  if (rows == 2) return &compute_tile<Kind, 2, kColumns>;
  return &compute_tile<Kind, 1, kColumns>;
}

// Vectors of words at a time: as many as the registers have sums for, and enough to hide the latency of a single row.
SVEBM_INLINE int score_columns(int rows) { return kWidth == 16 || rows <= 2 ? 4 : 2; }

template <typename Kind>
void pack(const SvebmGruDecodeArguments& a, void* packed) {
  auto* out = static_cast<typename Kind::Element*>(packed);
  const int H = a.hidden, n = depth<Kind>(H);
  for (int p = 0; p < unit_panels(H); ++p) {
    for (int gate = 0; gate < 3; ++gate) {
      for (int lane = 0; lane < kWidth; ++lane) {
        const int unit = p * kWidth + lane;
        const float* const row = a.weight + (int64_t{gate} * H + unit) * H;
        for (int j = 0; j < n; ++j) {
          out[(int64_t{j} * 3 + gate) * kWidth + lane] =
              unit < H ? Kind::element(row, 1, j, H) : typename Kind::Element{0};
        }
      }
    }
    out += int64_t{n} * kGateLanes;
  }
  for (int p = 0; p < word_panels(a.vocabulary); ++p) {
    for (int lane = 0; lane < kWordPanel; ++lane) {
      const int word = p * kWordPanel + lane;
      const float* const row = a.output + int64_t{word} * H;
      for (int j = 0; j < n; ++j) {
        out[int64_t{j} * kWordPanel + lane] =
            word < a.vocabulary ? Kind::element(row, 1, j, H) : typename Kind::Element{0};
      }
    }
    out += int64_t{n} * kWordPanel;
  }
}

template <typename Kind>
int64_t packed_gate_elements(int hidden) {
  return int64_t{unit_panels(hidden)} * depth<Kind>(hidden) * kGateLanes;
}

template <typename Kind>
int64_t packed_output_elements(int hidden, int vocabulary) {
  return int64_t{word_panels(vocabulary)} * depth<Kind>(hidden) * kWordPanel;
}

// out[j][rows] of `rows` states
template <typename Kind>
void pack_rows(const float* const* states, int rows, int hidden, void* out) {
  auto* const to = static_cast<typename Kind::Element*>(out);
  const int n = depth<Kind>(hidden);
  for (int j = 0; j < n; ++j) {
    for (int r = 0; r < rows; ++r) to[int64_t{j} * rows + r] = Kind::element(states[r], 1, j, hidden);
  }
}

// Place of a group's packed states.
template <typename Kind>
SVEBM_INLINE float* group_states(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int group) {
  return m.packed_state + int64_t{first_row(m.n_active, group)} * depth<Kind>(a.hidden);
}

template <typename Kind>
void pack_states(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, const float* states, int64_t begin,
                 int64_t end) {
  for (int64_t group = begin; group < end; ++group) {
    const int first = first_row(m.n_active, static_cast<int>(group));
    const int rows = first_row(m.n_active, static_cast<int>(group) + 1) - first;
    const float* rows_of_group[kGroup];
    for (int r = 0; r < rows; ++r) {
      rows_of_group[r] = states + int64_t{m.active[first + r]} * padded_hidden(a.hidden);
    }
    pack_rows<Kind>(rows_of_group, rows, a.hidden, group_states<Kind>(a, m, static_cast<int>(group)));
  }
}

SVEBM_INLINE Floats load_part(const float* from, int n) {
  alignas(64) float part[kWidth] = {};
  std::memcpy(part, from, sizeof(float) * (n < kWidth ? n : kWidth));
  return load(part);
}

SVEBM_INLINE Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }
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

template <typename Kind>
void gates(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, float* tile, int64_t begin, int64_t end) {
  const int n = depth<Kind>(a.hidden);
  for (int64_t panel = begin; panel < end; ++panel) {
    const auto* const weights = static_cast<const typename Kind::Element*>(m.packed_gates) + panel * n * kGateLanes;
    for (int group = 0; group < n_groups(m.n_active); ++group) {
      const int first = first_row(m.n_active, group), rows = first_row(m.n_active, group + 1) - first;
      group_tile<Kind, 3>(rows)(group_states<Kind>(a, m, group), nullptr, reinterpret_cast<const float*>(weights), n,
                                kGateLanes, tile);
      for (int r = 0; r < rows; ++r) {
        advance(a, m, m.active[first + r], static_cast<int>(panel), tile + r * kGateLanes);
      }
    }
  }
}

// Best score of each lane: panels come in the order of words, so that the first of equals stays.
SVEBM_INLINE void keep_best(const GruDecodeMemory& m, int64_t slot, int panel, const float* scores) {
  float* const best = m.best + slot * 16;
  int32_t* const words = m.best_word + slot * 16;
  Ints lane;
  for (int i = 0; i < kWidth; ++i) lane[i] = i;
  for (int i = 0; i < kWordPanel; i += kWidth) {
    float* const at = best + i % 16;
    auto* const word_at = reinterpret_cast<Ints*>(words + i % 16);
    const Floats score = load(scores + i), old = load(at);
    const Ints better = score > old;
    store(at, better ? score : old);
    *word_at = better ? lane + (panel * kWordPanel + i) : *word_at;
  }
}

// Largest scaled score of kDrawPanel words and the sum of e^(score - largest).
SVEBM_INLINE void sum_exponentials(const float* scores, float scale, float* largest, float* sum) {
  Floats most = load(scores) * scale;
  for (int i = kWidth; i < kDrawPanel; i += kWidth) most = larger(load(scores + i) * scale, most);
  float peak = most[0];
  for (int i = 1; i < kWidth; ++i) peak = most[i] > peak ? most[i] : peak;
  *largest = peak;
  *sum = 0.0f;
  if (peak - peak != 0.0f) return;  // no word of the panel can come
  Floats total = zero();
  for (int i = 0; i < kDrawPanel; i += kWidth) total += exponential(load(scores + i) * scale - peak);
  float all = 0.0f;
  for (int i = 0; i < kWidth; ++i) all += total[i];
  *sum = all;
}

template <typename Kind>
void score_group(const SvebmGruDecodeArguments& a, const float* states, int rows, const float* weights, float* tile) {
  const int n = depth<Kind>(a.hidden), columns = score_columns(rows);
  const TileFunction compute = columns == 4 ? group_tile<Kind, 4>(rows) : group_tile<Kind, 2>(rows);
  for (int lane = 0; lane < kWordPanel; lane += columns * kWidth) {
    compute(states, nullptr, weights + lane, n, kWordPanel, tile + lane);
  }
}

template <typename Kind>
void score(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int worker, float* tile, int64_t begin,
           int64_t end) {
  const int n = depth<Kind>(a.hidden), n_panels = word_panels(a.vocabulary);
  const float scale = 1.0f / a.temperature;
  for (int64_t panel = begin; panel < end; ++panel) {
    const auto* const weights = reinterpret_cast<const float*>(
        static_cast<const typename Kind::Element*>(m.packed_output) + panel * n * kWordPanel);
    const float* const bias = m.score_bias + panel * kWordPanel;
    for (int group = 0; group < n_groups(m.n_active); ++group) {
      const int first = first_row(m.n_active, group), rows = first_row(m.n_active, group + 1) - first;
      score_group<Kind>(a, group_states<Kind>(a, m, group), rows, weights, tile);
      for (int r = 0; r < rows; ++r) {
        const int64_t row = m.active[first + r];
        float* const found = tile + r * kWordPanel;
        for (int i = 0; i < kWordPanel; i += kWidth) store(found + i, load(found + i) + load(bias + i));
        if (m.choice == kBestWord) keep_best(m, worker * a.n_rows + row, static_cast<int>(panel), found);
        if (m.choice == kFromScores) {
          std::memcpy(m.scores + (row * n_panels + panel) * kWordPanel, found, sizeof(float) * kWordPanel);
        }
        for (int half = 0; m.keep_sums && half < 2; ++half) {
          const int64_t at = (row * n_panels + panel) * 2 + half;
          const float* const words = found + half * kDrawPanel;
          sum_exponentials(words, m.choice == kBestWord ? 1.0f : scale, m.panel_max + at, m.panel_sum + at);
          if (m.keep_plain_sums) sum_exponentials(words, 1.0f, m.plain_panel_max + at, m.plain_panel_sum + at);
        }
      }
    }
  }
}

// log of the sum of exponentials over panels; shares[p] (where not null) gets each panel's part relative to the
// largest.
SVEBM_INLINE double sum_panels(const float* largest, const float* sums, int n, float* peak_found, float* shares) {
  float peak = largest[0];
  for (int p = 1; p < n; ++p) peak = largest[p] > peak ? largest[p] : peak;
  double total = 0.0;
  for (int p = 0; p < n; p += kWidth) {
    const int count = n - p < kWidth ? n - p : kWidth;
    const Floats part = exponential(load_part(largest + p, count) - peak) * load_part(sums + p, count);
    for (int i = 0; i < count; ++i) {
      total += part[i];
      if (shares != nullptr) shares[p + i] = part[i];
    }
  }
  *peak_found = peak;
  return total;
}

// Scores of the kDrawPanel words of one half panel, the bits that `scores` had.
template <typename Kind>
void scores_again(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t row, int draw_panel,
                  float* tile) {
  const int n = depth<Kind>(a.hidden);
  const float* state = m.next_state + row * padded_hidden(a.hidden);
  float* const found = tile;
  if constexpr (Kind::kPairs) {
    float* const pairs = tile + kGroup * kWordPanel;
    pack_rows<Kind>(&state, 1, a.hidden, pairs);
    state = pairs;
  }
  const int64_t panel = draw_panel / 2, lane = draw_panel % 2 * kDrawPanel;
  const auto* const weights = reinterpret_cast<const float*>(
      static_cast<const typename Kind::Element*>(m.packed_output) + panel * n * kWordPanel + lane);
  for (int i = 0; i < kDrawPanel; i += 2 * kWidth) {
    group_tile<Kind, 2>(1)(state, nullptr, weights + i, n, kWordPanel, found + i);
  }
  const float* const bias = m.score_bias + panel * kWordPanel + lane;
  for (int i = 0; i < kDrawPanel; i += kWidth) store(found + i, load(found + i) + load(bias + i));
}

SVEBM_INLINE float uniform_of(const SvebmGruDecodeArguments& a, int64_t row, int64_t step) {
  const uint64_t seed = a.seed_pointer != nullptr ? *a.seed_pointer : a.seed;
  const PhiloxWords words = philox4x32_10(philox_counter(a.ids[row], static_cast<uint32_t>(step), 0, a.stream),
                                          static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return uniform_from_word(words.w0);
}

// The word at which the distribution function, in the order of the vocabulary, reaches u, and its score; -1 where the
// scores are not finite.
template <typename Kind>
int draw(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t row, float* tile, float* score) {
  const int n_draw = 2 * word_panels(a.vocabulary);
  const int64_t at = row * n_draw;
  float peak;
  float* const shares = m.panel_max + at;  // no longer needed once it has been read
  const double total = sum_panels(m.panel_max + at, m.panel_sum + at, n_draw, &peak, shares);
  if (!(total > 0.0) || total - total != 0.0) return -1;
  const double target = static_cast<double>(uniform_of(a, row, m.step)) * total;
  double passed = 0.0;
  int panel = 0, last_possible = 0;
  for (; panel < n_draw; ++panel) {
    if (shares[panel] > 0.0f) last_possible = panel;
    if (shares[panel] > 0.0f && passed + shares[panel] >= target) break;
    passed += shares[panel];
  }
  if (panel == n_draw) panel = last_possible;  // rounding of the sum
  scores_again<Kind>(a, m, row, panel, tile);
  alignas(64) float parts[kDrawPanel];
  const float scale = 1.0f / a.temperature;
  for (int i = 0; i < kDrawPanel; i += kWidth) store(parts + i, exponential(load(tile + i) * scale - peak));
  int chosen = -1;
  for (int i = 0; i < kDrawPanel; ++i) {
    if (parts[i] > 0.0f) chosen = i;
    passed += parts[i];
    if (parts[i] > 0.0f && passed >= target) break;
  }
  chosen = chosen < 0 ? 0 : chosen;
  *score = tile[chosen];
  return panel * kDrawPanel + chosen;
}

SVEBM_INLINE int best_of_lanes(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t row, int n_workers,
                               float* score) {
  int word = -1;
  for (int worker = 0; worker < n_workers; ++worker) {
    const int64_t slot = (worker * a.n_rows + row) * 16;
    for (int i = 0; i < (kWidth < 16 ? 16 : kWidth); ++i) {
      const float found = m.best[slot + i];
      const int found_word = m.best_word[slot + i];
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
  const int n_draw = 2 * word_panels(a.vocabulary);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = m.active[i], at = row * a.max_tokens + m.step;
    float log_sum = 0.0f, score = 0.0f;
    int word = -1;
    if (finite_state(a, m, row)) {
      if (a.log_probabilities != nullptr) {
        const bool plain = m.keep_plain_sums;
        float peak;
        const double total =
            sum_panels((plain ? m.plain_panel_max : m.panel_max) + row * n_draw,
                       (plain ? m.plain_panel_sum : m.panel_sum) + row * n_draw, n_draw, &peak, nullptr);
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
