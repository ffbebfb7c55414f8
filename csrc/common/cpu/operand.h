// Operands of matrix products, brought into the order in which the micro-kernels read them, and the micro-kernel that
// adds to a matrix in memory.
//
// A product C[row][lane] += sum_k A[row][k] B[k][lane] is computed in tiles of a few rows by 32 lanes. B lies in blocks
// [k][32 lanes]. A is read number by number, so that it may lie in any order whose strides the compiler knows: packed
// in panels [k][rows], or where the product before left it. With operands in bfloat16, two neighbouring k share a
// number of four bytes.
#pragma once

#include "common/cpu/panel.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

constexpr int kBlockLanes = 32;
constexpr int kPanelRows = kWidth == 16  ? 12
                           : kWidth == 8 ? 6
                                         : 4;  // sums, factors and lanes of a tile fill the registers
static_assert(kPanelRows <= kWidth, "a row of a panel is written as one vector");

// An element (lane, k) of a matrix in memory; one of the strides is usually 1.
struct Source {
  const float* data;
  int64_t lane_stride, k_stride;
  Source from(int64_t lane, int64_t k) const {
    return {data + lane * lane_stride + k * k_stride, lane_stride, k_stride};
  }
};

template <typename Kind>
constexpr int kNumbersPerStep = Kind::kPairs ? 2 : 1;

// Steps that k numbers take: pairs where they share a step.
template <typename Kind>
SVEBM_INLINE int64_t n_steps(int64_t k) {
  return Kind::kPairs ? (k + 1) / 2 : k;
}

// One step of lanes that are neighbours in memory.
template <typename Kind>
SVEBM_INLINE Ints gather_step(const Source& from, int n_lanes, int64_t k, int64_t n_k) {
  const Floats first = load_some(from.data + k * from.k_stride, n_lanes);
#if defined(__AVX512BF16__)
  if constexpr (Kind::kPairs) {
    return pack_bf16(first, k + 1 < n_k ? load_some(from.data + (k + 1) * from.k_stride, n_lanes) : zero());
  }
#endif
  (void)n_k;
  return (Ints)first;
}

// kWidth steps of one lane whose numbers are neighbours in memory.
template <typename Kind>
SVEBM_INLINE Ints gather_lane(const float* numbers, int64_t n_left) {
  const auto part = [&](int64_t first) {
    const int64_t n = n_left - first;
    return n >= kWidth ? load_anywhere(numbers + first) : load_some(numbers + first, n > 0 ? static_cast<int>(n) : 0);
  };
#if defined(__AVX512BF16__)
  if constexpr (Kind::kPairs) return pair_bf16(part(0), part(kWidth));
#endif
  return (Ints)part(0);
}

// Writes kWidth lanes (those from n_lanes on are zero) of n_k numbers each to `to`, step after step, `stride` numbers
// apart. Where stride < kWidth, each step's surplus is overwritten by the next, and the last's lies beyond the end.
// row(lane) is the address of the lane's first number where those of a lane are neighbours.
template <typename Kind, typename Row>
void pack_rows(const Row& row, int n_lanes, int64_t n_k, float* to, int stride) {
  const int64_t steps = n_steps<Kind>(n_k);
  for (int64_t first = 0; first < steps; first += kWidth) {
    Ints square[kWidth];
    const int64_t k = first * kNumbersPerStep<Kind>;
    for (int lane = 0; lane < kWidth; ++lane) {
      square[lane] = lane < n_lanes ? gather_lane<Kind>(row(lane) + k, n_k - k) : Ints{};
    }
    transpose(square);
    const int here = steps - first < kWidth ? static_cast<int>(steps - first) : kWidth;
    for (int i = 0; i < here; ++i) store_anywhere(to + (first + i) * stride, (Floats)square[i]);
  }
}

template <typename Kind>
void pack_lanes(const Source& from, int n_lanes, int64_t n_k, float* to, int stride) {
  if (n_lanes > kWidth) n_lanes = kWidth;
  if (n_lanes < 0) n_lanes = 0;
  if (from.lane_stride == 1) {
    for (int64_t i = 0; i < n_steps<Kind>(n_k); ++i) {
      const Ints step = gather_step<Kind>(from, n_lanes, i * kNumbersPerStep<Kind>, n_k);
      store_anywhere(to + i * stride, (Floats)step);
    }
  } else {
    pack_rows<Kind>([&](int lane) { return from.data + lane * from.lane_stride; }, n_lanes, n_k, to, stride);
  }
}

