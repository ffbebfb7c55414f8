// The loop over steps: which rows are still running, and which thread does what of a step. The phases themselves are in
// gru_decode/cpu/gru_decode.cpp, compiled for each instruction set.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "common/arena.h"
#include "common/cpu/thread_pool.h"
#include "common/philox.h"
#include "gru_decode/cpu/memory.h"
#include "gru_decode/gru_decode.h"

namespace svebm {
namespace {

// Stands before packed weights: they fit one variant and one set of sizes.
struct PackedHeader {
  int64_t magic;
  int32_t hidden, vocabulary, width, depth;
};
constexpr int64_t kMagic = 0x7375726763703032;
constexpr int64_t kHeaderBytes = 64;

GruDecodePhases phases_for(const SvebmGruDecodeArguments& a) {
  return SVEBM_CHOOSE_VARIANT(gru_decode_phases)(a.fast != 0);
}

PackedHeader header_for(const SvebmGruDecodeArguments& a, const GruDecodePhases& phases) {
  return {kMagic, a.hidden, a.vocabulary, phases.width, phases.depth(a.hidden)};
}

int64_t padded_hidden(const SvebmGruDecodeArguments& a, const GruDecodePhases& phases) {
  return int64_t{(a.hidden + phases.width - 1) / phases.width} * phases.width;
}

int64_t n_word_panels(const SvebmGruDecodeArguments& a) { return (a.vocabulary + kWordPanel - 1) / kWordPanel; }

struct Workspace {
  GruDecodeMemory memory;
  int32_t* active;
  float* score_bias;
  float* gate_bias;
  float* tiles;
  int64_t tile_size;
  bool ended;  // some row did, with the last step
};

bool limited(const SvebmGruDecodeArguments& a) { return a.greedy == 0 && (a.top_k > 0 || a.top_p < 1.0f); }

int64_t lay_out(const SvebmGruDecodeArguments& a, const GruDecodePhases& phases, void* start, int n_threads,
                Workspace& w) {
  Arena arena(64, start);
  GruDecodeMemory& m = w.memory;
  const int64_t B = a.n_rows, padded = padded_hidden(a, phases), panels = n_word_panels(a);
  m.choice = a.greedy != 0 ? kBestWord : limited(a) ? kFromScores : kDrawnWord;
  const bool drawn = m.choice == kDrawnWord;
  m.keep_sums = drawn || (m.choice == kBestWord && a.log_probabilities != nullptr);
  m.keep_plain_sums = drawn && a.log_probabilities != nullptr && a.temperature != 1.0f;
  m.active = w.active = arena.take<int32_t>(B);
  m.word = arena.take<int32_t>(B);
  m.state = arena.take<float>(B * padded);
  m.next_state = arena.take<float>(B * padded);
  m.packed_state = arena.take<float>(B * a.hidden);
  m.score_bias = w.score_bias = arena.take<float>(panels * kWordPanel);
  m.gate_bias = w.gate_bias = arena.take<float>(3 * padded);
  m.best = arena.take<float>(m.choice == kBestWord ? n_threads * B * 16 : 0);
  m.best_word = arena.take<int32_t>(m.choice == kBestWord ? n_threads * B * 16 : 0);
  const int64_t n_sums = m.keep_sums ? B * panels : 0, n_plain_sums = m.keep_plain_sums ? B * panels : 0;
  m.panel_max = arena.take<float>(n_sums);
  m.panel_sum = arena.take<float>(n_sums);
  m.plain_panel_sum = arena.take<float>(n_plain_sums);
  m.scores = arena.take<float>(m.choice == kFromScores ? B * panels * kWordPanel : 0);
  w.tile_size = gru_tile_size(phases, a.hidden);
  w.tiles = arena.take<float>(n_threads * w.tile_size);
  return arena.used();
}

void fill(const SvebmGruDecodeArguments& a, const GruDecodePhases& phases, Workspace& w) {
  const int64_t padded = padded_hidden(a, phases);
  GruDecodeMemory& m = w.memory;
  m.n_active = static_cast<int>(a.n_rows);
  m.step = 0;
  std::fill(m.state, m.state + a.n_rows * padded, 0.0f);
  for (int64_t row = 0; row < a.n_rows; ++row) {
    w.active[row] = static_cast<int32_t>(row);
    m.word[row] = a.begin;
    a.lengths[row] = a.max_tokens;
    std::copy_n(a.state + row * a.hidden, a.hidden, m.state + row * padded);
    std::fill_n(a.tokens + row * a.max_tokens, a.max_tokens, int64_t{a.pad});
    if (a.log_probabilities != nullptr) std::fill_n(a.log_probabilities + row * a.max_tokens, a.max_tokens, 0.0f);
  }
  std::fill_n(w.gate_bias, 3 * padded, 0.0f);
  for (int gate = 0; gate < 3; ++gate) {
    std::copy_n(a.bias + int64_t{gate} * a.hidden, a.hidden, w.gate_bias + gate * padded);
  }
  std::fill_n(w.score_bias, n_word_panels(a) * kWordPanel, -std::numeric_limits<float>::infinity());
  for (int word = 0; word < a.vocabulary; ++word) {
    w.score_bias[word] = a.output_bias != nullptr ? a.output_bias[word] : 0.0f;
  }
  for (int i = 0; i < a.n_excluded; ++i) w.score_bias[a.excluded[i]] = -std::numeric_limits<float>::infinity();
}

// Every step reads the packed weights, thousands of small pages: with large ones the processor knows where all of them
// are. Only a hint, for memory that has not been written to.
void ask_for_large_pages(void* memory, int64_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = 1 << 16;  // the largest of small ones
  const auto start = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) / kPage * kPage;
  const auto end = (reinterpret_cast<uintptr_t>(memory) + static_cast<uintptr_t>(bytes)) / kPage * kPage;
  if (end > start) madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE);
#endif
  (void)memory;
  (void)bytes;
}

