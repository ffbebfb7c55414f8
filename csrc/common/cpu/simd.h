// Vectors as wide as the variant's registers (common/cpu/variant.h), with what kernels need and the compiler's vector
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

typedef float UnalignedFloats __attribute__((vector_size(4 * kWidth), may_alias, aligned(4)));
typedef int32_t UnalignedInts __attribute__((vector_size(4 * kWidth), may_alias, aligned(4)));

SVEBM_INLINE Floats load(const float* address) { return *reinterpret_cast<const Floats*>(address); }
SVEBM_INLINE void store(float* address, Floats value) { *reinterpret_cast<Floats*>(address) = value; }

// At any address of a number.
SVEBM_INLINE Floats load_anywhere(const float* address) { return *reinterpret_cast<const UnalignedFloats*>(address); }
SVEBM_INLINE void store_anywhere(float* address, Floats value) { *reinterpret_cast<UnalignedFloats*>(address) = value; }

// The first n numbers, 0 <= n <= kWidth, and zeros; nothing beyond them is touched.
SVEBM_INLINE Floats load_some(const float* address, int n) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), address);
#else
  Floats value{};
  for (int i = 0; i < n; ++i) value[i] = address[i];
  return value;
#endif
}
SVEBM_INLINE void store_some(float* address, Floats value, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(address, static_cast<__mmask16>((1u << n) - 1u), (__m512)value);
#else
  for (int i = 0; i < n; ++i) address[i] = value[i];
#endif
}

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

// The lanes folded to one by halves, in a fixed order: the result stands on every lane.
template <typename Fold>
SVEBM_INLINE Floats fold_lanes(Floats v, const Fold& fold) {
#if defined(__AVX512F__)
  v = fold(v, (Floats)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0x4E));
  v = fold(v, (Floats)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0xB1));
  v = fold(v, (Floats)_mm512_permute_ps((__m512)v, 0x4E));
  return fold(v, (Floats)_mm512_permute_ps((__m512)v, 0xB1));
#elif defined(__AVX2__)
  v = fold(v, (Floats)_mm256_permute2f128_ps((__m256)v, (__m256)v, 1));
  v = fold(v, (Floats)_mm256_permute_ps((__m256)v, 0x4E));
  return fold(v, (Floats)_mm256_permute_ps((__m256)v, 0xB1));
#else
  v = fold(v, Floats{v[2], v[3], v[0], v[1]});
  return fold(v, Floats{v[1], v[0], v[3], v[2]});
#endif
}
SVEBM_INLINE Floats largest_lane(Floats v) {
  return fold_lanes(v, [](Floats a, Floats b) { return larger(a, b); });
}
SVEBM_INLINE float sum_of_lanes(Floats v) {
  return fold_lanes(v, [](Floats a, Floats b) { return a + b; })[0];
}

// a on the first n lanes, b on the others.
SVEBM_INLINE Floats choose_first(Floats a, Floats b, int n) {
  Ints lane;
  SVEBM_UNROLL
  for (int i = 0; i < kWidth; ++i) lane[i] = i;
  return lane < n ? a : b;
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

// Rows of a square of vectors become its columns.
SVEBM_INLINE void transpose(Ints (&rows)[kWidth]) {
#if defined(__clang__)
#define SVEBM_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SVEBM_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Ints{__VA_ARGS__})
#endif
#if defined(__AVX512F__)
#define SVEBM_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SVEBM_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(__AVX2__)
#define SVEBM_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define SVEBM_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define SVEBM_LOW 0, 4, 1, 5
#define SVEBM_HIGH 2, 6, 3, 7
#endif
  // log2(kWidth) times: row i and row i + kWidth / 2, interleaved, become rows 2 i and 2 i + 1
  SVEBM_UNROLL
  for (int distance = 1; distance < kWidth; distance *= 2) {
    Ints mixed[kWidth];
    SVEBM_UNROLL
    for (int i = 0; i < kWidth / 2; ++i) {
      mixed[2 * i] = SVEBM_SHUFFLE(rows[i], rows[i + kWidth / 2], SVEBM_LOW);
      mixed[2 * i + 1] = SVEBM_SHUFFLE(rows[i], rows[i + kWidth / 2], SVEBM_HIGH);
    }
    SVEBM_UNROLL
    for (int i = 0; i < kWidth; ++i) rows[i] = mixed[i];
  }
#undef SVEBM_SHUFFLE
#undef SVEBM_LOW
#undef SVEBM_HIGH
}

#if defined(__AVX512BF16__)
// Pairs of neighbours among 32 numbers, in order.
SVEBM_INLINE Ints pair_bf16(Floats first, Floats second) {
  return (Ints)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}

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
