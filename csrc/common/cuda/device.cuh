// What kernels use of CUDA, behind names that tests/emulation/ gives on the host as well: a kernel's body is a
// __device__ function in a .cuh that knows no launch syntax, has threads in one dimension, and calls what
// concerns a warp with all of its 32 threads.
#pragma once

#include <cstdint>

#include "common/inline.h"

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#define SVEBM_DEVICE static __device__ __forceinline__
#else
#include "cuda_on_host.h"  // tests/emulation
#endif

namespace svebm {

// Before a loop that must stay one: a short one whose copies would only cost registers.
#if defined(__CUDACC__)
#define SVEBM_LOOP _Pragma("unroll 1")
#else
#define SVEBM_LOOP
#endif

// Place of a barrier or wait in the source. The emulator can leave one out, to see that a test notices; on the device
// nothing remains of it.
#if defined(__CUDACC__)
struct Site {};
#define SVEBM_SITE (::svebm::Site{})
#else
using Site = emulation::Site;
#define SVEBM_SITE (::emulation::Site{__FILE__, __LINE__})
#endif

SVEBM_DEVICE int64_t global_thread() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

// The block's dynamic shared memory, on a multiple of 16 bytes.
SVEBM_DEVICE unsigned char* shared_memory() {
#if defined(__CUDACC__)
  extern __shared__ float4 svebm_shared_memory[];
  return reinterpret_cast<unsigned char*>(svebm_shared_memory);
#else
  return emulation::shared_memory();
#endif
}

// ---- threads waiting for each other

SVEBM_DEVICE void block_barrier(Site site) {
#if defined(__CUDACC__)
  (void)site;
  __syncthreads();
#else
  emulation::barrier(0, blockDim.x, site);
#endif
}

// Barrier of n_threads threads (whole warps) that name the same id, 1 to 15. The instruction wants a warp's threads
// together, which they need not be after a loop of unequal lengths.
SVEBM_DEVICE void group_barrier(int id, int n_threads, Site site) {
#if defined(__CUDACC__)
  (void)site;
  __syncwarp();
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n_threads) : "memory");
#else
  emulation::barrier(static_cast<unsigned>(id), static_cast<unsigned>(n_threads), site);
#endif
}

// Barrier of the 32 threads of a warp.
SVEBM_DEVICE void warp_barrier(Site site) {
#if defined(__CUDACC__)
  (void)site;
  __syncwarp();
#else
  emulation::barrier_of_warp(site);
#endif
}

// Where a warp's threads meet in a collective operation anyway, but that says nothing of their accesses to memory.
SVEBM_DEVICE void order_warp_memory() {
#if defined(__CUDACC__)
  __syncwarp();
#endif
}

// T: float, double, unsigned or unsigned long long.
template <typename T>
SVEBM_DEVICE T shuffle_xor(T value, int mask) {
#if defined(__CUDACC__)
  return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
#else
  return emulation::shuffle_xor(value, mask);
#endif
}

// For one thread of a block, after a block barrier: counts the block in, and returns when `target` have been counted.
// What any of the blocks wrote before is then visible to this thread and, after another block barrier, to its block.
SVEBM_DEVICE void arrive_and_wait(unsigned* counter, unsigned target, Site site) {
#if defined(__CUDACC__)
  (void)site;
  __threadfence();
  atomicAdd(counter, 1u);
  while (static_cast<int>(*static_cast<volatile unsigned*>(counter) - target) < 0) {
  }
  __threadfence();
#else
  ++*counter;
  emulation::wait_for_count(counter, target, site);
#endif
}

// ---- memory

// Four floats in one access; the address must be a multiple of 16 bytes.
SVEBM_DEVICE void store4(float* address, float4 value) {
#if !defined(__CUDACC__)
  emulation::require_aligned<float4>(address);
#endif
  *reinterpret_cast<float4*>(address) = value;
}

SVEBM_DEVICE float4 load4(const float* address) {
#if !defined(__CUDACC__)
  emulation::require_aligned<float4>(address);
#endif
  return *reinterpret_cast<const float4*>(address);
}

SVEBM_DEVICE uint4 load_words4(const void* address) {
#if !defined(__CUDACC__)
  emulation::require_aligned<uint4>(address);
#endif
  return *static_cast<const uint4*>(address);
}

// Value before.
SVEBM_DEVICE int atomic_add(int* address, int value) {
#if defined(__CUDACC__)
  return atomicAdd(address, value);
#else
  *address += value;
  return *address - value;
#endif
}

SVEBM_DEVICE void atomic_largest(unsigned long long* address, unsigned long long value) {
#if defined(__CUDACC__)
  atomicMax(address, value);
#else
  if (value > *address) *address = value;
#endif
}

