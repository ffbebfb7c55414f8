// Decoding on CUDA: one kernel for a whole batch of few sentences, or three kernels a step for many. A small kernel
// before them fills results and packs weights.
//
// Few sentences (up to 64). One persistent kernel, a block on each multiprocessor, with the rows of [W_hh; output]
// dealt out to the blocks' shared memory once: 12.3 MB in 16 bits at H 512, V 10,000, 96 KB a block on 132
// multiprocessors beside 64 KB of states. In fp32 all rows stay for one sentence (192 KB a block), and beside 64 states
// (128 KB) a sixth of them; the others are read from the L2 cache at every step. A step is one pass over all weights,
// since the products of the next gates need the state but not the word; then the blocks meet, every block knows the
// words, advances its units, and they meet again. The best word of all is found by one atomic maximum for each block
// and sentence; drawing and log probabilities need a third meeting, between sums of exponentials of panels of 16 words
// and the word, which one block finds for each sentence. Products in `fast` have 16 rows of weights on the long side of
// mma.m16n8k16, so that one sentence costs no more than eight; in fp32 a warp's threads share the sum over the units,
// 4 rows x 8 states at a time, which at 64 sentences should take half the time of tiles that are mostly empty.
//
// Many sentences. Three kernels a step: gates (64 x 96: 32 units a block), scores (128 x 128), and the choice of the
// word. Operands stream through shared memory with cp.async, 64 KB in four stages (16 bits) or 60 KB in three (fp32):
// two blocks a multiprocessor. A warp holds all scores of 32 words and keeps their best, or largest and sum of
// exponentials; 10 MB of logits become .6 MB at B 256. Sentences that ended leave the list that the kernels take theirs
// from; with an empty list they return at once, so nothing waits for the host and a graph can hold the whole sequence.
//
// fp32 products and sums are exact to fp32; `fast` rounds weights and states to fp16, and sums in fp32. Every sum is
// added up in the order of one path, whatever the batch; that order, and so the rounding, differs between the paths.
//
// Considered: gates and scores in one launch (the scores need all of the state); two meetings for drawing too (each
// block would read 320 KB of sums at B 64); a cluster's shared memory (sm_90 alone); sentences on the long side of the
// products of few (15 of 16 rows empty at B 1); products of 12 rows, which would save the
// quarter of a gate tile that is empty (4 % of all rows).
#include <cuda_runtime.h>

#include "common/cuda/launch.cuh"
#include "gru_decode/cuda/persistent.cuh"
#include "gru_decode/cuda/tiles.cuh"

namespace {

using svebm::DeviceLimits;
using svebm::GruDecode;
using svebm::GruPlan;

constexpr int kPrepareThreads = 256;
// Blocks of the kernels of a step on a multiprocessor: limits their registers to 128.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int kBlocks = 1;  // shared memory has no room for two, nor 128 registers for the scores in `fast`
#else
constexpr int kBlocks = 2;
#endif

__global__ void __launch_bounds__(kPrepareThreads)
    gru_prepare_kernel(const __grid_constant__ SvebmGruDecodeArguments arguments, const __grid_constant__ GruPlan plan,
                       unsigned char* workspace) {
  svebm::prepare_gru({arguments, plan, workspace});
}

__global__ void __launch_bounds__(svebm::kGruThreads, 1)
    gru_persistent_kernel(const __grid_constant__ SvebmGruDecodeArguments arguments,
                          const __grid_constant__ GruPlan plan, unsigned char* workspace) {
  svebm::persistent_block({arguments, plan, workspace});
}

template <bool kFast>
__global__ void __launch_bounds__(svebm::kGruThreads, kBlocks)
    gru_gates_kernel(const __grid_constant__ SvebmGruDecodeArguments arguments, const __grid_constant__ GruPlan plan,
                     unsigned char* workspace, int step) {
  const GruDecode decode{arguments, plan, workspace};
  if constexpr (kFast) {
    svebm::half_gates_block(decode, step);
  } else {
    svebm::float_gates_block(decode, step);
  }
}

template <bool kFast>
__global__ void __launch_bounds__(svebm::kGruThreads, kFast ? kBlocks : 2)
    gru_scores_kernel(const __grid_constant__ SvebmGruDecodeArguments arguments, const __grid_constant__ GruPlan plan,
                      unsigned char* workspace, int step) {
  const GruDecode decode{arguments, plan, workspace};
  if constexpr (kFast) {
    svebm::half_scores_block(decode, step);
  } else {
    svebm::float_scores_block(decode, step);
  }
}

__global__ void __launch_bounds__(svebm::kGruChooseThreads)
    gru_choose_kernel(const __grid_constant__ SvebmGruDecodeArguments arguments, const __grid_constant__ GruPlan plan,
                      unsigned char* workspace, int step) {
  svebm::choose_block({arguments, plan, workspace}, step);
}

struct PlanForDevice {
  DeviceLimits limits;
  GruPlan plan;
};

// The plan, without the persistent kernel where its blocks would not all run at a time.
cudaError_t make_plan(const SvebmGruDecodeArguments& arguments, int device, DeviceLimits& limits, GruPlan& plan) {
  cudaError_t error = svebm::read_limits(device, limits);
  if (error != cudaSuccess) return error;
  plan = svebm::plan_gru(arguments, limits);
  if (!plan.persistent) return cudaSuccess;
  static svebm::SharedMemory memory;
  error = memory.allow(&gru_persistent_kernel, device, limits);
  if (error != cudaSuccess) return error;
  int n_blocks = 0;
  error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n_blocks, &gru_persistent_kernel, svebm::kGruThreads,
                                                        static_cast<size_t>(plan.resident.shared_bytes));
  if (error == cudaSuccess && n_blocks < 1) {
    limits.cooperative = false;
    plan = svebm::plan_gru(arguments, limits);
  }
  return error;
}