// Takes out the rows that ended with this step. Returns whether there were any.
bool drop_ended(const SvebmGruDecodeArguments& a, Workspace& w) {
  GruDecodeMemory& m = w.memory;
  int left = 0;
  for (int i = 0; i < m.n_active; ++i) {
    const int32_t row = w.active[i];
    if (m.word[row] == a.end) {
      a.lengths[row] = m.step + 1;
    } else {
      w.active[left++] = row;
    }
  }
  const bool any = left < m.n_active;
  m.n_active = left;
  return any;
}

struct Candidate {
  float score;
  int32_t word;
  bool operator<(const Candidate& other) const {  // better ones first, the lower word among equals
    return score > other.score || (score == other.score && word < other.word);
  }
};

// Words that a draw may take: the k best, and of these the fewest that have probability top_p together. None where some
// score is infinite or no number: then no word has a probability.
void keep_candidates(const SvebmGruDecodeArguments& a, const float* scores, std::vector<Candidate>& kept) {
  kept.clear();
  for (int32_t word = 0; word < a.vocabulary; ++word) {
    if (!(scores[word] <= std::numeric_limits<float>::max())) {
      kept.clear();
      return;
    }
    if (scores[word] > -std::numeric_limits<float>::infinity()) kept.push_back({scores[word], word});
  }
  if (a.top_k > 0 && static_cast<size_t>(a.top_k) < kept.size()) {
    std::nth_element(kept.begin(), kept.begin() + a.top_k, kept.end());
    kept.resize(static_cast<size_t>(a.top_k));
  }
  if (a.top_p >= 1.0f || kept.empty()) return;
  const double peak = std::min_element(kept.begin(), kept.end())->score;
  const auto share = [&](const Candidate& c) { return std::exp((c.score - peak) / a.temperature); };
  double total = 0.0;
  for (const Candidate& candidate : kept) total += share(candidate);
  // words below the mean of what is left over cannot be needed: all of them together have no more than that
  const double least = total * (1.0 - static_cast<double>(a.top_p)) / static_cast<double>(kept.size());
  kept.erase(std::remove_if(kept.begin(), kept.end(), [&](const Candidate& c) { return share(c) < least; }),
             kept.end());
  std::sort(kept.begin(), kept.end());
  double mass = 0.0;
  size_t n = 0;
  while (n < kept.size() && mass < static_cast<double>(a.top_p) * total) mass += share(kept[n++]);
  kept.resize(std::max<size_t>(n, 1));
}

void choose_from_scores(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int64_t padded, int64_t begin,
                        int64_t end) {
  const uint64_t seed = a.seed_tensor != nullptr ? *a.seed_tensor : a.seed;
  std::vector<Candidate> kept;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = m.active[i], at = row * a.max_tokens + m.step;
    const float* const state = m.next_state + row * padded;
    const float* const scores = m.scores + row * n_word_panels(a) * kWordPanel;
    keep_candidates(a, scores, kept);
    if (kept.empty() || !std::all_of(state, state + a.hidden, [](float x) { return std::isfinite(x); })) {
      __atomic_store_n(a.non_finite, 1, __ATOMIC_RELAXED);
      m.word[row] = a.end;
      a.tokens[at] = a.end;
      if (a.log_probabilities != nullptr) a.log_probabilities[at] = std::numeric_limits<float>::quiet_NaN();
      continue;
    }
    std::sort(kept.begin(), kept.end(), [](const Candidate& x, const Candidate& y) { return x.word < y.word; });
    double peak = -std::numeric_limits<double>::infinity(), total = 0.0;
    for (const Candidate& c : kept) peak = std::max<double>(peak, c.score);
    for (const Candidate& c : kept) total += std::exp((c.score - peak) / a.temperature);
    const PhiloxWords words = philox4x32_10(philox_counter(a.ids[row], static_cast<uint32_t>(m.step), 0, a.stream),
                                            static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
    const double target = static_cast<double>(uniform_from_word(words.w0)) * total;
    double passed = 0.0;
    size_t chosen = 0;
    for (; chosen + 1 < kept.size(); ++chosen) {
      passed += std::exp((kept[chosen].score - peak) / a.temperature);
      if (passed >= target) break;
    }
    m.word[row] = kept[chosen].word;
    a.tokens[at] = kept[chosen].word;
    if (a.log_probabilities == nullptr) continue;
    double sum = 0.0;
    for (int word = 0; word < a.vocabulary; ++word) sum += std::exp(scores[word] - peak);
    a.log_probabilities[at] = static_cast<float>(kept[chosen].score - peak - std::log(sum));
  }
}

