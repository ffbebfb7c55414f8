// An op to copy: sums[r] = scale * sum_d x[r, d]^2. It has every part of an op and nothing else. Only the C++ tests
// build it: `svebm_ext` does not have it. csrc/README.md says what to do with a copy.
#pragma once

#include <stdint.h>

#include "common/cpu/variant.h"
#include "common/cuda/plan.h"

// Also the C ABI of libsvebm_cuda.so: plain data only. Arrays are contiguous, on the device that runs the kernel. Names
// are those of the dataclass of inputs in svebm_ext/ops, by which a binding reads them.
struct SvebmSkeletonArguments {
  const float* x;  // [n_rows, n_columns]
  int64_t n_rows;
  int64_t n_columns;
  float scale;
  float* sums;  // [n_rows]
};

namespace svebm {

// Part of skeleton_cpu that each variant has: rows [begin, end), with `row` of n_columns numbers for one worker.
SVEBM_DECLARE_VARIANTS(void skeleton_rows(const SvebmSkeletonArguments& arguments, float* row, int64_t begin,
                                          int64_t end))

// Bytes of workspace, to begin at a multiple of 64.
int64_t skeleton_cpu_workspace(const SvebmSkeletonArguments& arguments, int n_threads);

// A row's bits depend on no other row, nor on n_threads.
void skeleton_cpu(const SvebmSkeletonArguments& arguments, void* workspace, int n_threads);

}  // namespace svebm

// In libsvebm_cuda.so. Both return a cudaError_t. The first one plans a call, or says why the kernel cannot serve it;
// the second one enqueues what was planned: it allocates nothing and waits for nothing.
extern "C" int svebm_skeleton_cuda_plan(const struct SvebmSkeletonArguments* arguments, int device,
                                        struct SvebmCudaPlan* plan);
extern "C" int svebm_skeleton_cuda(const struct SvebmSkeletonArguments* arguments, const struct SvebmCudaPlan* plan,
                                   void* workspace, int device, void* stream);
