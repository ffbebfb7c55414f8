// Every barrier and wait of the Langevin kernels is needed: with any one of them left out, some schedule gives other
// numbers than before, or an error. So the emulator would also notice if one were forgotten.
#include <functional>

#include "check.h"
#include "langevin_on_host.h"

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

bool noticed(const std::vector<Kernel>& kernels, const std::vector<Results>& expected) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
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
  for (const Kernel& kernel : kernels) expected.push_back(kernel({}));
  CHECK(!noticed(kernels, expected));
  const auto sites = emulation::sites_hit;
  CHECK(sites.size() >= least_sites);
  for (const auto& [site, hits] : sites) {
    emulation::ignored_site = site;
    if (!noticed(kernels, expected)) {
      std::fprintf(stderr, "%s: nobody misses the barrier or wait at %s (%zu calls)\n", name, site.text().c_str(),
                   hits);
      CHECK(false);
    }
    emulation::ignored_site = {"", 0};
  }
  std::printf("%s: each of %zu barriers and waits is missed\n", name, sites.size());
}

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
  every_site("fp32", {kernel(false, three, kParts, 16), kernel(false, one, kParts | cases::kMetropolis, 8)}, 5);
  every_site("fast", {kernel(true, three, kParts, 1), kernel(true, three, kParts | cases::kMetropolis, 2)}, 8);
  return check::failures();
}
