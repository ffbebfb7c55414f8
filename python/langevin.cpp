#include "langevin/langevin.h"

#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "fields.h"
#include "ops.h"
#include "planned_call.h"

namespace py = pybind11;

namespace {

void read_network(const Fields& fields, SvebmLangevinArguments& a) {
  a.n_layers = fields.read_list("weights", a.weights, 3);
  const int32_t n_biases = fields.read_list("biases", a.biases, 3), n_widths = fields.read_list("widths", a.widths, 4);
  if (a.n_layers < 1 || n_biases != a.n_layers || n_widths != a.n_layers + 1) {
    throw std::invalid_argument("langevin: 1 to 3 layers, each with weights, bias and width, are expected");
  }
  for (int32_t l = 0; l <= a.n_layers; ++l) {
    if (a.widths[l] < 1) throw std::invalid_argument("langevin: a layer has no width");
  }
  fields.read_optional("labels", a.labels);
  fields.read_optional("context_shift", a.context_shift);
  fields.read("activation", a.activation);
  fields.read("negative_slope", a.negative_slope);
  fields.read("temperature", a.temperature);
  fields.read("fast", a.fast);
  if (a.activation < kSvebmGelu || a.activation > kSvebmTanh) {
    throw std::invalid_argument("langevin: no activation has the code " + std::to_string(a.activation));
  }
}

SvebmLangevinArguments read_arguments(const py::dict& dictionary) {
  SvebmLangevinArguments a{};
  const Fields fields(dictionary);
  read_network(fields, a);
  fields.read("states", a.states);
  fields.read("z", a.z);
  fields.read_optional("bank_indices", a.bank_indices);
  fields.read("chain_ids", a.chain_ids);
  fields.read("n_chains", a.n_chains);
  fields.read("n_steps", a.n_steps);
  fields.read("first_step", a.first_step);
  fields.read_seed("seed", a.seed);
  fields.read_optional("seed_tensor", a.seed_tensor);
  fields.read("stream", a.stream);
  fields.read("metropolis_stream", a.metropolis_stream);
  fields.read("step_size", a.step_size);
  fields.read_optional("step_sizes", a.step_sizes);
  fields.read_optional("temper", a.temper);
  fields.read_optional("temper_changes", a.temper_changes);
  fields.read("reference_precision", a.reference_precision);
  fields.read("noise_scale", a.noise_scale);
  fields.read("metropolis", a.metropolis);
  fields.read_optional("partials", a.partials);
  fields.read_optional("log_weights", a.log_weights);
  fields.read("non_finite", a.non_finite);
  if (a.n_chains < 1 || a.n_steps < 1) throw std::invalid_argument("langevin: nothing to compute");
  return a;
}

PlannedCall plan_langevin_cpu(const py::dict& fields, int n_threads) {
  const SvebmLangevinArguments arguments = read_arguments(fields);
  return {svebm::langevin_cpu_workspace(arguments, n_threads), "",
          [=](void* workspace, void*) { svebm::langevin_cpu(arguments, workspace, n_threads); }};
}

PlannedCall plan_langevin_cuda(const py::dict& fields, int device) {
  return plan_cuda("langevin", read_arguments(fields), device);
}

}  // namespace

void bind_langevin(py::module_& module) {
  module.def("plan_langevin_cpu", &plan_langevin_cpu);
  module.def("plan_langevin_cuda", &plan_langevin_cuda);
}
