// Leaves out one barrier or wait of a kernel after the other: some schedule must give other results, or an error.
#pragma once

#include <cstdio>
#include <functional>
#include <vector>

#include "check.h"
#include "cuda_on_host.h"

namespace emulation {

// How hard a missing barrier is looked for: schedules tried with all barriers and with one left out, and every how
// manieth of the sites is left out.
struct Search {
  unsigned n_complete, n_incomplete, every;
};

template <typename Results>
bool noticed(const std::vector<std::function<Results(Options)>>& kernels, const std::vector<Results>& expected,
             unsigned n_seeds) {
  for (unsigned seed = 1; seed <= n_seeds; ++seed) {
    for (size_t i = 0; i < kernels.size(); ++i) {
      try {
        if (!(kernels[i](Options{seed, seed % 2 == 0}) == expected[i])) return true;
      } catch (const Error&) {
        return true;
      }
    }
  }
  return false;
}

template <typename Results>
void every_site(const char* name, const std::vector<std::function<Results(Options)>>& kernels, std::size_t least_sites,
                Search search) {
  sites_hit.clear();
  std::vector<Results> expected;
  for (const auto& kernel : kernels) expected.push_back(kernel({}));
  CHECK(!noticed(kernels, expected, search.n_complete));
  const auto sites = sites_hit;
  CHECK(sites.size() >= least_sites);
  unsigned i = 0;
  for (const auto& [site, hits] : sites) {
    if (i++ % search.every != 0) continue;
    ignored_site = site;
    if (!noticed(kernels, expected, search.n_incomplete)) {
      std::fprintf(stderr, "%s: nobody misses the barrier or wait at %s (%zu calls)\n", name, site.text().c_str(),
                   hits);
      CHECK(false);
    }
    ignored_site = {"", 0};
  }
  std::printf("%s: each of %zu barriers and waits is missed\n", name, (sites.size() + search.every - 1) / search.every);
}

}  // namespace emulation
