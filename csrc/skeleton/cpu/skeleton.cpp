// The idea of the kernel, what it costs, what was tried and lost. Here: a row is scaled into a worker's memory, which
// shows the workspace, and its squares are added up on vector lanes.
//
// Compiled once for each instruction set; what is shared by all of them stands below, under SVEBM_BASE_VARIANT.
#include "skeleton/skeleton.h"

#include "common/cpu/simd.h"

namespace svebm {
namespace SVEBM_VARIANT {

void skeleton_rows(const SvebmSkeletonArguments& a, float* row, int64_t begin, int64_t end) {
  const int64_t n = a.n_columns, whole = n / kWidth * kWidth;
  const int rest = static_cast<int>(n - whole);
  for (int64_t r = begin; r < end; ++r) {
    const float* const x = a.x + r * n;
    for (int64_t d = 0; d < n; ++d) row[d] = a.scale * x[d];
    Floats sum = zero();
    for (int64_t d = 0; d < whole; d += kWidth) sum = fma(load_anywhere(x + d), load_anywhere(row + d), sum);
    if (rest > 0) sum = fma(load_some(x + whole, rest), load_some(row + whole, rest), sum);
    a.sums[r] = sum_of_lanes(sum);
  }
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include "common/arena.h"
#include "common/cpu/thread_pool.h"

namespace svebm {
namespace {

// Lays the workspace out: the memory of each worker. Without memory it only counts.
int64_t lay_out(const SvebmSkeletonArguments& a, int n_threads, void* memory, float*& rows) {
  Arena arena(64, memory);
  rows = arena.take<float>(n_threads * a.n_columns);
  return arena.used();
}

}  // namespace

int64_t skeleton_cpu_workspace(const SvebmSkeletonArguments& arguments, int n_threads) {
  float* rows = nullptr;
  return lay_out(arguments, n_threads, nullptr, rows);
}

void skeleton_cpu(const SvebmSkeletonArguments& arguments, void* workspace, int n_threads) {
  float* rows = nullptr;
  lay_out(arguments, n_threads, workspace, rows);
  const auto run = SVEBM_CHOOSE_VARIANT(skeleton_rows);
  parallel_parts(n_threads, arguments.n_rows, 16, [&](int worker, int64_t begin, int64_t end) {
    run(arguments, rows + worker * arguments.n_columns, begin, end);
  });
}

}  // namespace svebm

#endif
