// The recurrence of a GRU in every variant that this processor runs: states against the definition in double, gradients
// against differences of a loss computed in double.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "gru_sequence/gru_sequence.h"
#include "variants.h"

namespace {

struct Problem {
  std::vector<int64_t> sizes;
  int64_t n = 0, B, H, stride;
  int directions;
  std::vector<float> weight[2], bias[2], initial, inputs, gates, recurrent, before, states, final_states;
  std::vector<float> grad_states, grad_final, grad_gates, grad_recurrent, grad_initial;
  SvebmGruSequenceArguments a{};

  Problem(std::vector<int64_t> batch_sizes, int64_t hidden, int n_directions, bool fast, unsigned seed)
      : sizes(std::move(batch_sizes)), B(sizes[0]), H(hidden), directions(n_directions) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto filled = [&](int64_t count, float scale) {
      std::vector<float> values(static_cast<size_t>(count));
      for (float& value : values) value = scale * normal(random);
      return values;
    };
    for (const int64_t size : sizes) n += size;
    stride = n + 32;
    for (int d = 0; d < directions; ++d) {
      weight[d] = filled(3 * H * H, 1.0f / std::sqrt(static_cast<float>(H)));
      bias[d] = filled(3 * H, 0.5f);
      a.weight[d] = weight[d].data();
      a.bias[d] = bias[d].data();
    }
    initial = filled(directions * B * H, 1.0f);
    inputs = filled(directions * 3 * H * stride, 1.0f);
    gates = inputs;
    recurrent = before = filled(directions * H * stride, 1.0f);
    states = filled(n * directions * H, 1.0f);
    final_states = filled(directions * B * H, 1.0f);
    grad_states = filled(n * directions * H, 1.0f);
    grad_final = filled(directions * B * H, 1.0f);
    grad_gates = gates;
    grad_recurrent = recurrent;
    grad_initial = final_states;
    a.n = n;
    a.n_steps = static_cast<int64_t>(sizes.size());
    a.batch_sizes = sizes.data();
    a.n_rows = B;
    a.hidden = H;
    a.n_directions = directions;
    a.stride = stride;
    a.initial = initial.data();
    a.gates = gates.data();
    a.recurrent = recurrent.data();
    a.before = before.data();
    a.states = states.data();
    a.final_states = final_states.data();
    a.grad_states = grad_states.data();
    a.grad_final = grad_final.data();
    a.grad_gates = grad_gates.data();
    a.grad_recurrent = grad_recurrent.data();
    a.grad_initial = grad_initial.data();
    a.fast = fast ? 1 : 0;
  }

  // Runs on a workspace of exactly the size asked for, so that an address sanitizer sees every step beyond it.
  void run(int n_threads) {
    const size_t bytes = static_cast<size_t>(svebm::gru_sequence_cpu_workspace(a, n_threads));
    std::unique_ptr<void, decltype(&std::free)> workspace(std::aligned_alloc(64, (bytes + 63) / 64 * 64), &std::free);
    std::memset(workspace.get(), 0xFF, bytes);
    svebm::gru_sequence_cpu(a, workspace.get(), n_threads);
    std::memset(workspace.get(), 0xFF, bytes);
    svebm::gru_sequence_backward_cpu(a, workspace.get(), n_threads);
  }
};

struct Expected {
  std::vector<double> states, final_states;
  double loss = 0.0;  // sum of states and final states times their gradients
};

