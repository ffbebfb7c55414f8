#include "common/cpu/variant.h"

#include <atomic>

namespace svebm {
namespace {

CpuVariant best_variant() {
  if (cpu_variant_available(CpuVariant::kAvx512Bf16)) return CpuVariant::kAvx512Bf16;
  if (cpu_variant_available(CpuVariant::kAvx512)) return CpuVariant::kAvx512;
  if (cpu_variant_available(CpuVariant::kAvx2)) return CpuVariant::kAvx2;
  return CpuVariant::kPlain;
}

std::atomic<CpuVariant>& chosen() {
  static std::atomic<CpuVariant> variant{best_variant()};
  return variant;
}

}  // namespace

CpuVariant cpu_variant() { return chosen().load(std::memory_order_relaxed); }

const char* cpu_variant_name(CpuVariant variant) {
  switch (variant) {
    case CpuVariant::kAvx512Bf16:
      return "avx512bf16";
    case CpuVariant::kAvx512:
      return "avx512";
    case CpuVariant::kAvx2:
      return "avx2";
    default:
      return "plain";
  }
}

bool cpu_variant_available(CpuVariant variant) {
#if defined(SVEBM_X86_VARIANTS)
  // these also ask whether the operating system keeps the wide registers
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (variant == CpuVariant::kAvx512Bf16) return avx512 && __builtin_cpu_supports("avx512bf16");
  if (variant == CpuVariant::kAvx512) return avx512;
  if (variant == CpuVariant::kAvx2) return avx2;
#endif
  return variant == CpuVariant::kPlain;
}

bool use_cpu_variant(CpuVariant variant) {
  if (!cpu_variant_available(variant)) return false;
  chosen().store(variant, std::memory_order_relaxed);
  return true;
}

}  // namespace svebm
