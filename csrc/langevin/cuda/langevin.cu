// Langevin steps on CUDA: two kernels in which a block takes its chains through all steps, so that z, activations and
// noise never leave the chip. A small kernel before them packs the weights.
//
// fp32 (exact, the default). 32 chains a block, 256 threads of 4 chains x 8 columns each: 32 multiply-adds for three
// 16-byte reads of shared memory. The weights of a usual network (210 KB at D 40, H 200, K 20, and both orientations
// are wanted) do not fit beside the activations, so they stream through three stages of at most 16 KB with cp.async, in
// the order of use and across steps; one barrier a chunk serves the stream and the products. Activations and their
// derivatives stay in shared memory: at that size 115 KB of 183. v = W^T (...) overwrites the derivatives it is
// multiplied by. Products with few columns (logits, gradient) share sums between threads instead of leaving warps idle.
// Tiles of 16, 8 or 4 chains serve wide networks, small devices and few chains.
//
// fast (a permission to round operands to 16 bits). mma.m16n8k16 with fp16 operands, which round like TF32 (gradient to
// .1-.2 %; bf16 would be at .5-1.6 %), sums in fp32, and z, update, logits and softmax in fp32. One copy of the weights
// (126 KB at that size) stays in shared memory; the backward product reads it transposed. A group of 4 warps owns 16
// chains and waits for nobody else, so that one group's epilogue fills the other's products; a block has one to three
// groups of 31 KB, whatever needs the fewest rounds over the device. A warp owns the same columns on the way forth and
// back, and keeps their derivatives for itself: those of the last hidden layer in registers, of the first in its own
// part of shared memory. Where the weights do not fit, the fp32 kernel serves the call.
//
// Written and lost: the loop over tiles with their number known at run time only (a branch before each product, nothing
// overlaps); two sets of registers for operands, or the derivatives of both layers in registers (both spill at 168).
// Considered: all warps on one tile of 32 chains (26 tiles over 8 warps leave 19 % idle, over 4 warps 7 %); bf16
// (above); wgmma (the 64 rows it wants are 64 chains, which leaves half of the device idle at 4,096).
#include <cuda_runtime.h>

#include <cstdio>

#include "common/cuda/launch.cuh"
#include "langevin/cuda/fast.cuh"
#include "langevin/cuda/fp32.cuh"

