// The CUDA source of both Langevin kernels, run on the host against the definition in double.
#include "check.h"
#include "langevin_on_host.h"

namespace {

using cases::LangevinCase;
using cases::LangevinExpected;
using cases::LangevinShape;

// A sanitizer makes everything slow, and looks at addresses rather than at numbers: a part of the cases will do.
#if defined(__SANITIZE_ADDRESS__)
constexpr unsigned kEvery = 5;
#else
constexpr unsigned kEvery = 1;
#endif

constexpr int kTiles[] = {32, 16, 8, 4};
constexpr struct {
  int n_groups, n_warps;
} kBlocks[] = {{1, 8}, {2, 4}, {3, 4}};

struct Tolerance {
  double z, sum, log_weight;
};

void check_results(const LangevinCase& made, const LangevinExpected& expected, const std::vector<float>& states_before,
                   Tolerance tolerance) {
  const auto& a = made.arguments;
  for (size_t i = 0; i < expected.z.size(); ++i) CHECK_NEAR(made.z[i], expected.z[i], tolerance.z);
  if (a.partials != nullptr) {
    for (size_t i = 0; i < expected.partials.size(); ++i) {
      CHECK_NEAR(made.partials[i], expected.partials[i], tolerance.sum * (1.0 + std::abs(expected.partials[i])));
    }
  }
  if (a.log_weights != nullptr) {
    for (size_t i = 0; i < expected.log_weights.size(); ++i) {
      CHECK_NEAR(made.log_weights[i], expected.log_weights[i], tolerance.log_weight);
    }
  }
  std::vector<float> states = states_before;
  for (int64_t n = 0; a.bank_indices != nullptr && n < a.n_chains; ++n) {
    for (int32_t d = 0; d < a.widths[0]; ++d) {
      states[static_cast<size_t>(a.bank_indices[n] * a.widths[0] + d)] =
          made.z[static_cast<size_t>(n * a.widths[0] + d)];
    }
  }
  CHECK(made.states == states);
  CHECK(made.non_finite[0] == 0);
}

void every_part_in_fp32() {
  unsigned i = 0;
  for (const auto& shape : cases::kLangevinShapes) {
    for (const unsigned parts : cases::kLangevinPartLists) {
      if (++i % kEvery != 0) continue;
      auto made = cases::make_langevin(shape, static_cast<int32_t>(i % 4), parts);
      const auto expected = cases::expected(made.arguments);
      const auto states = made.states;
      CHECK(expected.closest_decision > 1e-3);
      CHECK(on_host::run_fp32(made.arguments, kTiles[(i + i / 4) % 4], 1024, {i, i % 2 == 0}));
      const double steps = static_cast<double>(shape.n_steps);
      check_results(made, expected, states, {1e-5 * steps, 1e-5, 1e-5 * steps});
    }
  }
}

// Rounding decides on the side of LeakyReLU's kink, and on a close call of Metropolis: not compared here.
void every_part_in_fast() {
  unsigned i = 0, compared = 0;
  for (const auto& shape : cases::kLangevinShapes) {
    for (const unsigned parts : cases::kLangevinPartLists) {
      const int32_t activation = std::vector<int32_t>{kSvebmGelu, kSvebmSilu, kSvebmTanh}[i / kEvery % 3];
      const auto block = kBlocks[(i + i / 3) % 3];
      if (++i % kEvery != 0) continue;
      auto made = cases::make_langevin(shape, activation, parts);
      const auto expected = cases::expected(made.arguments);
      const auto states = made.states;
      CHECK(on_host::run_fast(made.arguments, block.n_groups, block.n_warps, {i, i % 2 == 0}));
      if (expected.closest_decision < 0.01) continue;
      ++compared;
      check_results(made, expected, states, {2e-3, 1e-2, 4e-3});
    }
  }
  CHECK(compared > i / kEvery * 3 / 4);
}

// One step of size 1 without noise and reference: z' - z is the gradient.
double gradient_error(const LangevinShape& shape, int32_t activation, bool fast) {
  auto made = cases::make_langevin(shape, activation, cases::kDeterministic | cases::kNoReference);
  made.arguments.step_size = 1.0f;
  made.arguments.n_steps = 1;
  const auto expected = cases::expected(made.arguments);
  CHECK(fast ? on_host::run_fast(made.arguments, 2, 4, {}) : on_host::run_fp32(made.arguments, 32, 2048, {}));
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < expected.z.size(); ++i) {
    difference += std::pow(made.z[i] - expected.z[i], 2);
    norm += std::pow(expected.z[i] - made.states[i], 2);
  }
  return std::sqrt(difference / norm);
}

