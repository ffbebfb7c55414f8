// How a call is served on CUDA: which block has which units, and what lies in shared memory. Plain C++, so that tests
// can ask for plans without a device. See gru_sequence/cuda/gru_sequence.cu.
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/cuda/device_limits.h"
#include "gru_sequence/gru_sequence.h"

namespace svebm {

constexpr int kGruSequenceThreads = 512;
constexpr int kGruSequenceWarps = kGruSequenceThreads / 32;
constexpr int kGruSequenceUnits = 4;     // of a product: as many rows of weights
constexpr int kGruSequenceStates = 8;    // ... for so many states
constexpr int kGruSequenceSteps = 1024;  // whose sizes fit among the parameters of a kernel
constexpr int kGruSequenceRows = 65535;  // that such a size can count

struct GruSequencePlan {
  const char* reason;                   // why the kernels cannot serve the call; empty where they can
  int32_t n_blocks;                     // of one direction
  int32_t at_once;                      // directions of a launch
  int32_t units;                        // of a block, a multiple of kGruSequenceUnits
  int32_t slots;                        // rows at a time, a multiple of kGruSequenceStates
  int32_t depth;                        // numbers of an operand: H, backward 3 H
  int32_t sums_stride;                  // between rows of weights
  int32_t operand, sums, shared_bytes;  // offsets in bytes; weights come first
};

// With the blocks of `at_once` directions running together; false where there is no room.
inline bool plan_gru_sequence(const SvebmGruSequenceCudaArguments& a, const DeviceLimits& limits, bool backward,
                              int at_once, GruSequencePlan& p) {
  const int64_t H = a.hidden, most_blocks = limits.n_multiprocessors / at_once;
  if (most_blocks < 1) return false;
  p.at_once = at_once;
  p.units = static_cast<int32_t>(round_up((H + most_blocks - 1) / most_blocks, kGruSequenceUnits));
  p.n_blocks = static_cast<int32_t>((H + p.units - 1) / p.units);
  p.depth = static_cast<int32_t>(backward ? 3 * H : H);
  for (p.slots = 32; p.slots >= kGruSequenceStates; p.slots /= 2) {
    if (p.slots > kGruSequenceStates && p.slots / 2 >= a.n_rows) continue;
    if (p.slots * p.units > kGruSequenceThreads) continue;  // a thread has one unit of one row
    p.sums_stride = p.slots + 1;
    const int64_t operand = 12 * p.units * H, sums = operand + int64_t{4} * p.slots * p.depth;
    const int64_t bytes = sums + int64_t{12} * p.units * p.sums_stride;
    if (bytes > limits.shared_bytes) continue;
    p.operand = static_cast<int32_t>(operand);
    p.sums = static_cast<int32_t>(sums);
    p.shared_bytes = static_cast<int32_t>(bytes);
    return true;
  }
  return false;
}

inline GruSequencePlan plan_gru_sequence(const SvebmGruSequenceCudaArguments& a, const DeviceLimits& limits,
                                         bool backward) {
  GruSequencePlan p{};
  p.reason = "";
  if (!limits.cooperative) {
    p.reason = "blocks of a launch cannot wait for each other on this device";
  } else if (a.hidden % 4 != 0) {
    p.reason = "the hidden size is not a multiple of 4";
  } else if (a.n_steps > kGruSequenceSteps || a.n_rows > kGruSequenceRows) {
    p.reason = "more than 1,024 time steps or 65,535 rows";
  } else if (!plan_gru_sequence(a, limits, backward, a.n_directions, p) &&
             !plan_gru_sequence(a, limits, backward, 1, p)) {
    p.reason = "the weights do not fit in the shared memory of the device";
  }
  return p;
}

}  // namespace svebm
