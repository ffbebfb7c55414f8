// The energy network on a block of chains that lie on vector lanes: G and its gradient at every chain of the block.
//
// Forward, each hidden layer leaves its activation's derivative behind; backward, the softmax (or the label's row of
// the last layer) runs through the transposed weights and those derivatives. Both directions have packed weights of
// their own. What a product is followed by is done tile by tile, while the tile is in the first-level cache.
#pragma once

#include "common/arena.h"
#include "common/cpu/panel.h"
#include "common/cpu/vector_math.h"
#include "common/math.h"
#include "langevin/langevin.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

// Packed weights of a call. backward[l] is the transpose of layer l.
struct PackedNetwork {
  Panels forward[3], backward[3];
};

// Memory of one worker, rows of kLanes numbers. Rows named operands hold pairs in bfloat16 where products take those.
struct Buffers {
  float *z, *gradient, *noise, *tile, *state_operand, *logits, *logit_operand;
  float *hidden[2], *derivative[2];     // of hidden layer l: operand of the next product, derivative
  float *context_shift, *label_weight;  // first layer's shift; row of the last layer that belongs to the label
  float *proposal, *proposal_gradient;  // of Metropolis
  float *energy, *proposal_energy, *log_weight, *label_bias;  // one row each
};

SVEBM_INLINE int last_layer(const SvebmLangevinArguments& a) { return a.n_layers - 1; }
SVEBM_INLINE int n_categories(const SvebmLangevinArguments& a) { return a.widths[a.n_layers]; }

// Lays a worker's rows out and returns how many numbers they take.
static int64_t lay_out(const SvebmLangevinArguments& a, float* memory, int lanes, Buffers& b) {
  Arena arena(sizeof(float), memory);
  const auto rows = [&](int64_t n) { return arena.take<float>(n * lanes); };
  const int D = a.widths[0], last = last_layer(a), input_of_last = a.widths[last];
  b.z = rows(D);
  b.gradient = rows(D);
  b.noise = rows(round_up(D, 4));
  b.tile = rows(kMostRows);
  b.state_operand = rows((D + 1) / 2);
  b.logits = rows(a.labels == nullptr ? n_categories(a) : 0);
  b.logit_operand = rows(a.labels == nullptr ? (n_categories(a) + 1) / 2 : 0);
  for (int l = 0; l < 2; ++l) {
    b.hidden[l] = rows(l < last ? a.widths[l + 1] : 0);
    b.derivative[l] = rows(l < last ? a.widths[l + 1] : 0);
  }
  b.context_shift = rows(a.context_shift != nullptr ? a.widths[1] : 0);
  b.label_weight = rows(a.labels != nullptr ? input_of_last : 0);
  b.proposal = rows(a.metropolis != 0 ? D : 0);
  b.proposal_gradient = rows(a.metropolis != 0 ? D : 0);
  b.energy = rows(1);
  b.proposal_energy = rows(1);
  b.log_weight = rows(1);
  b.label_bias = rows(1);
  return arena.used() / static_cast<int64_t>(sizeof(float));
}

// Writes transform(number, row, lane) of a tile's rows where the next product reads them; rows count from the tile's
// first. Tiles of pairs begin with an even row.
template <typename Kind, int kLanes, typename Transform>
SVEBM_INLINE void write_operand(const float* tile, int first, int n_rows, float* operand, const Transform& transform) {
  if constexpr (Kind::kPairs) {
#if defined(__AVX512BF16__)
    for (int r = 0; r < n_rows; r += 2) {
      float* const to = operand + (first + r) / 2 * kLanes;
      for (int i = 0; i < kLanes; i += kWidth) {
        const Floats low = transform(load(tile + r * kLanes + i), r, i);
        const Floats high = r + 1 < n_rows ? transform(load(tile + (r + 1) * kLanes + i), r + 1, i) : zero();
        *reinterpret_cast<Ints*>(to + i) = pack_bf16(low, high);
      }
    }
#endif
  } else {
    for (int r = 0; r < n_rows; ++r) {
      for (int i = 0; i < kLanes; i += kWidth) {
        store(operand + (first + r) * kLanes + i, transform(load(tile + r * kLanes + i), r, i));
      }
    }
  }
}

template <typename Kind, int kLanes>
SVEBM_INLINE void write_operand(const float* tile, int first, int n_rows, float* operand) {
  write_operand<Kind, kLanes>(tile, first, n_rows, operand, [](Floats x, int, int) { return x; });
}

SVEBM_INLINE void add_rows(float* to, const float* from, int n) {
  for (int i = 0; i < n; i += kWidth) store(to + i, load(to + i) + load(from + i));
}

// What follows the product of hidden layer l: the activation becomes the next operand, its derivative is kept, and
// where `energy` is given, the label's share of f_label = sum_h W[label][h] h + b[label] is added to it.
template <typename Activation, typename Kind, int kLanes>
SVEBM_INLINE void activate(const Buffers& b, int l, float negative_slope, int first, int n_rows, const float* tile,
                           float* energy) {
  float* const derivative = b.derivative[l] + first * kLanes;
  const float* const weight = b.label_weight + first * kLanes;
  write_operand<Kind, kLanes>(tile, first, n_rows, b.hidden[l], [&](Floats x, int r, int i) {
    Floats value, slope;
    Activation::apply(x, negative_slope, value, slope);
    store(derivative + r * kLanes + i, slope);
    if (energy != nullptr) store(energy + i, fma(load(weight + r * kLanes + i), value, load(energy + i)));
    return value;
  });
}

