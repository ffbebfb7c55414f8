// Each 32-bit lane of some registers is a chain of its own: a number is spread by a product with an odd number and a
// rotation, and joins the chain by an exclusive or, a rotation and another such product. Each of these can be undone,
// so that no change of one number is lost; with one product, a bit of a number would stand for another one of the next.
// The chains run side by side, as fast as memory gives the numbers.
#include "checksum/checksum.h"

#include "common/cpu/simd.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

typedef uint32_t Words __attribute__((vector_size(4 * kWidth), may_alias));
typedef uint32_t UnalignedWords __attribute__((vector_size(4 * kWidth), may_alias, aligned(1)));

constexpr int kChains = 8;
constexpr int64_t kStride = kChains * sizeof(Words);

SVEBM_INLINE Words step(Words state, Words numbers) {
  const Words spread = numbers * 0xCC9E2D51u;
  const Words mixed = state ^ ((spread << 15) | (spread >> 17));
  return ((mixed << 13) | (mixed >> 19)) * 0x9E3779B1u;
}

SVEBM_INLINE void add(Words (&state)[kChains], const char* from) {
  SVEBM_UNROLL
  for (int i = 0; i < kChains; ++i) {
    state[i] = step(state[i], *reinterpret_cast<const UnalignedWords*>(from + i * static_cast<int>(sizeof(Words))));
  }
}

}  // namespace

uint64_t checksum_part(const void* data, int64_t n_bytes) {
  Words state[kChains];
  for (int i = 0; i < kChains; ++i) state[i] = Words{} + (0x85EBCA77u + static_cast<uint32_t>(i));
  const char* from = static_cast<const char*>(data);
  int64_t left = n_bytes;
  for (; left >= kStride; left -= kStride, from += kStride) add(state, from);
  if (left > 0) {
    char rest[kStride] = {};
    std::memcpy(rest, from, static_cast<size_t>(left));
    add(state, rest);
  }
  uint64_t sum = static_cast<uint64_t>(n_bytes);
  for (int i = 0; i < kChains; ++i) {
    for (int lane = 0; lane < kWidth; ++lane) {
      sum = (sum ^ state[i][lane]) * 0x9FB21C651E98DF25u;
      sum ^= sum >> 32;
    }
  }
  return sum;
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include <algorithm>
#include <vector>

#include "common/cpu/thread_pool.h"

namespace svebm {

uint64_t checksum_cpu(const void* data, int64_t n_bytes, int n_threads) {
  constexpr int64_t kPart = 1 << 18;
  const auto checksum = SVEBM_CHOOSE_VARIANT(checksum_part);
  const int64_t n_parts = (n_bytes + kPart - 1) / kPart;
  std::vector<uint64_t> sums(static_cast<size_t>(n_parts));
  parallel_for(n_threads, n_parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      sums[static_cast<size_t>(i)] =
          checksum(static_cast<const char*>(data) + i * kPart, std::min(kPart, n_bytes - i * kPart));
    }
  });
  uint64_t all = static_cast<uint64_t>(n_bytes);
  for (const uint64_t sum : sums) {
    all = (all ^ sum) * 0x9FB21C651E98DF25u;
    all ^= all >> 29;
  }
  return all;
}

}  // namespace svebm

#endif
