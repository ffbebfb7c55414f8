// How a call is served on CUDA: by which kernels, with what in the workspace and in shared memory. Plain C++, so that
// tests can ask for plans without a device. See gru_decode/cuda/gru_decode.cu.
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/cuda/device_limits.h"
#include "gru_decode/gru_decode.h"

namespace svebm {

constexpr int kGruDepth = 32;       // H is filled up with zeros to a multiple of it
constexpr int kGruTile = 16;        // words of one product of the persistent kernel; rows of a block of packed halves
constexpr int kGruTileUnits = 4;    // units of one product of the persistent kernel: 3 rows of weights each
constexpr int kGruScorePanel = 32;  // words that the kernels of a step keep one result for
constexpr int kGruGateUnits = 32;   // units of a block of the kernels of a step
constexpr int kGruBlockWords = 128;
constexpr int kGruThreads = 256;
constexpr int kGruWarps = kGruThreads / 32;
constexpr int kGruChooseThreads = 128;
constexpr int kGruMostSlots = 64;  // sentences of the persistent kernel

// Shared memory of a block of the persistent kernel: offsets in bytes.
struct GruPersistentPlan {
  int32_t n_blocks;
  int32_t n_tiles, n_gate_tiles;  // tile t belongs to block t % n_blocks; those of the gates come first
  int32_t local_tiles, local_gate_tiles, resident_tiles;  // of a block, at most
  int32_t tile_bytes;
  int32_t slots, stride;  // places for sentences; numbers between two rows of sums
  int32_t states, biases, sums, gate_sums, keys, rows, words, choice, weights;
  int32_t shared_bytes;
};

struct GruPlan {
  bool persistent, fast;
  bool keep_keys;           // best word of each panel
  bool keep_sums;           // sums of exponentials of each panel: for drawing, or for log probabilities
  bool keep_plain_sums;     // ... at temperature 1 beside those at `temperature`
  bool direct;              // fp32 weights are read where the caller has them
  bool one_key;             // persistent, greedy, no sums: the best word of all is found on the way
  int32_t depth;            // H filled up
  int32_t panel, n_panels;  // words of a panel; panels of a sentence
  int32_t n_words;          // V filled up
  int32_t n_gate_rows;      // packed rows of W_hh
  float scale;              // of the scores whose sums are kept
  GruPersistentPlan resident;
  // workspace: offsets in bytes
  int64_t counter, n_active, active[2], word, bad, keys, sums, plain_sums, state[2], half_state[2], score_bias, gates,
      output;
  int64_t workspace_bytes;
};

inline int32_t gru_power_of_two(int64_t n) {
  int32_t result = 1;
  while (result < n) result *= 2;
  return result;
}

// Returns whether the persistent kernel can serve the call.
inline bool plan_gru_persistent(const SvebmGruDecodeArguments& a, DeviceLimits limits, const GruPlan& plan,
                                GruPersistentPlan& p) {
  p = {};
  // (the counter of barriers must not run into itself)
  if (!limits.cooperative || a.n_rows > kGruMostSlots || a.max_tokens > (1 << 20) || plan.depth > 8192) return false;
  p.n_blocks = limits.n_multiprocessors;
  p.n_gate_tiles = (a.hidden + kGruTileUnits - 1) / kGruTileUnits;
  p.n_tiles = p.n_gate_tiles + plan.n_panels;
  p.local_tiles = (p.n_tiles + p.n_blocks - 1) / p.n_blocks;
  p.local_gate_tiles = (p.n_gate_tiles + p.n_blocks - 1) / p.n_blocks;
  p.tile_bytes = kGruTile * plan.depth * (plan.fast ? 2 : 4);
  p.slots = plan.fast ? static_cast<int32_t>(round_up(a.n_rows, 8)) : gru_power_of_two(a.n_rows);
  // rows of 8 more than a multiple of 32: fragments then lie on different banks
  p.stride = static_cast<int32_t>(round_up(p.slots > 8 ? p.slots - 8 : 0, 32)) + 8;
  Arena shared(128);
  const auto take = [&](int64_t bytes) { return static_cast<int32_t>(shared.take_bytes(bytes)); };
  const int64_t tile_sums = int64_t{4} * kGruTile * p.stride;
  if (int64_t{p.local_tiles} * kGruTile * 4 + p.local_gate_tiles * tile_sums > limits.shared_bytes) return false;
  p.states = take(int64_t{p.slots} * plan.depth * (plan.fast ? 2 : 4));
  p.biases = take(int64_t{4} * kGruTile * p.local_tiles);
  p.sums = take(kGruWarps * tile_sums);
  p.gate_sums = take(p.local_gate_tiles * tile_sums);
  p.keys = take(plan.one_key ? int64_t{8} * kGruWarps * p.slots : 0);
  p.rows = take(int64_t{4} * p.slots);
  p.words = take(int64_t{4} * p.slots);
  p.choice = take(1024);
  if (shared.used() > limits.shared_bytes) return false;
  const int64_t left = (limits.shared_bytes - shared.used()) / p.tile_bytes;
  p.resident_tiles = static_cast<int32_t>(left < p.local_tiles ? left : p.local_tiles);
  p.weights = static_cast<int32_t>(shared.used());
  p.shared_bytes = p.weights + p.resident_tiles * p.tile_bytes;
  return true;
}

inline bool gru_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

inline void plan_gru_workspace(const SvebmGruDecodeArguments& a, GruPlan& plan) {
  Arena memory(256);
  const int64_t B = a.n_rows, n_results = B * plan.n_panels;
  plan.counter = memory.take_bytes(4);
  plan.n_active = memory.take_bytes(4 * (int64_t{a.max_tokens} + 1));
  for (int64_t& active : plan.active) active = memory.take_bytes(4 * B);
  plan.word = memory.take_bytes(4 * B);
  plan.bad = memory.take_bytes(4 * B);
  plan.keys = memory.take_bytes(plan.one_key ? 16 * B : plan.keep_keys ? 8 * n_results : 0);
  plan.sums = memory.take_bytes(plan.keep_sums ? 8 * n_results : 0);
  plan.plain_sums = memory.take_bytes(plan.keep_plain_sums ? 8 * n_results : 0);
  for (int64_t& state : plan.state) state = memory.take_bytes(4 * B * plan.depth);
  for (int64_t& state : plan.half_state) state = memory.take_bytes(plan.fast ? 2 * B * plan.depth : 0);
  plan.score_bias = memory.take_bytes(int64_t{4} * plan.n_words);
  if (plan.fast) {
    plan.gates = memory.take_bytes(int64_t{2} * plan.n_gate_rows * plan.depth);
    plan.output = memory.take_bytes(int64_t{2} * plan.n_words * plan.depth);
  } else {
    plan.gates = memory.take_bytes(plan.direct ? 0 : int64_t{12} * a.hidden * plan.depth);
    plan.output = memory.take_bytes(plan.direct ? 0 : int64_t{4} * a.vocabulary * plan.depth);
  }
  plan.workspace_bytes = memory.used();
}

inline GruPlan plan_gru(const SvebmGruDecodeArguments& a, DeviceLimits limits) {
  GruPlan plan{};
  plan.fast = a.fast != 0;
  const bool drawn = a.greedy == 0;
  plan.keep_keys = !drawn;
  plan.scale = drawn ? 1.0f / a.temperature : 1.0f;
  plan.keep_sums = drawn || a.log_probabilities != nullptr;
  plan.keep_plain_sums = drawn && a.log_probabilities != nullptr && a.temperature != 1.0f;
  plan.depth = static_cast<int32_t>(round_up(a.hidden, kGruDepth));
  plan.direct = !plan.fast && a.hidden == plan.depth && gru_aligned(a.weight) && gru_aligned(a.output);
  plan.one_key = !plan.keep_sums;
  plan.panel = kGruTile;
  plan.n_words = static_cast<int32_t>(round_up(a.vocabulary, kGruTile));
  plan.n_panels = plan.n_words / kGruTile;
  plan.persistent = plan_gru_persistent(a, limits, plan, plan.resident);
  if (plan.persistent) {
    plan.n_gate_rows = plan.resident.n_gate_tiles * kGruTile;
  } else {
    plan.one_key = false;
    plan.panel = kGruScorePanel;
    plan.n_words = static_cast<int32_t>(round_up(a.vocabulary, kGruBlockWords));
    plan.n_panels = plan.n_words / kGruScorePanel;
    plan.n_gate_rows = static_cast<int32_t>(round_up(a.hidden, kGruGateUnits)) * 3;
  }
  plan_gru_workspace(a, plan);
  return plan;
}

// Blocks of the kernels of a step: tiles of sentences times tiles of weights.
constexpr int kGruGateBlockRows = 64, kGruScoreBlockRows = 128;

inline int64_t gru_gate_blocks(const SvebmGruDecodeArguments& a) {
  return round_up(a.n_rows, kGruGateBlockRows) / kGruGateBlockRows *
         (round_up(a.hidden, kGruGateUnits) / kGruGateUnits);
}

inline int64_t gru_score_blocks(const SvebmGruDecodeArguments& a, const GruPlan& plan) {
  return round_up(a.n_rows, kGruScoreBlockRows) / kGruScoreBlockRows * (plan.n_words / kGruBlockWords);
}

}  // namespace svebm
