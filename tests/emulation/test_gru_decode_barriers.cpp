// Every barrier and wait of the decoding kernels is needed: with any one of them left out, some schedule gives other
// words than before, or an error. So the emulator would also notice if one were forgotten.
#include <functional>

#include "check.h"
#include "gru_decode_on_host.h"

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
    const svebm::GruLimits limits = persistent ? svebm::GruLimits{227 * 1024, 2, true} : on_host::kSteps;
    CHECK(on_host::run_gru(made.arguments, limits, options) == persistent);
    return Results{made.tokens, made.log_probabilities};
  };
}

bool noticed(const std::vector<Kernel>& kernels, const std::vector<Results>& expected, unsigned n_seeds) {
  for (unsigned seed = 1; seed <= n_seeds; ++seed) {
    for (size_t i = 0; i < kernels.size(); ++i) {
      try {
        if (!(kernels[i](Options{seed, seed % 2 == 0}) == expected[i])) return true;
      } catch (const emulation::Error&) {
        return true;
      }
    }
  }
  return false;
}

void every_site(const char* name, const std::vector<Kernel>& kernels, std::size_t least_sites) {
  emulation::sites_hit.clear();
  std::vector<Results> expected;
  for (const Kernel& one : kernels) expected.push_back(one({}));
  CHECK(!noticed(kernels, expected, 3));
  const auto sites = emulation::sites_hit;
  CHECK(sites.size() >= least_sites);
  unsigned i = 0;
  for (const auto& [site, hits] : sites) {
    if (i++ % kEvery != 0) continue;
    emulation::ignored_site = site;
    if (!noticed(kernels, expected, 24)) {
      std::fprintf(stderr, "%s: nobody misses the barrier or wait at %s (%zu calls)\n", name, site.text().c_str(),
                   hits);
      CHECK(false);
    }
    emulation::ignored_site = {"", 0};
  }
  std::printf("%s: each of %zu barriers and waits is missed\n", name, (sites.size() + kEvery - 1) / kEvery);
}

}  // namespace

int main() {
  if (emulation::kUnderThreadSanitizer) {
    std::printf("skipped: there are no threads that the thread sanitizer could look at\n");
    return 0;
  }
  const cases::GruShape few{11, 3, 20, 250}, many{5, 2, 150, 100};
  every_site("one kernel",
             {kernel(true, false, true, false, few), kernel(true, true, false, true, few),
              kernel(true, false, true, true, few)},
             10);
  every_site("kernels of a step", {kernel(false, false, true, true, many), kernel(false, true, false, true, many)}, 8);
  return check::failures();
}
