// How a call is served on CUDA. Plain C++, so that tests can ask for plans without a device. See skeleton.cu.
#pragma once

#include "common/arena.h"
#include "common/cuda/device_limits.h"
#include "skeleton/skeleton.h"

namespace svebm {

constexpr int kSkeletonThreads = 128;
constexpr int kSkeletonWarps = kSkeletonThreads / 32;

struct SkeletonPlan {
  const char* reason;    // why the kernel cannot serve the call; empty where it can
  int32_t n_blocks;      // a row each
  int32_t sums;          // sums of the block's warps: bytes from the start of shared memory
  int32_t shared_bytes;  // of a block
};

inline SkeletonPlan plan_skeleton(const SvebmSkeletonArguments& a, const DeviceLimits& limits) {
  SkeletonPlan plan{};
  plan.reason = "";
  if (a.n_rows > 0x7FFFFFFF) {
    plan.reason = "there are more rows than a grid of the device has blocks for";
    return plan;
  }
  Arena shared(16);
  plan.n_blocks = static_cast<int32_t>(a.n_rows);
  plan.sums = static_cast<int32_t>(shared.take_bytes(int64_t{sizeof(float)} * kSkeletonWarps));
  plan.shared_bytes = static_cast<int32_t>(shared.used());
  if (plan.shared_bytes > limits.shared_bytes) plan.reason = "a row does not fit into the shared memory of the device";
  return plan;
}

}  // namespace svebm
