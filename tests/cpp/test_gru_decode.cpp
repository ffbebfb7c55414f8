// The CPU kernel in every variant that this processor runs, against the definition in double.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "check.h"
#include "gru_decode_cases.h"
#include "variants.h"

namespace {

using Memory = std::unique_ptr<void, decltype(&std::free)>;

// Exactly as large as asked for, so that an address sanitizer sees every step beyond it, and full of not-a-number.
Memory memory_of(int64_t bytes) {
  const size_t size = static_cast<size_t>((bytes + 63) / 64 * 64);
  Memory memory(std::aligned_alloc(64, size), &std::free);
  std::memset(memory.get(), 0xFF, size);
  return memory;
}

void run(const SvebmGruDecodeArguments& a, int n_threads) {
  const Memory packed = memory_of(svebm::gru_decode_cpu_packed_bytes(a));
  svebm::gru_decode_cpu_pack(a, packed.get());
  const Memory workspace = memory_of(svebm::gru_decode_cpu_workspace(a, n_threads));
  CHECK(svebm::gru_decode_cpu(a, packed.get(), workspace.get(), n_threads));
}

void shapes_nobody_thought_of() {
  std::mt19937 random(7);
  const auto number = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int i = 0; i < 60; ++i) {
    const cases::GruShape shape{number(1, 40), number(1, 9), number(1, 70), number(1, 200)};
    auto made = cases::make_gru(shape, number(0, 1) == 1, number(0, 1) == 1, static_cast<unsigned>(i));
    if (number(0, 2) == 0) made.arguments.output_bias = nullptr;
    run(made.arguments, number(1, 4));
    cases::check_choices(made.arguments, 2e-5);
    CHECK(made.non_finite[0] == 0);
  }
}

// Limits large enough to change nothing must give the words that no limit gives; a limit of one, the best ones.
void limited_draws() {
  const cases::GruShape shape{23, 8, 31, 130};
  auto free_draw = cases::make_gru(shape, false, true), wide = cases::make_gru(shape, false, true);
  wide.arguments.top_k = shape.vocabulary - 1;  // all that are not excluded, and so every word that can come
  run(free_draw.arguments, 2);
  run(wide.arguments, 2);
  CHECK(free_draw.tokens == wide.tokens);
  for (size_t i = 0; i < wide.log_probabilities.size(); ++i) {
    CHECK_NEAR(wide.log_probabilities[i], free_draw.log_probabilities[i], 1e-5);
  }
  auto best = cases::make_gru(shape, true, false), one = cases::make_gru(shape, false, false);
  auto sure = cases::make_gru(shape, false, false);
  one.arguments.top_k = 1;
  sure.arguments.top_p = 1e-6f;
  for (auto* made : {&best, &one, &sure}) run(made->arguments, 3);
  CHECK(one.tokens == best.tokens && sure.tokens == best.tokens);
}

void the_same_words_on_any_number_of_threads() {
  for (const bool greedy : {true, false}) {
    const cases::GruShape shape{37, 10, 45, 300};
    auto first = cases::make_gru(shape, greedy, true);
    run(first.arguments, 1);
    for (const int n_threads : {2, 3, 8}) {
      auto again = cases::make_gru(shape, greedy, true);
      run(again.arguments, n_threads);
      CHECK(again.tokens == first.tokens && again.lengths == first.lengths);
      CHECK(again.log_probabilities == first.log_probabilities);
    }
  }
}

void states_that_are_not_finite_are_reported() {
  auto made = cases::make_gru({3, 4, 8, 20}, false, true);
  made.state[8 + 2] = NAN;
  run(made.arguments, 1);
  CHECK(made.non_finite[0] == 1 && made.lengths[1] == 1 && made.tokens[4] == made.arguments.end);
}

// More rows than have their states in a cache meet the weights in parts.
void more_rows_than_a_cache_holds() {
  auto made = cases::make_gru({2100, 1, 64, 70}, true, true);
  run(made.arguments, 2);
  cases::check_choices(made.arguments, 2e-5);
  auto few = cases::make_gru({2100, 1, 64, 70}, true, true);
  for (const int64_t n_rows : {1, 2, 3, 30}) {
    few.arguments.n_rows = n_rows;
    run(few.arguments, 1);
    for (int64_t row = 0; row < n_rows; ++row) {
      CHECK(few.tokens[row] == made.tokens[row] && few.log_probabilities[row] == made.log_probabilities[row]);
    }
  }
}

// A word whose score is no number may have any share.
void scores_that_are_not_finite_are_reported() {
  for (const float bad : {NAN, -NAN, INFINITY}) {
    for (const int32_t top_k : {0, 5}) {
      if (top_k > 0 && !std::isnan(bad)) continue;  // infinity may come as minus infinity, which is a score
      auto made = cases::make_gru({3, 2, 8, 200}, false, true);
      made.output[150 * 8 + 3] = bad;
      made.arguments.top_k = top_k;
      run(made.arguments, 2);
      CHECK(made.non_finite[0] == 1);
    }
  }
}

// Nor can it be compared; infinity can, and is the best.
void nor_is_the_best_word_known_then() {
  for (const float bad : {NAN, -NAN}) {
    for (const int32_t word : {0, 3, 150, 199}) {  // excluded ones too
      auto made = cases::make_gru({3, 2, 8, 200}, true, true);
      made.output[static_cast<size_t>(word) * 8 + 3] = bad;
      run(made.arguments, 2);
      CHECK(made.non_finite[0] == 1);
      for (const int64_t length : made.lengths) CHECK(length == 1);
      for (size_t row = 0; row < 3; ++row) {
        CHECK(made.tokens[2 * row] == made.arguments.end && std::isnan(made.log_probabilities[2 * row]));
      }
    }
  }
  auto made = cases::make_gru({3, 1, 8, 200}, true, false);
  made.output_bias[150] = INFINITY;
  run(made.arguments, 2);
  CHECK(made.non_finite[0] == 0 && made.tokens[0] == 150 && made.tokens[2] == 150);
}

void a_temperature_near_zero_takes_the_best_word() {
  const cases::GruShape shape{20, 6, 24, 150};
  auto best = cases::make_gru(shape, true, false), cold = cases::make_gru(shape, false, false);
  cold.arguments.temperature = 1e-39f;  // its inverse is not finite
  run(best.arguments, 2);
  run(cold.arguments, 2);
  CHECK(cold.tokens == best.tokens && cold.non_finite[0] == 0);
}

void packed_weights_must_fit() {
  auto made = cases::make_gru({1, 2, 8, 20}, true, false);
  const Memory packed = memory_of(svebm::gru_decode_cpu_packed_bytes(made.arguments));
  svebm::gru_decode_cpu_pack(made.arguments, packed.get());
  auto other = cases::make_gru({1, 2, 8, 21}, true, false);
  const Memory workspace = memory_of(svebm::gru_decode_cpu_workspace(other.arguments, 1));
  CHECK(!svebm::gru_decode_cpu(other.arguments, packed.get(), workspace.get(), 1));
}

}  // namespace

int main() {
  on_every_variant([] {
    shapes_nobody_thought_of();
    limited_draws();
    the_same_words_on_any_number_of_threads();
    states_that_are_not_finite_are_reported();
    more_rows_than_a_cache_holds();
    scores_that_are_not_finite_are_reported();
    nor_is_the_best_word_known_then();
    a_temperature_near_zero_takes_the_best_word();
    packed_weights_must_fit();
  });
  return check::failures();
}
