// Every barrier and wait of the decoding kernels is needed: with any one of them left out, some schedule gives other
// words than before, or an error. So the emulator would also notice if one were forgotten.
#include <functional>

#include "check.h"
#include "gru_decode_on_host.h"
#include "missing_barriers.h"

namespace {

using emulation::Options;

// A sanitizer makes everything slow, and has its own tests: a few of the places will do.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kEvery = 7;
#else
constexpr unsigned kEvery = 1;
#endif

struct Results {
  std::vector<int64_t> tokens;
  std::vector<float> log_probabilities;
  bool operator==(const Results& other) const {
    return tokens == other.tokens && log_probabilities == other.log_probabilities;
  }
};

using Kernel = std::function<Results(Options)>;

// Two blocks with more tiles than warps, and more sentences than blocks; or the kernels of a step.
Kernel kernel(bool persistent, bool fast, bool greedy, bool logs, const cases::GruShape& shape) {
  return [=](Options options) {
    auto made = cases::make_gru(shape, greedy, logs, 3);
    made.arguments.fast = fast ? 1 : 0;
    made.output_bias[2] += 4.0f;  // some sentences end with each step
    if (!logs) std::fill(made.log_probabilities.begin(), made.log_probabilities.end(), 0.0f);
    const svebm::DeviceLimits limits = persistent ? svebm::DeviceLimits{227 * 1024, 2, true} : on_host::kSteps;
    CHECK(on_host::run_gru(made.arguments, limits, options) == persistent);
    return Results{made.tokens, made.log_probabilities};
  };
}

constexpr emulation::Search kSearch{3, 24, kEvery};

}  // namespace

int main() {
  if (emulation::kUnderThreadSanitizer) {
    std::printf("skipped: there are no threads that the thread sanitizer could look at\n");
    return 0;
  }
  const cases::GruShape few{11, 3, 20, 250}, many{5, 2, 150, 100};
  emulation::every_site<Results>("one kernel",
                                 {kernel(true, false, true, false, few), kernel(true, true, false, true, few),
                                  kernel(true, false, true, true, few)},
                                 10, kSearch);
  emulation::every_site<Results>("kernels of a step",
                                 {kernel(false, false, true, true, many), kernel(false, true, false, true, many)}, 8,
                                 kSearch);
  return check::failures();
}
