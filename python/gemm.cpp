#include "gemm/gemm.h"

#include <cstdint>
#include <stdexcept>

#include "fields.h"
#include "ops.h"
#include "planned_call.h"

namespace {

SvebmGemmArguments read_arguments(const pybind11::dict& dictionary) {
  SvebmGemmArguments a{};
  const Fields fields(dictionary);
  fields.read("a", a.a);
  fields.read("b", a.b);
  fields.read("c", a.c);
  fields.read_optional("row_bias", a.row_bias);
  fields.read("a_row_stride", a.a_row_stride);
  fields.read("a_k_stride", a.a_k_stride);
  fields.read("b_k_stride", a.b_k_stride);
  fields.read("b_column_stride", a.b_column_stride);
  fields.read("c_stride", a.c_stride);
  fields.read("m", a.m);
  fields.read("n", a.n);
  fields.read("k", a.k);
  fields.read("add", a.add);
  fields.read("fast", a.fast);
  if (a.m < 1 || a.n < 1 || a.k < 1) throw std::invalid_argument("gemm: nothing to compute");
  if (a.a_row_stride != 1 && a.a_k_stride != 1) throw std::invalid_argument("gemm: one stride of a must be 1");
  if (a.b_column_stride != 1 && a.b_k_stride != 1) throw std::invalid_argument("gemm: one stride of b must be 1");
  if (a.add != 0 && a.row_bias != nullptr) {
    throw std::invalid_argument("gemm: add and row_bias exclude each other");
  }
  return a;
}

PlannedCall plan_gemm_cpu(const pybind11::dict& fields, int n_threads) {
  const SvebmGemmArguments arguments = read_arguments(fields);
  return {svebm::gemm_cpu_workspace(arguments, n_threads), "",
          [=](void* workspace, void*) { svebm::gemm_cpu(arguments, workspace, n_threads); }};
}

}  // namespace

void bind_gemm(pybind11::module_& module) { module.def("plan_gemm_cpu", &plan_gemm_cpu); }