// All steps, on one thread of the team.
void run(const SvebmGruDecodeArguments& a, const GruDecodePhases& phases, Workspace& w, int worker, int n_workers,
         Barrier& barrier) {
  GruDecodeMemory& m = w.memory;
  float* const tile = w.tiles + worker * w.tile_size;
  const int64_t padded = padded_hidden(a, phases);
  const auto begin_of = [&](int64_t n) { return n * worker / n_workers; };
  const auto end_of = [&](int64_t n) { return n * (worker + 1) / n_workers; };
  const auto pack = [&](const float* states) {
    const int64_t groups = (m.n_active + phases.group - 1) / phases.group;
    phases.pack_states(a, m, states, begin_of(groups), end_of(groups));
    barrier.wait();
  };
  pack(m.state);
  for (;;) {
    const int64_t unit_panels = padded / phases.width;
    phases.gates(a, m, tile, begin_of(unit_panels), end_of(unit_panels));
    barrier.wait();
    pack(m.next_state);
    if (m.choice == kBestWord) {
      std::fill_n(m.best + worker * a.n_rows * 16, a.n_rows * 16, -std::numeric_limits<float>::infinity());
      std::fill_n(m.best_word + worker * a.n_rows * 16, a.n_rows * 16, -1);
    }
    phases.score(a, m, worker, tile, begin_of(n_word_panels(a)), end_of(n_word_panels(a)));
    barrier.wait();
    if (m.choice == kFromScores) {
      choose_from_scores(a, m, padded, begin_of(m.n_active), end_of(m.n_active));
    } else {
      phases.choose(a, m, n_workers, tile, begin_of(m.n_active), end_of(m.n_active));
    }
    barrier.wait();
    if (worker == 0) {
      w.ended = drop_ended(a, w);
      std::swap(m.state, m.next_state);
      ++m.step;
    }
    barrier.wait();
    if (m.n_active == 0 || m.step == a.max_tokens) return;
    if (w.ended) pack(m.state);
  }
}

}  // namespace

int64_t gru_decode_cpu_packed_bytes(const SvebmGruDecodeArguments& arguments) {
  const GruDecodePhases phases = phases_for(arguments);
  return kHeaderBytes +
         4 * (phases.packed_gates(arguments.hidden) + phases.packed_output(arguments.hidden, arguments.vocabulary));
}

void gru_decode_cpu_pack(const SvebmGruDecodeArguments& arguments, void* packed) {
  const GruDecodePhases phases = phases_for(arguments);
  const PackedHeader header = header_for(arguments, phases);
  ask_for_large_pages(packed, gru_decode_cpu_packed_bytes(arguments));
  std::memcpy(packed, &header, sizeof header);
  phases.pack(arguments, static_cast<char*>(packed) + kHeaderBytes);
}

int64_t gru_decode_cpu_workspace(const SvebmGruDecodeArguments& arguments, int n_threads) {
  Workspace workspace;
  return lay_out(arguments, phases_for(arguments), nullptr, n_threads, workspace);
}

bool gru_decode_cpu(const SvebmGruDecodeArguments& arguments, const void* packed, void* memory, int n_threads) {
  const GruDecodePhases phases = phases_for(arguments);
  const PackedHeader expected = header_for(arguments, phases);
  if (std::memcmp(packed, &expected, sizeof expected) != 0) return false;
  Workspace workspace;
  lay_out(arguments, phases, memory, n_threads, workspace);
  const auto* const weights = static_cast<const float*>(packed) + kHeaderBytes / 4;
  workspace.memory.packed_gates = weights;
  workspace.memory.packed_output = weights + phases.packed_gates(arguments.hidden);
  fill(arguments, phases, workspace);
  // threads meet five times a step, each time for about a microsecond: a step must be long enough for that
  constexpr int64_t kWorthAThread = 500000;
  const int64_t products = arguments.n_rows * arguments.hidden * (int64_t{3} * arguments.hidden + arguments.vocabulary);
  n_threads = static_cast<int>(std::min<int64_t>(n_threads, 1 + products / kWorthAThread));
  parallel_team(n_threads, [&](int worker, int n_workers, Barrier& barrier) {
    run(arguments, phases, workspace, worker, n_workers, barrier);
  });
  return true;
}

}  // namespace svebm
