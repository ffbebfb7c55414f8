// Launches the kernels of a GRU layer on the emulator, as csrc/gru_sequence/cuda/gru_sequence.cu does on a device, and
// the definition in double to compare with.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "check.h"
#include "gru_sequence/cuda/gru_sequence.cuh"

namespace on_host {

struct GruSequenceShape {
  std::vector<int64_t> sizes;  // rows that run at each step
  int64_t hidden;
  int directions;
};

// A packed batch and all arrays of both calls, those of results filled with what must not be read.
struct GruSequenceCase {
  GruSequenceShape shape;
  int64_t n = 0, n_rows;
  std::vector<float> weight[2], bias[2], initial, inputs, gates, recurrent, before, states, final_states;
  std::vector<float> grad_states, grad_final, grad_gates, grad_hidden, grad_initial;
  SvebmGruSequenceCudaArguments a{};

  GruSequenceCase(GruSequenceShape s, unsigned seed) : shape(std::move(s)), n_rows(shape.sizes[0]) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (const int64_t size : shape.sizes) n += size;
    const int64_t H = shape.hidden, D = shape.directions;
    const auto filled = [&](int64_t count, float scale) {
      std::vector<float> values(static_cast<size_t>(count));
      for (float& value : values) value = scale * normal(random);
      return values;
    };
    const auto unwritten = [](int64_t count) { return std::vector<float>(static_cast<size_t>(count), NAN); };
    for (int d = 0; d < D; ++d) {
      weight[d] = filled(3 * H * H, 1.0f / std::sqrt(static_cast<float>(H)));
      bias[d] = filled(3 * H, 0.5f);
      a.weight[d] = weight[d].data();
      a.bias[d] = bias[d].data();
    }
    initial = filled(D * n_rows * H, 1.0f);
    gates = inputs = filled(D * n * 3 * H, 1.0f);
    grad_states = filled(n * D * H, 1.0f);
    grad_final = filled(D * n_rows * H, 1.0f);
    recurrent = before = unwritten(D * n * H);
    states = unwritten(n * D * H);
    final_states = grad_initial = unwritten(D * n_rows * H);
    grad_gates = grad_hidden = unwritten(D * n * 3 * H);
    a.batch_sizes = shape.sizes.data();
    a.n = n;
    a.n_steps = static_cast<int32_t>(shape.sizes.size());
    a.n_rows = static_cast<int32_t>(n_rows);
    a.hidden = static_cast<int32_t>(H);
    a.n_directions = shape.directions;
    a.initial = initial.data();
    a.gates = gates.data();
    a.recurrent = recurrent.data();
    a.before = before.data();
    a.states = states.data();
    a.final_states = final_states.data();
    a.grad_states = grad_states.data();
    a.grad_final = grad_final.data();
    a.grad_gates = grad_gates.data();
    a.grad_hidden = grad_hidden.data();
    a.grad_initial = grad_initial.data();
  }

  std::vector<std::vector<float>> results() const {
    return {states, final_states, gates, recurrent, before, grad_gates, grad_hidden, grad_initial};
  }
};

inline void run_gru_sequence(const SvebmGruSequenceCudaArguments& a, const svebm::DeviceLimits& limits, bool backward,
                             emulation::Options options) {
  unsigned counters[64] = {};
  svebm::GruSequence sequence{};
  sequence.a = a;
  sequence.plan = svebm::plan_gru_sequence(a, limits, backward);
  sequence.counters = counters;
  CHECK(sequence.plan.reason[0] == '\0');
  for (int t = 0; t < a.n_steps; ++t) sequence.sizes[t] = static_cast<uint16_t>(a.batch_sizes[t]);
  for (int d = 0; d < a.n_directions; d += sequence.plan.at_once) {
    sequence.first_direction = d;
    emulation::launch_together(static_cast<unsigned>(sequence.plan.n_blocks * sequence.plan.at_once),
                               svebm::kGruSequenceThreads, static_cast<std::size_t>(sequence.plan.shared_bytes),
                               options,
                               [&] { backward ? svebm::backward_block(sequence) : svebm::forward_block(sequence); });
  }
}

inline void run_gru_sequence(GruSequenceCase& made, const svebm::DeviceLimits& limits, emulation::Options options) {
  run_gru_sequence(made.a, limits, false, options);
  run_gru_sequence(made.a, limits, true, options);
}

struct GruSequenceDefinition {
  std::vector<double> states, final_states;
  double loss = 0.0;  // sum of states and final states times their gradients
};

inline GruSequenceDefinition define_gru_sequence(const GruSequenceCase& made, const std::vector<double>& inputs,
                                                 const std::vector<double>& initial) {
  const int64_t H = made.shape.hidden, D = made.shape.directions;
  const auto& sizes = made.shape.sizes;
  GruSequenceDefinition result{std::vector<double>(made.states.size()), initial, 0.0};
  std::vector<int64_t> starts{0};
  for (const int64_t size : sizes) starts.push_back(starts.back() + size);
  const auto at = [](int64_t index) { return static_cast<size_t>(index); };
  for (int64_t d = 0; d < D; ++d) {
    for (size_t s = 0; s < sizes.size(); ++s) {
      const size_t t = d == 0 ? s : sizes.size() - 1 - s;
      for (int64_t row = 0; row < sizes[t]; ++row) {
        const int64_t position = starts[t] + row;
        double* const h = &result.final_states[at((d * made.n_rows + row) * H)];
        std::vector<double> next(at(H));
        for (int64_t u = 0; u < H; ++u) {
          double product[3], input[3];
          for (int64_t g = 0; g < 3; ++g) {
            product[g] = made.bias[d][at(g * H + u)];
            for (int64_t j = 0; j < H; ++j) product[g] += made.weight[d][at((g * H + u) * H + j)] * h[j];
            input[g] = inputs[at((d * made.n + position) * 3 * H + g * H + u)];
          }
          const double r = 1.0 / (1.0 + std::exp(-input[0] - product[0]));
          const double z = 1.0 / (1.0 + std::exp(-input[1] - product[1]));
          const double candidate = std::tanh(input[2] + r * product[2]);
          next[at(u)] = candidate + z * (h[u] - candidate);
        }
        for (int64_t u = 0; u < H; ++u) {
          const size_t here = at((position * D + d) * H + u);
          h[u] = result.states[here] = next[at(u)];
          result.loss += h[u] * made.grad_states[here];
        }
      }
    }
  }
  for (size_t i = 0; i < result.final_states.size(); ++i) {
    result.loss += result.final_states[i] * made.grad_final[i];
  }
  return result;
}

}  // namespace on_host
