// Launches the Langevin kernels on the emulator, as csrc/langevin/cuda/langevin.cu does on a device.
#pragma once

#include <cstdlib>
#include <memory>

#include "langevin/cuda/fast.cuh"
#include "langevin/cuda/fp32.cuh"
#include "langevin_cases.h"

namespace on_host {

constexpr svebm::DeviceLimits kLimits{227 * 1024, 132};
constexpr unsigned kPackThreads = 256;

// Of exactly the size that was asked for, so that AddressSanitizer sees every access beyond it.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) : memory_(std::aligned_alloc(16, static_cast<std::size_t>(bytes)), &std::free) {
    std::memset(memory_.get(), 0xFF, static_cast<std::size_t>(bytes));
  }
  template <typename T>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }

 private:
  std::unique_ptr<void, void (*)(void*)> memory_;
};

inline unsigned blocks_for(int64_t n_threads) {
  return static_cast<unsigned>((n_threads + kPackThreads - 1) / kPackThreads);
}

inline void launch_fp32(const SvebmLangevinArguments& a, const svebm::Fp32Plan& plan, emulation::Options options) {
  const Workspace workspace(4 * plan.workspace_floats);
  float* const floats = workspace.as<float>();
  emulation::launch({blocks_for(plan.workspace_floats), 1, 1}, kPackThreads, 0, options,
                    [&] { svebm::pack_fp32(a, plan, floats); });
  emulation::launch({static_cast<unsigned>(plan.n_blocks), 1, 1}, svebm::kFp32Threads,
                    4 * static_cast<std::size_t>(plan.shared_floats), options, [&] {
                      switch (plan.tile.n_chains) {
                        case 32:
                          return svebm::fp32_block<32>(a, plan, floats);
                        case 16:
                          return svebm::fp32_block<16>(a, plan, floats);
                        case 8:
                          return svebm::fp32_block<8>(a, plan, floats);
                        default:
                          return svebm::fp32_block<4>(a, plan, floats);
                      }
                    });
}

inline void launch_fast(const SvebmLangevinArguments& a, const svebm::FastPlan& plan, emulation::Options options) {
  const Workspace workspace(plan.resident_bytes);
  auto* const bytes = workspace.as<unsigned char>();
  emulation::launch({blocks_for(plan.resident_bytes / 4), 1, 1}, kPackThreads, 0, options,
                    [&] { svebm::pack_fast(a, plan, bytes); });
  emulation::launch({static_cast<unsigned>(plan.n_blocks), 1, 1},
                    static_cast<unsigned>(32 * plan.n_groups * plan.n_warps),
                    static_cast<std::size_t>(plan.shared_bytes), options, [&] { svebm::fast_block(a, plan, bytes); });
}

// Returns false where the plan does not fit.
inline bool run_fp32(const SvebmLangevinArguments& a, int n_chains, int chunk_floats, emulation::Options options) {
  svebm::Fp32Plan plan;
  if (!svebm::plan_fp32_tile(a, kLimits, n_chains, chunk_floats, plan)) return false;
  launch_fp32(a, plan, options);
  return true;
}

inline bool run_fast(const SvebmLangevinArguments& a, int n_groups, int n_warps, emulation::Options options) {
  svebm::FastPlan plan;
  if (!svebm::plan_fast_groups(a, kLimits, n_groups, n_warps, plan)) return false;
  launch_fast(a, plan, options);
  return true;
}

}  // namespace on_host
