// The door between Python and csrc/: each op's file here converts and checks, and computes nothing.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/native/ceiling.h"
#include "common/cpu/thread_pool.h"
#include "common/cpu/variant.h"
#include "common/cuda/loader.h"
#include "common/version.h"
#include "ops.h"
#include "planned_call.h"

namespace {

std::vector<std::string> cpu_variants() {
  std::vector<std::string> names;
  for (const auto variant : svebm::kCpuVariants) {
    if (svebm::cpu_variant_available(variant)) names.emplace_back(svebm::cpu_variant_name(variant));
  }
  return names;
}

void use_cpu_variant(const std::string& name) {
  for (const auto variant : svebm::kCpuVariants) {
    if (name == svebm::cpu_variant_name(variant) && svebm::use_cpu_variant(variant)) return;
  }
  throw std::invalid_argument("this processor or this build has no CPU variant '" + name + "'");
}

// Addresses of GOMP_parallel, omp_get_num_threads and omp_get_max_threads; all 0: threads of our own.
void share_openmp(std::uintptr_t parallel, std::uintptr_t team_size, std::uintptr_t usual_size) {
  svebm::OpenMp runtime;
  runtime.parallel = reinterpret_cast<decltype(runtime.parallel)>(parallel);
  runtime.team_size = reinterpret_cast<decltype(runtime.team_size)>(team_size);
  runtime.usual_size = reinterpret_cast<decltype(runtime.usual_size)>(usual_size);
  svebm::share_openmp(runtime);
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "Compiled kernels of svebm_ext; called through svebm_ext.ops only";
  module.attr("abi_version") = SVEBM_ABI_VERSION;
  module.attr("version") = SVEBM_VERSION;
  module.def("cpu_variant", [] { return svebm::cpu_variant_name(svebm::cpu_variant()); });
  module.def("cpu_variants", &cpu_variants);
  module.def("use_cpu_variant", &use_cpu_variant);
  module.def("share_openmp", &share_openmp);
  module.def("n_pool_threads", &svebm::n_pool_threads);
  module.def("multiply_add_rate", &svebm::multiply_add_rate, pybind11::arg("n_threads"), pybind11::arg("seconds"),
             pybind11::arg("bf16") = false, pybind11::call_guard<pybind11::gil_scoped_release>());
  module.def("load_cuda", &svebm::load_cuda, pybind11::call_guard<pybind11::gil_scoped_release>());
  module.def("cuda_device_reason", &svebm::cuda_device_reason, pybind11::call_guard<pybind11::gil_scoped_release>());
  bind_planned_call(module);
  bind_checksum(module);
  bind_gemm(module);
  bind_gru_decode(module);
  bind_gru_sequence(module);
  bind_langevin(module);
  bind_philox(module);
  bind_token_loss(module);
}
