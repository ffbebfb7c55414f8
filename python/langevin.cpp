#include "langevin/langevin.h"

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

void read_network(const py::dict& dictionary, SvebmLangevinArguments& a) {
  const auto widths = dictionary["widths"].cast<py::sequence>();
  const auto weights = dictionary["weights"].cast<py::sequence>();
  const auto biases = dictionary["biases"].cast<py::sequence>();
  a.n_layers = static_cast<int32_t>(weights.size());
  if (a.n_layers < 1 || a.n_layers > 3 || biases.size() != weights.size() || widths.size() != weights.size() + 1) {
    throw std::invalid_argument("langevin: 1 to 3 layers, each with weights, bias and width, are expected");
  }
  for (int32_t l = 0; l < a.n_layers; ++l) {
    a.weights[l] = pointer_from<const float>(weights[l].cast<std::uintptr_t>(), "weights");
    a.biases[l] = pointer_from<const float>(biases[l].cast<std::uintptr_t>(), "biases");
  }
  for (int32_t l = 0; l <= a.n_layers; ++l) {
    a.widths[l] = widths[l].cast<int32_t>();
    if (a.widths[l] < 1) throw std::invalid_argument("langevin: a layer has no width");
  }
}

SvebmLangevinArguments read_arguments(const py::dict& dictionary) {
  SvebmLangevinArguments a{};
  const Fields fields(dictionary);
  a.states = fields.pointer<float>("states");
  a.z = fields.pointer<float>("z");
  a.indices = fields.optional_pointer<const int64_t>("indices");
  a.chain_ids = fields.pointer<const int64_t>("chain_ids");
  a.labels = fields.optional_pointer<const int64_t>("labels");
  a.context = fields.optional_pointer<const float>("context");
  a.n_chains = fields.number<int64_t>("n_chains");
  read_network(dictionary, a);
  a.activation = fields.number<int32_t>("activation");
  a.negative_slope = fields.number<float>("negative_slope");
  a.temperature = fields.number<float>("temperature");
  a.n_steps = fields.number<int64_t>("n_steps");
  a.first_step = fields.number<int64_t>("first_step");
  a.seed = static_cast<uint64_t>(fields.number<int64_t>("seed"));
  a.seed_pointer = fields.optional_pointer<const uint64_t>("seed_pointer");
  a.stream = fields.number<uint32_t>("stream");
  a.metropolis_stream = fields.number<uint32_t>("metropolis_stream");
  a.step_size = fields.number<float>("step_size");
  a.step_sizes = fields.optional_pointer<const float>("step_sizes");
  a.tempers = fields.optional_pointer<const float>("tempers");
  a.temper_changes = fields.optional_pointer<const float>("temper_changes");
  a.reference_precision = fields.number<float>("reference_precision");
  a.noise_scale = fields.number<float>("noise_scale");
  a.metropolis = fields.number<bool>("metropolis") ? 1 : 0;
  a.fast = fields.number<bool>("fast") ? 1 : 0;
  a.partials = fields.optional_pointer<float>("partials");
  a.log_weights = fields.optional_pointer<float>("log_weights");
  a.non_finite = fields.pointer<int32_t>("non_finite");
  if (a.n_chains < 1 || a.n_steps < 1) throw std::invalid_argument("langevin: nothing to compute");
  if (a.activation < kSvebmGelu || a.activation > kSvebmTanh) {
    throw std::invalid_argument("langevin: no activation has the code " + std::to_string(a.activation));
  }
  return a;
}

int64_t cpu_workspace(const py::dict& fields, int n_threads) {
  return svebm::langevin_cpu_workspace(read_arguments(fields), n_threads);
}

void cpu(const py::dict& fields, std::uintptr_t workspace, int n_threads) {
  const SvebmLangevinArguments arguments = read_arguments(fields);
  const py::gil_scoped_release without_gil;
  svebm::langevin_cpu(arguments, pointer_from<void*>(workspace, "workspace"), n_threads);
}

void check_cuda(int error) {
  if (error != 0) throw std::runtime_error("langevin: CUDA reports: " + svebm::cuda_error(error));
}

// (bytes, reason): the reason is empty where the kernels can serve the call.
py::tuple cuda_workspace(const py::dict& fields, int device) {
  static const auto query =
      svebm::cuda_function<decltype(svebm_langevin_cuda_workspace)>("svebm_langevin_cuda_workspace");
  const SvebmLangevinArguments arguments = read_arguments(fields);
  int64_t bytes = 0;
  char reason[256] = "";
  check_cuda(query(&arguments, device, &bytes, reason, sizeof reason));
  return py::make_tuple(bytes, std::string(reason));
}

void cuda(const py::dict& fields, std::uintptr_t workspace, int device, std::uintptr_t stream) {
  static const auto launch = svebm::cuda_function<decltype(svebm_langevin_cuda)>("svebm_langevin_cuda");
  const SvebmLangevinArguments arguments = read_arguments(fields);
  const py::gil_scoped_release without_gil;
  check_cuda(launch(&arguments, reinterpret_cast<void*>(workspace), device, reinterpret_cast<void*>(stream)));
}

}  // namespace

void bind_langevin(py::module_& module) {
  module.def("langevin_cpu_workspace", &cpu_workspace);
  module.def("langevin_cpu", &cpu);
  module.def("langevin_cuda_workspace", &cuda_workspace);
  module.def("langevin_cuda", &cuda);
}
