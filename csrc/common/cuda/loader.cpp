#include "common/cuda/loader.h"

#include <dlfcn.h>

#include <mutex>
#include <stdexcept>

#include "common/cuda/library.h"
#include "common/version.h"

namespace svebm {
namespace {

std::mutex mutex;
void* library = nullptr;

}  // namespace

std::string load_cuda(const std::string& path) {
  std::lock_guard<std::mutex> lock(mutex);
  if (library != nullptr) return "";
  void* opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) return std::string("libsvebm_cuda.so cannot be opened: ") + dlerror();
  const auto abi_version = reinterpret_cast<decltype(&svebm_cuda_abi_version)>(dlsym(opened, "svebm_cuda_abi_version"));
  if (abi_version == nullptr || abi_version() != SVEBM_ABI_VERSION) {
    dlclose(opened);
    return path + " belongs to another version of svebm_ext";
  }
  library = opened;
  return "";
}

void* cuda_symbol(const char* name) {
  std::lock_guard<std::mutex> lock(mutex);
  if (library == nullptr) throw std::runtime_error("libsvebm_cuda.so has not been opened");
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) throw std::runtime_error(std::string("libsvebm_cuda.so has no function ") + name);
  return symbol;
}

std::string cuda_error(int error) { return cuda_function<decltype(svebm_cuda_error)>("svebm_cuda_error")(error); }

std::string cuda_device_reason(int device) {
  const int error = cuda_function<decltype(svebm_cuda_check_device)>("svebm_cuda_check_device")(device);
  return error == 0 ? "" : "the CUDA kernels do not run on device " + std::to_string(device) + ": " + cuda_error(error);
}

}  // namespace svebm
