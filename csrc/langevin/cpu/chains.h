// Blocks of chains: gathered on vector lanes, moved S steps, scattered. See svebm_ext/ops/langevin/reference.py.
#pragma once

#include "langevin/cpu/network.h"
#include "philox/cpu/batch.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

// Numbers of one step.
struct Step {
  float size, temper, temper_change, noise;  // s, factor on G, its change, noise_scale sqrt(2 s)
};

SVEBM_INLINE Step step_of(const SvebmLangevinArguments& a, int64_t t) {
  const float s = a.step_sizes != nullptr ? a.step_sizes[t] : a.step_size;
  return {s, a.temper != nullptr ? a.temper[t] : 1.0f, a.temper_changes != nullptr ? a.temper_changes[t] : 0.0f,
          a.noise_scale * __builtin_sqrtf(2.0f * s)};
}

// kLanes neighbouring chains. Lanes beyond the last chain compute on zeros and are never written.
template <typename Kind, int kLanes>
class ChainBlock {
 public:
  ChainBlock(const SvebmLangevinArguments& arguments, const PackedNetwork& network, const Buffers& buffers,
             uint64_t seed, int64_t first_chain)
      : a(arguments), network_(network), b(buffers), seed_(seed), first_(first_chain), D(arguments.widths[0]) {
    const int64_t left = a.n_chains - first_;
    n_ = left < kLanes ? static_cast<int>(left) : kLanes;
  }

  void run() {
    gather();
    a.metropolis != 0 ? move_adjusted() : move_unadjusted();
    scatter();
  }

 private:
  int64_t row(int lane) const { return a.bank_indices != nullptr ? a.bank_indices[first_ + lane] : first_ + lane; }

  void gather() {
    for (int lane = 0; lane < kLanes; ++lane) {
      const bool real = lane < n_;
      const float* const from = real ? a.states + row(lane) * D : nullptr;
      for (int d = 0; d < D; ++d) b.z[d * kLanes + lane] = real ? from[d] : 0.0f;
      const PhiloxWords counter = philox_counter(real ? a.chain_ids[first_ + lane] : 0, 0, 0, 0);
      id_low_[lane] = counter.w0;
      id_high_[lane] = counter.w1;
      b.log_weight[lane] = 0.0f;
    }
    if (a.context_shift != nullptr) gather_rows(b.context_shift, a.widths[1], a.context_shift, nullptr);
    if (a.labels != nullptr) {
      const int last = last_layer(a);
      gather_rows(b.label_weight, a.widths[last], a.weights[last], a.labels);
      gather_rows(b.label_bias, 1, a.biases[last], a.labels);
      if (last == 0 && a.context_shift != nullptr) {
        for (int lane = 0; lane < n_; ++lane) {
          b.label_bias[lane] += a.context_shift[(first_ + lane) * a.widths[1] + a.labels[first_ + lane]];
        }
      }
    }
  }

