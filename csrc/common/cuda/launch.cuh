// Launching from a library that shares the process with torch, which has a CUDA runtime of its own.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "common/cuda/device_limits.h"
#include "common/cuda/plan.h"

namespace svebm {

// Errors of earlier, unrelated calls must not be reported as ours, so the runtime's last error is cleared before a
// launch. The caller's runtime has selected the device already; this one selects it too, as each keeps its own notion
// of it.
inline cudaError_t begin_launch(int device) {
  (void)cudaGetLastError();
  return cudaSetDevice(device);
}

inline cudaError_t end_launch() { return cudaPeekAtLastError(); }

inline cudaError_t read_limits(int device, DeviceLimits& limits) {
  int cooperative = 0;
  cudaError_t error = cudaDeviceGetAttribute(&limits.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&limits.n_multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device);
  limits.cooperative = cooperative != 0;
  return error;
}

inline unsigned n_blocks_for(int64_t n_threads, int block_size) {
  return static_cast<unsigned>((n_threads + block_size - 1) / block_size);
}

// Lets a kernel use all the shared memory that the device gives a block. Done once for each device, and allowed while a
// graph is captured. Each kernel has one of these, static.
class SharedMemory {
 public:
  template <typename Kernel>
  cudaError_t allow(Kernel* kernel, int device, const DeviceLimits& limits) {
    const uint64_t bit = uint64_t{1} << (device % 64);
    if (device < 64 && (allowed_.load() & bit) != 0) return cudaSuccess;
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, limits.shared_bytes);
    if (error == cudaSuccess) allowed_.fetch_or(bit);
    return error;
  }

 private:
  std::atomic<uint64_t> allowed_{0};
};

// An op's own part of a plan, written by the first of its two functions and read by the second.
template <typename Own>
void keep_plan(const Own& own, int64_t workspace_bytes, SvebmCudaPlan& plan) {
  static_assert(std::is_trivially_copyable<Own>::value && sizeof(Own) <= sizeof plan.own, "plans are plain data");
  plan.workspace_bytes = workspace_bytes;
  std::memcpy(plan.own, &own, sizeof own);
}

template <typename Own>
Own kept_plan(const SvebmCudaPlan& plan) {
  Own own;
  std::memcpy(&own, plan.own, sizeof own);
  return own;
}

inline void keep_reason(const char* reason, SvebmCudaPlan& plan) {
  std::snprintf(plan.reason, sizeof plan.reason, "%s", reason);
}

}  // namespace svebm
