// One function an op, defined in <op>.cpp, that adds the op to the module.
#pragma once

#include <pybind11/pybind11.h>

void bind_gru_decode(pybind11::module_& module);
void bind_langevin(pybind11::module_& module);
void bind_philox(pybind11::module_& module);
