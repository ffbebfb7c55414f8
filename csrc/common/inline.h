// How a small function shared by host and device is declared.
//
// On the host such functions have internal linkage: the same header is compiled for several instruction sets, and a
// linker that merged the copies could hand AVX-512 code to a processor without it.
#pragma once

#if defined(__CUDACC__)
#define SVEBM_INLINE static __host__ __device__ __forceinline__
#define SVEBM_INLINE_MEMBER __host__ __device__ __forceinline__
#else
#define SVEBM_INLINE static inline __attribute__((always_inline))
#define SVEBM_INLINE_MEMBER inline __attribute__((always_inline))  // of a class: no copy is left to a linker either
#endif

// Before a loop of fixed length that must disappear.
#if defined(__CUDACC__) || defined(__clang__)
#define SVEBM_UNROLL _Pragma("unroll")
#else
#define SVEBM_UNROLL _Pragma("GCC unroll 64")
#endif