Expected definition(const Problem& p, const std::vector<double>& inputs, const std::vector<double>& initial) {
  const int64_t H = p.H, width = p.directions * H;
  Expected e{std::vector<double>(p.states.size()), initial, 0.0};
  std::vector<int64_t> starts;
  int64_t start = 0;
  for (const int64_t size : p.sizes) {
    starts.push_back(start);
    start += size;
  }
  for (int d = 0; d < p.directions; ++d) {
    for (int64_t s = 0; s < p.a.n_steps; ++s) {
      const int64_t t = d == 0 ? s : p.a.n_steps - 1 - s;
      for (int64_t row = 0; row < p.sizes[static_cast<size_t>(t)]; ++row) {
        const int64_t position = starts[static_cast<size_t>(t)] + row;
        double* const h = &e.final_states[static_cast<size_t>((d * p.B + row) * H)];
        std::vector<double> next(static_cast<size_t>(H));
        for (int64_t u = 0; u < H; ++u) {
          double product[3], input[3];
          for (int g = 0; g < 3; ++g) {
            product[g] = p.bias[d][static_cast<size_t>(g * H + u)];
            for (int64_t j = 0; j < H; ++j) product[g] += p.weight[d][static_cast<size_t>((g * H + u) * H + j)] * h[j];
            input[g] = inputs[static_cast<size_t>((d * 3 * H + g * H + u) * p.stride + position)];
          }
          const double r = 1.0 / (1.0 + std::exp(-input[0] - product[0]));
          const double z = 1.0 / (1.0 + std::exp(-input[1] - product[1]));
          const double candidate = std::tanh(input[2] + r * product[2]);
          next[static_cast<size_t>(u)] = candidate + z * (h[u] - candidate);
        }
        for (int64_t u = 0; u < H; ++u) {
          const size_t at = static_cast<size_t>(position * width + d * H + u);
          h[u] = e.states[at] = next[static_cast<size_t>(u)];
          e.loss += e.states[at] * p.grad_states[at];
        }
      }
    }
  }
  for (size_t i = 0; i < e.final_states.size(); ++i) e.loss += e.final_states[i] * p.grad_final[i];
  return e;
}

void compare(Problem& p, int n_threads) {
  const std::vector<double> inputs(p.inputs.begin(), p.inputs.end()), initial(p.initial.begin(), p.initial.end());
  const Expected expected = definition(p, inputs, initial);
  p.run(n_threads);
  const double tolerance = p.a.fast ? 3e-2 : 5e-6;
  for (size_t i = 0; i < p.states.size(); ++i) CHECK_NEAR(p.states[i], expected.states[i], tolerance);
  for (size_t i = 0; i < p.final_states.size(); ++i) CHECK_NEAR(p.final_states[i], expected.final_states[i], tolerance);
  if (p.a.fast) return;
  std::mt19937 random(1);
  const auto slope = [&](bool of_inputs, size_t i) {
    double loss[2];
    for (int side = 0; side < 2; ++side) {
      std::vector<double> x = inputs, h = initial;
      (of_inputs ? x : h)[i] += side == 0 ? -1e-5 : 1e-5;
      loss[side] = definition(p, x, h).loss;
    }
    return (loss[1] - loss[0]) / 2e-5;
  };
  for (int i = 0; i < 12; ++i) {
    const int64_t row = static_cast<int64_t>(random() % static_cast<uint64_t>(p.directions * 3 * p.H));
    const size_t at = static_cast<size_t>(row * p.stride + static_cast<int64_t>(random() % static_cast<uint64_t>(p.n)));
    CHECK_NEAR(p.grad_gates[at], slope(true, at), 2e-5);
    const size_t of = random() % p.initial.size();
    CHECK_NEAR(p.grad_initial[of], slope(false, of), 2e-5);
  }
}

void lengths_and_sizes_of_every_kind() {
  for (const auto& sizes :
       std::vector<std::vector<int64_t>>{{1}, {3, 1}, {2, 2, 2}, {20, 17, 16, 3, 1}, {45, 33, 32}}) {
    for (const int64_t H : {1, 4, 7, 33}) {
      for (const int directions : {1, 2}) {
        for (const bool fast : {false, true}) {
          Problem problem(sizes, H, directions, fast, static_cast<unsigned>(H));
          compare(problem, 1 + static_cast<int>(H % 3));
        }
      }
    }
  }
}

void the_same_bits_for_any_number_of_threads() {
  for (const bool fast : {false, true}) {
    Problem one({40, 30, 12, 5}, 21, 2, fast, 2), many({40, 30, 12, 5}, 21, 2, fast, 2);
    one.run(1);
    many.run(5);
    CHECK(one.states == many.states && one.grad_initial == many.grad_initial);
    for (int64_t row = 0; row < 2 * 3 * 21; ++row) {  // beyond n there is no result
      for (int64_t i = row * one.stride; i < row * one.stride + one.n; ++i) {
        CHECK(one.grad_gates[static_cast<size_t>(i)] == many.grad_gates[static_cast<size_t>(i)]);
      }
    }
  }
}

}  // namespace

int main() {
  on_every_variant([] {
    lengths_and_sizes_of_every_kind();
    the_same_bits_for_any_number_of_threads();
  });
  return check::failures();
}
