#include "gru_decode/gru_decode.h"

#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>

#include "fields.h"
#include "ops.h"
#include "planned_call.h"

namespace py = pybind11;

namespace {

// What packing needs, and every other call as well.
void read_network(const Fields& fields, SvebmGruDecodeArguments& a) {
  fields.read("weight", a.weight);
  fields.read("output", a.output);
  fields.read("hidden", a.hidden);
  fields.read("vocabulary", a.vocabulary);
  fields.read("fast", a.fast);
  if (a.hidden < 1 || a.vocabulary < 1) throw std::invalid_argument("gru_decode: no network");
}

SvebmGruDecodeArguments read_arguments(const Fields& fields) {
  SvebmGruDecodeArguments a{};
  read_network(fields, a);
  fields.read("state", a.state);
  fields.read("gate_bias", a.gate_bias);
  fields.read("ids", a.ids);
  fields.read("n_rows", a.n_rows);
  fields.read("max_tokens", a.max_tokens);
  fields.read("input_gates", a.input_gates);
  fields.read("bias", a.bias);
  fields.read_optional("output_bias", a.output_bias);
  fields.read("begin", a.begin);
  fields.read("end", a.end);
  fields.read("pad", a.pad);
  fields.read("n_excluded", a.n_excluded);
  if (a.n_excluded > 0) fields.read("excluded", a.excluded);
  fields.read("greedy", a.greedy);
  fields.read("temperature", a.temperature);
  fields.read("top_k", a.top_k);
  fields.read("top_p", a.top_p);
  fields.read_seed("seed", a.seed);
  fields.read_optional("seed_tensor", a.seed_tensor);
  fields.read("stream", a.stream);
  fields.read("tokens", a.tokens);
  fields.read("lengths", a.lengths);
  fields.read_optional("log_probabilities", a.log_probabilities);
  fields.read("non_finite", a.non_finite);
  if (a.n_rows < 1 || a.max_tokens < 1) throw std::invalid_argument("gru_decode: nothing to compute");
  return a;
}

SvebmGruDecodeArguments read_network_only(const py::dict& fields) {
  SvebmGruDecodeArguments a{};
  read_network(Fields(fields), a);
  return a;
}

int64_t cpu_packed_bytes(const py::dict& fields) {
  return svebm::gru_decode_cpu_packed_bytes(read_network_only(fields));
}

void cpu_pack(const py::dict& fields) {
  const SvebmGruDecodeArguments arguments = read_network_only(fields);
  unsigned char* packed = nullptr;
  Fields(fields).read("packed", packed);
  const py::gil_scoped_release without_gil;
  svebm::gru_decode_cpu_pack(arguments, packed);
}

PlannedCall plan_gru_decode_cpu(const py::dict& dictionary, int n_threads) {
  const Fields fields(dictionary);
  const SvebmGruDecodeArguments arguments = read_arguments(fields);
  const unsigned char* packed = nullptr;
  fields.read("packed", packed);
  return {svebm::gru_decode_cpu_workspace(arguments, n_threads), "", [=](void* workspace, void*) {
            if (!svebm::gru_decode_cpu(arguments, packed, workspace, n_threads)) {
              throw std::invalid_argument(
                  "gru_decode: the packed weights are of other sizes or for another instruction set");
            }
          }};
}

PlannedCall plan_gru_decode_cuda(const py::dict& fields, int device) {
  return plan_cuda("gru_decode", read_arguments(Fields(fields)), device);
}

}  // namespace

void bind_gru_decode(py::module_& module) {
  module.def("gru_decode_cpu_packed_bytes", &cpu_packed_bytes);
  module.def("gru_decode_cpu_pack", &cpu_pack);
  module.def("plan_gru_decode_cpu", &plan_gru_decode_cpu);
  module.def("plan_gru_decode_cuda", &plan_gru_decode_cuda);
}
