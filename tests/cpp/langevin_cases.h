// Shapes and arguments for the tests of the Langevin kernels, and the op's definition written out in double: plain
// loops over one chain at a time, which share nothing with the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "langevin/langevin.h"
#include "philox_cases.h"

namespace cases {

struct LangevinShape {
  int64_t n_chains;
  std::vector<int32_t> widths;  // D, hidden widths, K
  int64_t n_steps;
};

// Optional parts of a call, to be combined with |.
enum LangevinParts : unsigned {
  kPlain = 0,
  kLabels = 1,
  kContext = 2,
  kBank = 4,
  kStepSizes = 8,
  kTempers = 16,  // a schedule with its log weights
  kPartials = 32,
  kMetropolis = 64,
  kSeedPointer = 128,
  kTemperature = 256,    // 0.7 instead of 1
  kNoReference = 512,    // reference precision 0 instead of 0.9
  kDeterministic = 1024  // noise scale 0
};

// One to three layers; dimensions 1 and 2; odd widths; one category; tails below and above 16, 32 and 48 chains.
inline const std::vector<LangevinShape> kLangevinShapes = {
    {1, {1, 1}, 2},          {17, {3, 5}, 2},       {33, {2, 20, 1}, 2},       {5, {40, 33, 7}, 2},
    {49, {2, 13, 11, 4}, 2}, {7, {5, 7, 31, 1}, 2}, {16, {40, 56, 56, 20}, 1}, {35, {40, 24, 40, 125}, 1},
};

// Every part at least once, alone and in company.
inline const std::vector<unsigned> kLangevinPartLists = {
    kPlain,
    kLabels | kPartials,
    kContext | kStepSizes | kSeedPointer,
    kBank | kTempers | kPartials | kTemperature,
    kMetropolis | kPartials,
    kMetropolis | kTempers | kStepSizes | kBank | kPartials | kLabels | kContext,
    kDeterministic | kNoReference | kTemperature,
};

// Arguments over buffers of its own; results are filled with NaN. Moving keeps the buffers, and so the pointers.
struct LangevinCase {
  std::vector<float> states, z, context_shift, step_sizes, temper, temper_changes, partials, log_weights;
  std::vector<std::vector<float>> weights, biases;
  std::vector<int64_t> indices, chain_ids, labels;
  std::vector<uint64_t> seed;
  std::vector<int32_t> non_finite;
  SvebmLangevinArguments arguments{};

