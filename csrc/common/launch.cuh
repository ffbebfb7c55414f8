// Launching from a library that shares the process with torch, which has a CUDA runtime of its own.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/device_limits.h"

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

}  // namespace svebm