  // to[i][lane] = from[index[chain] or chain][i]
  void gather_rows(float* to, int width, const float* from, const int64_t* index) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t chain = first_ + lane;
      const float* const source = lane < n_ ? from + (index != nullptr ? index[chain] : chain) * width : nullptr;
      for (int i = 0; i < width; ++i) to[i * kLanes + lane] = source != nullptr ? source[i] : 0.0f;
    }
  }

  void scatter() {
    bool finite = true;
    for (int lane = 0; lane < n_; ++lane) {
      float* const to = a.z + (first_ + lane) * D;
      for (int d = 0; d < D; ++d) {
        to[d] = b.z[d * kLanes + lane];
        finite = finite && to[d] - to[d] == 0.0f;
      }
      if (a.bank_indices != nullptr) std::memcpy(a.states + row(lane) * D, to, sizeof(float) * D);
      if (a.log_weights != nullptr) a.log_weights[first_ + lane] = b.log_weight[lane];
    }
    if (!finite) __atomic_store_n(a.non_finite, 1, __ATOMIC_RELAXED);
  }

  PhiloxBatch<kLanes>& random(int64_t t, uint32_t block, uint32_t stream) {
    for (int lane = 0; lane < kLanes; ++lane) {
      batch_.words[0][lane] = id_low_[lane];
      batch_.words[1][lane] = id_high_[lane] ^ (stream << 24);
      batch_.words[2][lane] = static_cast<uint32_t>(a.first_step + t);
      batch_.words[3][lane] = block;
    }
    batch_.randomise(seed_);
    return batch_;
  }

  void draw_noise(int64_t t) {
    for (int q = 0; 4 * q < D; ++q) {
      random(t, static_cast<uint32_t>(q), a.stream).normal(b.noise + int64_t{4} * q * kLanes);
    }
  }

  bool needs_energy() const { return a.partials != nullptr || a.log_weights != nullptr; }

  float* partial(int64_t t, int group) const {
    const int64_t n_groups = (a.n_chains + kSvebmChainGroup - 1) / kSvebmChainGroup;
    return a.partials + (t * n_groups + first_ / kSvebmChainGroup + group) * kSvebmPartials;
  }

  // Adds up a row over each group of chains, in the order of the chains.
  void write_partial(int64_t t, int which, const float* values) const {
    for (int group = 0; group * kSvebmChainGroup < n_; ++group) {
      float sum = 0.0f;
      for (int i = group * kSvebmChainGroup; i < (group + 1) * kSvebmChainGroup && i < n_; ++i) sum += values[i];
      partial(t, group)[which] = sum;
    }
  }

  // Log weights and diagnostics at z, before the move.
  void record(int64_t t, const Step& step) {
    if (a.log_weights != nullptr) {
      for (int i = 0; i < kLanes; i += kWidth) {
        store(b.log_weight + i, fma(load(b.energy + i), step.temper_change, load(b.log_weight + i)));
      }
    }
    if (a.partials == nullptr) return;
    alignas(64) float norm[kLanes];
    for (int i = 0; i < kLanes; i += kWidth) {
      Floats sum = zero();
      for (int d = 0; d < D; ++d) {
        const Floats drift = drift_at(b.z, b.gradient, step, d * kLanes + i);
        sum = fma(drift, drift, sum);
      }
      store(norm + i, square_root(sum));
    }
    write_partial(t, kSvebmSumEnergy, b.energy);
    write_partial(t, kSvebmSumGradientNorm, norm);
    for (int group = 0; group * kSvebmChainGroup < n_; ++group) partial(t, group)[kSvebmSumAccepted] = 0.0f;
  }

  // grad log p_t = temper grad G - precision z
  Floats drift_at(const float* z, const float* gradient, const Step& step, int i) const {
    return step.temper * load(gradient + i) - a.reference_precision * load(z + i);
  }

  void move_unadjusted() {
    for (int64_t t = 0; t < a.n_steps; ++t) {
      const Step step = step_of(a, t);
      evaluate<Kind, kLanes>(a, network_, b, b.z, b.gradient, needs_energy() ? b.energy : nullptr);
      if (needs_energy()) record(t, step);
      const bool noisy = step.noise != 0.0f;
      if (noisy) draw_noise(t);
      const float kept = 1.0f - step.size * a.reference_precision, gain = step.size * step.temper;
      for (int i = 0; i < D * kLanes; i += kWidth) {
        Floats z = fma(load(b.gradient + i), gain, kept * load(b.z + i));
        if (noisy) z = fma(load(b.noise + i), step.noise, z);
        store(b.z + i, z);
      }
    }
  }

  void move_adjusted() {
    evaluate<Kind, kLanes>(a, network_, b, b.z, b.gradient, b.energy);
    for (int64_t t = 0; t < a.n_steps; ++t) {
      const Step step = step_of(a, t);
      record(t, step);
      draw_noise(t);
      for (int i = 0; i < D * kLanes; i += kWidth) {
        const Floats mean = fma(drift_at(b.z, b.gradient, step, i), step.size, load(b.z + i));
        store(b.proposal + i, fma(load(b.noise + i), step.noise, mean));
      }
      evaluate<Kind, kLanes>(a, network_, b, b.proposal, b.proposal_gradient, b.proposal_energy);
      decide(t, step);
    }
  }

  // Keeps the proposal where log u is below the log ratio of Metropolis and Hastings, false where that is no number.
  void decide(int64_t t, const Step& step) {
    const PhiloxBatch<kLanes>& words = random(t, 0, a.metropolis_stream);
    alignas(64) float log_uniform[kLanes], accepted[kLanes];
    for (int i = 0; i < kLanes; ++i) log_uniform[i] = log_positive(uniform_from_word(words.words[0][i]));
    for (int i = 0; i < kLanes; i += kWidth) {
      Floats forward = zero(), backward = zero(), norms = zero();
      for (int at = i; at < D * kLanes; at += kLanes) {
        const Floats z = load(b.z + at), proposal = load(b.proposal + at), noise = step.noise * load(b.noise + at);
        const Floats drift = drift_at(b.proposal, b.proposal_gradient, step, at);
        const Floats back = fma(drift, -step.size, z - proposal);
        forward = fma(noise, noise, forward);
        backward = fma(back, back, backward);
        norms += proposal * proposal - z * z;
      }
      const Floats energy = load(b.energy + i), proposal_energy = load(b.proposal_energy + i);
      Floats log_ratio = step.temper * (proposal_energy - energy) - (backward - forward) / (4.0f * step.size);
      log_ratio -= 0.5f * a.reference_precision * norms;
      const Ints accept = load(log_uniform + i) < log_ratio;
      store(accepted + i, accept ? broadcast(1.0f) : zero());
      store(b.energy + i, accept ? proposal_energy : energy);
      for (int at = i; at < D * kLanes; at += kLanes) {
        store(b.z + at, accept ? load(b.proposal + at) : load(b.z + at));
        store(b.gradient + at, accept ? load(b.proposal_gradient + at) : load(b.gradient + at));
      }
    }
    if (a.partials != nullptr) write_partial(t, kSvebmSumAccepted, accepted);
  }

  const SvebmLangevinArguments& a;
  const PackedNetwork& network_;
  const Buffers& b;
  const uint64_t seed_;
  const int64_t first_;
  const int D;
  int n_;
  alignas(64) uint32_t id_low_[kLanes], id_high_[kLanes];
  PhiloxBatch<kLanes> batch_;
};

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
