// The recurrence of one block of rows in one direction.
#pragma once

#include "common/cpu/operand.h"
#include "common/cpu/vector_math.h"
#include "gru_sequence/gru_sequence.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

// A panel of the forward product has the three gates of kUnits units, unit after unit, so that a finished tile is all
// that the next state of these units needs. One of the backward product has kGateRows units.
constexpr int kUnits = kWidth == 16 ? 4 : kWidth == 8 ? 2 : 1;
constexpr int kGateRows = 3 * kUnits;

// With what its last step writes beyond its end.
SVEBM_INLINE int64_t panel_numbers(int64_t k) { return k * kGateRows + kWidth; }

template <typename Kind>
void pack_gru_panel(const SvebmGruSequenceArguments& a, const GruMemory& memory, int64_t item, int64_t n_panels,
                    int64_t weight_numbers) {
  const int64_t direction = item / n_panels, panel = item % n_panels, H = a.hidden;
  const float* const weight = a.weight[direction];
  float* const to = memory.weights + direction * weight_numbers;
  if (memory.backward) {
    const int64_t first = panel * kGateRows, left = H - first;
    pack_lanes<Kind>(Source{weight + first, 1, H}, left < kGateRows ? static_cast<int>(left) : kGateRows, 3 * H,
                     to + panel * panel_numbers(3 * H), kGateRows);
    return;
  }
  const int64_t first = panel * kUnits, left = H - first;
  const int n_rows = 3 * (left < kUnits ? static_cast<int>(left) : kUnits);
  const auto row = [&](int lane) { return lane % 3 * H + first + lane / 3; };
  pack_rows<Kind>([&](int lane) { return weight + row(lane) * H; }, n_rows, H, to + panel * panel_numbers(H),
                  kGateRows);
  float* const bias = memory.biases + direction * gru_bias_numbers(H) + panel * kGateRows;
  for (int lane = 0; lane < kGateRows; ++lane) bias[lane] = lane < n_rows ? a.bias[direction][row(lane)] : 0.0f;
}

// Memory of one worker: arrays [unit][lane].
struct GruBuffers {
  float *state, *other, *operand, *gradients, *tile;
  int64_t lay_out(int64_t H, int64_t lanes, float* memory) {
    int64_t used = 0;
    const auto rows = [&](int64_t n) {
      float* const here = memory != nullptr ? memory + used : nullptr;
      used += n * lanes;
      return here;
    };
    state = rows(H + kWidth);
    other = rows(H + kWidth);
    operand = rows(3 * H + 1);
    gradients = rows(3 * H + 1);
    tile = rows(kGateRows);
    return used;
  }
};

SVEBM_INLINE Floats logistic(Floats x) { return vanishing_logistic(x, reciprocal(1.0f + exponential(-x))); }
SVEBM_INLINE Floats hyperbolic_tangent(Floats x) {
  return fma(reciprocal(1.0f + exponential(2.0f * x)), broadcast(-2.0f), broadcast(1.0f));
}

template <typename Kind, int kLanes>
struct GruBlock {
  const SvebmGruSequenceArguments& a;
  const GruMemory& memory;
  const GruBuffers& b;
  const int direction;
  const int64_t first_row;
  const float* const weights;
  const int64_t n_panels;

  int64_t width() const { return a.n_directions * a.hidden; }

  float* feature(float* array, int64_t per_direction, int64_t index) const {
    return array + (direction * per_direction + index) * a.stride;
  }

  // Rows of this block that run at a step.
  int n_active(int64_t t) const {
    const int64_t n = a.batch_sizes[t] - first_row;
    return n < 0 ? 0 : n > kLanes ? kLanes : static_cast<int>(n);
  }

  int n_rows() const {
    const int64_t n = a.n_rows - first_row;
    return n > kLanes ? kLanes : static_cast<int>(n);
  }

  // Rows [n][H] in memory to columns of `to`, the others zero; and back.
  void read_rows(const float* rows, int64_t row_stride, int n, float* to) const {
    if (n == 0) {
      for (int64_t i = 0; i < a.hidden * kLanes; i += kWidth) store(to + i, zero());
      return;
    }
    for (int lane = 0; lane < kLanes; lane += kWidth) {
      const float* const from = rows + lane * row_stride;
      const int here = n - lane < 0 ? 0 : n - lane > kWidth ? kWidth : n - lane;
      pack_rows<Single>([&](int i) { return from + i * row_stride; }, here, a.hidden, to + lane, kLanes);
    }
  }

