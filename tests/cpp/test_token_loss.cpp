// Loss of tokens and its gradients in every variant that this processor runs, against the equation in double.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "token_loss/token_loss.h"
#include "variants.h"

namespace {

using Doubles = std::vector<double>;

struct Problem {
  int64_t n, h, v;
  std::vector<float> hidden, weight, bias, token_weights, loss, grad_hidden, grad_weight, grad_bias;
  std::vector<int64_t> targets;
  SvebmTokenLossArguments arguments{};

  Problem(int64_t n_tokens, int64_t size, int64_t words, bool with_bias, bool weighted, bool fast, unsigned seed)
      : n(n_tokens), h(size), v(words) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto filled = [&](int64_t count, float scale) {
      std::vector<float> values(static_cast<size_t>(count));
      for (float& value : values) value = scale * normal(random);
      return values;
    };
    hidden = filled(n * h, 1.0f);
    weight = filled(v * h, 2.0f / std::sqrt(static_cast<float>(h)));
    bias = filled(v, 1.0f);
    token_weights = filled(n, 1.0f);
    for (int64_t t = 0; t < n; ++t) targets.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(v)));
    loss = filled(n, 1.0f);  // what is there before must not matter
    grad_hidden = filled(n * h, 1.0f);
    grad_weight = filled(v * h, 1.0f);
    grad_bias = filled(v, 1.0f);
    arguments.hidden = hidden.data();
    arguments.hidden_stride = h;
    arguments.weight = weight.data();
    arguments.weight_stride = h;
    arguments.bias = with_bias ? bias.data() : nullptr;
    arguments.targets = targets.data();
    arguments.token_weights = weighted ? token_weights.data() : nullptr;
    arguments.token_weight = 0.5f;
    arguments.n = n;
    arguments.h = h;
    arguments.v = v;
    arguments.loss = loss.data();
    arguments.grad_hidden = grad_hidden.data();
    arguments.grad_weight = grad_weight.data();
    arguments.grad_bias = with_bias ? grad_bias.data() : nullptr;
    arguments.fast = fast ? 1 : 0;
  }
};

// Runs on a workspace of exactly the size asked for, so that an address sanitizer sees every step beyond it.
void run(const SvebmTokenLossArguments& arguments, int n_threads) {
  const size_t bytes = static_cast<size_t>(svebm::token_loss_cpu_workspace(arguments, n_threads));
  std::unique_ptr<void, decltype(&std::free)> workspace(std::aligned_alloc(64, (bytes + 63) / 64 * 64), &std::free);
  std::memset(workspace.get(), 0xFF, bytes);  // not a number
  svebm::token_loss_cpu(arguments, workspace.get(), n_threads);
}

void near(const std::vector<float>& found, const Doubles& expected, double tolerance) {
  double largest = 1e-3;
  for (const double x : expected) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < expected.size(); ++i) CHECK_NEAR(found[i], expected[i], tolerance * largest);
}

void compare(Problem& p, int n_threads) {
  const auto& a = p.arguments;
  const size_t n = static_cast<size_t>(p.n), h = static_cast<size_t>(p.h), v = static_cast<size_t>(p.v);
  Doubles loss(n), grad_hidden(n * h), grad_weight(v * h), grad_bias(v);
  for (size_t t = 0; t < n; ++t) {
    Doubles logits(v);
    double sum = 0.0;
    for (size_t w = 0; w < v; ++w) {
      logits[w] = a.bias != nullptr ? p.bias[w] : 0.0;
      for (size_t j = 0; j < h; ++j) logits[w] += double{p.hidden[t * h + j]} * p.weight[w * h + j];
      sum += std::exp(logits[w]);
    }
    const size_t target = static_cast<size_t>(p.targets[t]);
    loss[t] = std::log(sum) - logits[target];
    const double factor = a.token_weights != nullptr ? p.token_weights[t] : a.token_weight;
    for (size_t w = 0; w < v; ++w) {
      const double g = factor * (std::exp(logits[w]) / sum - (w == target ? 1.0 : 0.0));
      grad_bias[w] += g;
      for (size_t j = 0; j < h; ++j) {
        grad_hidden[t * h + j] += g * p.weight[w * h + j];
        grad_weight[w * h + j] += g * p.hidden[t * h + j];
      }
    }
  }
  run(a, n_threads);
  const double tolerance = a.fast ? 3e-2 : 1e-5;
  near(p.loss, loss, tolerance);
  near(p.grad_hidden, grad_hidden, tolerance);
  near(p.grad_weight, grad_weight, tolerance);
  if (a.bias != nullptr) near(p.grad_bias, grad_bias, tolerance);
}

void shapes_nobody_thought_of() {
  std::mt19937 random(3);
  const auto number = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (unsigned i = 0; i < 40; ++i) {
    Problem problem(number(1, 70), number(1, 70), number(1, 90), i % 2 == 0, i % 4 < 2, i % 8 < 4, i);
    compare(problem, number(1, 3));
  }
  Problem chunks(svebm::kTokenChunk + 40, 33, 50, true, true, false, 1), segments(5, 8, 4200, false, false, false, 2);
  compare(chunks, 2);
  compare(segments, 2);
}

void without_gradients_the_same_loss() {
  Problem with(50, 20, 100, true, false, false, 4), without(50, 20, 100, true, false, false, 4);
  without.arguments.grad_hidden = without.arguments.grad_weight = without.arguments.grad_bias = nullptr;
  run(with.arguments, 1);
  run(without.arguments, 2);
  CHECK(with.loss == without.loss);
}

void the_same_bits_for_any_number_of_threads() {
  for (const bool fast : {false, true}) {
    Problem one(100, 70, 300, true, true, fast, 6), many(100, 70, 300, true, true, fast, 6);
    run(one.arguments, 1);
    run(many.arguments, 5);
    CHECK(one.loss == many.loss && one.grad_hidden == many.grad_hidden);
    CHECK(one.grad_weight == many.grad_weight && one.grad_bias == many.grad_bias);
  }
}

void what_is_not_a_number_stays_with_its_token() {
  Problem problem(40, 6, 30, false, false, false, 8);
  problem.hidden[7 * 6 + 2] = NAN;
  run(problem.arguments, 1);
  for (size_t t = 0; t < 40; ++t) CHECK(std::isfinite(problem.loss[t]) == (t != 7));
}

}  // namespace

int main() {
  on_every_variant([] {
    shapes_nobody_thought_of();
    without_gradients_the_same_loss();
    the_same_bits_for_any_number_of_threads();
    what_is_not_a_number_stays_with_its_token();
  });
  return check::failures();
}
