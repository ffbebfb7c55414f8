// The CUDA source of philox, run on the host against the definition in double: the index arithmetic and the numbers.
#include "check.h"
#include "philox/cuda/philox.cuh"
#include "philox_cases.h"

namespace {

constexpr unsigned kThreads = 256;

// As svebm_philox_cuda does, with limits small enough that the loops over chains and steps are taken.
void launch(const SvebmPhiloxArguments& a, int64_t most_chains, int64_t most_steps, unsigned seed) {
  const int64_t blocks = (a.dim + 3) / 4;
  for (int64_t step = 0; step < a.n_steps; step += most_steps) {
    const int64_t n_steps = std::min(most_steps, a.n_steps - step);
    for (int64_t chain = 0; chain < a.n_chains; chain += most_chains) {
      const uint32_t n_chains = static_cast<uint32_t>(std::min(most_chains, a.n_chains - chain));
      const unsigned grid = static_cast<unsigned>((n_chains * blocks + kThreads - 1) / kThreads);
      emulation::launch({grid, static_cast<unsigned>(n_steps), 1}, kThreads, seed,
                        [&] { svebm::philox_thread(a, chain, n_chains, step); });
    }
  }
}

void every_number(int64_t most_chains, int64_t most_steps) {
  for (const auto& shape : cases::kShapes) {
    for (const bool normal : {false, true}) {
      auto made = cases::make(shape, normal);
      launch(made.arguments, most_chains, most_steps, 7);
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

}  // namespace

int main() {
  every_number(1 << 30, 65535);
  every_number(5, 2);
  return check::failures();
}
