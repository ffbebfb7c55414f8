// A GRU layer over a packed batch on CUDA.
//
// At the sizes of sentences a time step is small: 32 rows, H 512, 50 MFLOP. A library that launches kernels for each of
// them spends its time launching. Here all steps of both directions are one cooperative launch. A block has a few
// units: 24 KB of weights at H 512 on 132 multiprocessors, 48 KB with two directions, in shared memory throughout. A
// step copies the states of the running rows to shared memory (64 KB), multiplies, advances the units, and meets the
// other blocks of its direction, once: what a step writes lies where no other step writes. Positions that are padding
// elsewhere do not exist. Backward, a block has the columns of its units, copies gradients of gates (three times as
// much), and adds up the three gates' products; weight gradients are products over all positions, left to the caller.
//
// Products: a warp's threads share the sum over columns, 4 rows of weights x 8 rows of the batch at a time; exact to
// fp32. Every sum is added up in one order, whatever the batch.
//
// Considered: gradients of states as partial products of a block's own gates (no copy of all gates, but as many partial
// sums as blocks); reading states from L2 in the product (each of them three times or more); tensor cores (products in
// 16 bits, at sizes where the meeting takes longer).
#include <cuda_runtime.h>

#include "common/cuda/launch.cuh"
#include "gru_sequence/cuda/gru_sequence.cuh"

namespace {

using svebm::DeviceLimits;
using svebm::GruSequence;
using svebm::GruSequencePlan;

constexpr int64_t kWorkspaceBytes = 256;  // of either pass: counters of meetings

template <bool kBackward>
__global__ void __launch_bounds__(svebm::kGruSequenceThreads, 1)
    gru_sequence_kernel(const __grid_constant__ GruSequence sequence) {
  if constexpr (kBackward) {
    svebm::backward_block(sequence);
  } else {
    svebm::forward_block(sequence);
  }
}

// The plan, with a reason against it where its blocks would not all run at a time.
template <bool kBackward>
cudaError_t make_plan(const SvebmGruSequenceCudaArguments& arguments, int device, GruSequencePlan& plan) {
  DeviceLimits limits{};
  cudaError_t error = svebm::read_limits(device, limits);
  if (error != cudaSuccess) return error;
  plan = svebm::plan_gru_sequence(arguments, limits, kBackward);
  if (plan.reason[0] != '\0') return cudaSuccess;
  auto* const kernel = &gru_sequence_kernel<kBackward>;
  static svebm::SharedMemory memory;
  error = memory.allow(kernel, device, limits);
  if (error != cudaSuccess) return error;
  int n_blocks = 0;
  error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n_blocks, kernel, svebm::kGruSequenceThreads,
                                                        static_cast<size_t>(plan.shared_bytes));
  if (error == cudaSuccess && n_blocks < 1) plan.reason = "a block does not fit on a multiprocessor of the device";
  return error;
}

template <bool kBackward>
cudaError_t write_plan(const SvebmGruSequenceCudaArguments& arguments, int device, SvebmCudaPlan& plan) {
  plan = {};
  GruSequencePlan own{};
  cudaError_t error = svebm::begin_launch(device);
  if (error == cudaSuccess) error = make_plan<kBackward>(arguments, device, own);
  if (error != cudaSuccess) return error;
  svebm::keep_reason(own.reason, plan);
  svebm::keep_plan(own, kWorkspaceBytes, plan);
  return cudaSuccess;
}

template <bool kBackward>
cudaError_t run(const SvebmGruSequenceCudaArguments& arguments, const SvebmCudaPlan& plan, void* workspace, int device,
                cudaStream_t stream) {
  if (plan.reason[0] != '\0') return cudaErrorInvalidValue;
  GruSequence sequence{};
  cudaError_t error = svebm::begin_launch(device);
  if (error != cudaSuccess) return error;
  sequence.plan = svebm::kept_plan<GruSequencePlan>(plan);
  sequence.a = arguments;
  sequence.counters = static_cast<unsigned*>(workspace);
  for (int t = 0; t < arguments.n_steps; ++t) sequence.sizes[t] = static_cast<uint16_t>(arguments.batch_sizes[t]);
  error = cudaMemsetAsync(workspace, 0, kWorkspaceBytes, stream);
  for (int d = 0; d < arguments.n_directions && error == cudaSuccess; d += sequence.plan.at_once) {
    sequence.first_direction = d;
    void* parameters[] = {&sequence};
    error = cudaLaunchCooperativeKernel(
        &gru_sequence_kernel<kBackward>, dim3(static_cast<unsigned>(sequence.plan.n_blocks * sequence.plan.at_once)),
        dim3(svebm::kGruSequenceThreads), parameters, static_cast<size_t>(sequence.plan.shared_bytes), stream);
  }
  return error;
}

}  // namespace

extern "C" int svebm_gru_sequence_cuda_plan(const SvebmGruSequenceCudaArguments* arguments, int device,
                                            SvebmCudaPlan* plan) {
  return write_plan<false>(*arguments, device, *plan);
}

extern "C" int svebm_gru_sequence_cuda(const SvebmGruSequenceCudaArguments* arguments, const SvebmCudaPlan* plan,
                                       void* workspace, int device, void* stream) {
  return run<false>(*arguments, *plan, workspace, device, static_cast<cudaStream_t>(stream));
}

extern "C" int svebm_gru_sequence_backward_cuda_plan(const SvebmGruSequenceCudaArguments* arguments, int device,
                                                     SvebmCudaPlan* plan) {
  return write_plan<true>(*arguments, device, *plan);
}

extern "C" int svebm_gru_sequence_backward_cuda(const SvebmGruSequenceCudaArguments* arguments,
                                                const SvebmCudaPlan* plan, void* workspace, int device, void* stream) {
  return run<true>(*arguments, *plan, workspace, device, static_cast<cudaStream_t>(stream));
}
