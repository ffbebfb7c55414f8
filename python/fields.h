// Arguments of an op's call, handed over as a dictionary with the names of the C structure's fields: the one calling
// convention of all bindings. Arrays are torch's tensors, of which torch's own methods tell the address, so that
// nothing here is compiled against torch; or numbers that stand for addresses.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_map>

#include "checks.h"

// A name as Python compares it soonest, made once; `name` is a literal, which has one address for good.
inline pybind11::handle interned(const char* name) {
  static auto* const names = new std::unordered_map<const char*, PyObject*>;  // never freed: Python may end before it
  PyObject*& object = (*names)[name];
  if (object == nullptr) object = PyUnicode_InternFromString(name);
  if (object == nullptr) throw pybind11::error_already_set();
  return object;
}

inline pybind11::object call_method(pybind11::handle object, const char* name) {
  PyObject* const result = PyObject_CallMethodNoArgs(object.ptr(), interned(name).ptr());
  if (result == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

// Reads fields by name into the structure's fields, whose types say what is expected. A tensor that is not contiguous
// is replaced in the dictionary by a copy, so that whoever keeps the dictionary keeps what the addresses lead to; one
// that a kernel writes to must therefore be contiguous.
class Fields {
 public:
  explicit Fields(const pybind11::dict& fields) : fields_(fields) {}

  // A number, or a flag, which the structures have as int32_t.
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  void read(const char* name, T& field) const {
    field = given(name).cast<T>();
  }

  // An array, by its address.
  template <typename T>
  void read(const char* name, T*& field) const {
    field = pointer_from<T>(address(name, given(name)), name);
  }

  // An array that is null where the field is absent or None.
  template <typename T>
  void read_optional(const char* name, T*& field) const {
    PyObject* const value = PyDict_GetItem(fields_.ptr(), interned(name).ptr());
    const bool absent = value == nullptr || value == Py_None;
    field = absent ? nullptr : pointer_from<T>(address(name, value), name);
  }

  // A 64-bit key, which Python has as a signed number.
  void read_seed(const char* name, uint64_t& field) const {
    field = static_cast<uint64_t>(given(name).cast<int64_t>());
  }

  // Several arrays, numbers, as a list: returns how many, at most `most`.
  template <typename T>
  int32_t read_list(const char* name, T* items, int32_t most) const {
    const auto list = pybind11::reinterpret_borrow<pybind11::object>(given(name)).cast<pybind11::list>();
    const auto n = static_cast<int32_t>(list.size());
    if (n > most) throw std::invalid_argument(std::string(name) + " has more entries than are expected");
    for (int32_t i = 0; i < n; ++i) {
      const pybind11::handle item = PyList_GetItem(list.ptr(), i);
      if constexpr (std::is_pointer_v<T>) {
        items[i] = pointer_from<std::remove_pointer_t<T>>(address(name, item, i), name);
      } else {
        items[i] = item.cast<T>();
      }
    }
    return n;
  }

 private:
  pybind11::handle given(const char* name) const {
    PyObject* const value = PyDict_GetItemWithError(fields_.ptr(), interned(name).ptr());
    if (value == nullptr) throw pybind11::key_error(name);
    return value;
  }

  // Of an array, which is entry `place` of a list where that is not negative.
  std::uintptr_t address(const char* name, pybind11::handle array, int32_t place = -1) const {
    if (PyLong_Check(array.ptr())) return array.cast<std::uintptr_t>();
    if (call_method(array, "is_contiguous").ptr() == Py_True) {
      return call_method(array, "data_ptr").cast<std::uintptr_t>();
    }
    const pybind11::object copy = call_method(array, "contiguous");
    keep(name, copy, place);
    return call_method(copy, "data_ptr").cast<std::uintptr_t>();
  }

  // Lists are the caller's: an entry is replaced in a list of the dictionary's own.
  void keep(const char* name, const pybind11::object& copy, int32_t place) const {
    if (place < 0) {
      fields_[name] = copy;
      return;
    }
    pybind11::list own;
    for (const pybind11::handle item : pybind11::reinterpret_borrow<pybind11::list>(given(name))) own.append(item);
    own[static_cast<size_t>(place)] = copy;
    fields_[name] = own;
  }

  const pybind11::dict& fields_;
};
