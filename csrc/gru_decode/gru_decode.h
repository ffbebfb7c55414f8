// Whole sentences from a GRU in one call: at each step the state is advanced, every word is scored, and the next word
// is the most probable one or is drawn. Gates and their order are those of torch.nn.GRU. svebm_ext/ops/gru_decode/ has
// the equations (reference.py) and the meaning of every argument (__init__.py).
#pragma once

#include <stdint.h>

#include "common/cpu/variant.h"
#include "common/cuda/plan.h"

// Also the C ABI of libsvebm_cuda.so: plain data only. All arrays are contiguous, on the device that runs the kernel.
struct SvebmGruDecodeArguments {
  // sentences
  const float* state;      // [B, H] before the first word
  const float* gate_bias;  // [B, 3 H] what z adds to the input gates of every step
  const int64_t* ids;      // [B] address of each sentence's random numbers
  int64_t n_rows;          // B >= 1
  int32_t max_tokens;      // T >= 1

  // network
  const float* input_gates;  // [V, 3 H] W_ih e_v + b_ih of every word v; gates in the order r, z, n
  const float* weight;       // [3 H, H] W_hh
  const float* bias;         // [3 H] b_hh
  const float* output;       // [V, H] scores of the words are output h + output_bias
  const float* output_bias;  // [V], or null
  int32_t hidden;            // H
  int32_t vocabulary;        // V

  // words
  int32_t begin, end, pad;  // first input; the word that ends a sentence; what stands behind it in `tokens`
  const int64_t* excluded;  // [n_excluded] words that never come
  int32_t n_excluded;
  int32_t greedy;               // 1: the best word, the lowest index among equals; the fields below are not used
  float temperature;            // > 0, divides the scores
  int32_t top_k;                // draw among the k best words only (0: all)
  float top_p;                  // ... and among the fewest best words that have this probability together (1: all)
  uint64_t seed;                // Philox key
  const uint64_t* seed_tensor;  // read instead of `seed` where not null (CUDA: device memory)
  uint32_t stream;              // Philox stream; the uniform number of step t is dimension 0 at (id, t)
  int32_t fast;                 // 1: weights and states may be rounded to 16 bits in products

  // results
  int64_t* tokens;           // [B, T], `end` included, then `pad`
  int64_t* lengths;          // [B] tokens up to and including `end`
  float* log_probabilities;  // [B, T] of the chosen words at temperature 1 among all that are not excluded; or null
  int32_t* non_finite;       // [1], zero before the call: 1 where a state was not finite (its sentence ends there)
};

namespace svebm {

// Bytes of packed weights, which depend on weights, H, V and `fast` alone; aligned to 64.
int64_t gru_decode_cpu_packed_bytes(const SvebmGruDecodeArguments& arguments);
void gru_decode_cpu_pack(const SvebmGruDecodeArguments& arguments, void* packed);

// Bytes of workspace beside the packed weights, aligned to 64.
int64_t gru_decode_cpu_workspace(const SvebmGruDecodeArguments& arguments, int n_threads);

// A row's results do not depend on the other rows, nor on the number of threads. `packed` is what gru_decode_cpu_pack
// made of the same weights in the same variant. Returns false where it is not.
bool gru_decode_cpu(const SvebmGruDecodeArguments& arguments, const void* packed, void* workspace, int n_threads);

}  // namespace svebm

// In libsvebm_cuda.so; as the functions of langevin.h: a cudaError_t, a plan or a reason where the shapes are out of
// reach, no allocation and no waiting.
extern "C" int svebm_gru_decode_cuda_plan(const struct SvebmGruDecodeArguments* arguments, int device,
                                          struct SvebmCudaPlan* plan);
extern "C" int svebm_gru_decode_cuda(const struct SvebmGruDecodeArguments* arguments, const struct SvebmCudaPlan* plan,
                                     void* workspace, int device, void* stream);
