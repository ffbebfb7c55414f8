// k is cut into parts; for each, B is packed once by all threads into blocks of 32 lanes, and then each thread takes
// pieces of C: it packs a few rows of A at a time and multiplies them with as many blocks as the second-level cache
// holds.
#include "gemm/gemm.h"

#include "common/cpu/operand.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

template <typename Kind>
void multiply_piece(const SvebmGemmArguments& a, int64_t k, int64_t part, const float* b, float* panel, int64_t row,
                    int64_t first_block, int64_t last_block) {
  const int64_t left = a.m - row;
  const int n_rows = left < kPanelRows ? static_cast<int>(left) : kPanelRows;
  const int steps = static_cast<int>(n_steps<Kind>(part));
  pack_lanes<Kind>(Source{a.a, a.a_row_stride, a.a_k_stride}.from(row, k), n_rows, part, panel, kPanelRows);
  const bool first = k == 0;
  const float* const bias = first && a.row_bias != nullptr ? a.row_bias + row : nullptr;
  for (int64_t block = first_block; block < last_block; ++block) {
    const TileOutput out{a.c + row * a.c_stride + block * kBlockLanes, a.c_stride, bias, !first || a.add != 0};
    multiply_any_tile<Kind, kPanelRows, PanelOrder<kPanelRows>>(panel, 1, 0, steps, b + block * steps * kBlockLanes,
                                                                n_rows, a.n - block * kBlockLanes, out);
  }
}

}  // namespace

int gemm_panel_rows() { return kPanelRows; }

void gemm_pack_blocks(const SvebmGemmArguments& a, int64_t k, int64_t part, float* b, int64_t begin, int64_t end) {
  const Source all{a.b, a.b_column_stride, a.b_k_stride};
  for (int64_t block = begin; block < end; ++block) {
    const Source from = all.from(block * kBlockLanes, k);
    const int64_t n_lanes = a.n - block * kBlockLanes;
#if defined(__AVX512BF16__)
    if (a.fast != 0) {
      pack_block<Bf16Pairs>(from, n_lanes, part, b + block * n_steps<Bf16Pairs>(part) * kBlockLanes);
      continue;
    }
#endif
    pack_block<Single>(from, n_lanes, part, b + block * part * kBlockLanes);
  }
}

void gemm_rows(const SvebmGemmArguments& a, int64_t k, int64_t part, const float* b, float* panel, int64_t begin,
               int64_t end, int64_t first_block, int64_t last_block) {
  for (int64_t row = begin; row < end; row += kPanelRows) {
#if defined(__AVX512BF16__)
    if (a.fast != 0) {
      multiply_piece<Bf16Pairs>(a, k, part, b, panel, row, first_block, last_block);
      continue;
    }
#endif
    multiply_piece<Single>(a, k, part, b, panel, row, first_block, last_block);
  }
}

}  // namespace SVEBM_VARIANT

}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include <algorithm>

#include "common/cpu/thread_pool.h"

namespace svebm {
namespace {

constexpr int64_t kPart = 512;       // numbers of k multiplied before C is written; pairs of two count double
constexpr int64_t kGroupBlocks = 8;  // blocks of B, 64 KB each, that a thread works with at a time
constexpr int64_t kPanelNumbers = 2 * kPart * 12 + 16;  // the largest, and what the last step writes beyond its end

int64_t part_size(const SvebmGemmArguments& a) { return std::min<int64_t>(a.k, a.fast != 0 ? 2 * kPart : kPart); }
int64_t n_blocks(const SvebmGemmArguments& a) { return (a.n + 31) / 32; }
int64_t packed_numbers(const SvebmGemmArguments& a) { return n_blocks(a) * 32 * part_size(a); }

}  // namespace

int64_t gemm_cpu_workspace(const SvebmGemmArguments& a, int n_threads) {
  return sizeof(float) * (packed_numbers(a) + n_threads * kPanelNumbers);
}

void gemm_cpu(const SvebmGemmArguments& a, void* workspace, int n_threads) {
  const auto pack = SVEBM_CHOOSE_VARIANT(gemm_pack_blocks);
  const auto multiply = SVEBM_CHOOSE_VARIANT(gemm_rows);
  const int64_t height = SVEBM_CHOOSE_VARIANT(gemm_panel_rows)();
  auto* const b = static_cast<float*>(workspace);
  float* const panels = b + packed_numbers(a);
  const int64_t n_groups = (n_blocks(a) + kGroupBlocks - 1) / kGroupBlocks;
  // pieces of about a million multiplications on vectors, so that all threads end at about the same time
  const int64_t rows_per_piece = 8 * height, n_row_pieces = (a.m + rows_per_piece - 1) / rows_per_piece;
  for (int64_t k = 0; k < a.k; k += part_size(a)) {
    const int64_t part = std::min(part_size(a), a.k - k);
    parallel_for(n_threads, n_blocks(a), 1, [&](int64_t begin, int64_t end) { pack(a, k, part, b, begin, end); });
    parallel_parts(n_threads, n_groups * n_row_pieces, 1, [&](int worker, int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t block = piece / n_row_pieces * kGroupBlocks, row = piece % n_row_pieces * rows_per_piece;
        multiply(a, k, part, b, panels + worker * kPanelNumbers, row, std::min(row + rows_per_piece, a.m), block,
                 std::min(block + kGroupBlocks, n_blocks(a)));
      }
    });
  }
}

}  // namespace svebm

#endif
