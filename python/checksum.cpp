#include "checksum/checksum.h"

#include <cstdint>
#include <stdexcept>

#include "fields.h"
#include "ops.h"

namespace {

// The one op whose result is a number: it has no workspace, and so no plan.
uint64_t checksum_cpu(const pybind11::dict& dictionary, int n_threads) {
  const Fields fields(dictionary);
  const char* data = nullptr;
  int64_t n_bytes = 0;
  fields.read("n_bytes", n_bytes);
  if (n_bytes < 0) throw std::invalid_argument("checksum: fewer than no bytes");
  if (n_bytes > 0) fields.read("data", data);
  const pybind11::gil_scoped_release without_gil;
  return svebm::checksum_cpu(data, n_bytes, n_threads);
}

}  // namespace

void bind_checksum(pybind11::module_& module) { module.def("checksum_cpu", &checksum_cpu); }
