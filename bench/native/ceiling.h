// What this processor's arithmetic units do at most: the ceiling that kernels are held against by the benchmarks.
#pragma once

#include <stdint.h>

#include "common/cpu/variant.h"

namespace svebm {

// Runs multiply-adds without any memory access, `rounds` times 1,200 vectors; bf16: dot products of pairs. Returns the
// floating-point operations done, or 0 where the variant has no such instruction.
SVEBM_DECLARE_VARIANTS(double multiply_add(int64_t rounds, bool bf16))

// Floating-point operations a second of n_threads threads together, over about `seconds`; the best of several rounds.
double multiply_add_rate(int n_threads, double seconds, bool bf16);

}  // namespace svebm