// A block [steps][32 lanes].
template <typename Kind>
void pack_block(const Source& from, int64_t n_lanes, int64_t n_k, float* to) {
  for (int lane = 0; lane < kBlockLanes; lane += kWidth) {
    const int64_t left = n_lanes - lane;
    pack_lanes<Kind>(from.from(lane, 0), left > kWidth ? kWidth : static_cast<int>(left), n_k, to + lane, kBlockLanes);
  }
}

// Orders in which the micro-kernel finds A: number of (row, step) at row_offset(row) + step * kStep.
template <int kRows>
struct PanelOrder {
  static constexpr int kStep = kRows;
  static constexpr int row_offset(int row) { return row; }
};

// What a tile does, except its operands.
struct TileOutput {
  float* c;
  int64_t stride;     // of rows of c
  const float* bias;  // of each row, where a sum begins; null is zero
  bool add;           // to what is in c
};

// c[row][32 lanes] (+)= sum over `n_segments` times n_k steps; x goes on from one segment to the next, A jumps.
template <typename Kind, int kRows, typename Order, int kColumns = 2>
__attribute__((noinline)) void multiply_tile(const float* a, int n_segments, int64_t a_jump, int n_k, const float* x,
                                             const TileOutput& out) {
  if (out.add) {  // by the time the sums are done, what they are added to has come from wherever it was
    for (int r = 0; r < kRows; ++r) {
      __builtin_prefetch(out.c + r * out.stride, 1);
      __builtin_prefetch(out.c + r * out.stride + 16, 1);
    }
  }
  for (int lane = 0; lane < kBlockLanes; lane += kColumns * kWidth) {
    Floats sum[kRows][kColumns];
    SVEBM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      SVEBM_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c] = out.bias != nullptr ? broadcast(out.bias[r]) : zero();
    }
    const float* column = x + lane;
    for (int s = 0; s < n_segments; ++s) {
      const auto* w = reinterpret_cast<const typename Kind::Element*>(a + s * a_jump);
      for (int j = 0; j < n_k; ++j) {
        typename Kind::Vector xs[kColumns];
        SVEBM_UNROLL
        for (int c = 0; c < kColumns; ++c) xs[c] = Kind::load_columns(column + c * kWidth);
        SVEBM_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const typename Kind::Vector factor = Kind::factor(w[Order::row_offset(r)]);
          SVEBM_UNROLL
          for (int c = 0; c < kColumns; ++c) sum[r][c] = Kind::multiply_add(factor, xs[c], sum[r][c]);
        }
        column += kBlockLanes;
        w += Order::kStep;
      }
    }
    SVEBM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      SVEBM_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        float* const to = out.c + r * out.stride + lane + c * kWidth;
        store_anywhere(to, out.add ? load_anywhere(to) + sum[r][c] : sum[r][c]);
      }
    }
  }
}

// Copies (or adds) the part of a tile that belongs to the matrix.
SVEBM_INLINE void write_part(const float* tile, int n_rows, int64_t n_lanes, const TileOutput& out) {
  for (int r = 0; r < n_rows; ++r) {
    for (int64_t i = 0; i < n_lanes; ++i) {
      float& to = out.c[r * out.stride + i];
      to = out.add ? to + tile[r * kBlockLanes + i] : tile[r * kBlockLanes + i];
    }
  }
}

// As multiply_tile, for a tile of which only n_rows x n_lanes lie inside the matrix.
template <typename Kind, int kRows, typename Order, int kColumns = 2>
void multiply_any_tile(const float* a, int n_segments, int64_t a_jump, int n_k, const float* x, int n_rows,
                       int64_t n_lanes, const TileOutput& out) {
  if (n_rows >= kRows && n_lanes >= kBlockLanes) {
    return multiply_tile<Kind, kRows, Order, kColumns>(a, n_segments, a_jump, n_k, x, out);
  }
  alignas(64) float tile[kRows * kBlockLanes];
  float bias[kRows] = {};
  if (out.bias != nullptr) {
    for (int r = 0; r < n_rows && r < kRows; ++r) bias[r] = out.bias[r];
  }
  multiply_tile<Kind, kRows, Order, kColumns>(a, n_segments, a_jump, n_k, x, {tile, kBlockLanes, bias, false});
  write_part(tile, n_rows < kRows ? n_rows : kRows, n_lanes < kBlockLanes ? n_lanes : kBlockLanes, out);
}

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
