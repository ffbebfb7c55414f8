// The kernels of a step for many sentences: a block multiplies a tile of states by a tile of weights, which stream
// through shared memory, and finishes its results at once. See gru_decode/cuda/gru_decode.cu.
#pragma once

#include "gru_decode/cuda/choose.cuh"

namespace svebm {

// Rows of states and of weights come in chunks of 64 bytes of their depth: 16 floats or 32 halves. A float tile has
// rows of 80 bytes, which puts neighbouring rows on different banks; fragments of halves need no such gap.
template <bool kFast, bool kGates>
struct GruTile {
  static constexpr int kRows = kGates ? kGruGateBlockRows : kGruScoreBlockRows;
  static constexpr int kColumns = kGates ? 3 * kGruGateUnits : kGruBlockWords;
  static constexpr int kPitch = kFast ? 64 : 80;
  static constexpr int kStages = kFast ? 4 : 3;
  static constexpr int kStageBytes = (kRows + kColumns) * kPitch;
  static constexpr int kCopies = (4 * (kRows + kColumns) + kGruThreads - 1) / kGruThreads;  // of 16 bytes, of a thread
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static constexpr int kWeightStep = kFast ? 2 * kGruTile * 32 : 64;  // bytes between two chunks of a row
};

// A block's part of a step.
struct GruWork {
  int step, n_active;
  int first_slot;  // of the sentences, in the list of those that have not ended
  int tile;        // of the weights
  const int* active;
};

// Returns false where no sentence is left for the block. Tiles of sentences are the inner index: blocks that run at a
// time share weights.
SVEBM_DEVICE bool find_work(const GruDecode& d, int step, int block_rows, GruWork& work) {
  const int64_t n_row_tiles = (d.a.n_rows + block_rows - 1) / block_rows;
  const int64_t block = static_cast<int64_t>(blockIdx.x);
  work.step = step;
  work.n_active = place<int>(d, d.plan.n_active)[step];
  work.tile = static_cast<int>(block / n_row_tiles);
  work.first_slot = static_cast<int>(block - work.tile * n_row_tiles) * block_rows;
  work.active = place<int>(d, d.plan.active[step % 2]);
  return work.first_slot < work.n_active;
}

SVEBM_DEVICE int64_t row_of_slot(const GruWork& work, int slot) {
  return work.active[slot < work.n_active ? slot : work.first_slot];
}

// ---- operands on their way through shared memory

template <class Tile>
struct GruOperands {
  const unsigned char* sources[Tile::kCopies];
};

template <bool kFast, bool kGates>
SVEBM_DEVICE const unsigned char* weight_source(const GruDecode& d, const GruWork& work, int column) {
  if (kFast) {
    const int64_t row = static_cast<int64_t>(work.tile) * GruTile<kFast, kGates>::kColumns + column;
    return place<unsigned char>(d, kGates ? d.plan.gates : d.plan.output) +
           (row / kGruTile * d.plan.depth * kGruTile + row % kGruTile * 32) * 2;
  }
  int64_t row;
  if (kGates) {
    const int64_t unit = static_cast<int64_t>(work.tile) * kGruGateUnits + column % kGruGateUnits;
    row = column / kGruGateUnits * static_cast<int64_t>(d.a.hidden) + (unit < d.a.hidden ? unit : d.a.hidden - 1);
  } else {
    row = static_cast<int64_t>(work.tile) * kGruBlockWords + column;
    row = row < d.a.vocabulary ? row : d.a.vocabulary - 1;
  }
  return reinterpret_cast<const unsigned char*>((kGates ? fp32_gates(d) : fp32_output(d)) + row * d.plan.depth);
}

// Where this thread copies from: rows of the tile, four threads to a chunk. The scores are those of the next state.
template <bool kFast, bool kGates>
SVEBM_DEVICE void find_sources(const GruDecode& d, const GruWork& work, GruOperands<GruTile<kFast, kGates>>& operands) {
  using Tile = GruTile<kFast, kGates>;
  const int copy = kGates ? work.step % 2 : (work.step + 1) % 2;
  SVEBM_UNROLL
  for (int i = 0; i < Tile::kCopies; ++i) {
    const int row = static_cast<int>(threadIdx.x) / 4 + kGruThreads / 4 * i;
    const unsigned char* from = nullptr;
    if (row < Tile::kRows) {
      const int64_t state = row_of_slot(work, work.first_slot + row) * d.plan.depth;
      from = place<unsigned char>(d, kFast ? d.plan.half_state[copy] : d.plan.state[copy]) + state * (kFast ? 2 : 4);
    } else if (row < Tile::kRows + Tile::kColumns) {
      from = weight_source<kFast, kGates>(d, work, row - Tile::kRows);
    }
    operands.sources[i] = from + threadIdx.x % 4 * 16;
  }
}

template <class Tile>
SVEBM_DEVICE void request_stage(const GruOperands<Tile>& operands, int chunk, int n_chunks) {
  if (chunk < n_chunks) {
    unsigned char* const stage = shared_memory() + chunk % Tile::kStages * Tile::kStageBytes;
    SVEBM_UNROLL
    for (int i = 0; i < Tile::kCopies; ++i) {
      const int row = static_cast<int>(threadIdx.x) / 4 + kGruThreads / 4 * i;
      if (row >= Tile::kRows + Tile::kColumns) continue;
      const int64_t step = row < Tile::kRows ? 64 : Tile::kWeightStep;
      copy_async16(stage + row * Tile::kPitch + threadIdx.x % 4 * 16, operands.sources[i] + chunk * step);
    }
  }
  copy_commit();
}

// Calls multiply(stage) for all chunks of the depth in order. One barrier a chunk: it tells that the chunk is there,
// and that all threads are done with the one before, whose place is filled again.
template <class Tile, class Multiply>
SVEBM_DEVICE void stream_operands(const GruOperands<Tile>& operands, int n_chunks, const Multiply& multiply) {
  for (int chunk = 0; chunk < Tile::kStages - 1; ++chunk) request_stage<Tile>(operands, chunk, n_chunks);
  for (int chunk = 0; chunk < n_chunks; ++chunk) {
    copy_wait<Tile::kStages - 2>(SVEBM_SITE);
    block_barrier(SVEBM_SITE);
    request_stage<Tile>(operands, chunk + Tile::kStages - 1, n_chunks);
    multiply(shared_memory() + chunk % Tile::kStages * Tile::kStageBytes);
  }
}

// ---- halves: 8 warps, two along the sentences, four along the weights

// A warp's fragments are read 16 bytes a thread: thread l has row l / 4 and of its 32 columns 8 (l % 4) .. + 7. That
// these are not the columns which a product of 16 x 8 x 16 asks for does not matter, as both operands have the same.
template <bool kGates>
struct HalfSums {
  static constexpr int kRowTiles = GruTile<true, kGates>::kRows / 32, kColumnTiles = kGates ? 3 : 4;
  float sums[kRowTiles][kColumnTiles][4];
};

// First column of tile j of the warp: the three gates of 8 units, or 32 neighbouring words.
template <bool kGates>
SVEBM_DEVICE int half_column(int j) {
  const int warp = warp_of_thread() % 4;
  return kGates ? kGruGateUnits * j + 8 * warp : kGruScorePanel * warp + 8 * j;
}

template <bool kGates>
SVEBM_DEVICE int half_row(int m) {
  return warp_of_thread() / 4 * (GruTile<true, kGates>::kRows / 2) + 16 * m;
}

template <bool kGates>
SVEBM_DEVICE void multiply_halves(const unsigned char* stage, HalfSums<kGates>& out) {
  using Tile = GruTile<true, kGates>;
  constexpr int kRowTiles = HalfSums<kGates>::kRowTiles;
  const unsigned char* const own = stage + 16 * lane_of_thread();
  uint4 upper[kRowTiles], lower[kRowTiles];
  SVEBM_UNROLL
  for (int m = 0; m < kRowTiles; ++m) {
    upper[m] = load_words4(own + half_row<kGates>(m) * Tile::kPitch);
    lower[m] = load_words4(own + (half_row<kGates>(m) + 8) * Tile::kPitch);
  }
  SVEBM_UNROLL
  for (int j = 0; j < HalfSums<kGates>::kColumnTiles; ++j) {
    const uint4 weights = load_words4(own + (Tile::kRows + half_column<kGates>(j)) * Tile::kPitch);
    SVEBM_UNROLL
    for (int m = 0; m < kRowTiles; ++m) {
      const uint32_t first[4] = {upper[m].x, lower[m].x, upper[m].y, lower[m].y};
      const uint32_t second[4] = {upper[m].z, lower[m].z, upper[m].w, lower[m].w};
      multiply_add(out.sums[m][j], first, weights.x, weights.y);
      multiply_add(out.sums[m][j], second, weights.z, weights.w);
    }
  }
}

template <bool kGates>
SVEBM_DEVICE void half_products(const GruDecode& d, const GruWork& work, HalfSums<kGates>& out) {
  using Tile = GruTile<true, kGates>;
  SVEBM_UNROLL
  for (int m = 0; m < HalfSums<kGates>::kRowTiles; ++m) {
    SVEBM_UNROLL
    for (int j = 0; j < HalfSums<kGates>::kColumnTiles; ++j) {
      out.sums[m][j][0] = out.sums[m][j][1] = out.sums[m][j][2] = out.sums[m][j][3] = 0.0f;
    }
  }
  GruOperands<Tile> operands;
  find_sources<true, kGates>(d, work, operands);
  stream_operands<Tile>(operands, d.plan.depth / 32,
                        [&](const unsigned char* stage) { multiply_halves<kGates>(stage, out); });
}

SVEBM_DEVICE void half_gates_block(const GruDecode& d, int step) {
  GruWork work;
  if (!find_work(d, step, kGruGateBlockRows, work)) return;
  HalfSums<true> out;
  half_products<true>(d, work, out);
  const int unit = work.tile * kGruGateUnits + half_column<true>(0) + lane_of_thread() % 4 * 2;
  SVEBM_UNROLL
  for (int m = 0; m < HalfSums<true>::kRowTiles; ++m) {
    SVEBM_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int slot = work.first_slot + half_row<true>(m) + lane_of_thread() / 4 + e / 2 * 8;
      if (slot >= work.n_active || unit + e % 2 >= d.a.hidden) continue;
      const int64_t row = work.active[slot];
      advance_unit(d, row, unit + e % 2, place<int>(d, d.plan.word)[row], out.sums[m][0][e], out.sums[m][1][e],
                   out.sums[m][2][e], step % 2, (step + 1) % 2);
    }
  }
}

