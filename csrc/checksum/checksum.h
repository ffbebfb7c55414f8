// A number that tells whether memory holds what it held before: by it decoding sees that weights have changed.
#pragma once

#include <stdint.h>

#include "common/cpu/variant.h"

namespace svebm {

// Of one part. A change of one 32-bit number always changes it; of more, but for one case in 2^32.
SVEBM_DECLARE_VARIANTS(uint64_t checksum_part(const void* data, int64_t n_bytes))

// Of all bytes, in their order; the same for any number of threads, another with another variant.
uint64_t checksum_cpu(const void* data, int64_t n_bytes, int n_threads);

}  // namespace svebm