// Empty where the kernels can serve the call.
const char* reason_against(const SvebmGruDecodeArguments& arguments, const GruPlan& plan) {
  constexpr int64_t kMostBlocks = 0x7FFFFFFF;  // of a grid
  if (arguments.greedy == 0 && (arguments.top_k > 0 || arguments.top_p < 1.0f)) {
    return "top_k and top_p sort the words, which the CUDA kernels do not";
  }
  if (arguments.n_rows > kMostBlocks || svebm::gru_gate_blocks(arguments) > kMostBlocks ||
      svebm::gru_score_blocks(arguments, plan) > kMostBlocks) {
    return "there are more sentences than a grid of the device has blocks for";
  }
  return "";
}

cudaError_t launch_persistent(const SvebmGruDecodeArguments& arguments, const GruPlan& plan, unsigned char* workspace,
                              cudaStream_t stream) {
  SvebmGruDecodeArguments passed_arguments = arguments;
  GruPlan passed_plan = plan;
  void* parameters[] = {&passed_arguments, &passed_plan, &workspace};
  return cudaLaunchCooperativeKernel(&gru_persistent_kernel, dim3(static_cast<unsigned>(plan.resident.n_blocks)),
                                     dim3(svebm::kGruThreads), parameters,
                                     static_cast<size_t>(plan.resident.shared_bytes), stream);
}

template <bool kFast>
cudaError_t launch_steps(const SvebmGruDecodeArguments& arguments, const GruPlan& plan, unsigned char* workspace,
                         int device, const DeviceLimits& limits, cudaStream_t stream) {
  using Gates = svebm::GruTile<kFast, true>;
  using Scores = svebm::GruTile<kFast, false>;
  static svebm::SharedMemory of_gates, of_scores;
  cudaError_t error = of_gates.allow(&gru_gates_kernel<kFast>, device, limits);
  if (error == cudaSuccess) error = of_scores.allow(&gru_scores_kernel<kFast>, device, limits);
  if (error != cudaSuccess) return error;
  const auto gate_blocks = static_cast<unsigned>(svebm::gru_gate_blocks(arguments));
  const auto score_blocks = static_cast<unsigned>(svebm::gru_score_blocks(arguments, plan));
  const auto n_rows = static_cast<unsigned>(arguments.n_rows);
  for (int step = 0; step < arguments.max_tokens && error == cudaSuccess; ++step) {
    gru_gates_kernel<kFast>
        <<<gate_blocks, svebm::kGruThreads, Gates::kSharedBytes, stream>>>(arguments, plan, workspace, step);
    gru_scores_kernel<kFast>
        <<<score_blocks, svebm::kGruThreads, Scores::kSharedBytes, stream>>>(arguments, plan, workspace, step);
    gru_choose_kernel<<<n_rows, svebm::kGruChooseThreads, sizeof(svebm::GruChoiceMemory), stream>>>(arguments, plan,
                                                                                                    workspace, step);
    error = svebm::end_launch();
  }
  return error;
}

}  // namespace

extern "C" int svebm_gru_decode_cuda_plan(const SvebmGruDecodeArguments* arguments, int device, SvebmCudaPlan* plan) {
  *plan = {};
  PlanForDevice own{};
  cudaError_t error = svebm::begin_launch(device);
  if (error == cudaSuccess) error = make_plan(*arguments, device, own.limits, own.plan);
  if (error != cudaSuccess) return error;
  svebm::keep_reason(reason_against(*arguments, own.plan), *plan);
  if (plan->reason[0] == '\0') svebm::keep_plan(own, own.plan.workspace_bytes, *plan);
  return cudaSuccess;
}

extern "C" int svebm_gru_decode_cuda(const SvebmGruDecodeArguments* arguments, const SvebmCudaPlan* kept,
                                     void* workspace, int device, void* stream) {
  if (kept->reason[0] != '\0') return cudaErrorInvalidValue;
  cudaError_t error = svebm::begin_launch(device);
  if (error != cudaSuccess) return error;
  const auto own = svebm::kept_plan<PlanForDevice>(*kept);
  const DeviceLimits& limits = own.limits;
  const GruPlan& plan = own.plan;
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  auto* const memory = static_cast<unsigned char*>(workspace);
  const unsigned prepare_blocks = 4 * static_cast<unsigned>(limits.n_multiprocessors);
  gru_prepare_kernel<<<prepare_blocks, kPrepareThreads, 0, on>>>(*arguments, plan, memory);
  error = svebm::end_launch();
  if (error != cudaSuccess) return error;
  if (plan.persistent) return launch_persistent(*arguments, plan, memory, on);
  return plan.fast ? launch_steps<true>(*arguments, plan, memory, device, limits, on)
                   : launch_steps<false>(*arguments, plan, memory, device, limits, on);
}