// Starts a copy of 16 bytes from global to shared memory. It has landed for this thread after a wait, and for others
// after a barrier that follows the wait. Devices before sm_80 copy at once.
SVEBM_DEVICE void copy_async16(void* shared, const void* global) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  *static_cast<float4*>(shared) = *static_cast<const float4*>(global);
#elif defined(__CUDACC__)
  const uint32_t target = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(global) : "memory");
#else
  emulation::copy_async(shared, global);
#endif
}

// Ends a group of copies.
SVEBM_DEVICE void copy_commit() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#elif defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulation::copy_commit();
#endif
}

// Waits until at most the latest kPending groups of this thread are under way.
template <int kPending>
SVEBM_DEVICE void copy_wait(Site site) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  (void)site;
#elif defined(__CUDACC__)
  (void)site;
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#else
  emulation::copy_wait(kPending, site);
#endif
}

// ---- 16-bit floats and products of 16 x 8 x 16

using HalfBits = uint16_t;  // a number of IEEE half precision in memory

// Two floats rounded to half precision; `low` comes first in memory.
SVEBM_DEVICE uint32_t pack_halves(float low, float high) {
#if defined(__CUDACC__)
  const __half2 halves = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&halves);
#else
  return emulation::half_bits(low) | static_cast<uint32_t>(emulation::half_bits(high)) << 16;
#endif
}

SVEBM_DEVICE float2 unpack_halves(uint32_t bits) {
#if defined(__CUDACC__)
  return __half22float2(*reinterpret_cast<const __half2*>(&bits));
#else
  return make_float2(emulation::half_value(static_cast<uint16_t>(bits)),
                     emulation::half_value(static_cast<uint16_t>(bits >> 16)));
#endif
}

// For each half the larger of `largest` and |bits|, where a number beats NaN.
SVEBM_DEVICE uint32_t largest_magnitudes(uint32_t largest, uint32_t bits) {
#if defined(__CUDACC__)
  const __half2 result =
      __hmax2(*reinterpret_cast<const __half2*>(&largest), __habs2(*reinterpret_cast<const __half2*>(&bits)));
  return *reinterpret_cast<const uint32_t*>(&result);
#else
  return emulation::largest_magnitudes(largest, bits);
#endif
}

// Four matrices of 8 x 8 halves; thread i gives the address of row i % 8 of matrix i / 8, and gets of each matrix row
// i / 4 the columns 2 (i % 4) and the next.
SVEBM_DEVICE void load_matrices(uint32_t (&fragments)[4], const HalfBits* row) {
#if defined(__CUDACC__)
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(address)
               : "memory");
#else
  emulation::load_matrices(fragments, 4, row, false);
#endif
}

// As above for two matrices, with the addresses of threads 0 to 15.
SVEBM_DEVICE void load_matrices(uint32_t (&fragments)[2], const HalfBits* row) {
#if defined(__CUDACC__)
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragments[0]), "=r"(fragments[1])
               : "r"(address)
               : "memory");
#else
  emulation::load_matrices(fragments, 2, row, false);
#endif
}

// ... each matrix transposed on the way.
SVEBM_DEVICE void load_transposed(uint32_t (&fragments)[4], const HalfBits* row) {
#if defined(__CUDACC__)
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(address)
               : "memory");
#else
  emulation::load_matrices(fragments, 4, row, true);
#endif
}

SVEBM_DEVICE void load_transposed(uint32_t (&fragments)[2], const HalfBits* row) {
#if defined(__CUDACC__)
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragments[0]), "=r"(fragments[1])
               : "r"(address)
               : "memory");
#else
  emulation::load_matrices(fragments, 2, row, true);
#endif
}

// sums[16 x 8] += a[16 x 16] b[16 x 8] in the register layout of mma.m16n8k16: of `sums`, thread i holds rows i / 4 and
// i / 4 + 8, columns 2 (i % 4) and the next.
SVEBM_DEVICE void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800  // has products of depth 8 only
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%8}, {%0, %1, %2, %3};\n"
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%6, %7}, {%9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulation::multiply_add(sums, a, b0, b1);
#endif
}

// ---- elementary functions in one or two instructions, accurate to 2^-22 of the result

// Results below 2^-126 are 0.
SVEBM_DEVICE float fast_exp2(float x) {
#if defined(__CUDACC__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return std::exp2(x);
#endif
}

SVEBM_DEVICE float fast_exp(float x) { return fast_exp2(x * 1.442695041f); }

SVEBM_DEVICE float fast_reciprocal(float x) {
#if defined(__CUDACC__)
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return 1.0f / x;
#endif
}

}  // namespace svebm
