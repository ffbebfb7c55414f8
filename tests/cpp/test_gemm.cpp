// The matrix product in every variant that this processor runs, against sums in double.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "gemm/gemm.h"
#include "variants.h"

namespace {

struct Case {
  int64_t m, n, k;
  bool a_by_k, b_by_k, bias, add, fast;  // by_k: numbers of one row (column) are neighbours
};

struct Problem {
  std::vector<float> a, b, c, bias;
  SvebmGemmArguments arguments{};

  explicit Problem(const Case& shape, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& values, int64_t n) {
      values.resize(static_cast<size_t>(n));
      for (float& value : values) value = normal(random);
    };
    fill(a, shape.m * shape.k);
    fill(b, shape.k * shape.n);
    fill(c, shape.m * (shape.n + 3));
    fill(bias, shape.m);
    arguments = {a.data(),
                 b.data(),
                 shape.a_by_k ? shape.k : 1,
                 shape.a_by_k ? 1 : shape.m,
                 shape.b_by_k ? 1 : shape.n,
                 shape.b_by_k ? shape.k : 1,
                 c.data(),
                 shape.n + 3,
                 shape.bias ? bias.data() : nullptr,
                 shape.m,
                 shape.n,
                 shape.k,
                 shape.add ? 1 : 0,
                 shape.fast ? 1 : 0};
  }

  // Row by row with the gap after each row.
  std::vector<double> expected() const {
    const auto& g = arguments;
    std::vector<double> result(c.begin(), c.end());
    for (int64_t i = 0; i < g.m; ++i) {
      for (int64_t j = 0; j < g.n; ++j) {
        double sum = g.add ? c[static_cast<size_t>(i * g.c_stride + j)] : 0.0;
        if (g.row_bias != nullptr) sum += g.row_bias[i];
        for (int64_t k = 0; k < g.k; ++k) {
          sum += double{g.a[i * g.a_row_stride + k * g.a_k_stride]} * g.b[k * g.b_k_stride + j * g.b_column_stride];
        }
        result[static_cast<size_t>(i * g.c_stride + j)] = sum;
      }
    }
    return result;
  }
};

// Runs on a workspace of exactly the size asked for, so that an address sanitizer sees every step beyond it.
void run(const SvebmGemmArguments& arguments, int n_threads) {
  const size_t bytes = static_cast<size_t>(svebm::gemm_cpu_workspace(arguments, n_threads));
  std::unique_ptr<void, decltype(&std::free)> workspace(std::aligned_alloc(64, (bytes + 63) / 64 * 64), &std::free);
  std::memset(workspace.get(), 0xFF, bytes);  // not a number
  svebm::gemm_cpu(arguments, workspace.get(), n_threads);
}

void compare(const Case& shape, unsigned seed, int n_threads) {
  Problem problem(shape, seed);
  const std::vector<double> expected = problem.expected();
  run(problem.arguments, n_threads);
  // rounding of sums of k products of normal numbers; of bfloat16 operands where they may be rounded
  const double tolerance = (shape.fast ? 2e-2 : 3e-6) * (4.0 + std::sqrt(static_cast<double>(shape.k)));
  for (size_t i = 0; i < expected.size(); ++i) CHECK_NEAR(problem.c[i], expected[i], tolerance);
}

void shapes_nobody_thought_of() {
  std::mt19937 random(7);
  const auto number = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int i = 0; i < 200; ++i) {
    const bool bias = number(0, 1) != 0;
    const Case shape{number(1, 70),     number(1, 90), number(1, i % 10 == 0 ? 1500 : 60), number(0, 1) != 0,
                     number(0, 1) != 0, bias,          !bias && number(0, 1) != 0,         number(0, 1) != 0};
    compare(shape, static_cast<unsigned>(i), number(1, 3));
  }
}

void parts_of_every_kind_at_once() {
  for (const bool fast : {false, true}) {
    for (const int64_t k : {511, 512, 513, 1024, 1025, 2050})
      compare({25, 300, k, true, false, false, true, fast}, 3, 2);
  }
}

void the_same_bits_for_any_number_of_threads() {
  for (const bool fast : {false, true}) {
    const Case shape{130, 300, 700, false, true, true, false, fast};
    Problem one(shape, 5);
    run(one.arguments, 1);
    for (const int n_threads : {2, 3, 7}) {
      Problem many(shape, 5);
      run(many.arguments, n_threads);
      CHECK(many.c == one.c);
    }
  }
}

}  // namespace

int main() {
  on_every_variant([] {
    shapes_nobody_thought_of();
    parts_of_every_kind_at_once();
    the_same_bits_for_any_number_of_threads();
  });
  return check::failures();
}
