// A file of this kind opens with the idea of the kernel, its memory budget, and what was tried and lost. Here: a block
// a row, 16 bytes of shared memory; nothing was tried, as nothing depends on it.
#include <cuda_runtime.h>

#include "common/cuda/launch.cuh"
#include "skeleton/cuda/skeleton.cuh"

namespace {

using svebm::SkeletonPlan;

__global__ void __launch_bounds__(svebm::kSkeletonThreads)
    skeleton_kernel(const __grid_constant__ SvebmSkeletonArguments arguments,
                    const __grid_constant__ SkeletonPlan plan) {
  svebm::skeleton_block(arguments, plan);
}

}  // namespace

extern "C" int svebm_skeleton_cuda_plan(const SvebmSkeletonArguments* arguments, int device, SvebmCudaPlan* plan) {
  *plan = {};
  svebm::DeviceLimits limits{};
  const cudaError_t error = svebm::read_limits(device, limits);
  if (error != cudaSuccess) return error;
  const SkeletonPlan own = svebm::plan_skeleton(*arguments, limits);
  svebm::keep_reason(own.reason, *plan);
  svebm::keep_plan(own, 0, *plan);
  return cudaSuccess;
}

extern "C" int svebm_skeleton_cuda(const SvebmSkeletonArguments* arguments, const SvebmCudaPlan* kept, void* /*memory*/,
                                   int device, void* stream) {
  if (kept->reason[0] != '\0') return cudaErrorInvalidValue;
  const cudaError_t error = svebm::begin_launch(device);
  if (error != cudaSuccess) return error;
  const auto plan = svebm::kept_plan<SkeletonPlan>(*kept);
  skeleton_kernel<<<static_cast<unsigned>(plan.n_blocks), svebm::kSkeletonThreads,
                    static_cast<size_t>(plan.shared_bytes), static_cast<cudaStream_t>(stream)>>>(*arguments, plan);
  return svebm::end_launch();
}
