// One source, several instruction sets: an op's cpu/<op>.cpp is compiled once for each variant, with SVEBM_VARIANT
// naming the namespace its kernel goes into, and the kernel is chosen when it is called.
//
// Kernels of a variant include no standard header with inline functions of external linkage, and start no threads: that
// is done once, in the part of the file under SVEBM_BASE_VARIANT (see common/inline.h for the reason).
#pragma once

#if defined(SVEBM_X86_VARIANTS)
#define SVEBM_DECLARE_VARIANTS(...) \
  namespace plain {                 \
  __VA_ARGS__;                      \
  }                                 \
  namespace avx2 {                  \
  __VA_ARGS__;                      \
  }                                 \
  namespace avx512 {                \
  __VA_ARGS__;                      \
  }                                 \
  namespace avx512bf16 {            \
  __VA_ARGS__;                      \
  }
#define SVEBM_CHOOSE_VARIANT(function) \
  ::svebm::choose_variant(&plain::function, &avx2::function, &avx512::function, &avx512bf16::function)
#else
#define SVEBM_DECLARE_VARIANTS(...) \
  namespace plain {                 \
  __VA_ARGS__;                      \
  }
#define SVEBM_CHOOSE_VARIANT(function) (&plain::function)
#endif

namespace svebm {

enum class CpuVariant { kPlain = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Bf16 = 3 };

constexpr CpuVariant kCpuVariants[] = {CpuVariant::kPlain, CpuVariant::kAvx2, CpuVariant::kAvx512,
                                       CpuVariant::kAvx512Bf16};

// The best variant that was compiled and that this processor runs, unless another was asked for.
CpuVariant cpu_variant();

const char* cpu_variant_name(CpuVariant variant);

// Whether this file was built with the variant and this processor can run it.
bool cpu_variant_available(CpuVariant variant);

// For tests and benchmarks. Returns false, and changes nothing, if the variant is not available.
bool use_cpu_variant(CpuVariant variant);

template <typename Function>
static inline Function choose_variant(Function plain, Function avx2, Function avx512, Function avx512bf16) {
  switch (cpu_variant()) {
    case CpuVariant::kAvx512Bf16:
      return avx512bf16;
    case CpuVariant::kAvx512:
      return avx512;
    case CpuVariant::kAvx2:
      return avx2;
    default:
      return plain;
  }
}

}  // namespace svebm
