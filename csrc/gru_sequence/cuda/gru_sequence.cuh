// The recurrence in one launch: each block keeps the weights of its units in shared memory, and the blocks of a
// direction meet once a time step. See gru_sequence/cuda/gru_sequence.cu.
#pragma once

#include "common/cuda/warp_dots.cuh"
#include "gru_sequence/cuda/plan.h"

namespace svebm {

struct GruSequence {
  SvebmGruSequenceCudaArguments a;
  GruSequencePlan plan;
  int32_t first_direction;
  unsigned* counters;  // [directions] of meetings, 32 numbers apart, zero before the launch
  uint16_t sizes[kGruSequenceSteps];
};

// What a thread of a block knows. It has unit `unit` of the row in place `slot` of those that are staged.
struct GruPart {
  const GruSequence& g;
  int thread, warp, lane, direction, first_unit, slot, unit;
  bool has_unit;
  float *weights, *operand, *sums;
  unsigned n_meetings = 0;
};

SVEBM_DEVICE GruPart part_of_block(const GruSequence& g) {
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  const int first_unit = block % g.plan.n_blocks * g.plan.units, unit = first_unit + thread % g.plan.units;
  unsigned char* const memory = shared_memory();
  return {g,
          thread,
          thread / 32,
          thread % 32,
          g.first_direction + block / g.plan.n_blocks,
          first_unit,
          thread / g.plan.units,
          unit,
          thread / g.plan.units < g.plan.slots && unit < g.a.hidden,
          reinterpret_cast<float*>(memory),
          reinterpret_cast<float*>(memory + g.plan.operand),
          reinterpret_cast<float*>(memory + g.plan.sums)};
}

// All blocks of the direction. Whatever they wrote before, all of them see afterwards.
SVEBM_DEVICE void meet(GruPart& p, Site site) {
  p.n_meetings += static_cast<unsigned>(p.g.plan.n_blocks);
  block_barrier(SVEBM_SITE);
  if (p.thread == 0) arrive_and_wait(p.g.counters + 32 * p.direction, p.n_meetings, site);
  block_barrier(SVEBM_SITE);
}

// Rows [gate][unit] of H numbers: forward a unit's row of W of the gate, backward its column. Units that do not exist
// have copies of the last one's.
template <bool kBackward>
SVEBM_DEVICE void load_weights(const GruPart& p) {
  const int64_t H = p.g.a.hidden;
  const float* const from = p.g.a.weight[p.direction];
  const int units = p.g.plan.units;
  const auto unit_of = [&](int u) {
    return static_cast<int64_t>(p.first_unit + u < p.g.a.hidden ? p.first_unit + u : p.g.a.hidden - 1);
  };
  if constexpr (kBackward) {
    for (int64_t i = p.thread; i < 3 * H * units; i += kGruSequenceThreads) {
      const int u = static_cast<int>(i % units);
      const int64_t row = i / units, gate = row / H, k = row % H;
      p.weights[(gate * units + u) * H + k] = from[row * H + unit_of(u)];
    }
  } else {
    for (int i = p.warp; i < 3 * units; i += kGruSequenceWarps) {
      const float* const row = from + (i / units * H + unit_of(i % units)) * H;
      for (int64_t k = p.lane; k < H; k += 32) p.weights[i * H + k] = row[k];
    }
  }
}

// Copies rows of `depth` numbers to the operand; row(slot) is null for zeros.
template <class Row>
SVEBM_DEVICE void stage(const GruPart& p, int n, const Row& row) {
  const int depth = p.g.plan.depth;
  for (int slot = p.warp; slot < n; slot += kGruSequenceWarps) {
    const float* const from = row(slot);
    float* const to = p.operand + slot * depth;
    for (int k = 4 * p.lane; k < depth; k += 128) {
      if (from != nullptr) {
        copy_async16(to + k, from + k);
      } else {
        store4(to + k, float4{0.0f, 0.0f, 0.0f, 0.0f});
      }
    }
  }
  copy_commit();
  copy_wait<0>(SVEBM_SITE);
  block_barrier(SVEBM_SITE);
}

// sums[gate][unit][slot] of the staged rows; backward, each gate has its part of the operand.
template <bool kBackward>
SVEBM_DEVICE void multiply_staged(const GruPart& p, int n) {
  const GruSequencePlan& plan = p.g.plan;
  const int H = p.g.a.hidden, quads = 3 * plan.units / kGruSequenceUnits;
  const int groups = (n + kGruSequenceStates - 1) / kGruSequenceStates;
  for (int task = p.warp; task < quads * groups; task += kGruSequenceWarps) {
    const int first_row = task % quads * kGruSequenceUnits, first_slot = task / quads * kGruSequenceStates;
    const float* rows[kGruSequenceUnits];
    SVEBM_UNROLL
    for (int i = 0; i < kGruSequenceUnits; ++i) rows[i] = p.weights + (first_row + i) * H;
    const float* const states = p.operand + first_slot * plan.depth + (kBackward ? first_row / plan.units * H : 0);
    float values[kGruSequenceUnits * kGruSequenceStates];
    const int index = multiply_rows<kGruSequenceStates, 1>(rows, states, H, plan.depth, values);
    p.sums[(first_row + index / kGruSequenceStates) * plan.sums_stride + first_slot + index % kGruSequenceStates] =
        values[0];
  }
  block_barrier(SVEBM_SITE);
}

SVEBM_DEVICE float gate_sum(const GruPart& p, int gate) {
  return p.sums[(gate * p.g.plan.units + p.unit - p.first_unit) * p.g.plan.sums_stride + p.slot];
}

SVEBM_DEVICE float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

SVEBM_DEVICE int smaller(int x, int y) { return x < y ? x : y; }

// Index of a thread's number in [directions][rows][H].
SVEBM_DEVICE int64_t place_of_row(const GruPart& p, int row) {
  return (static_cast<int64_t>(p.direction) * p.g.a.n_rows + row) * p.g.a.hidden + p.unit;
}

// ... in [directions][n][width]; those of states lie at [position][directions H].
SVEBM_DEVICE int64_t place_of_position(const GruPart& p, int64_t position, int width) {
  return (p.direction * p.g.a.n + position) * width + p.unit;
}

SVEBM_DEVICE int64_t place_of_state(const GruPart& p, int64_t position) {
  return (position * p.g.a.n_directions + p.direction) * p.g.a.hidden + p.unit;
}

SVEBM_DEVICE void forward_block(const GruSequence& g) {
  GruPart p = part_of_block(g);
  const SvebmGruSequenceCudaArguments& a = g.a;
  const int H = a.hidden;
  load_weights<false>(p);
  int64_t start = p.direction == 0 ? 0 : a.n, start_before = 0;
  int size_before = 0;  // rows whose state before comes from the step before
  SVEBM_LOOP
  for (int s = 0; s < a.n_steps; ++s) {
    const int t = p.direction == 0 ? s : a.n_steps - 1 - s, size = g.sizes[t];
    const int size_after = t + 1 < a.n_steps ? g.sizes[t + 1] : 0;
    if (p.direction == 1) start -= size;
    SVEBM_LOOP
    for (int first = 0; first < size; first += g.plan.slots) {
      const int n = smaller(size - first, g.plan.slots), row = first + p.slot;
      const bool mine = p.has_unit && p.slot < n;
      const int64_t at = place_of_position(p, start + row, 3 * H);
      float r = 0.0f, z = 0.0f, candidate = 0.0f;
      if (mine) {  // on their way while the states are copied
        const float* const bias = a.bias[p.direction] + p.unit;
        r = a.gates[at] + bias[0], z = a.gates[at + H] + bias[H], candidate = a.gates[at + 2 * H];
      }
      if (first > 0) block_barrier(SVEBM_SITE);  // the rows before have been read
      stage(p, n, [&](int slot) -> const float* {
        if (first + slot < size_before) return a.states + place_of_state(p, start_before + first + slot) - p.unit;
        return a.initial != nullptr ? a.initial + place_of_row(p, first + slot) - p.unit : nullptr;
      });
      multiply_staged<false>(p, n);
      if (!mine) continue;
      r = logistic(r + gate_sum(p, 0));
      z = logistic(z + gate_sum(p, 1));
      const float q = gate_sum(p, 2) + a.bias[p.direction][2 * H + p.unit], h = p.operand[p.slot * H + p.unit];
      candidate = tanhf(candidate + r * q);
      const float next = candidate + z * (h - candidate);
      a.states[place_of_state(p, start + row)] = next;
      a.gates[at] = r, a.gates[at + H] = z, a.gates[at + 2 * H] = candidate;
      const int64_t here = place_of_position(p, start + row, H);
      a.recurrent[here] = q;
      a.before[here] = h;
      if (p.direction == 0 ? row >= size_after : t == 0) a.final_states[place_of_row(p, row)] = next;
    }
    start_before = start;
    size_before = size;
    if (p.direction == 0) start += size;
    if (s + 1 < a.n_steps) meet(p, SVEBM_SITE);
  }
}

// Gradients of the gates of a thread's unit at one position, from that of the state after it; returns what of it does
// not go through them.
SVEBM_DEVICE float gate_gradients(const GruPart& p, int64_t position, float gradient) {
  const SvebmGruSequenceCudaArguments& a = p.g.a;
  const int H = a.hidden;
  const int64_t at = place_of_position(p, position, 3 * H), here = place_of_position(p, position, H);
  const float r = a.gates[at], z = a.gates[at + H], candidate = a.gates[at + 2 * H];
  const float q = a.recurrent[here], h = a.before[here];
  if (a.grad_states != nullptr) gradient += a.grad_states[place_of_state(p, position)];
  const float of_n = gradient * (1.0f - z) * (1.0f - candidate * candidate);
  const float of_z = gradient * (h - candidate) * z * (1.0f - z), of_r = of_n * q * r * (1.0f - r);
  a.grad_gates[at] = of_r, a.grad_gates[at + H] = of_z, a.grad_gates[at + 2 * H] = of_n;
  a.grad_hidden[at] = of_r, a.grad_hidden[at + H] = of_z, a.grad_hidden[at + 2 * H] = of_n * r;
  return gradient * z;
}

// The gradient of a row's state stays in grad_initial: of each number, one thread alone reads and writes it.
SVEBM_DEVICE void backward_block(const GruSequence& g) {
  GruPart p = part_of_block(g);
  const SvebmGruSequenceCudaArguments& a = g.a;
  const int H = a.hidden;
  load_weights<true>(p);
  for (int row = p.slot; p.has_unit && row < a.n_rows; row += g.plan.slots) {
    const int64_t at = place_of_row(p, row);
    a.grad_initial[at] = a.grad_final != nullptr ? a.grad_final[at] : 0.0f;
  }
  int64_t start = p.direction == 0 ? a.n : 0;
  SVEBM_LOOP
  for (int s = 0; s < a.n_steps; ++s) {
    const int t = p.direction == 0 ? a.n_steps - 1 - s : s, size = g.sizes[t];
    if (p.direction == 0) start -= size;
    for (int row = p.slot; p.has_unit && row < size; row += g.plan.slots) {
      float* const gradient = a.grad_initial + place_of_row(p, row);
      *gradient = gate_gradients(p, start + row, *gradient);
    }
    meet(p, SVEBM_SITE);
    SVEBM_LOOP
    for (int first = 0; first < size; first += g.plan.slots) {
      const int n = smaller(size - first, g.plan.slots);
      const float* const rows = a.grad_hidden + place_of_position(p, start + first, 3 * H) - p.unit;
      stage(p, n, [&](int slot) { return rows + static_cast<int64_t>(slot) * 3 * H; });
      multiply_staged<true>(p, n);
      if (p.has_unit && p.slot < n) {
        a.grad_initial[place_of_row(p, first + p.slot)] += gate_sum(p, 0) + gate_sum(p, 1) + gate_sum(p, 2);
      }
    }
    if (p.direction == 1) start += size;
  }
}

}  // namespace svebm
