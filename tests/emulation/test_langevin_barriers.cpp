// Every barrier and wait of the Langevin kernels is needed: with any one of them left out, some schedule gives other
// numbers than before, or an error. So the emulator would also notice if one were forgotten.
#include <functional>

#include "check.h"
#include "langevin_on_host.h"
#include "missing_barriers.h"

namespace {

using emulation::Options;

struct Results {
  std::vector<float> z, partials, log_weights;
  bool operator==(const Results& other) const {
    return z == other.z && partials == other.partials && log_weights == other.log_weights;
  }
};

using Kernel = std::function<Results(Options)>;

Results run(bool fast, const cases::LangevinShape& shape, unsigned parts, int size, Options options) {
  auto made = cases::make_langevin(shape, kSvebmGelu, parts);
  CHECK(fast ? on_host::run_fast(made.arguments, size, size == 1 ? 8 : 4, options)
             : on_host::run_fp32(made.arguments, size, 1024, options));
  return {made.z, made.partials, made.log_weights};
}

constexpr emulation::Search kSearch{6, 6, 1};

}  // namespace

int main() {
  if (emulation::kUnderThreadSanitizer) {
    std::printf("skipped: there are no threads that the thread sanitizer could look at\n");
    return 0;
  }
  constexpr unsigned kParts = cases::kPartials | cases::kTempers;
  const cases::LangevinShape three{18, {5, 24, 72, 20}, 2}, one{17, {3, 4}, 2};
  const auto kernel = [](bool fast, const cases::LangevinShape& shape, unsigned parts, int size) -> Kernel {
    return [=](Options options) { return run(fast, shape, parts, size, options); };
  };
  emulation::every_site<Results>(
      "fp32", {kernel(false, three, kParts, 16), kernel(false, one, kParts | cases::kMetropolis, 8)}, 5, kSearch);
  emulation::every_site<Results>(
      "fast", {kernel(true, three, kParts, 1), kernel(true, three, kParts | cases::kMetropolis, 2)}, 8, kSearch);
  return check::failures();
}
