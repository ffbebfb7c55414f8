// The CPU kernel in every variant that this processor runs, against the definition in double.
#include <cstring>
#include <memory>

#include "check.h"
#include "langevin_cases.h"
#include "variants.h"

namespace {

// Runs on a workspace of exactly the size asked for, so that an address sanitizer sees every step beyond it.
void run(const SvebmLangevinArguments& a, int n_threads) {
  const int64_t bytes = svebm::langevin_cpu_workspace(a, n_threads);
  std::unique_ptr<void, decltype(&std::free)> workspace(
      std::aligned_alloc(64, static_cast<size_t>((bytes + 63) / 64 * 64)), &std::free);
  std::memset(workspace.get(), 0xFF, static_cast<size_t>(bytes));  // not a number
  svebm::langevin_cpu(a, workspace.get(), n_threads);
}

struct Tolerance {
  double z, sums;
};

void compare(cases::LangevinCase& made, const Tolerance& tolerance, int n_threads) {
  const auto& a = made.arguments;
  const cases::LangevinExpected expected = cases::expected(a);
  const std::vector<float> before = made.states;
  if (expected.closest_decision < 1e-4) return;  // a move that rounding may decide
  run(a, n_threads);
  const size_t D = static_cast<size_t>(a.widths[0]);
  std::vector<bool> written(made.states.size() / D, false);
  for (int64_t n = 0; n < a.n_chains; ++n) {
    for (size_t d = 0; d < D; ++d) {
      const size_t i = static_cast<size_t>(n) * D + d;
      CHECK_NEAR(made.z[i], expected.z[i], tolerance.z * static_cast<double>(a.n_steps));
      if (a.bank_indices != nullptr) CHECK(made.states[static_cast<size_t>(a.bank_indices[n]) * D + d] == made.z[i]);
    }
    if (a.bank_indices != nullptr) written[static_cast<size_t>(a.bank_indices[n])] = true;
    if (a.log_weights != nullptr) {
      CHECK_NEAR(made.log_weights[static_cast<size_t>(n)], expected.log_weights[static_cast<size_t>(n)],
                 tolerance.z * 10);
    }
  }
  for (size_t i = 0; i < made.states.size(); ++i) {
    if (!written[i / D]) CHECK(made.states[i] == before[i]);
  }
  if (a.partials != nullptr) {
    for (size_t i = 0; i < expected.partials.size(); ++i) {
      CHECK_NEAR(made.partials[i], expected.partials[i], tolerance.sums * (1.0 + std::abs(expected.partials[i])));
    }
  }
  CHECK(made.non_finite[0] == 0);
}

void every_shape_and_part() {
  int n_compared = 0;
  for (const auto& shape : cases::kLangevinShapes) {
    for (const unsigned parts : cases::kLangevinPartLists) {
      for (int32_t activation = kSvebmGelu; activation <= kSvebmTanh; ++activation) {
        auto made = cases::make_langevin(shape, activation, parts);
        compare(made, {1e-5, 1e-5}, 1);
        ++n_compared;
      }
    }
  }
  CHECK(n_compared > 200);
}

void shapes_nobody_thought_of() {
  std::mt19937 random(5);
  const auto number = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int i = 0; i < 150; ++i) {
    cases::LangevinShape shape{number(1, 70), {number(1, 45)}, number(1, 2)};
    for (int l = number(0, 2); l > 0; --l) shape.widths.push_back(number(1, 60));
    shape.widths.push_back(number(1, 50));
    const unsigned parts = static_cast<unsigned>(number(0, 2047));
    if ((parts & cases::kMetropolis) && (parts & cases::kDeterministic)) continue;  // no such move
    auto made = cases::make_langevin(shape, number(0, 3), parts, static_cast<unsigned>(i));
    compare(made, {1e-5, 1e-5}, number(1, 3));
  }
}

void large_widths() {
  auto made = cases::make_langevin({3, {256, 301, 77, 1024}, 1}, kSvebmGelu, cases::kPartials);
  compare(made, {1e-5, 1e-5}, 2);
}

void bf16_operands_where_there_are_any() {
  for (const auto& shape : cases::kLangevinShapes) {
    for (const unsigned parts : {0u, unsigned{cases::kLabels}, unsigned{cases::kContext}, unsigned{cases::kTempers}}) {
      auto made = cases::make_langevin(shape, kSvebmGelu, parts);
      made.arguments.fast = 1;
      const cases::LangevinExpected expected = cases::expected(made.arguments);
      run(made.arguments, 1);
      // half a unit of 8 bits on each of some tens of terms, times a step size of .08
      for (size_t i = 0; i < made.z.size(); ++i) CHECK_NEAR(made.z[i], expected.z[i], 1.5e-2);
    }
  }
}

// Bits do not depend on threads, on the block a chain falls into, nor on its neighbours.
void the_same_bits_however_chains_are_divided() {
  for (const unsigned parts : {unsigned{cases::kPartials}, unsigned{cases::kMetropolis | cases::kContext}}) {
    const cases::LangevinShape shape{100, {13, 21, 18, 6}, 3};
    auto whole = cases::make_langevin(shape, kSvebmGelu, parts);
    run(whole.arguments, 1);
    for (const int n_threads : {2, 3, 5, 9}) {
      auto again = cases::make_langevin(shape, kSvebmGelu, parts);
      run(again.arguments, n_threads);
      CHECK(again.z == whole.z);
      if (parts & cases::kPartials) CHECK(again.partials == whole.partials);
    }
    for (const int64_t first : {0, 1, 40, 83}) {
      auto part = cases::make_langevin(shape, kSvebmGelu, parts);
      auto& a = part.arguments;
      a.n_chains = std::min<int64_t>(17, shape.n_chains - first);
      a.states += first * 13;
      a.chain_ids += first;
      if (a.context_shift != nullptr) a.context_shift += first * 21;
      run(a, 1);
      for (size_t i = 0; i < static_cast<size_t>(a.n_chains) * 13; ++i) {
        CHECK(part.z[i] == whole.z[static_cast<size_t>(first) * 13 + i]);
      }
    }
  }
}

void numbers_that_are_not_finite_are_reported() {
  for (const float bad : {INFINITY, NAN}) {
    auto made = cases::make_langevin({20, {3, 5, 4}, 2}, kSvebmGelu, cases::kPlain);
    made.weights[1][2] = bad;
    run(made.arguments, 1);
    CHECK(made.non_finite[0] == 1);
    auto one = cases::make_langevin({20, {3, 5, 4}, 2}, kSvebmLeakyRelu, cases::kPlain);
    one.states[10 * 3 + 1] = bad;
    run(one.arguments, 1);
    CHECK(one.non_finite[0] == 1);
    for (size_t n = 0; n < 20; ++n) CHECK(std::isfinite(one.z[3 * n]) == (n != 10));
  }
  auto rejected = cases::make_langevin({20, {3, 5, 4}, 2}, kSvebmGelu, cases::kMetropolis);
  rejected.weights[1][2] = NAN;
  run(rejected.arguments, 1);
  CHECK(rejected.non_finite[0] == 0 && rejected.z == rejected.states);
}

}  // namespace

int main() {
  on_every_variant([] {
    every_shape_and_part();
    shapes_nobody_thought_of();
    large_widths();
    bf16_operands_where_there_are_any();
    the_same_bits_however_chains_are_divided();
    numbers_that_are_not_finite_are_reported();
  });
  return check::failures();
}