SVEBM_DEVICE void half_scores_block(const GruDecode& d, int step) {
  GruWork work;
  if (!find_work(d, step, kGruScoreBlockRows, work)) return;
  HalfSums<false> out;
  half_products<false>(d, work, out);
  const int lane = lane_of_thread(), first_word = work.tile * kGruBlockWords + half_column<false>(0);
  const auto word = [&](int i) { return first_word + i / 2 * 8 + lane % 4 * 2 + i % 2; };
  float bias[8];
  SVEBM_UNROLL
  for (int i = 0; i < 8; ++i) bias[i] = place<float>(d, d.plan.score_bias)[word(i)];
  SVEBM_UNROLL
  for (int m = 0; m < HalfSums<false>::kRowTiles; ++m) {
    SVEBM_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int slot = work.first_slot + half_row<false>(m) + lane / 4 + 8 * half;
      float scores[8];
      SVEBM_UNROLL
      for (int i = 0; i < 8; ++i) scores[i] = out.sums[m][i / 2][2 * half + i % 2] + bias[i];
      keep_panel<8, 4>(d, row_of_slot(work, slot), first_word / kGruScorePanel, slot < work.n_active && lane % 4 == 0,
                       scores, word);
    }
  }
}

// ---- fp32: 16 x 16 threads, each with every 16th row and column

