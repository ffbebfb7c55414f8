// A GRU layer over a packed batch: the recurrence of all time steps in one call, forward and backward. What does not
// depend on the state before (the input's share of the gates, gradients of weights and inputs) is left to large matrix
// products before and after.
//
//   r = sigmoid(x_r + W_r h + b_r)    z = sigmoid(x_z + W_z h + b_z)
//   q = W_n h + b_n                   n = tanh(x_n + r q)               h' = n + z (h - n)
//
// Arrays over positions are feature-major, [feature][position], so that the rows of a batch that run at a time step lie
// on vector lanes; rows of such an array are `stride` numbers apart, and stride >= n + 32.
#pragma once

#include <cstdint>

#include "common/arena.h"
#include "common/cpu/variant.h"
#include "common/cuda/plan.h"

struct SvebmGruSequenceArguments {
  int64_t n;                   // packed positions
  int64_t n_steps;             // T
  const int64_t* batch_sizes;  // [T] rows that run at each step, not increasing
  int64_t n_rows;              // B
  int64_t hidden;              // H
  int32_t n_directions;        // 1, or 2: the second from each row's last position to its first
  int64_t stride;              // of feature-major arrays
  const float* weight[2];      // [3 H][H] of each direction, gates r, z, n
  const float* bias[2];        // [3 H]
  const float* initial;        // [directions][B][H] h before the first position; null is zero
  float* gates;                // [directions][3 H][stride]: x_r, x_z, x_n; forward replaces them by r, z, n
  float* recurrent;            // [directions][H][stride] q
  float* before;               // [directions][H][stride] h before each position
  float* states;               // [n][directions H] h'
  float* final_states;         // [directions][B][H]
  const float* grad_states;    // [n][directions H], or null: zero
  const float* grad_final;     // [directions][B][H], or null: zero
  float* grad_gates;           // [directions][3 H][stride] of x_r, x_z, x_n
  float* grad_recurrent;       // [directions][H][stride] of q
  float* grad_initial;         // [directions][B][H]
  int32_t fast;                // operands of products in bfloat16 where the processor multiplies them
};

// The same on CUDA, where arrays over positions are position-major. Also the C ABI of libsvebm_cuda.so: plain data
// only. All arrays but the first are contiguous, on the device that runs the kernel.
struct SvebmGruSequenceCudaArguments {
  const int64_t* batch_sizes;  // [T] on the host
  int64_t n;                   // packed positions
  int32_t n_steps;             // T
  int32_t n_rows;              // B
  int32_t hidden;              // H
  int32_t n_directions;
  const float* weight[2];    // [3 H][H] of each direction, gates r, z, n
  const float* bias[2];      // [3 H]
  const float* initial;      // [directions][B][H], or null: zero
  float* gates;              // [directions][n][3 H]: x_r, x_z, x_n; forward replaces them by r, z, n
  float* recurrent;          // [directions][n][H] q
  float* before;             // [directions][n][H] h before each position
  float* states;             // [n][directions H] h'
  float* final_states;       // [directions][B][H]
  const float* grad_states;  // [n][directions H], or null: zero
  const float* grad_final;   // [directions][B][H], or null: zero
  float* grad_gates;         // [directions][n][3 H] of x_r, x_z, x_n
  float* grad_hidden;        // [directions][n][3 H] of W_r h + b_r, W_z h + b_z, q
  float* grad_initial;       // [directions][B][H]
};

namespace svebm {

struct GruMemory {
  float* weights;          // packed, panel after panel, each direction's after the other's
  float* biases;           // packed likewise; forward only
  float* workers;          // of each worker
  int64_t worker_numbers;  // that one has
  const int64_t* starts;   // [T] first position of each step
  bool backward, pairs;
};

// Numbers of the packed biases of one direction: those of three gates, and what the last panel reads beyond its end.
SVEBM_INLINE int64_t gru_bias_numbers(int64_t hidden) { return round_up(3 * hidden + 16, 16); }

// Parts of the calls below for one thread: numbers of packed weights of one direction, panels of one direction, numbers
// a worker needs, packing of panels, and the recurrence of blocks of `lanes` rows (16 or 32) in the order (block,
// direction).
SVEBM_DECLARE_VARIANTS(int64_t gru_weight_numbers(const SvebmGruSequenceArguments& arguments, bool backward);
                       int64_t gru_panels(const SvebmGruSequenceArguments& arguments, bool backward);
                       int64_t gru_worker_numbers(const SvebmGruSequenceArguments& arguments);
                       void gru_pack(const SvebmGruSequenceArguments& arguments, const GruMemory& memory, int64_t begin,
                                     int64_t end);
                       void gru_blocks(const SvebmGruSequenceArguments& arguments, const GruMemory& memory, int worker,
                                       int lanes, int64_t begin, int64_t end))

// Bytes of workspace of either call, to begin at a multiple of 64.
int64_t gru_sequence_cpu_workspace(const SvebmGruSequenceArguments& arguments, int n_threads);

// Bits of both calls do not depend on n_threads.
void gru_sequence_cpu(const SvebmGruSequenceArguments& arguments, void* workspace, int n_threads);
void gru_sequence_backward_cpu(const SvebmGruSequenceArguments& arguments, void* workspace, int n_threads);

}  // namespace svebm

// In libsvebm_cuda.so; as the functions of langevin.h: a cudaError_t, a plan or a reason where the sizes are out of
// reach, no allocation and no waiting. Plans depend on sizes alone.
extern "C" int svebm_gru_sequence_cuda_plan(const struct SvebmGruSequenceCudaArguments* arguments, int device,
                                            struct SvebmCudaPlan* plan);
extern "C" int svebm_gru_sequence_cuda(const struct SvebmGruSequenceCudaArguments* arguments,
                                       const struct SvebmCudaPlan* plan, void* workspace, int device, void* stream);
extern "C" int svebm_gru_sequence_backward_cuda_plan(const struct SvebmGruSequenceCudaArguments* arguments, int device,
                                                     struct SvebmCudaPlan* plan);
extern "C" int svebm_gru_sequence_backward_cuda(const struct SvebmGruSequenceCudaArguments* arguments,
                                                const struct SvebmCudaPlan* plan, void* workspace, int device,
                                                void* stream);
