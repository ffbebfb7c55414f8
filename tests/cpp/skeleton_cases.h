// Calls of the op to copy, for the tests of both devices, and what it should give.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "skeleton/skeleton.h"

namespace cases {

struct SkeletonShape {
  int64_t n_rows, n_columns;
};

// One number; less than a vector; whole vectors; a rest; more columns than a block has threads.
constexpr SkeletonShape kSkeletonShapes[] = {{1, 1}, {3, 5}, {2, 64}, {40, 131}, {5, 1000}};

struct SkeletonCase {
  std::vector<float> x, sums;
  SvebmSkeletonArguments arguments;
};

inline SkeletonCase make_skeleton(const SkeletonShape& shape) {
  SkeletonCase made;
  std::minstd_rand random(7);
  std::normal_distribution<float> normal;
  made.x.resize(static_cast<size_t>(shape.n_rows * shape.n_columns));
  for (float& number : made.x) number = normal(random);
  made.sums.assign(static_cast<size_t>(shape.n_rows), -1.0f);
  made.arguments = {made.x.data(), shape.n_rows, shape.n_columns, 0.3f, made.sums.data()};
  return made;
}

inline double expected_sum(const SvebmSkeletonArguments& a, int64_t row) {
  double sum = 0.0;
  for (int64_t d = 0; d < a.n_columns; ++d) {
    const double x = a.x[row * a.n_columns + d];
    sum += x * x;
  }
  return a.scale * sum;
}

}  // namespace cases