void gradients() {
  for (const int32_t activation : {kSvebmGelu, kSvebmLeakyRelu, kSvebmSilu, kSvebmTanh}) {
    for (const LangevinShape& shape : {LangevinShape{33, {40, 72, 72, 20}, 1}, LangevinShape{20, {2, 56, 9}, 1}}) {
      CHECK_NEAR(gradient_error(shape, activation, false), 0.0, 1e-6);
      CHECK_NEAR(gradient_error(shape, activation, true), 0.0, 3e-3);
    }
  }
}

// More columns than a panel has, chunks of a single row, and the sizes of the paper.
void wide_networks() {
  struct Wide {
    LangevinShape shape;
    int n_chains, chunk_floats;
  };
  for (const Wide& wide : {Wide{{3, {3, 264, 5}, 1}, 32, 1024}, Wide{{2, {2, 1030, 3}, 1}, 8, 1024},
                           Wide{{2, {70, 600, 1}, 1}, 16, 2048}, Wide{{2, {256, 1024}, 1}, 4, 1024},
                           Wide{{2, {1, 9, 2080, 2}, 1}, 4, 4096}, Wide{{33, {40, 200, 200, 20}, 1}, 32, 4096}}) {
    auto made = cases::make_langevin(wide.shape, kSvebmGelu, cases::kPartials);
    const auto expected = cases::expected(made.arguments);
    const auto states = made.states;
    CHECK(on_host::run_fp32(made.arguments, wide.n_chains, wide.chunk_floats, {}));
    check_results(made, expected, states, {1e-5, 1e-5, 1e-5});
  }
  auto made = cases::make_langevin({17, {40, 200, 200, 20}, 1}, kSvebmGelu, cases::kPartials);
  const auto expected = cases::expected(made.arguments);
  const auto states = made.states;
  CHECK(on_host::run_fast(made.arguments, 2, 4, {}));
  check_results(made, expected, states, {2e-3, 1e-2, 2e-3});
}

void schedules_change_nothing() {
  const LangevinShape shape{20, {5, 24, 72, 3}, 3};
  const unsigned parts = cases::kMetropolis | cases::kTempers | cases::kPartials;
  auto first = cases::make_langevin(shape, kSvebmGelu, parts), fast = cases::make_langevin(shape, kSvebmGelu, parts);
  on_host::run_fp32(first.arguments, 16, 1024, {0, false});
  on_host::run_fast(fast.arguments, 2, 4, {0, false});
  for (unsigned seed = 1; seed < 6; seed += kEvery) {
    for (const bool late : {false, true}) {
      auto again = cases::make_langevin(shape, kSvebmGelu, parts);
      on_host::run_fp32(again.arguments, 16, 1024, {seed, late});
      CHECK(again.z == first.z && again.partials == first.partials && again.log_weights == first.log_weights);
      auto other = cases::make_langevin(shape, kSvebmGelu, parts);
      on_host::run_fast(other.arguments, 2, 4, {seed, late});
      CHECK(other.z == fast.z && other.partials == fast.partials && other.log_weights == fast.log_weights);
    }
  }
}

