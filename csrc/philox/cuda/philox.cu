// Philox on CUDA: one thread a counter, no shared memory, 16 bytes stored by each thread.
//
// About 200 instructions stand against those 16 bytes, so the kernel is bound by arithmetic, not by memory; other
// kernels therefore make their numbers in registers (philox/cuda/philox.cuh) instead of reading them. Steps lie on
// blockIdx.y and chains on blockIdx.x: that leaves one 32-bit division a thread, where a flat 64-bit index would need
// two of 64 bits.
#include <cuda_runtime.h>

#include <algorithm>

#include "common/cuda/launch.cuh"
#include "philox/cuda/philox.cuh"

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    philox_kernel(SvebmPhiloxArguments arguments, int64_t first_chain, uint32_t n_chains, int64_t first_step) {
  svebm::philox_thread(arguments, first_chain, n_chains, first_step);
}

}  // namespace

extern "C" int svebm_philox_cuda(const SvebmPhiloxArguments* arguments, int device, void* stream) {
  constexpr int64_t kMostCounters = int64_t{1} << 30, kMostSteps = 65535;  // limits of a 32-bit index and of gridDim.y
  const int64_t blocks = (arguments->dim + 3) / 4;
  if (blocks > kMostCounters) return cudaErrorInvalidValue;
  cudaError_t error = svebm::begin_launch(device);
  for (int64_t step = 0; step < arguments->n_steps && error == cudaSuccess; step += kMostSteps) {
    const int64_t n_steps = std::min(kMostSteps, arguments->n_steps - step);
    const int64_t most_chains = kMostCounters / blocks;
    for (int64_t chain = 0; chain < arguments->n_chains && error == cudaSuccess; chain += most_chains) {
      const int64_t n_chains = std::min(most_chains, arguments->n_chains - chain);
      const dim3 grid(svebm::n_blocks_for(n_chains * blocks, kThreads), static_cast<unsigned>(n_steps));
      philox_kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(*arguments, chain,
                                                                              static_cast<uint32_t>(n_chains), step);
      error = svebm::end_launch();
    }
  }
  return error;
}
