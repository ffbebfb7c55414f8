#include "token_loss/token_loss.h"

#include <cstdint>
#include <stdexcept>

#include "fields.h"
#include "ops.h"
#include "planned_call.h"

namespace {

SvebmTokenLossArguments read_arguments(const pybind11::dict& dictionary) {
  SvebmTokenLossArguments a{};
  const Fields fields(dictionary);
  fields.read("hidden", a.hidden);
  fields.read("hidden_stride", a.hidden_stride);
  fields.read("weight", a.weight);
  fields.read("weight_stride", a.weight_stride);
  fields.read_optional("bias", a.bias);
  fields.read("targets", a.targets);
  fields.read_optional("token_weights", a.token_weights);
  fields.read("token_weight", a.token_weight);
  fields.read("n", a.n);
  fields.read("h", a.h);
  fields.read("v", a.v);
  fields.read("fast", a.fast);
  fields.read_optional("loss", a.loss);
  fields.read_optional("grad_hidden", a.grad_hidden);
  if (a.grad_hidden != nullptr) {
    fields.read("grad_weight", a.grad_weight);
    if (a.bias != nullptr) fields.read("grad_bias", a.grad_bias);
  }
  if (a.n < 1 || a.h < 1 || a.v < 1) throw std::invalid_argument("token_loss: nothing to compute");
  return a;
}

PlannedCall plan_token_loss_cpu(const pybind11::dict& fields, int n_threads) {
  const SvebmTokenLossArguments arguments = read_arguments(fields);
  return {svebm::token_loss_cpu_workspace(arguments, n_threads), "",
          [=](void* workspace, void*) { svebm::token_loss_cpu(arguments, workspace, n_threads); }};
}

}  // namespace

void bind_token_loss(pybind11::module_& module) { module.def("plan_token_loss_cpu", &plan_token_loss_cpu); }
