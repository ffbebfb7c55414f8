// The CUDA source of the op to copy, run on the host: its numbers, and whether each of its barriers is needed.
#include "check.h"
#include "missing_barriers.h"
#include "skeleton/cuda/skeleton.cuh"
#include "skeleton_cases.h"

namespace {

using emulation::Options;

constexpr svebm::DeviceLimits kLimits{48 * 1024, 4};

// As svebm_skeleton_cuda does on a device.
std::vector<float> run(const cases::SkeletonShape& shape, Options options) {
  auto made = cases::make_skeleton(shape);
  const svebm::SkeletonPlan plan = svebm::plan_skeleton(made.arguments, kLimits);
  CHECK(plan.reason[0] == '\0');
  emulation::launch({static_cast<unsigned>(plan.n_blocks), 1, 1}, svebm::kSkeletonThreads,
                    static_cast<size_t>(plan.shared_bytes), options,
                    [&] { svebm::skeleton_block(made.arguments, plan); });
  for (int64_t row = 0; row < shape.n_rows; ++row) {
    const double expected = cases::expected_sum(made.arguments, row);
    if (emulation::ignored_site.line == 0) {
      CHECK_NEAR(made.sums[static_cast<size_t>(row)], expected, 1e-6 * expected + 1e-12);
    }
  }
  return made.sums;
}

void a_reason_where_it_cannot_serve() {
  auto made = cases::make_skeleton({1, 1});
  made.arguments.n_rows = int64_t{1} << 31;
  CHECK(svebm::plan_skeleton(made.arguments, kLimits).reason[0] != '\0');
  made.arguments.n_rows = 1;
  CHECK(svebm::plan_skeleton(made.arguments, {8, 4}).reason[0] != '\0');
}

}  // namespace

int main() {
  for (const auto& shape : cases::kSkeletonShapes) run(shape, Options{3, false});
  a_reason_where_it_cannot_serve();
  if (emulation::kUnderThreadSanitizer) return check::failures();
  std::vector<std::function<std::vector<float>(Options)>> kernels;
  kernels.emplace_back([](Options options) { return run({4, 300}, options); });
  emulation::every_site<std::vector<float>>("rows", kernels, 1, {3, 24, 1});
  return check::failures();
}