  void write_rows(const float* from, int n, float* rows, int64_t row_stride) const {
    for (int lane = 0; lane < n; lane += kWidth) {
      for (int64_t unit = 0; unit < a.hidden; unit += kWidth) {
        const int n_units = a.hidden - unit < kWidth ? static_cast<int>(a.hidden - unit) : kWidth;
        Ints square[kWidth];
        for (int i = 0; i < kWidth; ++i) {
          square[i] = i < n_units ? (Ints)load(from + (unit + i) * kLanes + lane) : Ints{};
        }
        transpose(square);
        for (int i = 0; i < kWidth && lane + i < n; ++i) {
          float* const to = rows + (lane + i) * row_stride + unit;
          n_units == kWidth ? store_anywhere(to, (Floats)square[i]) : store_some(to, (Floats)square[i], n_units);
        }
      }
    }
  }

  // What the product reads of [k][lane]: the numbers themselves, or their pairs.
  const float* operand_of(const float* numbers, int64_t k) const {
#if defined(__AVX512BF16__)
    if constexpr (Kind::kPairs) {
      for (int64_t j = 0; j < k; j += 2) {
        for (int i = 0; i < kLanes; i += kWidth) {
          const Floats high = j + 1 < k ? load(numbers + (j + 1) * kLanes + i) : zero();
          *reinterpret_cast<Ints*>(b.operand + j / 2 * kLanes + i) = pack_bf16(load(numbers + j * kLanes + i), high);
        }
      }
      return b.operand;
    }
#endif
    (void)k;
    return numbers;
  }

  // The product of the lanes that run, in whole vectors; the tile keeps what it had on others.
  void multiply_panel(int64_t panel, int64_t k, const float* bias, const float* operand, int active) const {
    const int steps = static_cast<int>(n_steps<Kind>(k));
    const float* const rows = weights + panel * panel_numbers(k);
    int lane = 0;
    for (; active - lane > kWidth; lane += 2 * kWidth) {
      compute_tile<Kind, kGateRows, 2>(rows, bias, operand + lane, steps, kLanes, b.tile + lane);
    }
    if (active > lane) compute_tile<Kind, kGateRows, 1>(rows, bias, operand + lane, steps, kLanes, b.tile + lane);
  }

  // A vector of a feature-major array at the block's rows of a step, of which n run.
  static void put(float* to, Floats value, int n) {
    n >= kWidth ? store_anywhere(to, value) : store_some(to, value, n);
  }

  // ... read likewise: the numbers behind them belong to rows that other threads work on.
  static Floats get(const float* from, int n) { return n >= kWidth ? load_anywhere(from) : load_some(from, n); }

  void next_state(int64_t unit, const float* tile, int64_t position, int active, const float* state,
                  float* next) const {
    const int64_t H = a.hidden;
    float* const at_r = feature(a.gates, 3 * H, unit) + position;
    float* const at_z = feature(a.gates, 3 * H, H + unit) + position;
    float* const at_n = feature(a.gates, 3 * H, 2 * H + unit) + position;
    float* const at_q = feature(a.recurrent, H, unit) + position;
    float* const at_h = feature(a.before, H, unit) + position;
    for (int i = 0; i < kLanes; i += kWidth) {
      const Floats h = load(state + unit * kLanes + i);
      const int n = active - i;
      if (n <= 0) {
        store(next + unit * kLanes + i, h);
        continue;
      }
      const Floats r = logistic(get(at_r + i, n) + load(tile + i));
      const Floats z = logistic(get(at_z + i, n) + load(tile + kLanes + i));
      const Floats q = load(tile + 2 * kLanes + i);
      const Floats candidate = hyperbolic_tangent(fma(r, q, get(at_n + i, n)));
      const Floats moved = fma(z, h - candidate, candidate);
      store(next + unit * kLanes + i, n >= kWidth ? moved : choose_first(moved, h, n));
      put(at_r + i, r, n);
      put(at_z + i, z, n);
      put(at_n + i, candidate, n);
      put(at_q + i, q, n);
      put(at_h + i, h, n);
    }
  }

