// Vectors as wide as the variant's registers (common/cpu_variant.h), with what kernels need and the compiler's vector
// extension lacks. Arithmetic, comparison and `mask ? a : b` are the extension's own operators.
//
// Everything has internal linkage, as this header is compiled for several instruction sets in one library.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "common/inline.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kWidth), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * kWidth), may_alias));

SVEBM_INLINE Floats load(const float* address) { return *reinterpret_cast<const Floats*>(address); }
SVEBM_INLINE void store(float* address, Floats value) { *reinterpret_cast<Floats*>(address) = value; }

SVEBM_INLINE Floats broadcast(float x) {
#if defined(__AVX512F__)
  return (Floats)_mm512_set1_ps(x);
#elif defined(__AVX2__)
  return (Floats)_mm256_set1_ps(x);
#else
  return Floats{x, x, x, x};
#endif
}

SVEBM_INLINE Floats zero() { return Floats{}; }

// a b + c, rounded once where the variant has the instruction.
SVEBM_INLINE Floats fma(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
SVEBM_INLINE Floats fma(Floats a, float b, Floats c) { return fma(a, broadcast(b), c); }
SVEBM_INLINE Floats fma(Floats a, float b, float c) { return fma(a, broadcast(b), broadcast(c)); }

// 1 / x to about one unit in the last place, x a normal number below 2^126.
SVEBM_INLINE Floats reciprocal(Floats x) {
#if defined(__AVX512F__)
  const Floats r = (Floats)_mm512_rcp14_ps((__m512)x);
  return fma(r, fma(-x, r, broadcast(1.0f)), r);
#else
  return 1.0f / x;  // an estimate of 12 bits needs two corrections: no gain over the division
#endif
}

SVEBM_INLINE Floats absolute(Floats x) { return (Floats)((Ints)x & 0x7FFFFFFF); }

// The larger one; the second where a number is NaN.
SVEBM_INLINE Floats larger(Floats a, Floats b) {
#if defined(__AVX512F__)
  return (Floats)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}

// The smaller one; the second where a number is NaN.
SVEBM_INLINE Floats smaller(Floats a, Floats b) {
#if defined(__AVX512F__)
  return (Floats)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}

SVEBM_INLINE Floats square_root(Floats x) {
#if defined(__AVX512F__)
  return (Floats)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (Floats)_mm256_sqrt_ps((__m256)x);
#else
  return Floats{__builtin_sqrtf(x[0]), __builtin_sqrtf(x[1]), __builtin_sqrtf(x[2]), __builtin_sqrtf(x[3])};
#endif
}

#if defined(__AVX512BF16__)
// Pairs of bfloat16 in one 32-bit lane: `low` in its lower half.
SVEBM_INLINE Ints pack_bf16(Floats low, Floats high) {
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);  // 16 of low, then 16 of high
  alignas(64) static const uint16_t interleaved[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                       8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (Ints)_mm512_permutexvar_epi16(_mm512_load_si512(interleaved), both);
}

// c + a_low b_low + a_high b_high on each lane.
SVEBM_INLINE Floats dot_bf16(Ints a, Ints b, Floats c) {
  return (Floats)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
}
#endif

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
