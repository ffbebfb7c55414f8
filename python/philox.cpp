#include "philox/philox.h"

#include <cstdint>
#include <stdexcept>

#include "checks.h"
#include "common/cuda_loader.h"
#include "ops.h"

namespace {

SvebmPhiloxArguments make_arguments(std::uintptr_t chain_ids, std::uintptr_t numbers, int64_t n_chains, int64_t dim,
                                    int64_t first_step, int64_t n_steps, int64_t seed, std::uintptr_t seed_tensor,
                                    uint32_t stream, bool normal) {
  if (n_chains < 1 || dim < 1 || n_steps < 1) throw std::invalid_argument("philox: nothing to compute");
  SvebmPhiloxArguments arguments{};
  arguments.chain_ids = pointer_from<const int64_t>(chain_ids, "chain_ids");
  arguments.numbers = pointer_from<float>(numbers, "numbers");
  arguments.n_chains = n_chains;
  arguments.dim = dim;
  arguments.first_step = first_step;
  arguments.n_steps = n_steps;
  arguments.seed = static_cast<uint64_t>(seed);
  arguments.seed_tensor = pointer_from<const uint64_t>(seed_tensor, "seed_tensor", true);
  arguments.stream = stream;
  arguments.normal = normal ? 1 : 0;
  return arguments;
}

void philox_cpu(std::uintptr_t chain_ids, std::uintptr_t numbers, int64_t n_chains, int64_t dim, int64_t first_step,
                int64_t n_steps, int64_t seed, std::uintptr_t seed_tensor, uint32_t stream, bool normal,
                int n_threads) {
  svebm::philox_cpu(
      make_arguments(chain_ids, numbers, n_chains, dim, first_step, n_steps, seed, seed_tensor, stream, normal),
      n_threads);
}

void philox_cuda(std::uintptr_t chain_ids, std::uintptr_t numbers, int64_t n_chains, int64_t dim, int64_t first_step,
                 int64_t n_steps, int64_t seed, std::uintptr_t seed_tensor, uint32_t stream, bool normal, int device,
                 std::uintptr_t cuda_stream) {
  static const auto launch = svebm::cuda_function<decltype(svebm_philox_cuda)>("svebm_philox_cuda");
  const SvebmPhiloxArguments arguments =
      make_arguments(chain_ids, numbers, n_chains, dim, first_step, n_steps, seed, seed_tensor, stream, normal);
  const int error = launch(&arguments, device, reinterpret_cast<void*>(cuda_stream));
  if (error != 0) throw std::runtime_error("philox: CUDA reports: " + svebm::cuda_error(error));
}

}  // namespace

void bind_philox(pybind11::module_& module) {
  const pybind11::call_guard<pybind11::gil_scoped_release> without_gil;
  module.def("philox_cpu", &philox_cpu, without_gil);
  module.def("philox_cuda", &philox_cuda, without_gil);
}
