// Memory of a gru_decode_cpu call that its phases share.
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "gru_decode/gru_decode.h"

namespace svebm {

// Words that are scored together, one panel of packed weights, and what drawing keeps a sum for.
enum { kWordPanel = 32 };

// How words are chosen.
enum GruChoiceRule { kBestWord, kDrawnWord, kFromScores };

struct GruDecodeMemory {
  const void* packed_gates;   // [unit panels][k][3][width]
  const void* packed_output;  // [word panels][k][kWordPanel]
  GruChoiceRule choice;
  bool keep_sums;        // panels' sums of exponentials are kept: for drawing, or for log probabilities
  bool keep_plain_sums;  // ... at temperature 1 beside those at `temperature`
  int n_active;          // rows that have not ended
  int64_t step;
  const int32_t* active;   // [n_active] their numbers
  int32_t* word;           // [B] last word of each row
  float* state;            // [B, padded H]
  float* next_state;       // [B, padded H]
  float* packed_state;     // [groups][k][rows of the group]: states of active rows as factors of the products
  float* score_bias;       // [word panels * kWordPanel], minus infinity for words that never come
  float* gate_bias;        // [3, padded H]
  float* best;             // [workers][B][16]: best score of each lane so far
  int32_t* best_word;      // [workers][B][16]
  float* panel_max;        // [B, word panels] largest score
  float* panel_sum;        // [B, word panels] of e^((score - largest) / temperature)
  float* plain_panel_sum;  // [B, word panels] of e^(score - largest)
  float* scores;           // [B, word panels * kWordPanel], only for kFromScores
};

// Phases of a step, compiled for each variant, and sizes that depend on it. Shares are [begin, end) of the items named;
// `tile` is a worker's own memory (gru_tile_size numbers).
struct GruDecodePhases {
  int group;  // most rows that share a pass over the weights
  int width;
  int (*depth)(int hidden);
  int64_t (*packed_gates)(int hidden);                   // numbers of four bytes
  int64_t (*packed_output)(int hidden, int vocabulary);  // likewise
  void (*pack)(const SvebmGruDecodeArguments&, void* packed);
  void (*pack_states)(const SvebmGruDecodeArguments&, const GruDecodeMemory&, const float* states, int64_t begin,
                      int64_t end);  // groups
  void (*gates)(const SvebmGruDecodeArguments&, const GruDecodeMemory&, float* tile, int64_t begin,
                int64_t end);  // panels of units
  void (*score)(const SvebmGruDecodeArguments&, const GruDecodeMemory&, int worker, float* tile, int64_t begin,
                int64_t end);  // panels of words
  void (*choose)(const SvebmGruDecodeArguments&, const GruDecodeMemory&, int n_workers, float* tile, int64_t begin,
                 int64_t end);  // active rows; not for kFromScores
};

SVEBM_DECLARE_VARIANTS(GruDecodePhases gru_decode_phases(bool fast))

inline int64_t gru_tile_size(const GruDecodePhases& phases, int hidden) {
  return int64_t{phases.group} * kWordPanel + round_up(hidden, 64);
}

}  // namespace svebm
