// Arguments of an op's call, handed over as a dictionary with the names of the C structure's fields.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "checks.h"

// Reads fields by name; a pointer that is absent or None is null where it may be.
class Fields {
 public:
  explicit Fields(const pybind11::dict& fields) : fields_(fields) {}

  template <typename T>
  T number(const char* name) const {
    return fields_[name].cast<T>();
  }

  template <typename T>
  T* pointer(const char* name) const {
    return pointer_from<T>(fields_[name].cast<std::uintptr_t>(), name);
  }

  template <typename T>
  T* optional_pointer(const char* name) const {
    const pybind11::object value = fields_.attr("get")(name);
    return value.is_none() ? nullptr : pointer_from<T>(value.cast<std::uintptr_t>(), name);
  }

 private:
  const pybind11::dict& fields_;
};
