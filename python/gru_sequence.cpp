#include "ops.h"

void bind_gru_sequence(pybind11::module_&) {}
