#include "gru_sequence/gru_sequence.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "checks.h"
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

}  // namespace

void bind_gru_sequence(pybind11::module_& module) {
  const pybind11::call_guard<pybind11::gil_scoped_release> without_gil;
  pybind11::class_<SvebmGruSequenceArguments>(module, "GruSequenceArguments").def(pybind11::init(&make_arguments));
  module.def("gru_sequence_cpu_workspace", &svebm::gru_sequence_cpu_workspace);
  module.def("gru_sequence_cpu", &forward, without_gil);
  module.def("gru_sequence_backward_cpu", &backward, without_gil);
}
