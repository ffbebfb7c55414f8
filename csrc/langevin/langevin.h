// S Langevin steps of N chains on an energy network in one call:
//
//   z <- z + s (temper_t grad G(z) - precision z) + noise_scale sqrt(2 s) e,    e ~ N(0, I),
//
// G = tau logsumexp_k(f_k(z) / tau), or f_label; f a perceptron of 1 to 3 layers. svebm_ext/ops/langevin/reference.py
// has the equations, svebm_ext/ops/langevin/__init__.py the meaning of every argument.
#pragma once

#include <stdint.h>

#include "common/cpu/variant.h"
#include "common/cuda/plan.h"

// Codes of `activation`, in the order of svebm_ext.ops.langevin.options.ACTIVATIONS.
enum SvebmActivation { kSvebmGelu = 0, kSvebmLeakyRelu = 1, kSvebmSilu = 2, kSvebmTanh = 3 };

// Sums over chains are written for groups of this many neighbouring chains, whatever the tile of a kernel is.
enum { kSvebmChainGroup = 16 };

// Numbers of one group and step in `partials`.
enum { kSvebmSumEnergy = 0, kSvebmSumGradientNorm = 1, kSvebmSumAccepted = 2, kSvebmPartials = 3 };

// Also the C ABI of libsvebm_cuda.so: plain data only. All arrays are contiguous float32 or int64 on the device that
// runs the kernel.
struct SvebmLangevinArguments {
  // chains
  float* states;                // [rows, D]: chain n starts from row bank_indices[n], or n where `bank_indices` is null
  float* z;                     // [N, D]: final states; with `bank_indices` they are written back to `states` as well
  const int64_t* bank_indices;  // [N] different rows of `states`, or null
  const int64_t* chain_ids;     // [N]
  const int64_t* labels;        // [N] category of each chain, or null for the marginal over categories
  const float* context_shift;   // [N, widths[1]] added to the first layer's pre-activation, or null
  int64_t n_chains;             // N >= 1

  // network: layer l maps widths[l] to widths[l + 1] numbers; widths[0] = D, widths[n_layers] = K
  const float* weights[3];  // [widths[l + 1], widths[l]]
  const float* biases[3];   // [widths[l + 1]]
  int32_t widths[4];
  int32_t n_layers;    // 1 to 3
  int32_t activation;  // SvebmActivation, between layers
  float negative_slope;
  float temperature;  // tau

  // dynamics
  int64_t n_steps;              // S >= 1
  int64_t first_step;           // absolute number of the first step
  uint64_t seed;                // Philox key
  const uint64_t* seed_tensor;  // read instead of `seed` where not null (CUDA: device memory, for captured calls)
  uint32_t stream;              // Philox stream of the noise
  uint32_t metropolis_stream;   // ... and of the uniform numbers (dimension 0) that decide acceptance
  float step_size;              // s of every step, unless
  const float* step_sizes;      // [S] is not null
  const float* temper;          // [S] factor on G, or null for 1
  const float* temper_changes;  // [S] temper_t - temper_{t - 1}: factor of G(z) in the log weights; null without them
  float reference_precision;
  float noise_scale;
  int32_t metropolis;  // 1: accept or reject each move; noise_scale is 1 then
  int32_t fast;        // 1: operands of products may be rounded to 16 bits

  // results
  float* partials;      // [S, ceil(N / 16), 3] or null: sums over a group's chains of G and of |grad log p_t|, both
                        // before move t, and the number of chains that accepted move t
  float* log_weights;   // [N], or null
  int32_t* non_finite;  // [1], zero before the call: set to 1 if a number of `z` is not finite, or would not be because
                        // a rounded operand left its type's range
};

namespace svebm {

// Parts of langevin_cpu that each variant has: bytes of packed weights, and of a worker's buffers; packing; and blocks
// [begin, end) of `lanes` chains each (16 or 32).
SVEBM_DECLARE_VARIANTS(int64_t langevin_weight_bytes(const SvebmLangevinArguments& arguments);
                       int64_t langevin_worker_bytes(const SvebmLangevinArguments& arguments);
                       void langevin_prepare(const SvebmLangevinArguments& arguments, void* weights);
                       void langevin_blocks(const SvebmLangevinArguments& arguments, void* weights, void* buffers,
                                            int lanes, int64_t begin, int64_t end))

// Bytes of workspace, aligned to 64, that langevin_cpu needs.
int64_t langevin_cpu_workspace(const SvebmLangevinArguments& arguments, int n_threads);

// Results are the same bits for any number of threads and any division of the chains into calls.
void langevin_cpu(const SvebmLangevinArguments& arguments, void* workspace, int n_threads);

}  // namespace svebm

// In libsvebm_cuda.so. Both return a cudaError_t. The first one plans a call, or says why the device or the shapes are
// out of the kernels' reach; arrays are not looked at, but for which of them are null.
extern "C" int svebm_langevin_cuda_plan(const struct SvebmLangevinArguments* arguments, int device,
                                        struct SvebmCudaPlan* plan);

// Enqueues what was planned for the same arguments on a CUDA stream of the device; allocates nothing, waits for
// nothing, and can be captured in a graph.
extern "C" int svebm_langevin_cuda(const struct SvebmLangevinArguments* arguments, const struct SvebmCudaPlan* plan,
                                   void* workspace, int device, void* stream);
