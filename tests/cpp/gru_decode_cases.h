// Arguments for the tests of the decoding kernels, and the op's definition in double: one row at a time, all scores
// kept.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "check.h"
#include "gru_decode/gru_decode.h"
#include "philox_cases.h"

namespace cases {

struct GruShape {
  int64_t n_rows;
  int32_t max_tokens, hidden, vocabulary;
};

// Buffers and arguments; results are filled with other values than any call writes.
struct GruCase {
  std::vector<float> state, gate_bias, input_gates, weight, bias, output, output_bias, log_probabilities;
  std::vector<int64_t> ids, excluded, tokens, lengths;
  std::vector<int32_t> non_finite;
  SvebmGruDecodeArguments arguments{};

  GruCase() = default;
  GruCase(const GruCase&) = delete;
  GruCase& operator=(const GruCase&) = delete;
  GruCase(GruCase&&) = default;
};

inline std::vector<float> normal_numbers(size_t n, double scale, std::mt19937& random) {
  std::normal_distribution<double> normal(0.0, scale);
  std::vector<float> numbers(n);
  for (float& number : numbers) number = static_cast<float>(normal(random));
  return numbers;
}

inline GruCase make_gru(const GruShape& shape, bool greedy, bool log_probabilities, unsigned seed = 1) {
  GruCase made;
  std::mt19937 random(seed);
  auto& a = made.arguments;
  const size_t B = static_cast<size_t>(shape.n_rows), H = static_cast<size_t>(shape.hidden);
  const size_t V = static_cast<size_t>(shape.vocabulary), T = static_cast<size_t>(shape.max_tokens);
  made.state = normal_numbers(B * H, 1.0, random);
  made.gate_bias = normal_numbers(B * 3 * H, 0.7, random);
  made.input_gates = normal_numbers(V * 3 * H, 1.0, random);
  made.weight = normal_numbers(3 * H * H, 1.0 / std::sqrt(static_cast<double>(H)), random);
  made.bias = normal_numbers(3 * H, 0.1, random);
  made.output = normal_numbers(V * H, 4.0 / std::sqrt(static_cast<double>(H)), random);
  made.output_bias = normal_numbers(V, 0.5, random);
  made.output_bias[2 % V] += 2.0f;  // sentences end at different times
  for (int64_t row = 0; row < shape.n_rows; ++row) made.ids.push_back(row % 2 == 0 ? row : (row << 33) + 1);
  made.excluded = V > 3 ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{};
  made.tokens.assign(B * T, -7);
  made.lengths.assign(B, -7);
  made.log_probabilities.assign(B * T, NAN);
  made.non_finite = {0};
  a.state = made.state.data();
  a.gate_bias = made.gate_bias.data();
  a.ids = made.ids.data();
  a.n_rows = shape.n_rows;
  a.max_tokens = shape.max_tokens;
  a.input_gates = made.input_gates.data();
  a.weight = made.weight.data();
  a.bias = made.bias.data();
  a.output = made.output.data();
  a.output_bias = made.output_bias.data();
  a.hidden = shape.hidden;
  a.vocabulary = shape.vocabulary;
  a.begin = 1 % shape.vocabulary;
  a.end = 2 % shape.vocabulary;
  a.excluded = made.excluded.data();
  a.n_excluded = static_cast<int32_t>(made.excluded.size());
  a.greedy = greedy ? 1 : 0;
  a.temperature = greedy ? 1.0f : 0.8f;
  a.top_p = 1.0f;
  a.seed = 0x0123456789ABCDEFull;
  a.stream = 3;
  a.tokens = made.tokens.data();
  a.lengths = made.lengths.data();
  a.log_probabilities = log_probabilities ? made.log_probabilities.data() : nullptr;
  a.non_finite = made.non_finite.data();
  return made;
}

// The state of one row, and its scores, in double.
struct GruRow {
  std::vector<double> h;

