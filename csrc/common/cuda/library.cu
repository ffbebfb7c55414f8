#include <cuda_runtime.h>

#include "common/cuda/launch.cuh"
#include "common/cuda/library.h"
#include "common/version.h"

namespace {

__global__ void probe() {}

}  // namespace

extern "C" int svebm_cuda_abi_version(void) { return SVEBM_ABI_VERSION; }

extern "C" int svebm_cuda_check_device(int device) {
  const cudaError_t selected = svebm::begin_launch(device);
  if (selected != cudaSuccess) return selected;
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&probe));
}

extern "C" const char* svebm_cuda_error(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }
