// Packed weights and states of the decoding kernel on the CPU, and the micro-kernel that multiplies them.
//
// Words (and gates) lie on vector lanes, the states of a group of rows are the factors. With 12 rows by two vectors a
// tile reads 128 bytes of weights for 24 multiply-adds of AVX-512, which the second-level cache gives with ease.
//
// Tried and lost, on Zen 4 with weights in the last-level cache, in percent of the multiply-add rate, where 12 by 2
// with the next panel fetched has 97 to 99: nothing fetched, 94 for 36 rows and 79 for 24; all of it fetched into the
// second-level cache, 93 to 95 for 36 rows; tiles of 6 rows by 4 vectors, 85 to 90; panels of 64 words of which a tile
// takes half, 96 for 36 rows and 73 for 24.
#pragma once

#include "common/cpu/panel.h"
#include "gru_decode/cpu/memory.h"
#include "gru_decode/gru_decode.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

constexpr int kGroup = kMostRows;      // most rows whose sums, for two vectors of words, fit the registers
constexpr int kGateRows = kGroup / 2;  // ... for one vector of each gate
constexpr int kGateLanes = 3 * kWidth;

SVEBM_INLINE int unit_panels(int hidden) { return (hidden + kWidth - 1) / kWidth; }
SVEBM_INLINE int padded_hidden(int hidden) { return unit_panels(hidden) * kWidth; }
SVEBM_INLINE int word_panels(int vocabulary) { return (vocabulary + kWordPanel - 1) / kWordPanel; }

// Numbers of four bytes that a state takes as a factor.
template <typename Kind>
int depth(int hidden) {
  return Kind::kPairs ? (hidden + 1) / 2 : hidden;
}

// Groups of nearly equal size: rows [first_row(g), first_row(g + 1)) of the active ones.
SVEBM_INLINE int n_groups(int n_active) { return (n_active + kGroup - 1) / kGroup; }
SVEBM_INLINE int first_row(int n_active, int group) {
  return static_cast<int>(int64_t{n_active} * group / n_groups(n_active));
}
SVEBM_INLINE int group_rows(int n_active, int group) {
  return first_row(n_active, group + 1) - first_row(n_active, group);
}

// Sums of a tile: those of some rows and vectors of lanes over all n factors.
struct TileWork {
  const float* states;  // [n][state_stride], a number for each row
  int state_stride;
  const float* weights;  // [n][weight_stride], a number for each lane
  int weight_stride;
  int64_t jump;  // of four vectors, the distance of the last two from the first two
  int n;
  float* sums;  // [rows][sum_stride], vectors beside each other
  int sum_stride;
  const char* ahead = nullptr;  // what is needed later: fetched on the way, `ahead_step` bytes with each factor
  int64_t ahead_step = 0;
  bool near = true;  // into the first-level cache, else (two lines with each factor) into the second
};

using GroupTile = void (*)(const TileWork&);

template <typename Kind, int kRows, int kColumns>
__attribute__((noinline)) void compute_group(const TileWork& work) {
  const auto* states = reinterpret_cast<const typename Kind::Element*>(work.states);
  const float *weights = work.weights, *second = weights + work.jump;
  const char* ahead = work.ahead;
  const bool near = work.near;
  const int64_t ahead_step = work.ahead_step, state_stride = work.state_stride, weight_stride = work.weight_stride;
  Floats sum[kRows][kColumns];
  SVEBM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    SVEBM_UNROLL
    for (int c = 0; c < kColumns; ++c) sum[r][c] = zero();
  }
  for (int j = 0; j < work.n; ++j) {
    if (near) {
      __builtin_prefetch(ahead, 0, 3);
    } else {
      __builtin_prefetch(ahead, 0, 2);
      __builtin_prefetch(ahead + 64, 0, 2);
    }
    ahead += ahead_step;
    typename Kind::Vector column[kColumns];
    SVEBM_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      column[c] = Kind::load_columns(kColumns < 4 || c < 2 ? weights + c * kWidth : second + (c - 2) * kWidth);
    }
    SVEBM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const typename Kind::Vector factor = Kind::factor(states[r]);
      SVEBM_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c] = Kind::multiply_add(factor, column[c], sum[r][c]);
    }
    weights += weight_stride;
    second += weight_stride;
    states += state_stride;
  }
  SVEBM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    SVEBM_UNROLL
    for (int c = 0; c < kColumns; ++c) store(work.sums + r * work.sum_stride + c * kWidth, sum[r][c]);
  }
}

// compute_group for `rows` rows, kRows at most.
template <typename Kind, int kColumns, int kRows>
GroupTile group_tile(int rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return group_tile<Kind, kColumns, kRows - 1>(rows);
  }
  return &compute_group<Kind, kRows, kColumns>;
}

// A panel of weights meets all groups before the next panel comes. That one comes from a cache which is farther away:
// each of the tiles that this panel takes fetches its share of it, so that none has to wait. Of one or two tiles each
// fetches so much that the first-level cache could have no other misses under way meanwhile.
class Ahead {
 public:
  // The next panel begins `distance` numbers after this one (0: there is none to fetch).
  Ahead(const float* panel, int64_t distance, int n, int lanes, int n_tiles)
      : next_(reinterpret_cast<const char*>(panel + distance)),
        row_bytes_(distance != 0 ? 4 * lanes : 0),
        n_(n),
        n_tiles_(n_tiles) {}

  void give(TileWork& work) {
    work.ahead = next_ + row_bytes_ * n_ * tile_ / n_tiles_;
    work.ahead_step = row_bytes_ / n_tiles_;
    work.near = n_tiles_ > 2 || row_bytes_ == 0;
    if (tile_ + 1 < n_tiles_) ++tile_;
  }

 private:
  const char* next_;
  int64_t row_bytes_;
  int n_, n_tiles_, tile_ = 0;
};

template <typename Kind>
void pack(const SvebmGruDecodeArguments& a, void* packed) {
  auto* out = static_cast<typename Kind::Element*>(packed);
  const int H = a.hidden, n = depth<Kind>(H);
  for (int p = 0; p < unit_panels(H); ++p) {
    for (int gate = 0; gate < 3; ++gate) {
      for (int lane = 0; lane < kWidth; ++lane) {
        const int unit = p * kWidth + lane;
        const float* const row = a.weight + (int64_t{gate} * H + unit) * H;
        for (int j = 0; j < n; ++j) {
          out[(int64_t{j} * 3 + gate) * kWidth + lane] =
              unit < H ? Kind::element(row, 1, j, H) : typename Kind::Element{0};
        }
      }
    }
    out += int64_t{n} * kGateLanes;
  }
  for (int p = 0; p < word_panels(a.vocabulary); ++p) {
    for (int lane = 0; lane < kWordPanel; ++lane) {
      const int word = p * kWordPanel + lane;
      const float* const row = a.output + int64_t{word} * H;
      for (int j = 0; j < n; ++j) {
        out[int64_t{j} * kWordPanel + lane] =
            word < a.vocabulary ? Kind::element(row, 1, j, H) : typename Kind::Element{0};
      }
    }
    out += int64_t{n} * kWordPanel;
  }
}

template <typename Kind>
int64_t packed_gate_elements(int hidden) {
  return int64_t{unit_panels(hidden)} * depth<Kind>(hidden) * kGateLanes;
}

template <typename Kind>
int64_t packed_output_elements(int hidden, int vocabulary) {
  return int64_t{word_panels(vocabulary)} * depth<Kind>(hidden) * kWordPanel;
}

// out[j][rows] of `rows` states, which are padded with zeros to whole vectors.
template <typename Kind>
void pack_rows(const float* const* states, int rows, int hidden, void* out) {
  auto* const to = static_cast<typename Kind::Element*>(out);
  const int n = depth<Kind>(hidden);
#if defined(__AVX512BF16__)
  if constexpr (Kind::kPairs) {
    for (int r = 0; r < rows; ++r) {
      for (int j = 0; j < n; j += kWidth) {
        const Floats second = 2 * j + kWidth < hidden ? load(states[r] + 2 * j + kWidth) : zero();
        const Ints pairs = pair_bf16(load(states[r] + 2 * j), second);
        for (int i = 0; i < kWidth && j + i < n; ++i) to[int64_t{j + i} * rows + r] = static_cast<uint32_t>(pairs[i]);
      }
    }
    return;
  }
#endif
  for (int j = 0; j < n; ++j) {
    for (int r = 0; r < rows; ++r) to[int64_t{j} * rows + r] = Kind::element(states[r], 1, j, hidden);
  }
}

// Place of a group's packed states.
template <typename Kind>
SVEBM_INLINE float* group_states(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, int group) {
  return m.packed_state + int64_t{first_row(m.n_active, group)} * depth<Kind>(a.hidden);
}

template <typename Kind>
void pack_states(const SvebmGruDecodeArguments& a, const GruDecodeMemory& m, const float* states, int64_t begin,
                 int64_t end) {
  for (int64_t group = begin; group < end; ++group) {
    const int first = first_row(m.n_active, static_cast<int>(group));
    const int rows = first_row(m.n_active, static_cast<int>(group) + 1) - first;
    const float* rows_of_group[kGroup];
    for (int r = 0; r < rows; ++r) {
      rows_of_group[r] = states + int64_t{m.active[first + r]} * padded_hidden(a.hidden);
    }
    pack_rows<Kind>(rows_of_group, rows, a.hidden, group_states<Kind>(a, m, static_cast<int>(group)));
  }
}

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
