#include "gru_sequence/gru_sequence.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "checks.h"
#include "common/cuda_loader.h"
#include "fields.h"
#include "ops.h"

namespace {

using Addresses = std::vector<std::uintptr_t>;

// The pointers of SvebmGruSequenceArguments in their order from `initial` on; absent ones are 0.
SvebmGruSequenceArguments make_arguments(const std::vector<int64_t>& sizes, std::uintptr_t batch_sizes,
                                         const Addresses& weights, const Addresses& biases, const Addresses& arrays,
                                         bool fast) {
  if (sizes.size() != 5 || arrays.size() != 11 || weights.empty() || weights.size() > 2 ||
      biases.size() != weights.size()) {
    throw std::invalid_argument("gru_sequence: 5 sizes, 1 or 2 directions and 11 arrays are expected");
  }
  SvebmGruSequenceArguments a{};
  a.n = sizes[0];
  a.n_steps = sizes[1];
  a.n_rows = sizes[2];
  a.hidden = sizes[3];
  a.stride = sizes[4];
  if (a.n < 1 || a.n_steps < 1 || a.n_rows < 1 || a.hidden < 1) {
    throw std::invalid_argument("gru_sequence: nothing to compute");
  }
  if (a.stride < a.n + 32) throw std::invalid_argument("gru_sequence: rows have no room for a whole vector at the end");
  a.batch_sizes = pointer_from<const int64_t>(batch_sizes, "batch_sizes");
  a.n_directions = static_cast<int32_t>(weights.size());
  for (size_t d = 0; d < weights.size(); ++d) {
    a.weight[d] = pointer_from<const float>(weights[d], "weight");
    a.bias[d] = pointer_from<const float>(biases[d], "bias");
  }
  a.initial = pointer_from<const float>(arrays[0], "initial", true);
  a.gates = pointer_from<float>(arrays[1], "gates");
  a.recurrent = pointer_from<float>(arrays[2], "recurrent");
  a.before = pointer_from<float>(arrays[3], "before");
  a.states = pointer_from<float>(arrays[4], "states", true);
  a.final_states = pointer_from<float>(arrays[5], "final_states", true);
  a.grad_states = pointer_from<const float>(arrays[6], "grad_states", true);
  a.grad_final = pointer_from<const float>(arrays[7], "grad_final", true);
  a.grad_gates = pointer_from<float>(arrays[8], "grad_gates", true);
  a.grad_recurrent = pointer_from<float>(arrays[9], "grad_recurrent", true);
  a.grad_initial = pointer_from<float>(arrays[10], "grad_initial", true);
  a.fast = fast ? 1 : 0;
  return a;
}

void forward(const SvebmGruSequenceArguments& arguments, std::uintptr_t workspace, int n_threads) {
  if (arguments.states == nullptr || arguments.final_states == nullptr) {
    throw std::invalid_argument("gru_sequence: no memory for the states");
  }
  svebm::gru_sequence_cpu(arguments, pointer_from<void*>(workspace, "workspace"), n_threads);
}

void backward(const SvebmGruSequenceArguments& arguments, std::uintptr_t workspace, int n_threads) {
  if (arguments.grad_gates == nullptr || arguments.grad_recurrent == nullptr || arguments.grad_initial == nullptr) {
    throw std::invalid_argument("gru_sequence: no memory for the gradients");
  }
  svebm::gru_sequence_backward_cpu(arguments, pointer_from<void*>(workspace, "workspace"), n_threads);
}

SvebmGruSequenceCudaArguments read_sizes(const Fields& fields) {
  SvebmGruSequenceCudaArguments a{};
  a.n_steps = fields.number<int32_t>("n_steps");
  a.n_rows = fields.number<int32_t>("n_rows");
  a.hidden = fields.number<int32_t>("hidden");
  a.n_directions = fields.number<int32_t>("n_directions");
  if (a.n_steps < 1 || a.n_rows < 1 || a.hidden < 1 || a.n_directions < 1 || a.n_directions > 2) {
    throw std::invalid_argument("gru_sequence: nothing to compute");
  }
  return a;
}

SvebmGruSequenceCudaArguments read_cuda_arguments(const Fields& fields) {
  constexpr const char* kWeights[] = {"weight_0", "weight_1"};
  constexpr const char* kBiases[] = {"bias_0", "bias_1"};
  SvebmGruSequenceCudaArguments a = read_sizes(fields);
  a.n = fields.number<int64_t>("n");
  a.batch_sizes = fields.pointer<const int64_t>("batch_sizes");
  for (int d = 0; d < a.n_directions; ++d) {
    a.weight[d] = fields.pointer<const float>(kWeights[d]);
    a.bias[d] = fields.pointer<const float>(kBiases[d]);
  }
  a.initial = fields.optional_pointer<const float>("initial");
  a.gates = fields.pointer<float>("gates");
  a.recurrent = fields.pointer<float>("recurrent");
  a.before = fields.pointer<float>("before");
  return a;
}

void check_cuda(int error) {
  if (error != 0) throw std::runtime_error("gru_sequence: CUDA reports: " + svebm::cuda_error(error));
}

// Empty where the kernels can serve calls of these sizes.
std::string cuda_reason(const pybind11::dict& fields, int device) {
  static const auto query =
      svebm::cuda_function<decltype(svebm_gru_sequence_cuda_reason)>("svebm_gru_sequence_cuda_reason");
  const SvebmGruSequenceCudaArguments arguments = read_sizes(Fields(fields));
  char reason[256] = "";
  check_cuda(query(&arguments, device, reason, sizeof reason));
  return reason;
}

void forward_cuda(const pybind11::dict& dictionary, std::uintptr_t workspace, int device, std::uintptr_t stream) {
  static const auto launch = svebm::cuda_function<decltype(svebm_gru_sequence_cuda)>("svebm_gru_sequence_cuda");
  const Fields fields(dictionary);
  SvebmGruSequenceCudaArguments a = read_cuda_arguments(fields);
  a.states = fields.pointer<float>("states");
  a.final_states = fields.pointer<float>("final_states");
  const pybind11::gil_scoped_release without_gil;
  check_cuda(launch(&a, reinterpret_cast<void*>(workspace), device, reinterpret_cast<void*>(stream)));
}

void backward_cuda(const pybind11::dict& dictionary, std::uintptr_t workspace, int device, std::uintptr_t stream) {
  static const auto launch =
      svebm::cuda_function<decltype(svebm_gru_sequence_backward_cuda)>("svebm_gru_sequence_backward_cuda");
  const Fields fields(dictionary);
  SvebmGruSequenceCudaArguments a = read_cuda_arguments(fields);
  a.grad_states = fields.optional_pointer<const float>("grad_states");
  a.grad_final = fields.optional_pointer<const float>("grad_final");
  a.grad_gates = fields.pointer<float>("grad_gates");
  a.grad_hidden = fields.pointer<float>("grad_hidden");
  a.grad_initial = fields.pointer<float>("grad_initial");
  const pybind11::gil_scoped_release without_gil;
  check_cuda(launch(&a, reinterpret_cast<void*>(workspace), device, reinterpret_cast<void*>(stream)));
}

}  // namespace

void bind_gru_sequence(pybind11::module_& module) {
  const pybind11::call_guard<pybind11::gil_scoped_release> without_gil;
  pybind11::class_<SvebmGruSequenceArguments>(module, "GruSequenceArguments").def(pybind11::init(&make_arguments));
  module.def("gru_sequence_cpu_workspace", &svebm::gru_sequence_cpu_workspace);
  module.def("gru_sequence_cpu", &forward, without_gil);
  module.def("gru_sequence_backward_cpu", &backward, without_gil);
  module.attr("gru_sequence_cuda_workspace") = kGruSequenceWorkspace;
  module.def("gru_sequence_cuda_reason", &cuda_reason);
  module.def("gru_sequence_cuda", &forward_cuda);
  module.def("gru_sequence_backward_cuda", &backward_cuda);
}
