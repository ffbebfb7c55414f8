// One function an op, defined in <op>.cpp, that adds the op to the module.
#pragma once

#include <pybind11/pybind11.h>

void bind_checksum(pybind11::module_& module);
void bind_gemm(pybind11::module_& module);
void bind_gru_decode(pybind11::module_& module);
void bind_gru_sequence(pybind11::module_& module);
void bind_langevin(pybind11::module_& module);
void bind_philox(pybind11::module_& module);
void bind_token_loss(pybind11::module_& module);
