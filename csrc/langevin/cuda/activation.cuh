// Activations with their derivatives, each from one exponential: epilogues of a product evaluate one for every output.
#pragma once

#include "common/cuda/device.cuh"
#include "langevin/langevin.h"

namespace svebm {

struct Activated {
  float value, derivative;
};

// Exact GELU x Phi(x), with the derivative Phi(x) + x phi(x). The tail of Phi is phi(x) times a polynomial, with an
// error below 7.5e-8 (Abramowitz & Stegun 26.2.17), so that one exponential serves both.
SVEBM_DEVICE Activated gelu(float x) {
  const float t = fast_reciprocal(1.0f + 0.2316419f * fabsf(x));
  const float density = fast_exp2(-0.7213475204f * x * x - 1.325748065f);  // exp(-x^2 / 2) / sqrt(2 pi)
  float tail = 1.330274429f;
  tail = tail * t - 1.821255978f;
  tail = tail * t + 1.781477937f;
  tail = tail * t - 0.356563782f;
  tail = tail * t + 0.319381530f;
  tail *= t * density;
  const float distribution = x > 0.0f ? 1.0f - tail : tail;
  return {x * distribution, distribution + x * density};
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