template <bool kGates>
struct FloatSums {
  static constexpr int kRows = GruTile<false, kGates>::kRows / 16, kColumns = GruTile<false, kGates>::kColumns / 16;
  float sums[kRows][kColumns];
};

template <bool kGates>
SVEBM_DEVICE void multiply_floats(const unsigned char* stage, FloatSums<kGates>& out) {
  using Tile = GruTile<false, kGates>;
  constexpr int kRows = FloatSums<kGates>::kRows;
  const auto* const states = reinterpret_cast<const float*>(stage + threadIdx.x / 16 * Tile::kPitch);
  const auto* const weights = reinterpret_cast<const float*>(stage + (Tile::kRows + threadIdx.x % 16) * Tile::kPitch);
  SVEBM_LOOP
  for (int k = 0; k < 16; k += 4) {
    float4 state[kRows];
    SVEBM_UNROLL
    for (int i = 0; i < kRows; ++i) state[i] = load4(states + i * 16 * (Tile::kPitch / 4) + k);
    SVEBM_UNROLL
    for (int j = 0; j < FloatSums<kGates>::kColumns; ++j) {
      const float4 weight = load4(weights + j * 16 * (Tile::kPitch / 4) + k);
      SVEBM_UNROLL
      for (int i = 0; i < kRows; ++i) out.sums[i][j] = add_products(out.sums[i][j], state[i], weight);
    }
  }
}

