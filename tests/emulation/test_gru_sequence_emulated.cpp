// The CUDA source of a GRU layer, run on the host: states against the definition in double, gradients against
// differences of a loss computed in double.
#include <cstring>

#include "check.h"
#include "gru_sequence_on_host.h"

namespace {

using on_host::GruSequenceCase;
using on_host::GruSequenceShape;
using svebm::DeviceLimits;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kEvery = 9;
#else
constexpr unsigned kEvery = 1;
#endif

constexpr DeviceLimits kRoomy{227 * 1024, 4, true};

std::vector<double> doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

void compare(GruSequenceCase& made, const DeviceLimits& limits, emulation::Options options, int n_slopes) {
  const std::vector<double> inputs = doubles(made.inputs);
  const std::vector<double> initial =
      made.a.initial != nullptr ? doubles(made.initial) : std::vector<double>(made.initial.size());
  const auto expected = on_host::define_gru_sequence(made, inputs, initial);
  on_host::run_gru_sequence(made, limits, options);
  for (size_t i = 0; i < made.states.size(); ++i) CHECK_NEAR(made.states[i], expected.states[i], 5e-6);
  for (size_t i = 0; i < made.final_states.size(); ++i) {
    CHECK_NEAR(made.final_states[i], expected.final_states[i], 5e-6);
  }
  for (const auto& result : made.results()) {
    for (const float value : result) CHECK(value - value == 0.0f);  // all written
  }
  std::mt19937 random(options.seed);
  const auto slope = [&](bool of_inputs, size_t i) {
    double loss[2];
    for (int side = 0; side < 2; ++side) {
      std::vector<double> x = inputs, h = initial;
      (of_inputs ? x : h)[i] += side == 0 ? -1e-5 : 1e-5;
      loss[side] = on_host::define_gru_sequence(made, x, h).loss;
    }
    return (loss[1] - loss[0]) / 2e-5;
  };
  for (int i = 0; i < n_slopes; ++i) {
    const size_t at = random() % made.inputs.size(), of = random() % made.initial.size();
    CHECK_NEAR(made.grad_gates[at], slope(true, at), 3e-5);
    CHECK_NEAR(made.grad_initial[of], slope(false, of), 3e-5);
  }
  // x and h enter r and z by their sum, and the candidate by x + r q
  const size_t H = static_cast<size_t>(made.shape.hidden);
  for (size_t i = 0; i < made.grad_gates.size(); ++i) {
    const size_t gate = i % (3 * H) / H;
    const float factor = gate == 2 ? made.gates[i - 2 * H] : 1.0f;
    CHECK_NEAR(made.grad_hidden[i], made.grad_gates[i] * factor, 1e-6);
  }
}

void lengths_and_sizes_of_every_kind() {
  unsigned i = 0;
  for (const auto& sizes :
       std::vector<std::vector<int64_t>>{{1}, {3, 1}, {2, 2, 2}, {20, 17, 16, 3, 1}, {45, 33, 32, 8}, {7, 7}}) {
    for (const int64_t H : {4, 8, 36, 132}) {
      for (const int directions : {1, 2}) {
        if (++i % kEvery != 0) continue;
        GruSequenceCase made({sizes, H, directions}, i);
        if (i % 5 == 0) made.a.initial = nullptr;
        compare(made, kRoomy, {i, i % 2 == 0}, 4);
      }
    }
  }
}

// Fewer places than rows, and directions one after the other.
void little_shared_memory() {
  GruSequenceCase made({{40, 21, 9, 2}, 24, 2}, 3), plenty({{40, 21, 9, 2}, 24, 2}, 3);
  DeviceLimits limits = kRoomy;
  const auto both = svebm::plan_gru_sequence(made.a, limits, true);
  CHECK(both.at_once == 2 && both.slots == 32 && both.units == 12);
  limits.shared_bytes = 7000;
  const auto one = svebm::plan_gru_sequence(made.a, limits, true);
  CHECK(one.at_once == 1 && one.slots == 8 && one.units == 8 && one.shared_bytes <= limits.shared_bytes);
  compare(made, limits, {5, true}, 4);
  on_host::run_gru_sequence(plenty, kRoomy, {6, false});
  CHECK(made.results() == plenty.results());  // how the work is divided changes no bit
}

void absent_gradients_are_zero() {
  for (const bool of_states : {true, false}) {
    GruSequenceCase absent({{5, 3, 1}, 8, 2}, 4), zero({{5, 3, 1}, 8, 2}, 4);
    (of_states ? absent.a.grad_states : absent.a.grad_final) = nullptr;
    auto& zeros = of_states ? zero.grad_states : zero.grad_final;
    std::fill(zeros.begin(), zeros.end(), 0.0f);
    on_host::run_gru_sequence(absent, kRoomy, {});
    on_host::run_gru_sequence(zero, kRoomy, {});
    CHECK(absent.results() == zero.results());
  }
}

void schedules_change_nothing() {
  std::vector<std::vector<float>> results;
  for (unsigned seed = 0; seed < 8; seed += kEvery) {
    GruSequenceCase made({{11, 10, 10, 4, 1}, 20, 2}, 1);
    on_host::run_gru_sequence(made, {227 * 1024, 6, true}, {seed, seed % 2 == 1});
    if (results.empty()) results = made.results();
    CHECK(made.results() == results);
  }
}

// A row alone gives the same bits.
void a_row_does_not_depend_on_its_batch() {
  GruSequenceCase whole({{9, 9, 5}, 12, 1}, 2), part({{3, 3, 3}, 12, 1}, 2);
  part.weight[0] = whole.weight[0];
  part.bias[0] = whole.bias[0];
  std::copy_n(whole.initial.begin(), part.initial.size(), part.initial.begin());
  const std::ptrdiff_t width = 36, starts[3] = {0, 9, 18};
  for (std::ptrdiff_t t = 0; t < 3; ++t) {
    std::copy_n(whole.inputs.begin() + starts[t] * width, 3 * width, part.gates.begin() + 3 * t * width);
  }
  on_host::run_gru_sequence(whole.a, kRoomy, false, {1, true});
  on_host::run_gru_sequence(part.a, kRoomy, false, {2, false});
  CHECK(std::equal(part.final_states.begin(), part.final_states.end(), whole.final_states.begin()));
}

void plans() {
  constexpr DeviceLimits kH100{227 * 1024, 132, true}, kSmall{99 * 1024, 84, true};
  const std::vector<int64_t> sizes(40, 32);
  GruSequenceCase made({{1}, 4, 1}, 1);
  auto a = made.a;
  a.n_steps = 40;
  a.n_rows = 32;
  const auto plan = [&](int hidden, int directions, bool backward, DeviceLimits limits) {
    a.hidden = hidden;
    a.n_directions = directions;
    return svebm::plan_gru_sequence(a, limits, backward);
  };
  const auto one = plan(512, 1, false, kH100), both = plan(512, 2, true, kH100), small = plan(512, 2, false, kSmall);
  CHECK(one.units == 4 && one.n_blocks == 128 && one.slots == 32 && one.reason[0] == '\0');
  CHECK(both.units == 8 && both.n_blocks == 64 && both.slots == 16 && both.at_once == 2 && both.reason[0] == '\0');
  CHECK(small.at_once == 1 && small.units == 8 && small.slots == 16 && small.reason[0] == '\0');
  CHECK(std::strstr(plan(510, 1, false, kH100).reason, "multiple of 4") != nullptr);
  CHECK(std::strstr(plan(2048, 1, false, kSmall).reason, "shared memory") != nullptr);
  CHECK(std::strstr(plan(512, 1, false, {227 * 1024, 132, false}).reason, "wait") != nullptr);
  a.n_steps = 1025;
  CHECK(std::strstr(plan(512, 1, false, kH100).reason, "1,024") != nullptr);
}

}  // namespace

int main() {
  if (emulation::kUnderThreadSanitizer) {
    std::printf("skipped: there are no threads that the thread sanitizer could look at\n");
    return 0;
  }
  lengths_and_sizes_of_every_kind();
  little_shared_memory();
  absent_gradients_are_zero();
  schedules_change_nothing();
  a_row_does_not_depend_on_its_batch();
  plans();
  return check::failures();
}