  LangevinCase() = default;
  LangevinCase(const LangevinCase&) = delete;
  LangevinCase& operator=(const LangevinCase&) = delete;
  LangevinCase(LangevinCase&&) = default;
};

inline void fill_normal(std::vector<float>& numbers, size_t n, double scale, std::mt19937& random) {
  std::normal_distribution<double> normal(0.0, scale);
  numbers.resize(n);
  for (float& number : numbers) number = static_cast<float>(normal(random));
}

inline void make_chains(LangevinCase& made, const LangevinShape& shape, unsigned parts, std::mt19937& random) {
  auto& a = made.arguments;
  const size_t N = static_cast<size_t>(shape.n_chains), D = static_cast<size_t>(shape.widths[0]);
  const size_t rows = (parts & kBank) ? N + 5 : N;
  fill_normal(made.states, rows * D, 1.0, random);
  made.z.assign(N * D, NAN);
  for (size_t n = 0; n < rows; ++n) made.indices.push_back(static_cast<int64_t>(n));
  std::shuffle(made.indices.begin(), made.indices.end(), random);
  made.indices.resize(N);
  for (int64_t n = 0; n < shape.n_chains; ++n) {
    made.chain_ids.push_back(n % 3 == 0 ? n : (n << 33) - 5 * n);
    made.labels.push_back((7 * n + 1) % shape.widths.back());
  }
  a.states = made.states.data();
  a.z = made.z.data();
  a.bank_indices = (parts & kBank) ? made.indices.data() : nullptr;
  a.chain_ids = made.chain_ids.data();
  a.labels = (parts & kLabels) ? made.labels.data() : nullptr;
  a.n_chains = shape.n_chains;
  if (!(parts & kContext)) return;
  fill_normal(made.context_shift, N * static_cast<size_t>(shape.widths[1]), 0.5, random);
  a.context_shift = made.context_shift.data();
}

inline void make_network(LangevinCase& made, const LangevinShape& shape, int32_t activation, std::mt19937& random) {
  auto& a = made.arguments;
  a.n_layers = static_cast<int32_t>(shape.widths.size()) - 1;
  made.weights.resize(static_cast<size_t>(a.n_layers));
  made.biases.resize(static_cast<size_t>(a.n_layers));
  for (size_t l = 0; l < made.weights.size(); ++l) {
    const size_t in = static_cast<size_t>(shape.widths[l]), out = static_cast<size_t>(shape.widths[l + 1]);
    fill_normal(made.weights[l], out * in, 1.4 / std::sqrt(static_cast<double>(in)), random);
    fill_normal(made.biases[l], out, 0.2, random);
    a.weights[l] = made.weights[l].data();
    a.biases[l] = made.biases[l].data();
  }
  std::copy(shape.widths.begin(), shape.widths.end(), a.widths);
  a.activation = activation;
  a.negative_slope = 0.2f;
}

inline void make_dynamics(LangevinCase& made, const LangevinShape& shape, unsigned parts) {
  auto& a = made.arguments;
  const size_t S = static_cast<size_t>(shape.n_steps), groups = static_cast<size_t>((shape.n_chains + 15) / 16);
  made.seed = {0x0123456789ABCDEFull};
  a.temperature = (parts & kTemperature) ? 0.7f : 1.0f;
  a.n_steps = shape.n_steps;
  a.first_step = (int64_t{1} << 32) - shape.n_steps;
  a.seed = (parts & kSeedPointer) ? 0 : made.seed[0];
  a.seed_tensor = (parts & kSeedPointer) ? made.seed.data() : nullptr;
  a.stream = 1;
  a.metropolis_stream = 2;
  a.step_size = (parts & kMetropolis) ? 0.4f : 0.08f;  // large enough for some moves to be rejected
  for (size_t s = 0; s < S; ++s) {
    made.step_sizes.push_back(a.step_size / static_cast<float>(s + 1));
    made.temper.push_back(static_cast<float>(s + 1) / static_cast<float>(S + 1));
    made.temper_changes.push_back(1.0f / static_cast<float>(S + 1));
  }
  made.partials.assign(S * groups * kSvebmPartials, NAN);
  made.log_weights.assign(static_cast<size_t>(shape.n_chains), NAN);
  made.non_finite = {0};
  a.step_sizes = (parts & kStepSizes) ? made.step_sizes.data() : nullptr;
  a.temper = (parts & kTempers) ? made.temper.data() : nullptr;
  a.temper_changes = (parts & kTempers) ? made.temper_changes.data() : nullptr;
  a.log_weights = (parts & kTempers) ? made.log_weights.data() : nullptr;
  a.partials = (parts & kPartials) ? made.partials.data() : nullptr;
  a.reference_precision = (parts & kNoReference) ? 0.0f : 0.9f;
  a.metropolis = (parts & kMetropolis) ? 1 : 0;
  a.noise_scale = (parts & kDeterministic) ? 0.0f : (parts & kMetropolis) ? 1.0f : 0.8f;
  a.non_finite = made.non_finite.data();
}

inline LangevinCase make_langevin(const LangevinShape& shape, int32_t activation, unsigned parts, unsigned seed = 1) {
  LangevinCase made;
  std::mt19937 random(seed);
  make_chains(made, shape, parts, random);
  make_network(made, shape, activation, random);
  make_dynamics(made, shape, parts);
  return made;
}

struct LangevinExpected {
  std::vector<double> z;            // [N, D]
  std::vector<double> partials;     // [S, ceil(N / 16), 3]; accepted moves are 0 without Metropolis
  std::vector<double> log_weights;  // [N]
  // Smallest |log u - log ratio| of all decisions: results of a kernel may differ altogether where it is tiny.
  double closest_decision = INFINITY;
};

struct Activated {
  double value, derivative;
};

inline Activated activate(double a, int32_t activation, double negative_slope) {
  switch (activation) {
    case kSvebmGelu: {
      const double distribution = 0.5 * std::erfc(-a / std::sqrt(2.0));
      const double density = std::exp(-0.5 * a * a) / std::sqrt(2.0 * std::acos(-1.0));
      return {a * distribution, distribution + a * density};
    }
    case kSvebmLeakyRelu:
      return a > 0 ? Activated{a, 1.0} : Activated{a * negative_slope, negative_slope};
    case kSvebmSilu: {
      const double sigmoid = 1.0 / (1.0 + std::exp(-a));
      return {a * sigmoid, sigmoid * (1.0 + a * (1.0 - sigmoid))};
    }
    default: {
      const double t = std::tanh(a);
      return {t, 1.0 - t * t};
    }
  }
}

struct EnergyAndGradient {
  double energy;
  std::vector<double> gradient;
};

// G and grad G at x for chain n.
inline EnergyAndGradient evaluate(const SvebmLangevinArguments& a, int64_t n, const std::vector<double>& x) {
  std::vector<double> h = x;
  std::vector<std::vector<double>> derivatives;
  for (int32_t l = 0; l < a.n_layers; ++l) {
    const int64_t in = a.widths[l], out = a.widths[l + 1];
    std::vector<double> next(static_cast<size_t>(out)), derivative(static_cast<size_t>(out), 1.0);
    for (int64_t o = 0; o < out; ++o) {
      double sum = a.biases[l][o];
      if (l == 0 && a.context_shift != nullptr) sum += a.context_shift[n * out + o];
      for (int64_t i = 0; i < in; ++i) sum += static_cast<double>(a.weights[l][o * in + i]) * h[static_cast<size_t>(i)];
      if (l + 1 < a.n_layers) {
        const Activated activated = activate(sum, a.activation, a.negative_slope);
        sum = activated.value;
        derivative[static_cast<size_t>(o)] = activated.derivative;
      }
      next[static_cast<size_t>(o)] = sum;
    }
    h = next;
    derivatives.push_back(derivative);
  }

  const double tau = a.temperature;
  std::vector<double> v(h.size(), 0.0);
  double energy;
  if (a.labels != nullptr) {
    const size_t label = static_cast<size_t>(a.labels[n]);
    energy = h[label];
    v[label] = 1.0;
  } else {
    const double largest = *std::max_element(h.begin(), h.end());
    double sum = 0.0;
    for (const double f : h) sum += std::exp((f - largest) / tau);
    for (size_t k = 0; k < h.size(); ++k) v[k] = std::exp((h[k] - largest) / tau) / sum;
    energy = largest + tau * std::log(sum);
  }

  for (int32_t l = a.n_layers - 1; l >= 0; --l) {
    const int64_t in = a.widths[l], out = a.widths[l + 1];
    std::vector<double> previous(static_cast<size_t>(in), 0.0);
    for (int64_t o = 0; o < out; ++o) {
      const double factor = v[static_cast<size_t>(o)] * derivatives[static_cast<size_t>(l)][static_cast<size_t>(o)];
      for (int64_t i = 0; i < in; ++i) previous[static_cast<size_t>(i)] += factor * a.weights[l][o * in + i];
    }
    v = previous;
  }
  return {energy, v};
}

// e ~ N(0, 1) or u ~ U(0, 1) of chain n at step s of this call.
inline double random_number(const SvebmLangevinArguments& a, int64_t s, int64_t n, int64_t d, bool normal) {
  SvebmPhiloxArguments philox{};
  philox.chain_ids = a.chain_ids;
  philox.first_step = a.first_step;
  philox.seed = a.seed_tensor != nullptr ? *a.seed_tensor : a.seed;
  philox.stream = normal ? a.stream : a.metropolis_stream;
  philox.normal = normal ? 1 : 0;
  return expected(philox, s, n, d);
}

// All steps of chain n; adds what it contributes to `result`.
inline void run_chain(const SvebmLangevinArguments& a, int64_t n, LangevinExpected& result) {
  const size_t D = static_cast<size_t>(a.widths[0]);
  const int64_t row = a.bank_indices != nullptr ? a.bank_indices[n] : n, groups = (a.n_chains + 15) / 16;
  std::vector<double> z(a.states + row * a.widths[0], a.states + (row + 1) * a.widths[0]);
  const double precision = a.reference_precision;
  EnergyAndGradient now = evaluate(a, n, z);
  for (int64_t s = 0; s < a.n_steps; ++s) {
    const double step_size = a.step_sizes != nullptr ? a.step_sizes[s] : a.step_size;
    const double temper = a.temper != nullptr ? a.temper[s] : 1.0;
    double* const sums = &result.partials[static_cast<size_t>((s * groups + n / 16) * kSvebmPartials)];
    std::vector<double> proposal(D);
    double norm = 0.0, forward = 0.0;
    for (size_t d = 0; d < D; ++d) {
      const double drift = temper * now.gradient[d] - precision * z[d];
      double noise = 0.0;
      if (a.noise_scale != 0.0f) {
        noise = a.noise_scale * std::sqrt(2.0 * step_size) * random_number(a, s, n, static_cast<int64_t>(d), true);
      }
      proposal[d] = z[d] + step_size * drift + noise;
      norm += drift * drift;
      forward += noise * noise;
    }
    sums[kSvebmSumEnergy] += now.energy;
    sums[kSvebmSumGradientNorm] += std::sqrt(norm);
    if (a.temper_changes != nullptr) result.log_weights[static_cast<size_t>(n)] += a.temper_changes[s] * now.energy;

    const EnergyAndGradient then = evaluate(a, n, proposal);
    if (a.metropolis != 0) {
      double backward = 0.0, squares = 0.0;
      for (size_t d = 0; d < D; ++d) {
        const double drift = temper * then.gradient[d] - precision * proposal[d];
        const double difference = z[d] - proposal[d] - step_size * drift;
        backward += difference * difference;
        squares += proposal[d] * proposal[d] - z[d] * z[d];
      }
      const double log_ratio =
          temper * (then.energy - now.energy) - (backward - forward) / (4.0 * step_size) - 0.5 * precision * squares;
      const double log_uniform = std::log(random_number(a, s, n, 0, false));
      result.closest_decision = std::min(result.closest_decision, std::abs(log_uniform - log_ratio));
      if (!(log_uniform < log_ratio)) continue;
      sums[kSvebmSumAccepted] += 1.0;
    }
    z = proposal;
    now = then;
  }
  std::copy(z.begin(), z.end(), result.z.begin() + n * a.widths[0]);
}

// To be called before a kernel, which may write the states.
inline LangevinExpected expected(const SvebmLangevinArguments& a) {
  LangevinExpected result;
  result.z.resize(static_cast<size_t>(a.n_chains * a.widths[0]));
  result.partials.resize(static_cast<size_t>(a.n_steps * ((a.n_chains + 15) / 16) * kSvebmPartials));
  result.log_weights.resize(static_cast<size_t>(a.n_chains));
  for (int64_t n = 0; n < a.n_chains; ++n) run_chain(a, n, result);
  return result;
}

}  // namespace cases
