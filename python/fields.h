// Arguments of an op's call, handed over as a dictionary with the names of the C structure's fields: the one calling
// convention of all bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "checks.h"

// Reads fields by name into the structure's fields, whose types say what is expected.
class Fields {
 public:
  explicit Fields(const pybind11::dict& fields) : fields_(fields) {}

  // A number, or a flag, which the structures have as int32_t.
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  void read(const char* name, T& field) const {
    field = fields_[name].cast<T>();
  }

  // An array, by its address.
  template <typename T>
  void read(const char* name, T*& field) const {
    field = pointer_from<T>(fields_[name].cast<std::uintptr_t>(), name);
  }

  // An array that is null where the field is absent or None.
  template <typename T>
  void read_optional(const char* name, T*& field) const {
    PyObject* const value = PyDict_GetItemString(fields_.ptr(), name);
    const bool absent = value == nullptr || value == Py_None;
    field = absent ? nullptr : pointer_from<T>(pybind11::handle(value).cast<std::uintptr_t>(), name);
  }

  // A 64-bit key, which Python has as a signed number.
  void read_seed(const char* name, uint64_t& field) const {
    field = static_cast<uint64_t>(fields_[name].cast<int64_t>());
  }

  // Several arrays, numbers, as a list: returns how many, at most `most`.
  template <typename T>
  int32_t read_list(const char* name, T* items, int32_t most) const {
    const auto list = fields_[name].cast<pybind11::sequence>();
    const auto n = static_cast<int32_t>(list.size());
    if (n > most) throw std::invalid_argument(std::string(name) + " has more entries than are expected");
    for (int32_t i = 0; i < n; ++i) {
      const pybind11::object item = list[static_cast<size_t>(i)];
      if constexpr (std::is_pointer_v<T>) {
        items[i] = pointer_from<std::remove_pointer_t<T>>(item.cast<std::uintptr_t>(), name);
      } else {
        items[i] = item.cast<T>();
      }
    }
    return n;
  }

 private:
  const pybind11::dict& fields_;
};
