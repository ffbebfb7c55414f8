#include "planned_call.h"

#include "checks.h"

void bind_planned_call(pybind11::module_& module) {
  pybind11::class_<PlannedCall>(module, "PlannedCall")
      .def_readonly("workspace_bytes", &PlannedCall::workspace_bytes)
      .def_readonly("reason", &PlannedCall::reason)
      .def("run", [](const PlannedCall& call, std::uintptr_t workspace, std::uintptr_t queue) {
        if (call.workspace_bytes > 0) pointer_from<void*>(workspace, "workspace");
        if (!call.reason.empty()) throw std::invalid_argument(call.reason);
        const pybind11::gil_scoped_release without_gil;
        call.run(reinterpret_cast<void*>(workspace), reinterpret_cast<void*>(queue));
      });
}