template <typename Kind, int kLanes>
void activate(const SvebmLangevinArguments& a, const Buffers& b, int l, int first, int n_rows, const float* tile,
              float* energy) {
  switch (a.activation) {
    case kSvebmGelu:
      return activate<Gelu, Kind, kLanes>(b, l, a.negative_slope, first, n_rows, tile, energy);
    case kSvebmLeakyRelu:
      return activate<LeakyRelu, Kind, kLanes>(b, l, a.negative_slope, first, n_rows, tile, energy);
    case kSvebmSilu:
      return activate<Silu, Kind, kLanes>(b, l, a.negative_slope, first, n_rows, tile, energy);
    default:
      return activate<Tanh, Kind, kLanes>(b, l, a.negative_slope, first, n_rows, tile, energy);
  }
}

// Turns f / tau [K][kLanes] into softmax(f / tau) and, where asked for, writes tau logsumexp(f / tau).
template <int kLanes>
void softmax(float* logits, int n_categories, float temperature, float* energy) {
  for (int i = 0; i < kLanes; i += kWidth) {
    Floats most = load(logits + i);
    for (int k = 1; k < n_categories; ++k) most = larger(load(logits + k * kLanes + i), most);
    Floats sum = zero();
    for (int k = 0; k < n_categories; ++k) {
      const Floats e = exponential(load(logits + k * kLanes + i) - most);
      sum += e;
      store(logits + k * kLanes + i, e);
    }
    const Floats scale = 1.0f / sum;
    for (int k = 0; k < n_categories; ++k) store(logits + k * kLanes + i, load(logits + k * kLanes + i) * scale);
    if (energy != nullptr) {
      alignas(64) float sums[kWidth], logs[kWidth];
      store(sums, sum);
      for (int j = 0; j < kWidth; ++j) logs[j] = log_positive(sums[j]);
      store(energy + i, temperature * (most + load(logs)) + (sum - sum));  // the last term keeps what is not a number
    }
  }
}

// G (where `energy` is not null) and grad G of every chain at z [D][kLanes]; rows of `energy` and `gradient` likewise.
template <typename Kind, int kLanes>
void evaluate(const SvebmLangevinArguments& a, const PackedNetwork& network, const Buffers& b, const float* z,
              float* gradient, float* energy) {
  const int last = last_layer(a);
  const float* operand = z;
  if constexpr (Kind::kPairs) {
    write_operand<Kind, kLanes>(z, 0, a.widths[0], b.state_operand);
    operand = b.state_operand;
  }
  const bool label_energy = a.labels != nullptr && energy != nullptr;
  if (label_energy) std::memcpy(energy, b.label_bias, sizeof(float) * kLanes);
  for (int l = 0; l < last; ++l) {
    float* const summed = label_energy && l == last - 1 ? energy : nullptr;
    multiply<Kind, kLanes>(network.forward[l], operand, b.tile, [&](int first, int n_rows, float* tile) {
      if (l == 0 && a.context_shift != nullptr) add_rows(tile, b.context_shift + first * kLanes, n_rows * kLanes);
      activate<Kind, kLanes>(a, b, l, first, n_rows, tile, summed);
    });
    operand = b.hidden[l];
  }

  // v = dG / d(input of layer l + 1), rows of `from`, times the activation's derivative: the operand of the product
  // that leads one layer down
  const auto pass_down = [&](int l, const float* from, int first, int n_rows) {
    const float* const derivative = b.derivative[l] + first * kLanes;
    write_operand<Kind, kLanes>(from, first, n_rows, b.hidden[l],
                                [&](Floats v, int r, int i) { return v * load(derivative + r * kLanes + i); });
  };
  const auto backward = [&](int l, const float* v) {
    multiply<Kind, kLanes>(network.backward[l], v, b.tile, [&](int first, int n_rows, float* tile) {
      if (l > 0) return pass_down(l - 1, tile, first, n_rows);
      std::memcpy(gradient + first * kLanes, tile, sizeof(float) * n_rows * kLanes);
    });
  };
  if (a.labels != nullptr) {
    if (last == 0) {
      std::memcpy(gradient, b.label_weight, sizeof(float) * a.widths[0] * kLanes);
      if (label_energy) {
        for (int i = 0; i < a.widths[0] * kLanes; i += kWidth) {
          float* const sum = energy + i % kLanes;
          store(sum, fma(load(b.label_weight + i), load(z + i), load(sum)));
        }
      }
      return;
    }
    pass_down(last - 1, b.label_weight, 0, a.widths[last]);
  } else {
    const float scale = 1.0f / a.temperature;
    multiply<Kind, kLanes>(network.forward[last], operand, b.tile, [&](int first, int n_rows, float* tile) {
      const bool shifted = last == 0 && a.context_shift != nullptr;
      if (shifted) add_rows(tile, b.context_shift + first * kLanes, n_rows * kLanes);
      for (int i = 0; i < n_rows * kLanes; i += kWidth) store(b.logits + first * kLanes + i, load(tile + i) * scale);
    });
    softmax<kLanes>(b.logits, n_categories(a), a.temperature, energy);
    const float* p = b.logits;
    if constexpr (Kind::kPairs) {
      write_operand<Kind, kLanes>(b.logits, 0, n_categories(a), b.logit_operand);
      p = b.logit_operand;
    }
    backward(last, p);
  }
  for (int l = last - 1; l >= 0; --l) backward(l, b.hidden[l]);
}

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
