// Launches the decoding kernels on the emulator, as csrc/gru_decode/cuda/gru_decode.cu does on a device.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>

#include "gru_decode/cuda/persistent.cuh"
#include "gru_decode/cuda/tiles.cuh"
#include "gru_decode_cases.h"

namespace on_host {

constexpr svebm::DeviceLimits kSteps{99 * 1024, 4, false};  // without cooperative launches: the kernels of a step

// Of exactly the size that was asked for, so that AddressSanitizer sees every access beyond it.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) : memory_(std::aligned_alloc(256, static_cast<std::size_t>(bytes)), &std::free) {
    std::memset(memory_.get(), 0xFF, static_cast<std::size_t>(bytes));
  }
  unsigned char* bytes() const { return static_cast<unsigned char*>(memory_.get()); }

 private:
  std::unique_ptr<void, void (*)(void*)> memory_;
};

template <bool kFast>
void launch_steps(const SvebmGruDecodeArguments& a, const svebm::GruPlan& plan, unsigned char* memory,
                  emulation::Options options) {
  const svebm::GruDecode decode{a, plan, memory};
  const auto gate_blocks = static_cast<unsigned>(svebm::gru_gate_blocks(a));
  const auto score_blocks = static_cast<unsigned>(svebm::gru_score_blocks(a, plan));
  for (int step = 0; step < a.max_tokens; ++step) {
    options.seed += 1;
    emulation::launch({gate_blocks, 1, 1}, svebm::kGruThreads, svebm::GruTile<kFast, true>::kSharedBytes, options,
                      [&] { kFast ? svebm::half_gates_block(decode, step) : svebm::float_gates_block(decode, step); });
    emulation::launch(
        {score_blocks, 1, 1}, svebm::kGruThreads, svebm::GruTile<kFast, false>::kSharedBytes, options,
        [&] { kFast ? svebm::half_scores_block(decode, step) : svebm::float_scores_block(decode, step); });
    emulation::launch({static_cast<unsigned>(a.n_rows), 1, 1}, svebm::kGruChooseThreads, sizeof(svebm::GruChoiceMemory),
                      options, [&] { svebm::choose_block(decode, step); });
  }
}

// Returns whether the persistent kernel served the call.
inline bool run_gru(const SvebmGruDecodeArguments& a, svebm::DeviceLimits limits, emulation::Options options) {
  const svebm::GruPlan plan = svebm::plan_gru(a, limits);
  const Workspace workspace(plan.workspace_bytes);
  const svebm::GruDecode decode{a, plan, workspace.bytes()};
  emulation::launch({2, 1, 1}, 64, 0, options, [&] { svebm::prepare_gru(decode); });
  if (plan.persistent) {
    emulation::launch_together(static_cast<unsigned>(plan.resident.n_blocks), svebm::kGruThreads,
                               static_cast<std::size_t>(plan.resident.shared_bytes), options,
                               [&] { svebm::persistent_block(decode); });
  } else {
    plan.fast ? launch_steps<true>(a, plan, workspace.bytes(), options)
              : launch_steps<false>(a, plan, workspace.bytes(), options);
  }
  return plan.persistent;
}

}  // namespace on_host
