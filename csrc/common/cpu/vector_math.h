// Elementary functions on vectors, and activations with their derivatives. Not-a-number in, not-a-number out.
#pragma once

#include "common/cpu/simd.h"

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

// 2^r on |r| <= 1/2: a minimax fit (Remez exchange)
SVEBM_INLINE Floats power_of_fraction(Floats r) {
  Floats p = fma(r, 1.327647263e-3f, 9.675541343e-3f);
  p = fma(p, r, broadcast(5.550713272e-2f));
  p = fma(p, r, broadcast(2.402211972e-1f));
  p = fma(p, r, broadcast(6.931469671e-1f));
  return fma(p, r, broadcast(1.000000072f));
}

// 2^x for x <= 0, with a relative error below 2e-7 (plus that of x itself, 4e-8 |x|); below 1e-37 for x < -126. For
// terms that are added to numbers near 1, where it takes half as long as `exponential`. A NaN may come out as a number.
SVEBM_INLINE Floats power_below_one(Floats x) {
  x = larger(broadcast(-126.0f), x);
  const Floats shifted = x + 12582912.0f;
  const Floats p = power_of_fraction(x - (shifted - 12582912.0f));
  // times 2^n, in the exponent: additions of integers leave the multipliers to others
  return (Floats)((Ints)p + ((Ints)shifted << 23));
}

// 2^x for x <= 0 as above, but 0 below -126.5, and NaN where x is: for shares of a sum.
SVEBM_INLINE Floats vanishing_power(Floats x) {
  x = larger(broadcast(-127.0f), x);  // the second where it is NaN
  const Floats shifted = x + 12582912.0f;
  return power_of_fraction(x - (shifted - 12582912.0f)) * power_of_two(shifted);  // 0 is what stands for 2^-127
}

// 1 / (1 + e^-x) from what `exponential` makes of it: 0 where e^-x is beyond float32, as IEEE arithmetic has it. A gate
// that is closed must be so for an infinite number too, which times 0 is none.
SVEBM_INLINE Floats vanishing_logistic(Floats x, Floats logistic) { return x < -88.7228f ? zero() : logistic; }

// Each activation gives its value and its derivative.

// x Phi(x), exact; derivative Phi(x) + x phi(x). The tail of Phi is phi(x) times a polynomial, off by 7.5e-8 at most
// (Abramowitz & Stegun 26.2.17), so that one exponential serves both.
struct Gelu {
  SVEBM_INLINE void apply(Floats x, float, Floats& value, Floats& derivative) {
    const Floats t = reciprocal(fma(absolute(x), 0.2316419f, 1.0f));
    Floats density = power_below_one(fma(x * x, -0.7213475204f, -1.325748065f));  // exp(-x^2 / 2) / sqrt(2 pi)
    density = density - 0x1.000002p-126f;  // the least that comes out: times a huge x it would be no small number
    Floats tail = fma(t, 1.330274429f, -1.821255978f);
    tail = fma(tail, t, broadcast(1.781477937f));
    tail = fma(tail, t, broadcast(-0.356563782f));
    tail = fma(tail, t, broadcast(0.319381530f));
    tail = tail * (t * density);  // 1 - Phi(|x|)
    const Floats phi = x > 0.0f ? 1.0f - tail : tail;
    value = x * phi;
    derivative = fma(x, density, phi);
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
    const Floats sigmoid = vanishing_logistic(x, 1.0f / (1.0f + exponential(-x)));
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