namespace {

using svebm::DeviceLimits;
using svebm::FastPlan;
using svebm::Fp32Plan;

constexpr int kPackThreads = 256;

__global__ void __launch_bounds__(kPackThreads)
    langevin_pack_fp32_kernel(const __grid_constant__ SvebmLangevinArguments arguments,
                              const __grid_constant__ Fp32Plan plan, float* workspace) {
  svebm::pack_fp32(arguments, plan, workspace);
}

template <int kChains>
__global__ void __launch_bounds__(svebm::kFp32Threads, 1)
    langevin_fp32_kernel(const __grid_constant__ SvebmLangevinArguments arguments,
                         const __grid_constant__ Fp32Plan plan, const float* workspace) {
  svebm::fp32_block<kChains>(arguments, plan, workspace);
}

__global__ void __launch_bounds__(kPackThreads)
    langevin_pack_fast_kernel(const __grid_constant__ SvebmLangevinArguments arguments,
                              const __grid_constant__ FastPlan plan, unsigned char* workspace) {
  svebm::pack_fast(arguments, plan, workspace);
}

__global__ void __launch_bounds__(svebm::kFastMostThreads, 1)
    langevin_fast_kernel(const __grid_constant__ SvebmLangevinArguments arguments,
                         const __grid_constant__ FastPlan plan, const unsigned char* workspace) {
  svebm::fast_block(arguments, plan, workspace);
}

struct LangevinPlan {
  DeviceLimits limits;
  bool fast = false;
  FastPlan with_tensor_cores;
  Fp32Plan fp32;
};

// Returns false where the shapes are out of reach.
bool make_plan(const SvebmLangevinArguments& arguments, LangevinPlan& plan) {
  constexpr int64_t kMostBlocks = 0x7FFFFFFF;  // of a grid
  plan.fast = arguments.fast != 0 && svebm::plan_fast(arguments, plan.limits, plan.with_tensor_cores) &&
              plan.with_tensor_cores.n_blocks <= kMostBlocks;
  return plan.fast || (svebm::plan_fp32(arguments, plan.limits, plan.fp32) && plan.fp32.n_blocks <= kMostBlocks);
}

void write_reason(const SvebmLangevinArguments& arguments, DeviceLimits limits, char* reason, int64_t size) {
  char widths[64];
  int length = std::snprintf(widths, sizeof widths, "%d", static_cast<int>(arguments.widths[0]));
  for (int l = 1; l <= arguments.n_layers && l <= svebm::kMostLayers; ++l) {
    length += std::snprintf(widths + length, sizeof widths - static_cast<size_t>(length), "-%d",
                            static_cast<int>(arguments.widths[l]));
  }
  std::snprintf(reason, static_cast<size_t>(size),
                "a network of widths %s needs more than the %d KB of shared memory that a block has on this device",
                widths, static_cast<int>(limits.shared_bytes / 1024));
}

template <int kChains>
cudaError_t launch_fp32(const SvebmLangevinArguments& arguments, const Fp32Plan& plan, float* workspace, int device,
                        DeviceLimits limits, cudaStream_t stream) {
  static svebm::SharedMemory memory;
  const cudaError_t error = memory.allow(&langevin_fp32_kernel<kChains>, device, limits);
  if (error != cudaSuccess) return error;
  langevin_pack_fp32_kernel<<<svebm::n_blocks_for(plan.workspace_floats, kPackThreads), kPackThreads, 0, stream>>>(
      arguments, plan, workspace);
  langevin_fp32_kernel<kChains>
      <<<static_cast<unsigned>(plan.n_blocks), svebm::kFp32Threads,
         sizeof(float) * static_cast<size_t>(plan.shared_floats), stream>>>(arguments, plan, workspace);
  return svebm::end_launch();
}

cudaError_t launch_fast(const SvebmLangevinArguments& arguments, const FastPlan& plan, unsigned char* workspace,
                        int device, DeviceLimits limits, cudaStream_t stream) {
  static svebm::SharedMemory memory;
  const cudaError_t error = memory.allow(&langevin_fast_kernel, device, limits);
  if (error != cudaSuccess) return error;
  langevin_pack_fast_kernel<<<svebm::n_blocks_for(plan.resident_bytes / 4, kPackThreads), kPackThreads, 0, stream>>>(
      arguments, plan, workspace);
  const unsigned threads = static_cast<unsigned>(32 * plan.n_groups * plan.n_warps);
  langevin_fast_kernel<<<static_cast<unsigned>(plan.n_blocks), threads, static_cast<size_t>(plan.shared_bytes),
                         stream>>>(arguments, plan, workspace);
  return svebm::end_launch();
}

}  // namespace

extern "C" int svebm_langevin_cuda_plan(const SvebmLangevinArguments* arguments, int device, SvebmCudaPlan* plan) {
  *plan = {};
  LangevinPlan own{};
  const cudaError_t error = svebm::read_limits(device, own.limits);
  if (error != cudaSuccess) return error;
  if (make_plan(*arguments, own)) {
    const int64_t bytes =
        own.fast ? own.with_tensor_cores.resident_bytes : own.fp32.workspace_floats * int64_t{sizeof(float)};
    svebm::keep_plan(own, bytes, *plan);
  } else {
    write_reason(*arguments, own.limits, plan->reason, sizeof plan->reason);
  }
  return cudaSuccess;
}

extern "C" int svebm_langevin_cuda(const SvebmLangevinArguments* arguments, const SvebmCudaPlan* kept, void* workspace,
                                   int device, void* stream) {
  if (kept->reason[0] != '\0') return cudaErrorInvalidValue;
  const cudaError_t error = svebm::begin_launch(device);
  if (error != cudaSuccess) return error;
  const auto plan = svebm::kept_plan<LangevinPlan>(*kept);
  const DeviceLimits& limits = plan.limits;
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  if (plan.fast) {
    return launch_fast(*arguments, plan.with_tensor_cores, static_cast<unsigned char*>(workspace), device, limits, on);
  }
  float* const floats = static_cast<float*>(workspace);
  switch (plan.fp32.tile.n_chains) {
    case 32:
      return launch_fp32<32>(*arguments, plan.fp32, floats, device, limits, on);
    case 16:
      return launch_fp32<16>(*arguments, plan.fp32, floats, device, limits, on);
    case 8:
      return launch_fp32<8>(*arguments, plan.fp32, floats, device, limits, on);
    default:
      return launch_fp32<4>(*arguments, plan.fp32, floats, device, limits, on);
  }
}
