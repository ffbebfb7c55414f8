// The kernel's body, of names that tests/emulation has on the host as well: it is run there against a plain loop, and
// the emulator looks for missing barriers. See skeleton.cu.
#pragma once

#include "common/cuda/device.cuh"
#include "skeleton/cuda/plan.h"

namespace svebm {

// A block adds up one row: each thread its columns, a warp its threads, the first thread the warps, in a fixed order.
SVEBM_DEVICE void skeleton_block(const SvebmSkeletonArguments& a, const SkeletonPlan& plan) {
  const int64_t row = blockIdx.x;
  const float* const x = a.x + row * a.n_columns;
  float sum = 0.0f;
  for (int64_t d = threadIdx.x; d < a.n_columns; d += kSkeletonThreads) sum += x[d] * x[d];
  for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
  auto* const sums = reinterpret_cast<float*>(shared_memory() + plan.sums);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  block_barrier(SVEBM_SITE);
  if (threadIdx.x != 0) return;
  float total = 0.0f;
  for (int w = 0; w < kSkeletonWarps; ++w) total += sums[w];
  a.sums[row] = a.scale * total;
}

}  // namespace svebm
