#include "gemm/gemm.h"

#include <cstdint>
#include <stdexcept>

#include "checks.h"
#include "ops.h"

namespace {

SvebmGemmArguments make_arguments(std::uintptr_t a, int64_t a_row_stride, int64_t a_k_stride, std::uintptr_t b,
                                  int64_t b_k_stride, int64_t b_column_stride, std::uintptr_t c, int64_t c_stride,
                                  std::uintptr_t row_bias, int64_t m, int64_t n, int64_t k, bool add, bool fast) {
  if (m < 1 || n < 1 || k < 1) throw std::invalid_argument("gemm: nothing to compute");
  if (a_row_stride != 1 && a_k_stride != 1) throw std::invalid_argument("gemm: one stride of a must be 1");
  if (b_column_stride != 1 && b_k_stride != 1) throw std::invalid_argument("gemm: one stride of b must be 1");
  if (add && row_bias != 0) throw std::invalid_argument("gemm: add and row_bias exclude each other");
  SvebmGemmArguments arguments{};
  arguments.a = pointer_from<const float>(a, "a");
  arguments.b = pointer_from<const float>(b, "b");
  arguments.c = pointer_from<float>(c, "c");
  arguments.row_bias = pointer_from<const float>(row_bias, "row_bias", true);
  arguments.a_row_stride = a_row_stride;
  arguments.a_k_stride = a_k_stride;
  arguments.b_k_stride = b_k_stride;
  arguments.b_column_stride = b_column_stride;
  arguments.c_stride = c_stride;
  arguments.m = m;
  arguments.n = n;
  arguments.k = k;
  arguments.add = add ? 1 : 0;
  arguments.fast = fast ? 1 : 0;
  return arguments;
}

}  // namespace

void bind_gemm(pybind11::module_& module) {
  const pybind11::call_guard<pybind11::gil_scoped_release> without_gil;
  pybind11::class_<SvebmGemmArguments>(module, "GemmArguments").def(pybind11::init(&make_arguments));
  module.def("gemm_cpu_workspace", &svebm::gemm_cpu_workspace);
  module.def(
      "gemm_cpu",
      [](const SvebmGemmArguments& arguments, std::uintptr_t workspace, int n_threads) {
        svebm::gemm_cpu(arguments, pointer_from<void*>(workspace, "workspace"), n_threads);
      },
      without_gil);
}
