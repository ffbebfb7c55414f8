// Runs tests on every instruction set that this processor has.
#pragma once

#include <cstdio>

#include "common/cpu/variant.h"

template <typename Tests>
void on_every_variant(const Tests& tests) {
  for (const auto variant : svebm::kCpuVariants) {
    if (svebm::use_cpu_variant(variant)) {
      tests();
    } else {
      std::printf("not on this processor: %s\n", svebm::cpu_variant_name(variant));
    }
  }
}
