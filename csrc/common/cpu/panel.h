// The product of a packed matrix with columns that lie on vector lanes: y[row][lane] = sum_k W[row][k] x[k][lane].
//
// Rows are packed in panels of a few rows each, the rows of one k beside each other: a panel is read once from front to
// back, and each of its numbers is multiplied with one or two vectors of x. All sums of a tile stay in registers, and
// each is a plain sum over k from first to last, so that no result depends on how lanes or rows are grouped.
//
// The finished tile goes to a small buffer in the first-level cache, where the caller does with it what comes next (an
// activation, an update). Beside some hundred multiplications for each of its numbers that costs nothing to speak of,
// and it keeps this kernel free of what its callers do.
#pragma once

#include "common/cpu/simd.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

// Sums, two vectors of x and a factor must fit the registers: 32 of them, or 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kMostRows = 12;
#else
constexpr int kMostRows = 6;
#endif

// A packed matrix [rows, k]. With `pairs`, two neighbouring k share a lane (bfloat16), and k counts pairs.
struct Panels {
  const void* data;   // panel after panel, each [k][rows of the panel] of four bytes
  const float* bias;  // [packed rows], or null
  int rows, k;
  int panel, last, n_panels;  // rows of every panel but the last, and of the last, zeros included
};

// How rows are divided into panels.
struct PanelShape {
  int panel, last, n_panels;
  int64_t packed_rows() const { return int64_t{n_panels - 1} * panel + last; }
};

// Rows of the smallest tile that has a kernel and holds `rows`.
SVEBM_INLINE int tile_rows(int rows, bool even) { return even || rows > 6 ? rows + (rows & 1) : rows; }

// Cost of a tile in units of a row: loads of x, and the latency of sums where they are few, weigh on small ones.
SVEBM_INLINE float tile_cost(int rows) { return static_cast<float>(rows < 4 ? 4 : rows) + 0.6f; }

// The division that costs least. Operands in pairs need even tiles, as their rows become the next product's pairs.
SVEBM_INLINE PanelShape choose_panels(int rows, bool even) {
  PanelShape best{0, 0, 0};
  float least = 0.0f;
  for (int panel = kMostRows; panel >= 1; --panel) {
    if (tile_rows(panel, even) != panel) continue;
    const int n_full = (rows - 1) / panel, last = tile_rows(rows - n_full * panel, even);
    const float cost = static_cast<float>(n_full) * tile_cost(panel) + tile_cost(last);
    if (best.panel == 0 || cost < least) {
      least = cost;
      best = {panel, last, n_full + 1};
    }
  }
  return best;
}

// An element of single precision: one k a lane.
struct Single {
  static constexpr bool kPairs = false;
  using Element = float;
  using Vector = Floats;
  SVEBM_INLINE Vector load_columns(const float* x) { return load(x); }
  SVEBM_INLINE Vector factor(float w) { return broadcast(w); }
  SVEBM_INLINE Floats multiply_add(Vector w, Vector x, Floats sum) { return fma(w, x, sum); }
  SVEBM_INLINE float element(const float* w, int64_t stride, int j, int) { return w[j * stride]; }
};

#if defined(__AVX512BF16__)
// To the nearest bfloat16, ties to even, as the processor's own conversion does.
SVEBM_INLINE uint32_t bf16_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (bits >> 16) | 0x40u;  // stays a NaN
  return (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
}

// Two k a lane in bfloat16, summed in single precision.
struct Bf16Pairs {
  static constexpr bool kPairs = true;
  using Element = uint32_t;
  using Vector = Ints;
  SVEBM_INLINE Vector load_columns(const float* x) { return *reinterpret_cast<const Ints*>(x); }
  SVEBM_INLINE Vector factor(uint32_t w) { return (Ints)_mm512_set1_epi32(static_cast<int32_t>(w)); }
  SVEBM_INLINE Floats multiply_add(Vector w, Vector x, Floats sum) { return dot_bf16(x, w, sum); }
  SVEBM_INLINE uint32_t element(const float* w, int64_t stride, int j, int k) {
    return bf16_bits(w[2 * j * stride]) | (2 * j + 1 < k ? bf16_bits(w[(2 * j + 1) * stride]) << 16 : 0u);
  }
};
#endif

// Numbers of four bytes that pack_panels writes to `data`.
template <typename Kind>
SVEBM_INLINE int64_t packed_elements(int rows, int k) {
  return choose_panels(rows, Kind::kPairs).packed_rows() * (Kind::kPairs ? (k + 1) / 2 : k);
}