  void advance(const SvebmGruDecodeArguments& a, int64_t row, int64_t word) {
    const int64_t H = a.hidden;
    std::vector<double> next(h.size()), gates(static_cast<size_t>(3 * H)), products(static_cast<size_t>(3 * H));
    for (int64_t i = 0; i < 3 * H; ++i) {
      double sum = a.bias[i];
      for (int64_t k = 0; k < H; ++k) sum += static_cast<double>(a.weight[i * H + k]) * h[static_cast<size_t>(k)];
      products[static_cast<size_t>(i)] = sum;
      gates[static_cast<size_t>(i)] =
          static_cast<double>(a.input_gates[word * 3 * H + i]) + a.gate_bias[row * 3 * H + i];
    }
    for (size_t i = 0; i < h.size(); ++i) {
      const size_t z = i + h.size(), n = i + 2 * h.size();
      const double reset = 1.0 / (1.0 + std::exp(-gates[i] - products[i]));
      const double keep = 1.0 / (1.0 + std::exp(-gates[z] - products[z]));
      const double candidate = std::tanh(gates[n] + reset * products[n]);
      next[i] = (1.0 - keep) * candidate + keep * h[i];
    }
    h = next;
  }

  std::vector<double> scores(const SvebmGruDecodeArguments& a) const {
    std::vector<double> found(static_cast<size_t>(a.vocabulary));
    for (int64_t v = 0; v < a.vocabulary; ++v) {
      double sum = a.output_bias != nullptr ? a.output_bias[v] : 0.0;
      for (int64_t k = 0; k < a.hidden; ++k) {
        sum += static_cast<double>(a.output[v * a.hidden + k]) * h[static_cast<size_t>(k)];
      }
      found[static_cast<size_t>(v)] = sum;
    }
    for (int32_t i = 0; i < a.n_excluded; ++i) found[static_cast<size_t>(a.excluded[i])] = -INFINITY;
    return found;
  }
};

// How far a word is from being the right one: the score it lacks to the best (greedy), or the distance of the uniform
// number from the word's interval of the distribution function.
inline double distance_to_choice(const SvebmGruDecodeArguments& a, const std::vector<double>& scores, int64_t row,
                                 int64_t step, int64_t word) {
  const double best = *std::max_element(scores.begin(), scores.end());
  if (a.greedy != 0) return best - scores[static_cast<size_t>(word)];
  std::vector<double> share(scores.size());
  double total = 0.0;
  for (size_t v = 0; v < scores.size(); ++v) total += share[v] = std::exp((scores[v] - best) / a.temperature);
  SvebmPhiloxArguments philox{};
  philox.chain_ids = a.ids;
  philox.seed = a.seed;
  philox.stream = a.stream;
  const double target = expected(philox, step, row, 0) * total;
  double below = 0.0;
  for (int64_t v = 0; v < word; ++v) below += share[static_cast<size_t>(v)];
  const double above = below + share[static_cast<size_t>(word)];
  return std::max(0.0, std::max(below - target, target - above)) / total;
}

// Follows the words that the kernel chose and checks each against the scores in double. In `fast` rounding may choose
// among words whose scores are nearly the same.
inline void check_choices(const SvebmGruDecodeArguments& a, double tolerance) {
  for (int64_t row = 0; row < a.n_rows; ++row) {
    GruRow exact{std::vector<double>(a.state + row * a.hidden, a.state + (row + 1) * a.hidden)};
    const int64_t length = a.lengths[row];
    CHECK(length >= 1 && length <= a.max_tokens);
    int64_t word = a.begin;
    for (int64_t step = 0; step < a.max_tokens; ++step) {
      const int64_t at = row * a.max_tokens + step, chosen = a.tokens[at];
      if (step >= length) {
        CHECK(chosen == a.pad);
        if (a.log_probabilities != nullptr) CHECK(a.log_probabilities[at] == 0.0f);
        continue;
      }
      exact.advance(a, row, word);
      const std::vector<double> scores = exact.scores(a);
      CHECK(chosen >= 0 && chosen < a.vocabulary);
      if (chosen < 0 || chosen >= a.vocabulary) return;
      CHECK(distance_to_choice(a, scores, row, step, chosen) < tolerance);
      if (a.log_probabilities != nullptr) {
        const double best = *std::max_element(scores.begin(), scores.end());
        double sum = 0.0;
        for (const double score : scores) sum += std::exp(score - best);
        CHECK_NEAR(a.log_probabilities[at], scores[static_cast<size_t>(chosen)] - best - std::log(sum), 10 * tolerance);
      }
      if (chosen == a.end) CHECK(step + 1 == length);
      word = chosen;
    }
  }
}

}  // namespace cases
