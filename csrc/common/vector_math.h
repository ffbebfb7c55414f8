// Elementary functions on vectors, and activations with their derivatives. Not-a-number in, not-a-number out.
#pragma once

#include "common/simd.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

// 2^n of a rounded number that stands, plus 127, in the low bits of `shifted` (the result of adding 1.5 * 2^23)
SVEBM_INLINE Floats power_of_two(Floats shifted) { return (Floats)(((Ints)shifted + 127) << 23); }

// e^x with a relative error below 2e-7 for -87 < x < 88; 0 below -88; e^88 above.
SVEBM_INLINE Floats exponential(Floats x) {
  x = smaller(broadcast(88.0f), larger(broadcast(-88.0f), x));  // both return the second where it is NaN
  const Floats shifted = fma(x, 1.44269504089f, 12582912.0f);   // rounds to an integer
  const Floats n = shifted - 12582912.0f;
  Floats r = fma(n, broadcast(-6.93145752e-1f), x);  // ln 2 in two parts, the first exact times n
  r = fma(n, broadcast(-1.42860677e-6f), r);
  // e^r on |r| <= ln(2) / 2: a minimax fit (Remez exchange)
  Floats p = fma(r, 1.381454018e-3f, 8.368745109e-3f);
  p = fma(p, r, broadcast(4.166839078e-2f));
  p = fma(p, r, broadcast(1.666652040e-1f));
  p = fma(p, r, broadcast(4.999999343e-1f));
  p = fma(p, r * r, r + 1.0f);
  return p * power_of_two(shifted);
}

// 2^x for x <= 0, with a relative error below 1e-7 (plus that of x itself, 4e-8 |x|); 0 below -127. For terms that are
// added to numbers near 1, where it saves a third of `exponential`.
SVEBM_INLINE Floats power_below_one(Floats x) {
  x = larger(broadcast(-127.0f), x);
  const Floats shifted = x + 12582912.0f;
  const Floats r = x - (shifted - 12582912.0f);
  // 2^r on |r| <= 1/2: a minimax fit (Remez exchange)
  Floats p = fma(r, 1.546973198e-4f, 1.341000097e-3f);
  p = fma(p, r, broadcast(9.618030783e-3f));
  p = fma(p, r, broadcast(5.550297314e-2f));
  p = fma(p, r, broadcast(2.402265108e-1f));
  p = fma(p, r, broadcast(6.931472254e-1f));
  p = fma(p, r, broadcast(1.0f));
  return p * power_of_two(shifted);
}

// Each activation gives its value and its derivative.

struct Gelu {  // x Phi(x), exact; derivative Phi(x) + x phi(x); erf is Abramowitz & Stegun 7.1.26, off by 1.5e-7
  SVEBM_INLINE void apply(Floats x, float, Floats& value, Floats& derivative) {
    const Floats t = reciprocal(fma(absolute(x), 0.3275911f * 0.70710678f, 1.0f));
    const Floats e = power_below_one(x * x * (-0.5f * 1.44269504089f));
    Floats tail = fma(t, 0.5f * 1.061405429f, 0.5f * -1.453152027f);
    tail = fma(tail, t, broadcast(0.5f * 1.421413741f));
    tail = fma(tail, t, broadcast(0.5f * -0.284496736f));
    tail = fma(tail, t, broadcast(0.5f * 0.254829592f));
    tail = tail * t * e;  // 1 - Phi(|x|)
    const Floats phi = x > 0.0f ? 1.0f - tail : tail;
    value = x * phi;
    derivative = fma(x * e, broadcast(0.398942280f), phi);
  }
};

struct LeakyRelu {
  SVEBM_INLINE void apply(Floats x, float negative_slope, Floats& value, Floats& derivative) {
    derivative = x > 0.0f ? broadcast(1.0f) : broadcast(negative_slope);
    value = x * derivative;
  }
};

struct Silu {  // x sigma(x); derivative sigma (1 + x (1 - sigma))
  SVEBM_INLINE void apply(Floats x, float, Floats& value, Floats& derivative) {
    const Floats sigmoid = 1.0f / (1.0f + exponential(-x));
    value = x * sigmoid;
    derivative = fma(value, 1.0f - sigmoid, sigmoid);
  }
};

struct Tanh {
  SVEBM_INLINE void apply(Floats x, float, Floats& value, Floats& derivative) {
    const Floats half = 1.0f / (1.0f + exponential(x * 2.0f));
    value = fma(half, broadcast(-2.0f), broadcast(1.0f));
    derivative = 4.0f * half * (1.0f - half);
  }
};

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