// Three steps are one and two.
void steps_are_absolute() {
  const LangevinShape shape{19, {6, 10, 4}, 3};
  auto whole = cases::make_langevin(shape, kSvebmTanh, cases::kPlain);
  auto parts = cases::make_langevin(shape, kSvebmTanh, cases::kPlain);
  on_host::run_fp32(whole.arguments, 32, 1024, {});
  auto& a = parts.arguments;
  a.n_steps = 1;
  on_host::run_fp32(a, 32, 1024, {});
  parts.states = parts.z;
  a.states = parts.states.data();
  a.n_steps = 2;
  a.first_step += 1;
  on_host::run_fp32(a, 32, 1024, {});
  CHECK(parts.z == whole.z);
}

void numbers_out_of_range() {
  const LangevinShape shape{3, {4, 12, 5}, 1};
  for (const bool fast : {false, true}) {
    const auto run = [&](LangevinCase& made) {
      fast ? on_host::run_fast(made.arguments, 1, 8, {}) : on_host::run_fp32(made.arguments, 8, 1024, {});
    };
    auto infinite = cases::make_langevin(shape, kSvebmTanh, cases::kPlain);
    infinite.states[5] = INFINITY;
    run(infinite);
    CHECK(infinite.non_finite[0] == 1);

    auto large = cases::make_langevin(shape, kSvebmTanh, cases::kPlain);  // z stays finite: tanh is 1
    large.weights[0][7] = 1e6f;
    run(large);
    CHECK(large.non_finite[0] == (fast ? 1 : 0));

    auto rejected = cases::make_langevin(shape, kSvebmGelu, cases::kMetropolis | cases::kPartials);
    rejected.arguments.step_size = 1e38f;
    run(rejected);
    CHECK(rejected.z == rejected.states);
    CHECK(rejected.partials[kSvebmSumAccepted] == 0.0f);
    CHECK(rejected.non_finite[0] == (fast ? 1 : 0));
  }
}

// The choice of tiles: few rounds over the device, and what fits into its shared memory.
void plans() {
  constexpr svebm::DeviceLimits kH100{227 * 1024, 132}, kA100{163 * 1024, 108}, kSmall{99 * 1024, 68};
  svebm::Fp32Plan fp32;
  svebm::FastPlan fast;
  const auto made = cases::make_langevin({1, {40, 200, 200, 20}, 1}, kSvebmGelu, cases::kPlain);
  auto a = made.arguments;
  const auto chains = [&](svebm::DeviceLimits limits) {
    return svebm::plan_fp32(a, limits, fp32) ? fp32.tile.n_chains : 0;
  };
  const auto groups = [&](svebm::DeviceLimits limits) { return svebm::plan_fast(a, limits, fast) ? fast.n_groups : 0; };
  a.n_chains = 4096;
  CHECK(chains(kH100) == 32 && fp32.n_blocks == 128 && chains(kA100) == 16 && chains(kSmall) == 16);
  CHECK(groups(kH100) == 2 && groups(kA100) == 1 && groups(kSmall) == 0);
  a.n_chains = 2000;
  CHECK(chains(kH100) == 16 && groups(kH100) == 1);
  a.n_chains = 6000;
  CHECK(groups(kH100) == 3);
  a.widths[1] = a.widths[2] = 1024;
  CHECK(chains(kH100) == 8 && chains(kA100) == 8 && chains(kSmall) == 4 && groups(kH100) == 0);
  a.metropolis = 1;
  a.widths[0] = 256;
  a.widths[3] = 1024;
  CHECK(chains(kH100) == 8 && chains(kA100) == 4 && chains(kSmall) == 0);
  a.widths[1] = 100000;
  CHECK(chains(kH100) == 0);
}

}  // namespace

int main() {
  if (emulation::kUnderThreadSanitizer) {
    std::printf("skipped: there are no threads that the thread sanitizer could look at\n");
    return 0;
  }
  every_part_in_fp32();
  every_part_in_fast();
  gradients();
  wide_networks();
  schedules_change_nothing();
  steps_are_absolute();
  numbers_out_of_range();
  plans();
  return check::failures();
}
