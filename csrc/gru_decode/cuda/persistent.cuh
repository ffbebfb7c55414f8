// The kernel for few sentences: all blocks stay for the whole sequence, each with its part of the weights in shared
// memory. See gru_decode/cuda/gru_decode.cu.
#pragma once

#include "gru_decode/cuda/choose.cuh"

namespace svebm {

// What a block of the persistent kernel knows.
struct GruResident {
  const GruDecode& d;
  const GruPersistentPlan& plan;
  unsigned char* memory;
  int thread, warp, lane, block;
  int n_active = 0;
  unsigned n_meetings = 0;  // of all blocks
};

template <typename T>
SVEBM_DEVICE T* shared_place(const GruResident& r, int offset) {
  return reinterpret_cast<T*>(r.memory + offset);
}

// All blocks. Whatever they wrote before, all of them see afterwards.
SVEBM_DEVICE void meet(GruResident& r, Site site) {
  r.n_meetings += gridDim.x;
  block_barrier(SVEBM_SITE);
  if (r.thread == 0) arrive_and_wait(place<unsigned>(r.d, r.d.plan.counter), r.n_meetings, site);
  block_barrier(SVEBM_SITE);
}

// ---- tiles of weights

SVEBM_DEVICE int tile_number(const GruResident& r, int local) { return r.block + local * r.plan.n_blocks; }
SVEBM_DEVICE bool is_gate_tile(const GruResident& r, int tile) { return tile < r.plan.n_gate_tiles; }

// Row i of a tile of fp32 weights: 4 units of each gate, or 16 words. Rows that do not exist are copies of others.
SVEBM_DEVICE const float* fp32_row(const GruResident& r, int tile, int i) {
  const GruDecode& d = r.d;
  if (is_gate_tile(r, tile)) {
    const int gate = i / kGruTileUnits < 3 ? i / kGruTileUnits : 2, unit = tile * kGruTileUnits + i % kGruTileUnits;
    const int64_t row = static_cast<int64_t>(gate) * d.a.hidden + (unit < d.a.hidden ? unit : d.a.hidden - 1);
    return fp32_gates(d) + row * d.plan.depth;
  }
  const int word = (tile - r.plan.n_gate_tiles) * kGruTile + i;
  return fp32_output(d) + static_cast<int64_t>(word < d.a.vocabulary ? word : d.a.vocabulary - 1) * d.plan.depth;
}

SVEBM_DEVICE const HalfBits* packed_tile(const GruResident& r, int tile) {
  const bool gates = is_gate_tile(r, tile);
  const int64_t number = gates ? tile : tile - r.plan.n_gate_tiles;
  return place<HalfBits>(r.d, gates ? r.d.plan.gates : r.d.plan.output) + number * kGruTile * r.d.plan.depth;
}

// Copies the block's resident tiles, and the bias of the words of all its tiles.
SVEBM_DEVICE void load_weights(const GruResident& r) {
  const int row_bytes = r.plan.tile_bytes / kGruTile;
  for (int local = 0; local < r.plan.local_tiles; ++local) {
    const int tile = tile_number(r, local);
    if (tile >= r.plan.n_tiles) break;
    if (!is_gate_tile(r, tile) && r.thread < kGruTile) {
      shared_place<float>(r, r.plan.biases)[local * kGruTile + r.thread] =
          place<float>(r.d, r.d.plan.score_bias)[(tile - r.plan.n_gate_tiles) * kGruTile + r.thread];
    }
    if (local >= r.plan.resident_tiles) continue;
    unsigned char* const target = shared_place<unsigned char>(r, r.plan.weights + local * r.plan.tile_bytes);
    for (int i = r.warp; i < kGruTile; i += kGruWarps) {
      const unsigned char* const source =
          r.d.plan.fast ? reinterpret_cast<const unsigned char*>(packed_tile(r, tile)) + i * row_bytes
                        : reinterpret_cast<const unsigned char*>(fp32_row(r, tile, i));
      for (int k = 16 * r.lane; k < row_bytes; k += 512) copy_async16(target + i * row_bytes + k, source + k);
    }
  }
  copy_commit();
}

// ---- states

// Copies the states of the active sentences: rows of floats, or blocks of [sentences][32 columns] of halves.
SVEBM_DEVICE void load_states(const GruResident& r, int copy) {
  const int* const rows = shared_place<int>(r, r.plan.rows);
  const int depth = r.d.plan.depth;
  for (int slot = r.warp; slot < r.n_active; slot += kGruWarps) {
    const int64_t from = static_cast<int64_t>(rows[slot]) * depth;
    if (r.d.plan.fast) {
      HalfBits* const states = shared_place<HalfBits>(r, r.plan.states);
      for (int k = 8 * r.lane; k < depth; k += 256) {
        copy_async16(states + (k / 32 * r.plan.slots + slot) * 32 + k % 32,
                     place<HalfBits>(r.d, r.d.plan.half_state[copy]) + from + k);
      }
    } else {
      float* const states = shared_place<float>(r, r.plan.states) + slot * depth;
      for (int k = 4 * r.lane; k < depth; k += 128) {
        copy_async16(states + k, place<float>(r.d, r.d.plan.state[copy]) + from + k);
      }
    }
  }
  copy_commit();
  copy_wait<0>(SVEBM_SITE);
  block_barrier(SVEBM_SITE);
}

// ---- products

// sums[16 rows of the tile][sentences], by one warp. Two sums run side by side, as products of few sentences wait for
// each other.
SVEBM_DEVICE void multiply_tile_fast(const GruResident& r, const HalfBits* weights, float* out) {
  constexpr int kMost = kGruMostSlots / 8;
  const int n_column_tiles = (r.n_active + 7) / 8, blocks = r.d.plan.depth / 32;
  const HalfBits* states = shared_place<HalfBits>(r, r.plan.states) + 8 * r.lane;
  float even[kMost][4], odd[kMost][4];
  SVEBM_UNROLL
  for (int j = 0; j < kMost; ++j) {
    SVEBM_UNROLL
    for (int e = 0; e < 4; ++e) even[j][e] = odd[j][e] = 0.0f;
  }
  weights += 8 * r.lane;
#if defined(__CUDACC__)
#pragma unroll 2
#endif
  for (int block = 0; block < blocks; ++block) {
    const uint4 upper = load_words4(weights), lower = load_words4(weights + 8 * 32);
    const uint32_t first[4] = {upper.x, lower.x, upper.y, lower.y}, second[4] = {upper.z, lower.z, upper.w, lower.w};
    SVEBM_UNROLL
    for (int j = 0; j < kMost; ++j) {
      if (j >= n_column_tiles) continue;
      const uint4 state = load_words4(states + 8 * 32 * j);
      multiply_add(even[j], first, state.x, state.y);
      multiply_add(odd[j], second, state.z, state.w);
    }
    weights += kGruTile * 32;
    states += r.plan.slots * 32;
  }
  float* const own = out + r.lane / 4 * r.plan.stride + r.lane % 4 * 2;
  SVEBM_UNROLL
  for (int j = 0; j < kMost; ++j) {
    if (j >= n_column_tiles) continue;
    *reinterpret_cast<float2*>(own + 8 * j) = make_float2(even[j][0] + odd[j][0], even[j][1] + odd[j][1]);
    *reinterpret_cast<float2*>(own + 8 * r.plan.stride + 8 * j) =
        make_float2(even[j][2] + odd[j][2], even[j][3] + odd[j][3]);
  }
}

template <int kStates>
SVEBM_DEVICE void multiply_tile_fp32(const GruResident& r, const float* const (&rows)[4], float* out) {
  const int depth = r.d.plan.depth;
  for (int slot = 0; slot < r.n_active; slot += kStates) {
    float values[4 * kStates];
    const float* const states = shared_place<float>(r, r.plan.states) + slot * depth;
    const int index = multiply_rows<kStates>(rows, states, depth, depth, values);
    if (r.lane % (8 / kStates) == 0) out[index / kStates * r.plan.stride + slot + index % kStates] = values[0];
  }
}

SVEBM_DEVICE void multiply_tile_fp32(const GruResident& r, int local, int tile, float* out) {
  for (int i = 0; i < (is_gate_tile(r, tile) ? 12 : 16); i += 4) {
    const float* rows[4];
    SVEBM_UNROLL
    for (int e = 0; e < 4; ++e) {
      rows[e] = local < r.plan.resident_tiles
                    ? shared_place<float>(r, r.plan.weights + local * r.plan.tile_bytes) + (i + e) * r.d.plan.depth
                    : fp32_row(r, tile, i + e);
    }
    float* const to = out + i * r.plan.stride;
    if (r.n_active == 1) {
      multiply_tile_fp32<1>(r, rows, to);
    } else if (r.n_active == 2) {
      multiply_tile_fp32<2>(r, rows, to);
    } else if (r.n_active <= 4) {
      multiply_tile_fp32<4>(r, rows, to);
    } else {
      multiply_tile_fp32<8>(r, rows, to);
    }
  }
}

// ---- scores

using BestKeys = GruKey[kGruMostSlots / 32];

SVEBM_DEVICE void keep_tile(const GruResident& r, int local, int tile, const float* sums, BestKeys& best) {
  const int panel = tile - r.plan.n_gate_tiles;
  const float* const bias = shared_place<float>(r, r.plan.biases) + local * kGruTile;
  const auto word = [&](int i) { return panel * kGruTile + i; };
  SVEBM_UNROLL
  for (int turn = 0; turn < kGruMostSlots / 32; ++turn) {
    const int slot = r.lane + 32 * turn;
    if (slot >= r.n_active) continue;
    float scores[kGruTile];
    SVEBM_UNROLL
    for (int i = 0; i < kGruTile; ++i) scores[i] = sums[i * r.plan.stride + slot] + bias[i];
    if (r.d.plan.one_key) {
      SVEBM_UNROLL
      for (int i = 0; i < kGruTile; ++i) best[turn] = larger_key(best[turn], key_of(scores[i], word(i)));
    } else {
      keep_panel<kGruTile, 1>(r.d, shared_place<int>(r, r.plan.rows)[slot], panel, true, scores, word);
    }
  }
}

// The products that the state is needed for: those of the next step's gates, and scores unless nothing has been fed in.
SVEBM_DEVICE void multiply_all(const GruResident& r, bool with_scores, BestKeys& best) {
  const int tile_floats = kGruTile * r.plan.stride;
  for (int local = r.warp; local < r.plan.local_tiles; local += kGruWarps) {
    const int tile = tile_number(r, local);
    const bool gates = is_gate_tile(r, tile);
    if (tile >= r.plan.n_tiles || !(gates || with_scores)) break;
    float* const sums =
        shared_place<float>(r, gates ? r.plan.gate_sums : r.plan.sums) + (gates ? local : r.warp) * tile_floats;
    order_warp_memory();  // the tile before has been read
    if (r.d.plan.fast) {
      multiply_tile_fast(r,
                         local < r.plan.resident_tiles
                             ? shared_place<HalfBits>(r, r.plan.weights + local * r.plan.tile_bytes)
                             : packed_tile(r, tile),
                         sums);
    } else {
      multiply_tile_fp32(r, local, tile, sums);
    }
    if (gates) continue;
    warp_barrier(SVEBM_SITE);
    keep_tile(r, local, tile, sums, best);
  }
}

// The block's best word of each sentence joins those of the other blocks. Two places take turns: the one of the step
// before has been read by all blocks, and is emptied.
SVEBM_DEVICE void publish_best(const GruResident& r, int step, const BestKeys& best) {
  GruKey* const keys = shared_place<GruKey>(r, r.plan.keys);
  SVEBM_UNROLL
  for (int turn = 0; turn < kGruMostSlots / 32; ++turn) {
    const int slot = r.lane + 32 * turn;
    if (slot < r.n_active) keys[r.warp * r.plan.slots + slot] = best[turn];
  }
  block_barrier(SVEBM_SITE);
  if (r.thread >= r.n_active) return;
  GruKey largest = 0;
  for (int w = 0; w < kGruWarps; ++w) largest = larger_key(largest, keys[w * r.plan.slots + r.thread]);
  const int row = shared_place<int>(r, r.plan.rows)[r.thread];
  GruKey* const all = place<GruKey>(r.d, r.d.plan.keys);
  atomic_largest(all + step % 2 * r.d.a.n_rows + row, largest);
  if (r.block == 0) all[(step + 1) % 2 * r.d.a.n_rows + row] = 0;
}

// ---- words

// Sentences are dealt out to the blocks.
SVEBM_DEVICE void choose_words(const GruResident& r, int step) {
  auto& choice = *shared_place<GruChoiceMemory>(r, r.plan.choice);
  for (int slot = r.block; slot < r.n_active; slot += r.plan.n_blocks) {
    choose_word(r.d, {shared_place<int>(r, r.plan.rows)[slot], step, 0}, choice);
  }
}

// The word of the thread's sentence; one block writes it down where that has not been done.
SVEBM_DEVICE int next_word(const GruResident& r, int step, int row, int slot) {
  if (!r.d.plan.one_key) return place<int>(r.d, r.d.plan.word)[row];
  const GruKey key = place<GruKey>(r.d, r.d.plan.keys)[step % 2 * r.d.a.n_rows + row];
  if (slot % r.plan.n_blocks == r.block) return write_word(r.d, {row, step, 0}, word_of_key(key), 0.0f, 0.0f);
  return word_of_key(key) < 0 || place<int>(r.d, r.d.plan.bad)[row] != 0 ? r.d.a.end : word_of_key(key);
}

// Places of rows that go on are counted anew: each thread writes its sentence's into the other list.
SVEBM_DEVICE void drop_ended(GruResident& r) {
  const int* const words = shared_place<int>(r, r.plan.words);
  int* const rows = shared_place<int>(r, r.plan.rows);
  int before = 0, all = 0;
  const int row = r.thread < r.n_active ? rows[r.thread] : 0;
  for (int slot = 0; slot < r.n_active; ++slot) {
    const int goes_on = words[slot] >= 0 ? 1 : 0;
    before += slot < r.thread ? goes_on : 0;
    all += goes_on;
  }
  const bool goes_on = r.thread < r.n_active && words[r.thread] >= 0;
  block_barrier(SVEBM_SITE);
  if (goes_on) rows[before] = row;
  r.n_active = all;
}

// Words of all active sentences, -1 for those that end with it.
SVEBM_DEVICE void take_words(const GruResident& r, int step) {
  if (r.thread < r.n_active) {
    const int word = next_word(r, step, shared_place<int>(r, r.plan.rows)[r.thread], r.thread);
    shared_place<int>(r, r.plan.words)[r.thread] = word == r.d.a.end ? -1 : word;
  }
  block_barrier(SVEBM_SITE);
}

// The block's units of all sentences that go on, in place but for the first step.
SVEBM_DEVICE void advance_units(const GruResident& r, int from) {
  const int n = r.n_active * kGruTileUnits;
  for (int local = 0; local < r.plan.local_gate_tiles; ++local) {
    const int tile = tile_number(r, local);
    if (!is_gate_tile(r, tile)) return;
    const float* const sums = shared_place<float>(r, r.plan.gate_sums) + local * kGruTile * r.plan.stride;
    for (int i = r.thread; i < n; i += kGruThreads) {
      const int slot = i / kGruTileUnits, within = i % kGruTileUnits, unit = tile * kGruTileUnits + within;
      const int word = shared_place<int>(r, r.plan.words)[slot];
      if (word < 0 || unit >= r.d.a.hidden) continue;
      const float* const own = sums + within * r.plan.stride + slot;
      advance_unit(r.d, shared_place<int>(r, r.plan.rows)[slot], unit, word, own[0], own[kGruTileUnits * r.plan.stride],
                   own[2 * kGruTileUnits * r.plan.stride], from, 0);
    }
  }
}

// Finds the words of step `step`.
SVEBM_DEVICE void find_words(GruResident& r, int step, const BestKeys& best) {
  if (r.d.plan.one_key) publish_best(r, step, best);
  meet(r, SVEBM_SITE);
  if (!r.d.plan.one_key) {
    choose_words(r, step);
    meet(r, SVEBM_SITE);
  }
  take_words(r, step);
}

SVEBM_DEVICE void persistent_block(const GruDecode& d) {
  const int thread = static_cast<int>(threadIdx.x);
  GruResident r{d, d.plan.resident, shared_memory(), thread, thread / 32, thread % 32, static_cast<int>(blockIdx.x)};
  r.n_active = static_cast<int>(d.a.n_rows);
  load_weights(r);
  if (thread < r.n_active) {
    shared_place<int>(r, r.plan.rows)[thread] = thread;
    shared_place<int>(r, r.plan.words)[thread] = d.a.begin;
  }
  block_barrier(SVEBM_SITE);
  for (int step = -1;; ++step) {
    // in the first step other blocks may still read the states when this one writes the next: those go elsewhere
    const int copy = step < 0 ? 1 : 0;
    load_states(r, copy);
    BestKeys best = {};
    multiply_all(r, step >= 0, best);
    if (step >= 0) {
      find_words(r, step, best);
      if (step + 1 == d.a.max_tokens) return;
    } else {
      block_barrier(SVEBM_SITE);
    }
    advance_units(r, copy);
    if (step >= 0) drop_ended(r);
    if (r.n_active == 0) return;
    meet(r, SVEBM_SITE);
  }
}

}  // namespace svebm
