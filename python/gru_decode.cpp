#include "gru_decode/gru_decode.h"

#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "checks.h"
#include "common/cuda_loader.h"
#include "fields.h"
#include "ops.h"

namespace py = pybind11;

namespace {

// What packing needs, and every other call as well.
void read_network(const Fields& fields, SvebmGruDecodeArguments& a) {
  a.weight = fields.pointer<const float>("weight");
  a.output = fields.pointer<const float>("output");
  a.hidden = fields.number<int32_t>("hidden");
  a.vocabulary = fields.number<int32_t>("vocabulary");
  a.fast = fields.number<bool>("fast") ? 1 : 0;
  if (a.hidden < 1 || a.vocabulary < 1) throw std::invalid_argument("gru_decode: no network");
}

SvebmGruDecodeArguments read_arguments(const py::dict& dictionary) {
  SvebmGruDecodeArguments a{};
  const Fields fields(dictionary);
  read_network(fields, a);
  a.state = fields.pointer<const float>("state");
  a.gate_bias = fields.pointer<const float>("gate_bias");
  a.ids = fields.pointer<const int64_t>("ids");
  a.n_rows = fields.number<int64_t>("n_rows");
  a.max_tokens = fields.number<int32_t>("max_tokens");
  a.input_gates = fields.pointer<const float>("input_gates");
  a.bias = fields.pointer<const float>("bias");
  a.output_bias = fields.optional_pointer<const float>("output_bias");
  a.begin = fields.number<int32_t>("begin");
  a.end = fields.number<int32_t>("end");
  a.pad = fields.number<int32_t>("pad");
  a.n_excluded = fields.number<int32_t>("n_excluded");
  a.excluded = a.n_excluded > 0 ? fields.pointer<const int64_t>("excluded") : nullptr;
  a.greedy = fields.number<bool>("greedy") ? 1 : 0;
  a.temperature = fields.number<float>("temperature");
  a.top_k = fields.number<int32_t>("top_k");
  a.top_p = fields.number<float>("top_p");
  a.seed = static_cast<uint64_t>(fields.number<int64_t>("seed"));
  a.seed_tensor = fields.optional_pointer<const uint64_t>("seed_tensor");
  a.stream = fields.number<uint32_t>("stream");
  a.tokens = fields.pointer<int64_t>("tokens");
  a.lengths = fields.pointer<int64_t>("lengths");
  a.log_probabilities = fields.optional_pointer<float>("log_probabilities");
  a.non_finite = fields.pointer<int32_t>("non_finite");
  if (a.n_rows < 1 || a.max_tokens < 1) throw std::invalid_argument("gru_decode: nothing to compute");
  return a;
}

SvebmGruDecodeArguments read_network_only(const py::dict& dictionary) {
  SvebmGruDecodeArguments a{};
  read_network(Fields(dictionary), a);
  return a;
}

int64_t cpu_packed_bytes(const py::dict& fields) {
  return svebm::gru_decode_cpu_packed_bytes(read_network_only(fields));
}

void cpu_pack(const py::dict& fields, std::uintptr_t packed) {
  const SvebmGruDecodeArguments arguments = read_network_only(fields);
  const py::gil_scoped_release without_gil;
  svebm::gru_decode_cpu_pack(arguments, pointer_from<void*>(packed, "packed"));
}

int64_t cpu_workspace(const py::dict& fields, int n_threads) {
  return svebm::gru_decode_cpu_workspace(read_arguments(fields), n_threads);
}

void cpu(const py::dict& fields, std::uintptr_t packed, std::uintptr_t workspace, int n_threads) {
  const SvebmGruDecodeArguments arguments = read_arguments(fields);
  const py::gil_scoped_release without_gil;
  if (!svebm::gru_decode_cpu(arguments, pointer_from<void*>(packed, "packed"),
                             pointer_from<void*>(workspace, "workspace"), n_threads)) {
    throw std::invalid_argument("gru_decode: the packed weights are of other sizes or for another instruction set");
  }
}

void check_cuda(int error) {
  if (error != 0) throw std::runtime_error("gru_decode: CUDA reports: " + svebm::cuda_error(error));
}

// (bytes, reason): the reason is empty where the kernels can serve the call.
py::tuple cuda_workspace(const py::dict& fields, int device) {
  static const auto query =
      svebm::cuda_function<decltype(svebm_gru_decode_cuda_workspace)>("svebm_gru_decode_cuda_workspace");
  const SvebmGruDecodeArguments arguments = read_arguments(fields);
  int64_t bytes = 0;
  char reason[256] = "";
  check_cuda(query(&arguments, device, &bytes, reason, sizeof reason));
  return py::make_tuple(bytes, std::string(reason));
}

void cuda(const py::dict& fields, std::uintptr_t workspace, int device, std::uintptr_t stream) {
  static const auto launch = svebm::cuda_function<decltype(svebm_gru_decode_cuda)>("svebm_gru_decode_cuda");
  const SvebmGruDecodeArguments arguments = read_arguments(fields);
  const py::gil_scoped_release without_gil;
  check_cuda(launch(&arguments, reinterpret_cast<void*>(workspace), device, reinterpret_cast<void*>(stream)));
}

}  // namespace

void bind_gru_decode(py::module_& module) {
  module.def("gru_decode_cpu_packed_bytes", &cpu_packed_bytes);
  module.def("gru_decode_cpu_pack", &cpu_pack);
  module.def("gru_decode_cpu_workspace", &cpu_workspace);
  module.def("gru_decode_cpu", &cpu);
  module.def("gru_decode_cuda_workspace", &cuda_workspace);
  module.def("gru_decode_cuda", &cuda);
}
