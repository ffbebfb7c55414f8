// Every barrier and wait of the kernels of a GRU layer is needed: with any one of them left out, some schedule gives
// other numbers than before, or an error.
#include <functional>

#include "check.h"
#include "gru_sequence_on_host.h"
#include "missing_barriers.h"

namespace {

using emulation::Options;
using Results = std::vector<std::vector<float>>;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kEvery = 5;
#else
constexpr unsigned kEvery = 1;
#endif

// More rows than places, so that a block stages twice in a step.
Results run(const on_host::GruSequenceShape& shape, Options options) {
  on_host::GruSequenceCase made(shape, 3);
  on_host::run_gru_sequence(made, {227 * 1024, 4, true}, options);
  return made.results();
}

}  // namespace

int main() {
  if (emulation::kUnderThreadSanitizer) {
    std::printf("skipped: there are no threads that the thread sanitizer could look at\n");
    return 0;
  }
  std::vector<std::function<Results(Options)>> kernels;
  for (const int directions : {1, 2}) {
    kernels.emplace_back([=](Options options) { return run({{40, 37, 34, 3}, 12, directions}, options); });
  }
  emulation::every_site<Results>("a layer", kernels, 8, {3, 24, kEvery});
  return check::failures();
}
