// What plans ask of a device. Plain C++, so that tests can ask for plans without one.
#pragma once

#include <stdint.h>

namespace svebm {

struct DeviceLimits {
  int32_t shared_bytes;  // dynamic shared memory of a block, after opting in
  int32_t n_multiprocessors;
  bool cooperative = false;  // blocks of a launch may wait for each other
};

}  // namespace svebm
