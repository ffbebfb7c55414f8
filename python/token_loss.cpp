#include "token_loss/token_loss.h"

#include <cstdint>
#include <stdexcept>

#include "checks.h"
#include "ops.h"

namespace {

SvebmTokenLossArguments make_arguments(std::uintptr_t hidden, int64_t hidden_stride, std::uintptr_t weight,
                                       int64_t weight_stride, std::uintptr_t bias, std::uintptr_t targets,
                                       std::uintptr_t token_weights, float token_weight, int64_t n, int64_t h,
                                       int64_t v, std::uintptr_t loss, std::uintptr_t grad_hidden,
                                       std::uintptr_t grad_weight, std::uintptr_t grad_bias, bool fast) {
  if (n < 1 || h < 1 || v < 1) throw std::invalid_argument("token_loss: nothing to compute");
  SvebmTokenLossArguments arguments{};
  arguments.hidden = pointer_from<const float>(hidden, "hidden");
  arguments.hidden_stride = hidden_stride;
  arguments.weight = pointer_from<const float>(weight, "weight");
  arguments.weight_stride = weight_stride;
  arguments.bias = pointer_from<const float>(bias, "bias", true);
  arguments.targets = pointer_from<const int64_t>(targets, "targets");
  arguments.token_weights = pointer_from<const float>(token_weights, "token_weights", true);
  arguments.token_weight = token_weight;
  arguments.n = n;
  arguments.h = h;
  arguments.v = v;
  arguments.loss = pointer_from<float>(loss, "loss", true);
  arguments.grad_hidden = pointer_from<float>(grad_hidden, "grad_hidden", true);
  arguments.grad_weight = pointer_from<float>(grad_weight, "grad_weight", grad_hidden == 0);
  arguments.grad_bias = pointer_from<float>(grad_bias, "grad_bias", grad_hidden == 0 || bias == 0);
  arguments.fast = fast ? 1 : 0;
  return arguments;
}

}  // namespace

void bind_token_loss(pybind11::module_& module) {
  const pybind11::call_guard<pybind11::gil_scoped_release> without_gil;
  pybind11::class_<SvebmTokenLossArguments>(module, "TokenLossArguments").def(pybind11::init(&make_arguments));
  module.def("token_loss_cpu_workspace", &svebm::token_loss_cpu_workspace);
  module.def(
      "token_loss_cpu",
      [](const SvebmTokenLossArguments& arguments, std::uintptr_t workspace, int n_threads) {
        svebm::token_loss_cpu(arguments, pointer_from<void*>(workspace, "workspace"), n_threads);
      },
      without_gil);
}
