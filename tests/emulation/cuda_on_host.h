// Runs the device functions of csrc/*/cuda/*.cuh with a host compiler: what common/cuda/device.cuh takes from CUDA.
//
// Threads are fibers (fiber.h) of which a seeded scheduler runs one at a time (block.h), so that barriers, shuffles,
// matrix fragments and asynchronous copies behave as on the device, wrong uses of them are errors, and a kernel that
// leans on an order of threads is found out.
#pragma once

#include <cmath>
#include <cstdint>

#include "block.h"

#define SVEBM_DEVICE static inline

struct alignas(8) float2 {
  float x, y;
};

struct alignas(8) uint2 {
  unsigned x, y;
};

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

struct alignas(16) float4 {
  float x, y, z, w;
};

inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// As CUDA's: sine and cosine of pi x.
inline void sincospif(float x, float* sine, float* cosine) {
  const double angle = std::acos(-1.0) * std::remainder(static_cast<double>(x), 2.0);
  *sine = static_cast<float>(std::sin(angle));
  *cosine = static_cast<float>(std::cos(angle));
}

namespace emulation {

// Half precision by arithmetic, since not every compiler has a type for it. Rounds to nearest, ties to even.
inline uint16_t half_bits(float value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::abs(static_cast<double>(value));
  if (std::isnan(value)) return sign | 0x7E00;
  if (magnitude >= 65520.0) return sign | 0x7C00;
  if (magnitude == 0.0) return sign;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  const int unit = std::max(exponent - 11, -24);  // the last bit's weight is 2^unit
  const auto steps = static_cast<unsigned>(std::nearbyint(std::ldexp(magnitude, -unit)));
  return static_cast<uint16_t>(sign + (unit + 24) * 1024 + static_cast<int>(steps));
}

inline float computed_half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  float magnitude;
  if (exponent == 31) {
    magnitude = fraction != 0 ? NAN : INFINITY;
  } else {
    magnitude = std::ldexp(static_cast<float>(exponent > 0 ? fraction + 1024 : fraction), std::max(exponent, 1) - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

inline float half_value(uint16_t bits) {
  static const std::vector<float> table = [] {
    std::vector<float> values(65536);
    for (unsigned i = 0; i < 65536; ++i) values[i] = computed_half_value(static_cast<uint16_t>(i));
    return values;
  }();
  return table[bits];
}

inline uint32_t largest_magnitudes(uint32_t largest, uint32_t bits) {
  uint32_t result = 0;
  for (const int shift : {0, 16}) {
    const float before = half_value(static_cast<uint16_t>(largest >> shift));
    const float now = std::abs(half_value(static_cast<uint16_t>(bits >> shift)));
    result |= static_cast<uint32_t>(half_bits(std::fmax(before, now))) << shift;
  }
  return result;
}

template <typename T>
T shuffle_xor(T value, int mask) {
  T result{};
  collective("shuffle_xor", mask, &value, &result, [mask](Warp& warp) {
    for (int lane = 0; lane < 32; ++lane) {
      *static_cast<T*>(warp.outputs[lane]) = *static_cast<const T*>(warp.inputs[lane ^ mask]);
    }
  });
  return result;
}

inline void load_matrices(uint32_t* fragments, int n_matrices, const uint16_t* row, bool transposed) {
  // threads whose address is not used may give any
  if (static_cast<int>(block().current->thread % 32) < 8 * n_matrices) require_shared(row, 16, "ldmatrix");
  collective(transposed ? "transposed ldmatrix" : "ldmatrix", n_matrices, row, fragments, [=](Warp& warp) {
    for (int lane = 0; lane < 32; ++lane) {
      for (int m = 0; m < n_matrices; ++m) {
        uint32_t pair = 0;
        for (int e = 0; e < 2; ++e) {
          const int across = lane / 4, along = lane % 4 * 2 + e;
          const auto* from = static_cast<const uint16_t*>(warp.inputs[8 * m + (transposed ? along : across)]);
          pair |= static_cast<uint32_t>(from[transposed ? across : along]) << (16 * e);
        }
        static_cast<uint32_t*>(warp.outputs[lane])[m] = pair;
      }
    }
  });
}

struct ProductInput {
  const uint32_t* a;
  uint32_t b[2];
};

inline void multiply_add(float* sums, const uint32_t* a, uint32_t b0, uint32_t b1) {
  const ProductInput mine{a, {b0, b1}};
  collective("mma", 0, &mine, sums, [](Warp& warp) {
    float left[16][16], right[16][8];
    for (int lane = 0; lane < 32; ++lane) {
      const auto& input = *static_cast<const ProductInput*>(warp.inputs[lane]);
      for (int e = 0; e < 2; ++e) {
        const int column = lane % 4 * 2 + e;
        for (int r = 0; r < 4; ++r) {
          left[lane / 4 + r % 2 * 8][column + r / 2 * 8] = half_value(static_cast<uint16_t>(input.a[r] >> (16 * e)));
        }
        for (int r = 0; r < 2; ++r) {
          right[column + 8 * r][lane / 4] = half_value(static_cast<uint16_t>(input.b[r] >> (16 * e)));
        }
      }
    }
    for (int lane = 0; lane < 32; ++lane) {
      auto* out = static_cast<float*>(warp.outputs[lane]);
      for (int r = 0; r < 4; ++r) {
        const int row = lane / 4 + r / 2 * 8, column = lane % 4 * 2 + r % 2;
        for (int k = 0; k < 16; ++k) out[r] += left[row][k] * right[k][column];
      }
    }
  });
}

}  // namespace emulation

#define threadIdx ::emulation::thread_index
#define blockIdx ::emulation::block_index
#define blockDim ::emulation::block_size
#define gridDim ::emulation::grid_size
