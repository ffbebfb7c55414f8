// Independent sums in registers, as many as hide the latency of a multiply-add. Empty assembly statements keep the
// compiler from knowing the operands, and make it believe that the sum is used.
#include "bench/native/ceiling.h"

#include "common/cpu/simd.h"

namespace svebm {
namespace SVEBM_VARIANT {

double multiply_add(int64_t rounds, bool bf16) {
  constexpr int kSums = 12, kRepeats = 100;
  Floats sum[kSums], factor = broadcast(0.999f), addend = broadcast(0.001f);
#if defined(__SSE2__)
#define SVEBM_OPAQUE(x) __asm__ volatile("" : "+x"(x))
#if defined(__AVX512F__)
#undef SVEBM_OPAQUE
#define SVEBM_OPAQUE(x) __asm__ volatile("" : "+v"(x))
#endif
#elif defined(__aarch64__)
#define SVEBM_OPAQUE(x) __asm__ volatile("" : "+w"(x))
#else
#define SVEBM_OPAQUE(x) __asm__ volatile("" : "+m"(x))
#endif
  SVEBM_OPAQUE(factor);
  SVEBM_OPAQUE(addend);
  for (int i = 0; i < kSums; ++i) sum[i] = broadcast(0.1f * static_cast<float>(i));
  for (int64_t round = 0; round < rounds * kRepeats; ++round) {
#if defined(__AVX512BF16__)
    if (bf16) {
      SVEBM_UNROLL
      for (int i = 0; i < kSums; ++i) {
        sum[i] = dot_bf16((Ints)factor, (Ints)addend, sum[i]);
      }
      continue;
    }
#endif
    SVEBM_UNROLL
    for (int i = 0; i < kSums; ++i) {
      sum[i] = fma(sum[i], factor, addend);
    }
  }
  Floats all = zero();
  for (int i = 0; i < kSums; ++i) all += sum[i];
  SVEBM_OPAQUE(all);
#if defined(__AVX512BF16__)
  const double each = bf16 ? 4.0 : 2.0;
#else
  const double each = bf16 ? 0.0 : 2.0;
#endif
  return each * kWidth * kSums * kRepeats * static_cast<double>(rounds);
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include <atomic>
#include <chrono>

#include "common/cpu/thread_pool.h"

namespace svebm {

double multiply_add_rate(int n_threads, double seconds, bool bf16) {
  using Clock = std::chrono::steady_clock;
  const auto run = SVEBM_CHOOSE_VARIANT(multiply_add);
  if (run(1, bf16) == 0.0) return 0.0;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  constexpr int64_t kRounds = 2000;  // about a millisecond
  double best = 0.0;
  for (const Clock::time_point start = Clock::now(); best == 0.0 || since(start) < seconds;) {
    // every thread works until all have started and done their share, so that none runs alone at a higher clock
    std::atomic<int> working{0};
    std::atomic<double> total{0.0};
    parallel_parts(n_threads, n_threads, 1, [&](int, int64_t, int64_t) {
      ++working;
      while (working.load() < n_threads && since(start) < 10.0) {
      }
      const Clock::time_point begin = Clock::now();
      double done = 0.0;
      for (int i = 0; i < 20; ++i) done += run(kRounds, bf16);
      const double rate = done / since(begin);
      for (double seen = total.load(); !total.compare_exchange_weak(seen, seen + rate);) {
      }
    });
    if (total.load() > best) best = total.load();
  }
  return best;
}

}  // namespace svebm

#endif
