// The op to copy, on every instruction set, against a plain sum in double.
#include "check.h"
#include "skeleton_cases.h"
#include "variants.h"

namespace {

void every_number(int n_threads) {
  for (const auto& shape : cases::kSkeletonShapes) {
    auto made = cases::make_skeleton(shape);
    std::vector<char> workspace(static_cast<size_t>(svebm::skeleton_cpu_workspace(made.arguments, n_threads)) + 64);
    char* const start = workspace.data() + (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64) % 64;
    svebm::skeleton_cpu(made.arguments, start, n_threads);
    for (int64_t row = 0; row < shape.n_rows; ++row) {
      const double expected = cases::expected_sum(made.arguments, row);
      CHECK_NEAR(made.sums[static_cast<size_t>(row)], expected, 1e-6 * expected + 1e-12);
    }
  }
}

void threads_change_nothing() {
  auto one = cases::make_skeleton({50, 37}), three = cases::make_skeleton({50, 37});
  std::vector<float> workspace(3 * 64);
  svebm::skeleton_cpu(one.arguments, workspace.data(), 1);
  svebm::skeleton_cpu(three.arguments, workspace.data(), 3);
  CHECK(one.sums == three.sums);
}

}  // namespace

int main() {
  on_every_variant([] {
    every_number(1);
    every_number(3);
    threads_change_nothing();
  });
  return check::failures();
}
