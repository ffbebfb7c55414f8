// The CPU kernel in every variant that this processor runs, against the definition in double.
#include <vector>

#include "check.h"
#include "common/philox.h"
#include "philox_cases.h"
#include "variants.h"

namespace {

void published_vectors() {
  const auto zero = svebm::philox4x32_10({0, 0, 0, 0}, 0, 0);
  CHECK(zero.w0 == 0x6627e8d5u && zero.w1 == 0xe169c58du && zero.w2 == 0xbc57ac4cu && zero.w3 == 0x9b00dbd8u);
  const auto pi = svebm::philox4x32_10({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, 0xa4093822u, 0x299f31d0u);
  CHECK(pi.w0 == 0xd16cfe09u && pi.w1 == 0x94fdccebu && pi.w2 == 0x5001e420u && pi.w3 == 0x24126ea1u);
}

void every_number() {
  for (const auto& shape : cases::kShapes) {
    for (const bool normal : {false, true}) {
      auto made = cases::make(shape, normal);
      svebm::philox_cpu(made.arguments, 1);
      size_t i = 0;
      for (int64_t s = 0; s < shape.n_steps; ++s) {
        for (int64_t n = 0; n < shape.n_chains; ++n) {
          for (int64_t d = 0; d < shape.dim; ++d, ++i) {
            CHECK_NEAR(made.numbers[i], cases::expected(made.arguments, s, n, d), normal ? 2e-6 : 0.0);
          }
        }
      }
    }
  }
}

void threads_change_nothing() {
  const cases::Shape shape{1000, 21, 3};
  auto one = cases::make(shape, true), three = cases::make(shape, true);
  svebm::philox_cpu(one.arguments, 1);
  svebm::philox_cpu(three.arguments, 3);
  CHECK(one.numbers == three.numbers);
}

void a_seed_behind_a_pointer() {
  const cases::Shape shape{10, 9, 2};
  auto direct = cases::make(shape, true), pointed = cases::make(shape, true);
  const uint64_t seed = direct.arguments.seed;
  pointed.arguments.seed = 0;
  pointed.arguments.seed_tensor = &seed;
  svebm::philox_cpu(direct.arguments, 1);
  svebm::philox_cpu(pointed.arguments, 1);
  CHECK(direct.numbers == pointed.numbers);
}

}  // namespace

int main() {
  published_vectors();
  on_every_variant([] {
    every_number();
    threads_change_nothing();
    a_seed_behind_a_pointer();
  });
  return check::failures();
}
