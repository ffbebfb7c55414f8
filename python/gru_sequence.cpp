#include "gru_sequence/gru_sequence.h"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "fields.h"
#include "ops.h"
#include "planned_call.h"

namespace {

using pybind11::dict;

// Weights and biases of each direction: of one, or of two.
template <typename Arguments>
void read_directions(const Fields& fields, Arguments& a) {
  a.n_directions = fields.read_list("weight", a.weight, 2);
  if (a.n_directions < 1 || fields.read_list("bias", a.bias, 2) != a.n_directions) {
    throw std::invalid_argument("gru_sequence: weights and biases of 1 or 2 directions are expected");
  }
}

// What both devices have, of either pass.
template <typename Arguments>
void read_shared(const Fields& fields, bool backward, Arguments& a) {
  fields.read("n", a.n);
  fields.read("n_steps", a.n_steps);
  fields.read("n_rows", a.n_rows);
  fields.read("hidden", a.hidden);
  fields.read("batch_sizes", a.batch_sizes);
  read_directions(fields, a);
  fields.read_optional("initial", a.initial);
  fields.read("gates", a.gates);
  fields.read("recurrent", a.recurrent);
  fields.read("before", a.before);
  if (backward) {
    fields.read_optional("grad_states", a.grad_states);
    fields.read_optional("grad_final", a.grad_final);
    fields.read("grad_gates", a.grad_gates);
    fields.read("grad_initial", a.grad_initial);
  } else {
    fields.read("states", a.states);
    fields.read("final_states", a.final_states);
  }
  if (a.n < 1 || a.n_steps < 1 || a.n_rows < 1 || a.hidden < 1) {
    throw std::invalid_argument("gru_sequence: nothing to compute");
  }
}

template <bool kBackward>
PlannedCall plan_on_cpu(const dict& dictionary, int n_threads) {
  SvebmGruSequenceArguments a{};
  const Fields fields(dictionary);
  read_shared(fields, kBackward, a);
  fields.read("stride", a.stride);
  fields.read("fast", a.fast);
  if (kBackward) fields.read("grad_recurrent", a.grad_recurrent);
  if (a.stride < a.n + 32) throw std::invalid_argument("gru_sequence: rows have no room for a whole vector at the end");
  return {svebm::gru_sequence_cpu_workspace(a, n_threads), "", [=](void* workspace, void*) {
            if (kBackward) {
              svebm::gru_sequence_backward_cpu(a, workspace, n_threads);
            } else {
              svebm::gru_sequence_cpu(a, workspace, n_threads);
            }
          }};
}

template <bool kBackward>
PlannedCall plan_on_cuda(const dict& dictionary, int device) {
  SvebmGruSequenceCudaArguments a{};
  const Fields fields(dictionary);
  read_shared(fields, kBackward, a);
  if (kBackward) fields.read("grad_hidden", a.grad_hidden);
  return plan_cuda(kBackward ? "gru_sequence_backward" : "gru_sequence", a, device);
}

// Why the kernels cannot serve both passes of a layer of these sizes; empty where they can.
std::string cuda_reason(const dict& dictionary, int device) {
  SvebmGruSequenceCudaArguments a{};
  const Fields fields(dictionary);
  fields.read("n_steps", a.n_steps);
  fields.read("n_rows", a.n_rows);
  fields.read("hidden", a.hidden);
  fields.read("n_directions", a.n_directions);
  if (a.n_steps < 1 || a.n_rows < 1 || a.hidden < 1 || a.n_directions < 1 || a.n_directions > 2) {
    throw std::invalid_argument("gru_sequence: nothing to compute");
  }
  const std::string reason = plan_cuda("gru_sequence", a, device).reason;
  return reason.empty() ? plan_cuda("gru_sequence_backward", a, device).reason : reason;
}

}  // namespace

void bind_gru_sequence(pybind11::module_& module) {
  module.def("plan_gru_sequence_cpu", &plan_on_cpu<false>);
  module.def("plan_gru_sequence_backward_cpu", &plan_on_cpu<true>);
  module.def("plan_gru_sequence_cuda", &plan_on_cuda<false>);
  module.def("plan_gru_sequence_backward_cuda", &plan_on_cuda<true>);
  module.def("gru_sequence_cuda_reason", &cuda_reason);
}
