// The CUDA source of the decoding kernels, run on the host against the definition in double.
#include "check.h"
#include "gru_decode_on_host.h"

namespace {

using cases::GruCase;
using cases::GruShape;

// A sanitizer makes everything slow, and looks at addresses rather than at numbers: a part of the cases will do.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kEvery = 5;
#else
constexpr unsigned kEvery = 1;
#endif

// Three blocks, and room for all weights; the same with room for a part of them.
constexpr svebm::DeviceLimits kRoomy{227 * 1024, 3, true};

double tolerance_of(bool fast) { return fast ? 2e-2 : 2e-5; }

void shapes_nobody_thought_of() {
  std::mt19937 random(7);
  const auto number = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (unsigned i = 0; i < 36; ++i) {
    const bool fast = i % 2 == 0, persistent = i % 4 < 2, greedy = number(0, 1) == 1, logs = number(0, 1) == 1;
    const int most_rows = persistent ? (fast ? 64 : 40) : 70;
    const GruShape shape{number(1, most_rows), number(1, 4), number(1, 90), number(1, 300)};
    const bool without_bias = number(0, 2) == 0, small = number(0, 1) == 1;
    if (i / 4 % kEvery != 0) continue;
    auto made = cases::make_gru(shape, greedy, logs, i);
    made.arguments.fast = fast ? 1 : 0;
    if (without_bias) made.arguments.output_bias = nullptr;
    svebm::DeviceLimits limits = persistent ? kRoomy : on_host::kSteps;
    if (persistent && small) limits.shared_bytes = svebm::plan_gru(made.arguments, kRoomy).resident.weights + 9000;
    CHECK(on_host::run_gru(made.arguments, limits, {i, i / 4 % 2 == 0}) == persistent);
    cases::check_choices(made.arguments, tolerance_of(fast));
    CHECK(made.non_finite[0] == 0);
  }
}

// Tiles without tails and with weights where the caller has them.
void round_shapes() {
  for (const bool persistent : {true, false}) {
    auto made = cases::make_gru({persistent ? 8 : kEvery > 1 ? 66 : 130, 2, 64, 256}, !persistent, true);
    CHECK(svebm::plan_gru(made.arguments, persistent ? kRoomy : on_host::kSteps).direct);
    CHECK(on_host::run_gru(made.arguments, persistent ? kRoomy : on_host::kSteps, {}) == persistent);
    cases::check_choices(made.arguments, 2e-5);
  }
}

void schedules_change_nothing() {
  for (const bool fast : {false, true}) {
    for (const svebm::DeviceLimits limits : {kRoomy, on_host::kSteps}) {
      const bool greedy = fast != limits.cooperative;
      const GruShape shape{7, 2, 40, 150};
      std::vector<int64_t> tokens;
      std::vector<float> logs;
      for (unsigned seed = 0; seed < 6; seed += kEvery) {
        auto made = cases::make_gru(shape, greedy, true);
        made.arguments.fast = fast ? 1 : 0;
        on_host::run_gru(made.arguments, limits, {seed, seed % 2 == 1});
        if (tokens.empty()) tokens = made.tokens, logs = made.log_probabilities;
        CHECK(made.tokens == tokens && made.log_probabilities == logs);
      }
    }
  }
}

// A part of the sentences alone gives the same words and the same bits of their probabilities.
void a_row_does_not_depend_on_its_batch() {
  for (unsigned i = 0; i < 8; i += kEvery) {
    const bool fast = i % 2 == 0, greedy = i / 2 % 2 == 0, persistent = i / 4 == 0;
    const svebm::DeviceLimits limits = persistent ? kRoomy : on_host::kSteps;
    const GruShape shape{persistent ? 15 : 25, 2, 37, 130};
    auto whole = cases::make_gru(shape, greedy, true), part = cases::make_gru(shape, greedy, true);
    whole.arguments.fast = part.arguments.fast = fast ? 1 : 0;
    on_host::run_gru(whole.arguments, limits, {1, true});
    const int64_t first = 3, n = persistent ? 1 + i : 9, T = shape.max_tokens;
    auto& a = part.arguments;
    a.n_rows = n;
    a.state += first * shape.hidden;
    a.gate_bias += first * 3 * shape.hidden;
    a.ids += first;
    on_host::run_gru(a, limits, {2, false});
    for (int64_t k = 0; k < n * T; ++k) {
      const size_t here = static_cast<size_t>(k), there = static_cast<size_t>(first * T + k);
      CHECK(part.tokens[here] == whole.tokens[there]);
      CHECK(part.log_probabilities[here] == whole.log_probabilities[there]);
    }
  }
}

void equal_scores_give_the_lowest_word() {
  for (const svebm::DeviceLimits limits : {kRoomy, on_host::kSteps}) {
    for (const bool fast : {false, true}) {
      auto made = cases::make_gru({9, 3, 8, 150}, true, false);
      made.arguments.fast = fast ? 1 : 0;
      made.arguments.output_bias = nullptr;
      made.arguments.end = 149;
      made.arguments.n_excluded = 0;
      for (size_t v = 50; v < 150; ++v) {
        std::copy_n(made.output.begin() + static_cast<std::ptrdiff_t>((v % 50) * 8), 8,
                    made.output.begin() + static_cast<std::ptrdiff_t>(v * 8));
      }
      on_host::run_gru(made.arguments, limits, {});
      for (const int64_t token : made.tokens) CHECK(token >= 0 && token < 50);
    }
  }
}

void numbers_out_of_range() {
  unsigned i = 0;
  for (const svebm::DeviceLimits limits : {kRoomy, on_host::kSteps}) {
    for (const bool greedy : {false, true}) {
      for (const bool logs : {false, true}) {
        if (i++ % kEvery != 0) continue;
        auto made = cases::make_gru({3, 4, 8, 20}, greedy, logs);
        made.state[8 + 2] = NAN;
        on_host::run_gru(made.arguments, limits, {});
        CHECK(made.non_finite[0] == 1 && made.lengths[1] == 1 && made.tokens[4] == made.arguments.end);
        if (logs) CHECK(std::isnan(made.log_probabilities[4]) && !std::isnan(made.log_probabilities[0]));
      }
    }
    auto large = cases::make_gru({2, 2, 8, 20}, true, false);
    large.output[5] = 1e6f;
    large.arguments.fast = 1;
    on_host::run_gru(large.arguments, limits, {});
    CHECK(large.non_finite[0] == 1);
  }
}

void scores_that_are_no_numbers() {
  unsigned i = 0;
  for (const svebm::DeviceLimits limits : {kRoomy, on_host::kSteps}) {
    for (const bool greedy : {false, true}) {
      for (const bool logs : {false, true}) {
        for (const bool fast : {false, true}) {
          if (i++ % kEvery != 0) continue;
          auto made = cases::make_gru({3, 2, 8, 150}, greedy, logs);
          made.output[140 * 8 + 3] = NAN;
          made.arguments.fast = fast ? 1 : 0;
          on_host::run_gru(made.arguments, limits, {});
          CHECK(made.non_finite[0] == 1);
          for (size_t row = 0; row < 3; ++row) {
            CHECK(made.lengths[row] == 1 && made.tokens[2 * row] == made.arguments.end);
            if (logs) CHECK(std::isnan(made.log_probabilities[2 * row]));
          }
        }
      }
    }
  }
}

// No word can come.
void nothing_left_to_choose() {
  for (const svebm::DeviceLimits limits : {kRoomy, on_host::kSteps}) {
    for (const bool greedy : {false, true}) {
      auto made = cases::make_gru({2, 3, 8, 5}, greedy, false);
      made.excluded = {0, 1, 2, 3, 4};
      made.arguments.excluded = made.excluded.data();
      made.arguments.n_excluded = 5;
      on_host::run_gru(made.arguments, limits, {});
      CHECK(made.non_finite[0] == 1 && made.lengths[0] == 1 && made.tokens[0] == made.arguments.end);
    }
  }
}

void plans() {
  constexpr svebm::DeviceLimits kH100{227 * 1024, 132, true}, kSmall{99 * 1024, 84, true};
  const auto made = cases::make_gru({1, 40, 32, 50}, true, false);
  auto a = made.arguments;
  a.hidden = 512;
  a.vocabulary = 10000;
  a.output_bias = nullptr;
  const auto plan = [&](int64_t n_rows, bool fast, svebm::DeviceLimits limits) {
    a.n_rows = n_rows;
    a.fast = fast ? 1 : 0;
    return svebm::plan_gru(a, limits);
  };
  for (const int64_t B : {1, 64}) {
    const auto p = plan(B, true, kH100);
    CHECK(p.persistent && p.resident.resident_tiles == p.resident.local_tiles && p.resident.local_tiles == 6);
  }
  CHECK(plan(1, false, kH100).resident.resident_tiles == 6);
  CHECK(plan(64, false, kH100).persistent && !plan(65, false, kH100).persistent && !plan(65, true, kH100).persistent);
  CHECK(plan(64, false, kH100).resident.resident_tiles == 1 && !plan(64, false, kSmall).persistent);
  const auto small = plan(8, true, kSmall);
  CHECK(small.persistent && small.resident.resident_tiles > 3 && small.resident.resident_tiles < 9);
  a.hidden = 1024;
  a.vocabulary = 1 << 20;
  for (const auto limits : {kH100, kSmall}) {
    for (const int64_t B : {1, 16, 64, 1024}) {
      for (const bool fast : {false, true}) {
        const auto p = plan(B, fast, limits);
        CHECK(!p.persistent || p.resident.shared_bytes <= limits.shared_bytes);
        CHECK(p.workspace_bytes > 0);
      }
    }
  }
}

}  // namespace

int main() {
  if (emulation::kUnderThreadSanitizer) {
    std::printf("skipped: there are no threads that the thread sanitizer could look at\n");
    return 0;
  }
  shapes_nobody_thought_of();
  round_shapes();
  schedules_change_nothing();
  a_row_does_not_depend_on_its_batch();
  equal_scores_give_the_lowest_word();
  numbers_out_of_range();
  scores_that_are_no_numbers();
  nothing_left_to_choose();
  plans();
  return check::failures();
}
