// A call of a kernel that is ready to run: its arguments are read and its plan is made, once. Every op's binding hands
// one to Python, which brings the workspace.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "common/cuda/loader.h"
#include "common/cuda/plan.h"

struct PlannedCall {
  int64_t workspace_bytes = 0;
  std::string reason;                                     // why the kernels cannot serve the call; empty where they can
  std::function<void(void* workspace, void* queue)> run;  // on CUDA in a stream, `queue`; on the CPU that is null
};

void bind_planned_call(pybind11::module_& module);

inline void check_cuda(const char* op, int error) {
  if (error != 0) throw std::runtime_error(std::string(op) + ": CUDA reports: " + svebm::cuda_error(error));
}

// Asks svebm_<op>_cuda_plan; the call then runs svebm_<op>_cuda with the same arguments and the plan.
template <typename Arguments>
PlannedCall plan_cuda(const std::string& op, const Arguments& arguments, int device) {
  using Plan = int(const Arguments*, int, SvebmCudaPlan*);
  using Launch = int(const Arguments*, const SvebmCudaPlan*, void*, int, void*);
  auto* const make_plan = svebm::cuda_function<Plan>(("svebm_" + op + "_cuda_plan").c_str());
  auto* const launch = svebm::cuda_function<Launch>(("svebm_" + op + "_cuda").c_str());
  const auto plan = std::make_shared<SvebmCudaPlan>();
  check_cuda(op.c_str(), make_plan(&arguments, device, plan.get()));
  return {plan->workspace_bytes, plan->reason, [=](void* workspace, void* queue) {
            check_cuda(op.c_str(), launch(&arguments, plan.get(), workspace, device, queue));
          }};
}