  void forward() const {
    const int64_t H = a.hidden;
    float *state = b.state, *next = b.other;
    const int64_t at = (direction * a.n_rows + first_row) * H;
    read_rows(a.initial + (a.initial != nullptr ? at : 0), H, a.initial != nullptr ? n_rows() : 0, state);
    const float* const bias = memory.biases + direction * gru_bias_numbers(H);
    for (int64_t s = 0; s < a.n_steps; ++s) {
      const int64_t t = direction == 0 ? s : a.n_steps - 1 - s, position = memory.starts[t] + first_row;
      const int active = n_active(t);
      if (active == 0) continue;
      const float* const operand = operand_of(state, H);
      for (int64_t panel = 0; panel < n_panels; ++panel) {
        multiply_panel(panel, H, bias + panel * kGateRows, operand, active);
        for (int u = 0; u < kUnits && panel * kUnits + u < H; ++u) {
          next_state(panel * kUnits + u, b.tile + 3 * u * kLanes, position, active, state, next);
        }
      }
      write_rows(next, active, a.states + position * width() + direction * H, width());
      float* const previous = state;
      state = next;
      next = previous;
    }
    write_rows(state, n_rows(), a.final_states + at, H);
  }

  // Gradients of a unit's gates, from that of its state; what does not go through them is left in `state`.
  void gate_gradients(int64_t unit, int64_t position, int active, float* state, const float* from_states) const {
    const int64_t H = a.hidden;
    for (int i = 0; i < kLanes; i += kWidth) {
      float* const running = state + unit * kLanes + i;
      float* const to = b.gradients + unit * kLanes + i;
      const int n = active - i;
      if (n <= 0) {
        for (int gate = 0; gate < 3; ++gate) store(to + gate * H * kLanes, zero());
        continue;
      }
      const auto array = [&](float* values, int64_t per_direction, int64_t index) {
        return feature(values, per_direction, index) + position + i;
      };
      const Floats r = get(array(a.gates, 3 * H, unit), n), z = get(array(a.gates, 3 * H, H + unit), n);
      const Floats candidate = get(array(a.gates, 3 * H, 2 * H + unit), n);
      const Floats q = get(array(a.recurrent, H, unit), n), h = get(array(a.before, H, unit), n);
      const Floats g = load(running) + load(from_states + unit * kLanes + i);
      const Floats of_n = g * (1.0f - z) * (1.0f - candidate * candidate);
      const Floats of_z = g * (h - candidate) * z * (1.0f - z);
      const Floats of_r = of_n * q * r * (1.0f - r), of_q = of_n * r;
      put(array(a.grad_gates, 3 * H, unit), of_r, n);
      put(array(a.grad_gates, 3 * H, H + unit), of_z, n);
      put(array(a.grad_gates, 3 * H, 2 * H + unit), of_n, n);
      put(array(a.grad_recurrent, H, unit), of_q, n);
      store(running, choose_first(g * z, load(running), n));
      store(to, choose_first(of_r, zero(), n));
      store(to + H * kLanes, choose_first(of_z, zero(), n));
      store(to + 2 * H * kLanes, choose_first(of_q, zero(), n));
    }
  }

  void backward() const {
    const int64_t H = a.hidden, at = (direction * a.n_rows + first_row) * H;
    float* const state = b.state;
    const float* const from_states = b.other;
    const bool given = a.grad_states != nullptr;
    read_rows(a.grad_final + (a.grad_final != nullptr ? at : 0), H, a.grad_final != nullptr ? n_rows() : 0, state);
    read_rows(nullptr, 0, 0, b.other);
    for (int64_t s = 0; s < a.n_steps; ++s) {
      const int64_t t = direction == 0 ? a.n_steps - 1 - s : s, position = memory.starts[t] + first_row;
      const int active = n_active(t);
      if (active == 0) continue;
      if (given) read_rows(a.grad_states + position * width() + direction * H, width(), active, b.other);
      for (int64_t unit = 0; unit < H; ++unit) gate_gradients(unit, position, active, state, from_states);
      const float* const operand = operand_of(b.gradients, 3 * H);
      for (int64_t panel = 0; panel < n_panels; ++panel) {
        multiply_panel(panel, 3 * H, nullptr, operand, active);
        for (int r = 0; r < kGateRows && panel * kGateRows + r < H; ++r) {
          float* const row = state + (panel * kGateRows + r) * kLanes;
          for (int i = 0; i < active; i += kWidth) {
            const Floats before = load(row + i), after = before + load(b.tile + r * kLanes + i);
            // of rows that do not run the product is 0, or no number where a weight is not finite
            store(row + i, active - i >= kWidth ? after : choose_first(after, before, active - i));
          }
        }
      }
    }
    write_rows(state, n_rows(), a.grad_initial + at, H);
  }
};

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
