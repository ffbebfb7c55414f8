#include "philox/philox.h"

#include <cstdint>
#include <stdexcept>

#include "fields.h"
#include "ops.h"
#include "planned_call.h"

namespace {

SvebmPhiloxArguments read_arguments(const pybind11::dict& dictionary) {
  SvebmPhiloxArguments a{};
  const Fields fields(dictionary);
  fields.read("chain_ids", a.chain_ids);
  fields.read("numbers", a.numbers);
  fields.read("n_chains", a.n_chains);
  fields.read("dim", a.dim);
  fields.read("first_step", a.first_step);
  fields.read("n_steps", a.n_steps);
  fields.read_seed("seed", a.seed);
  fields.read_optional("seed_tensor", a.seed_tensor);
  fields.read("stream", a.stream);
  fields.read("normal", a.normal);
  if (a.n_chains < 1 || a.dim < 1 || a.n_steps < 1) throw std::invalid_argument("philox: nothing to compute");
  return a;
}

PlannedCall plan_philox_cpu(const pybind11::dict& fields, int n_threads) {
  const SvebmPhiloxArguments arguments = read_arguments(fields);
  return {0, "", [=](void*, void*) { svebm::philox_cpu(arguments, n_threads); }};
}

// Its kernel serves every call, and needs no plan.
PlannedCall plan_philox_cuda(const pybind11::dict& fields, int device) {
  static const auto launch = svebm::cuda_function<decltype(svebm_philox_cuda)>("svebm_philox_cuda");
  const SvebmPhiloxArguments arguments = read_arguments(fields);
  return {0, "", [=](void*, void* queue) { check_cuda("philox", launch(&arguments, device, queue)); }};
}

}  // namespace

void bind_philox(pybind11::module_& module) {
  module.def("plan_philox_cpu", &plan_philox_cpu);
  module.def("plan_philox_cuda", &plan_philox_cuda);
}
