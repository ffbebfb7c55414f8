// Many Philox counters at once, for CPU kernels: the loops have no branches and fixed bounds, so the compiler turns
// them into vector code of whatever width the variant has.
#pragma once

#include "common/math.h"
#include "common/philox.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

// kCount counters in, their words out, both as [word][counter].
template <int kCount>
struct PhiloxBatch {
  alignas(64) uint32_t words[4][kCount];

  void randomise(uint64_t seed) {
    for (int i = 0; i < kCount; ++i) {
      const PhiloxWords random = philox4x32_10({words[0][i], words[1][i], words[2][i], words[3][i]},
                                               static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
      words[0][i] = random.w0;
      words[1][i] = random.w1;
      words[2][i] = random.w2;
      words[3][i] = random.w3;
    }
  }

  // Box-Muller: words (0, 1) give sqrt(-2 log u0) (cos, sin)(2 pi u1), words (2, 3) likewise. normal is [4][kCount].
  void normal(float* normal) const {
    for (int pair = 0; pair < 4; pair += 2) {
      for (int i = 0; i < kCount; ++i) {
        const float radius = __builtin_sqrtf(-2.0f * log_positive(uniform_from_word(words[pair][i])));
        const SineCosine direction = sincos_turn(uniform_from_word(words[pair + 1][i]));
        normal[pair * kCount + i] = radius * direction.cosine;
        normal[(pair + 1) * kCount + i] = radius * direction.sine;
      }
    }
  }
};

}  // namespace
}  // namespace SVEBM_VARIANT
}  // namespace svebm
