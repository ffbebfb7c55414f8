// Activations with their derivatives, each from one exponential: epilogues of a product evaluate one for every output.
#pragma once

#include "common/device.cuh"
#include "langevin/langevin.h"

namespace svebm {

struct Activated {
  float value, derivative;
};

// Exact GELU x Phi(x). Phi from erf by Abramowitz & Stegun 7.1.26, |error| < 1.5e-7, whose exp(-x^2 / 2) is also that
// of the normal density in the derivative Phi(x) + x phi(x).
SVEBM_DEVICE Activated gelu(float x) {
  constexpr float kScale = 0.3275911f * 0.70710678f;
  const float t = fast_reciprocal(1.0f + kScale * fabsf(x));
  const float exponential = fast_exp(-0.5f * x * x);
  // half of the published coefficients: the tail of Phi is half of that of erf
  float tail = 0.5307027145f;
  tail = tail * t - 0.7265760135f;
  tail = tail * t + 0.7107068705f;
  tail = tail * t - 0.142248368f;
  tail = tail * t + 0.127414796f;
  tail *= t * exponential;
  const float distribution = x > 0.0f ? 1.0f - tail : tail;
  return {x * distribution, distribution + x * (0.39894228f * exponential)};
}

SVEBM_DEVICE Activated leaky_relu(float x, float negative_slope) {
  const float slope = x > 0.0f ? 1.0f : negative_slope;
  return {x * slope, slope};
}

SVEBM_DEVICE Activated silu(float x) {
  const float sigmoid = fast_reciprocal(1.0f + fast_exp(-x));
  return {x * sigmoid, sigmoid * (1.0f + x * (1.0f - sigmoid))};
}

SVEBM_DEVICE Activated hyperbolic_tangent(float x) {
  const float tangent = 1.0f - 2.0f * fast_reciprocal(1.0f + fast_exp(2.0f * x));
  return {tangent, 1.0f - tangent * tangent};
}

// The choice is the same for all threads; loops over it are short and written once for each activation.
template <int kActivation>
SVEBM_DEVICE Activated activate(float x, float negative_slope) {
  if (kActivation == kSvebmGelu) return gelu(x);
  if (kActivation == kSvebmLeakyRelu) return leaky_relu(x, negative_slope);
  if (kActivation == kSvebmSilu) return silu(x);
  return hyperbolic_tangent(x);
}

}  // namespace svebm
