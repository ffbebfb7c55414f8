// Opens libsvebm_cuda.so at run time and finds its functions.
#pragma once

#include <string>

namespace svebm {

// Opens the library once. Returns the empty string, or why it cannot be used.
std::string load_cuda(const std::string& path);

// Why the opened library cannot serve a device; the empty string where it can.
std::string cuda_device_reason(int device);

// Text of a cudaError_t.
std::string cuda_error(int error);

// Address of a function of the opened library; throws std::runtime_error where there is none.
void* cuda_symbol(const char* name);

template <typename Function>
Function* cuda_function(const char* name) {
  return reinterpret_cast<Function*>(cuda_symbol(name));
}

}  // namespace svebm
