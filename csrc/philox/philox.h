// Random numbers [n_steps, n_chains, dim] in float32: standard normal or uniform. The contract stands in
// svebm_ext/ops/philox/__init__.py; the integers are identical on every backend, normals agree to rounding.
#pragma once

#include <stdint.h>

#include "common/cpu/variant.h"

// Also the C ABI of libsvebm_cuda.so: plain data only.
struct SvebmPhiloxArguments {
  const int64_t* chain_ids;  // [n_chains]
  float* numbers;            // [n_steps, n_chains, dim], contiguous
  int64_t n_chains;
  int64_t dim;
  int64_t first_step;
  int64_t n_steps;
  uint64_t seed;
  const uint64_t* seed_tensor;  // read instead of `seed` where not null (CUDA: device memory, for captured calls)
  uint32_t stream;
  int32_t normal;  // 1: standard normal, 0: uniform
};

namespace svebm {

// Counters are numbered s * n_chains * blocks + n * blocks + b, blocks = ceil(dim / 4).
SVEBM_DECLARE_VARIANTS(void philox_range(const SvebmPhiloxArguments& arguments, int64_t begin, int64_t end))

void philox_cpu(const SvebmPhiloxArguments& arguments, int n_threads);

}  // namespace svebm

// In libsvebm_cuda.so. Enqueues on a CUDA stream of the given device; allocates nothing, waits for nothing. Returns a
// cudaError_t.
extern "C" int svebm_philox_cuda(const struct SvebmPhiloxArguments* arguments, int device, void* stream);
