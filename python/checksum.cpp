#include "checksum/checksum.h"

#include <cstdint>
#include <stdexcept>

#include "checks.h"
#include "ops.h"

void bind_checksum(pybind11::module_& module) {
  module.def(
      "checksum_cpu",
      [](std::uintptr_t data, int64_t n_bytes, int n_threads) {
        if (n_bytes < 0) throw std::invalid_argument("checksum: fewer than no bytes");
        return svebm::checksum_cpu(pointer_from<const char>(data, "data", n_bytes == 0), n_bytes, n_threads);
      },
      pybind11::call_guard<pybind11::gil_scoped_release>());
}