template <bool kGates>
SVEBM_DEVICE void float_products(const GruDecode& d, const GruWork& work, FloatSums<kGates>& out) {
  using Tile = GruTile<false, kGates>;
  SVEBM_UNROLL
  for (int i = 0; i < FloatSums<kGates>::kRows; ++i) {
    SVEBM_UNROLL
    for (int j = 0; j < FloatSums<kGates>::kColumns; ++j) out.sums[i][j] = 0.0f;
  }
  GruOperands<Tile> operands;
  find_sources<false, kGates>(d, work, operands);
  stream_operands<Tile>(operands, d.plan.depth / 16,
                        [&](const unsigned char* stage) { multiply_floats<kGates>(stage, out); });
}

SVEBM_DEVICE void float_gates_block(const GruDecode& d, int step) {
  GruWork work;
  if (!find_work(d, step, kGruGateBlockRows, work)) return;
  FloatSums<true> out;
  float_products<true>(d, work, out);
  SVEBM_UNROLL
  for (int i = 0; i < FloatSums<true>::kRows; ++i) {
    const int slot = work.first_slot + static_cast<int>(threadIdx.x) / 16 + 16 * i;
    if (slot >= work.n_active) continue;
    const int64_t row = work.active[slot];
    SVEBM_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int unit = work.tile * kGruGateUnits + static_cast<int>(threadIdx.x) % 16 + 16 * half;
      if (unit >= d.a.hidden) continue;
      advance_unit(d, row, unit, place<int>(d, d.plan.word)[row], out.sums[i][half], out.sums[i][2 + half],
                   out.sums[i][4 + half], step % 2, (step + 1) % 2);
    }
  }
}

SVEBM_DEVICE void float_scores_block(const GruDecode& d, int step) {
  GruWork work;
  if (!find_work(d, step, kGruScoreBlockRows, work)) return;
  FloatSums<false> out;
  float_products<false>(d, work, out);
  const int lane = lane_of_thread() % 16, first_word = work.tile * kGruBlockWords;
  SVEBM_UNROLL
  for (int panel = 0; panel < kGruBlockWords / kGruScorePanel; ++panel) {
    const auto word = [&](int i) { return first_word + panel * kGruScorePanel + 16 * i + lane; };
    const float bias[2] = {place<float>(d, d.plan.score_bias)[word(0)], place<float>(d, d.plan.score_bias)[word(1)]};
    SVEBM_UNROLL
    for (int i = 0; i < FloatSums<false>::kRows; ++i) {
      const int slot = work.first_slot + static_cast<int>(threadIdx.x) / 16 + 16 * i;
      const float scores[2] = {out.sums[i][2 * panel] + bias[0], out.sums[i][2 * panel + 1] + bias[1]};
      keep_panel<2, 16>(d, row_of_slot(work, slot), first_word / kGruScorePanel + panel,
                        slot < work.n_active && lane == 0, scores, word);
    }
  }
}

// ---- the word

// One sentence a block. Those that go on are listed for the next step, in any order: no result depends on it.
SVEBM_DEVICE void choose_block(const GruDecode& d, int step) {
  const int slot = static_cast<int>(blockIdx.x);
  int* const n_active = place<int>(d, d.plan.n_active) + step;
  if (slot >= n_active[0]) return;
  const int row = place<int>(d, d.plan.active[step % 2])[slot];
  auto& choice = *reinterpret_cast<GruChoiceMemory*>(shared_memory());
  const int word = choose_word(d, {row, step, (step + 1) % 2}, choice);
  if (threadIdx.x != 0 || word == d.a.end) return;
  place<int>(d, d.plan.active[(step + 1) % 2])[atomic_add(n_active + 1, 1)] = row;
}

}  // namespace svebm
