// What libsvebm_cuda.so offers besides its ops. Plain C: the library is opened at run time, so that everything else
// works on a machine without a driver.
#pragma once

extern "C" {

int svebm_cuda_abi_version(void);

// cudaSuccess (0) if kernels of this file run on the device: a driver that accepts the static runtime, and machine code
// or PTX for its architecture.
int svebm_cuda_check_device(int device);

const char* svebm_cuda_error(int error);
}