// Packs W[row][j] = weights[row * row_stride + j * k_stride]. `packed_bias` [packed rows] is written where bias is
// given.
template <typename Kind>
Panels pack_panels(const float* weights, int64_t row_stride, int64_t k_stride, const float* bias, int rows, int k,
                   void* data, float* packed_bias) {
  const PanelShape shape = choose_panels(rows, Kind::kPairs);
  const int n = Kind::kPairs ? (k + 1) / 2 : k;
  auto* out = static_cast<typename Kind::Element*>(data);
  for (int p = 0; p < shape.n_panels; ++p) {
    const int first = p * shape.panel, height = p + 1 < shape.n_panels ? shape.panel : shape.last;
    const int real = rows - first < height ? rows - first : height;
    for (int r = real; r < height; ++r) {
      for (int j = 0; j < n; ++j) out[int64_t{j} * height + r] = typename Kind::Element{0};
    }
    if (row_stride == 1) {  // neighbours in memory are neighbours in the panel
      for (int j = 0; j < n; ++j) {
        for (int r = 0; r < real; ++r) {
          out[int64_t{j} * height + r] = Kind::element(weights + first + r, k_stride, j, k);
        }
      }
    } else {
      for (int r = 0; r < real; ++r) {
        const float* const row = weights + (first + r) * row_stride;
        for (int j = 0; j < n; ++j) out[int64_t{j} * height + r] = Kind::element(row, k_stride, j, k);
      }
    }
    out += int64_t{n} * height;
  }
  if (bias != nullptr) {
    for (int r = 0; r < shape.packed_rows(); ++r) packed_bias[r] = r < rows ? bias[r] : 0.0f;
  }
  return {data, bias != nullptr ? packed_bias : nullptr, rows, n, shape.panel, shape.last, shape.n_panels};
}

using TileFunction = void (*)(const void* panel, const float* bias, const float* x, int k, int stride, float* y);

// y[rows][columns] of one panel and kColumns vectors; rows of x and y are `stride` apart.
template <typename Kind, int kRows, int kColumns>
__attribute__((noinline)) void compute_tile(const void* panel, const float* bias, const float* x, int k, int stride,
                                            float* y) {
  const auto* w = static_cast<const typename Kind::Element*>(panel);
  Floats sum[kRows][kColumns];
  SVEBM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    SVEBM_UNROLL
    for (int c = 0; c < kColumns; ++c) sum[r][c] = bias != nullptr ? broadcast(bias[r]) : zero();
  }
  for (int j = 0; j < k; ++j) {
    typename Kind::Vector column[kColumns];
    SVEBM_UNROLL
    for (int c = 0; c < kColumns; ++c) column[c] = Kind::load_columns(x + c * kWidth);
    SVEBM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const typename Kind::Vector factor = Kind::factor(w[r]);
      SVEBM_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c] = Kind::multiply_add(factor, column[c], sum[r][c]);
    }
    x += stride;
    w += kRows;
  }
  SVEBM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    SVEBM_UNROLL
    for (int c = 0; c < kColumns; ++c) store(y + r * stride + c * kWidth, sum[r][c]);
  }
}

template <typename Kind, int kColumns>
TileFunction tile_function(int rows) {
  if constexpr (!Kind::kPairs) {
    if (rows == 1) return &compute_tile<Kind, 1, kColumns>;
    if (rows == 3) return &compute_tile<Kind, 3, kColumns>;
    if (rows == 5) return &compute_tile<Kind, 5, kColumns>;
  }
  if constexpr (kMostRows == 12) {
    if (rows == 12) return &compute_tile<Kind, 12, kColumns>;
    if (rows == 10) return &compute_tile<Kind, 10, kColumns>;
    if (rows == 8) return &compute_tile<Kind, 8, kColumns>;
  }
  if (rows == 6) return &compute_tile<Kind, 6, kColumns>;
  if (rows == 4) return &compute_tile<Kind, 4, kColumns>;
  return &compute_tile<Kind, 2, kColumns>;
}

// W x for kLanes columns, tile by tile: finish(first_row, n_rows, tile) gets each tile [n_rows][kLanes], rows of zeros
// at the end of the last one left out. x is [k][kLanes], `tile` a buffer for kMostRows * kLanes numbers.
template <typename Kind, int kLanes, typename Finish>
void multiply(const Panels& m, const float* x, float* tile, const Finish& finish) {
  constexpr int kColumns = kLanes / kWidth < 2 ? 1 : 2;
  const TileFunction whole = tile_function<Kind, kColumns>(m.panel), rest = tile_function<Kind, kColumns>(m.last);
  const auto* data = static_cast<const typename Kind::Element*>(m.data);
  for (int p = 0; p < m.n_panels; ++p) {
    const int first = p * m.panel, height = p + 1 < m.n_panels ? m.panel : m.last;
    const float* const bias = m.bias != nullptr ? m.bias + first : nullptr;
    const TileFunction compute = p + 1 < m.n_panels ? whole : rest;
    for (int lane = 0; lane < kLanes; lane += kColumns * kWidth) {
      compute(data, bias, x + lane, m.k, kLanes, tile + lane);
    }
    finish(first, m.rows - first < height ? m.rows - first : height, tile);
    data += int64_t{m.k} * height;
  }
}

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
