// The emulator finds what it is there to find: small kernels, each with one mistake, and the same without it.
#include <functional>

#include "check.h"
#include "common/cuda/device.cuh"

namespace {

using emulation::Options;

constexpr unsigned kThreads = 64;

// The message of the error that the kernel ends with under some schedule, "wrong" where only its result is wrong under
// some, or nothing.
std::string outcome(std::size_t shared_bytes, const std::function<void(float*)>& kernel, bool late_copies = false) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::vector<float> out(kThreads, NAN);
    try {
      emulation::launch({1, 1, 1}, kThreads, shared_bytes, Options{seed, late_copies}, [&] { kernel(out.data()); });
    } catch (const emulation::Error& error) {
      return error.what();
    }
    for (unsigned i = 0; i < kThreads; ++i) {
      if (!(out[i] == static_cast<float>(i))) return "wrong";
    }
  }
  return "";
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

float* shared_floats() { return reinterpret_cast<float*>(svebm::shared_memory()); }

int this_thread() { return static_cast<int>(threadIdx.x); }

// Each thread reads what the thread at the other end wrote.
void reverse(float* out, bool with_barrier) {
  float* const shared = shared_floats();
  shared[kThreads - 1 - threadIdx.x] = static_cast<float>(this_thread());
  if (with_barrier) svebm::block_barrier(SVEBM_SITE);
  out[kThreads - 1 - threadIdx.x] = shared[threadIdx.x];
}

void a_missing_barrier() {
  CHECK(outcome(4 * kThreads, [](float* out) { reverse(out, true); }).empty());
  CHECK(outcome(4 * kThreads, [](float* out) { reverse(out, false); }) == "wrong");
}

void a_barrier_left_out_on_purpose() {
  emulation::sites_hit.clear();
  CHECK(outcome(4 * kThreads, [](float* out) { reverse(out, true); }).empty());
  CHECK(emulation::sites_hit.size() == 1);
  emulation::ignored_site = emulation::sites_hit.begin()->first;
  CHECK(outcome(4 * kThreads, [](float* out) { reverse(out, true); }) == "wrong");
  emulation::ignored_site = {"", 0};
}

void a_barrier_that_some_threads_miss() {
  const auto some = [](float* out) {
    out[threadIdx.x] = static_cast<float>(this_thread());
    if (threadIdx.x != 7) svebm::block_barrier(SVEBM_SITE);
  };
  CHECK(contains(outcome(0, some), "63 of 64 at the barrier test_emulator.cpp"));
  const auto two_places = [](float* out) {
    out[threadIdx.x] = static_cast<float>(this_thread());
    if (threadIdx.x < 32) {
      svebm::block_barrier(SVEBM_SITE);
    } else {
      svebm::block_barrier(SVEBM_SITE);
    }
  };
  CHECK(contains(outcome(0, two_places), "different barriers") || outcome(0, two_places).empty());
}

void barriers_of_groups() {
  // each warp passes on its own; the other one never comes
  const auto groups = [](float* out) {
    float* const shared = shared_floats();
    const int warp = this_thread() / 32;
    for (int i = 0; i <= 3 * warp; ++i) {
      shared[threadIdx.x ^ 1u] = static_cast<float>(this_thread() ^ 1);
      svebm::group_barrier(1 + warp, 32, SVEBM_SITE);
      out[threadIdx.x] = shared[threadIdx.x];
      svebm::group_barrier(1 + warp, 32, SVEBM_SITE);
    }
  };
  CHECK(outcome(4 * kThreads, groups).empty());
  const auto too_many = [](float*) { svebm::group_barrier(1, 96, SVEBM_SITE); };
  CHECK(contains(outcome(0, too_many), "wait for ever"));
}

void divergent_collectives() {
  const auto together = [](float* out) {
    out[threadIdx.x ^ 5u] = svebm::shuffle_xor(static_cast<float>(this_thread()), 0) + 5.0f;
  };
  CHECK(outcome(0, together) == "wrong");
  const auto right = [](float* out) {
    out[threadIdx.x] = svebm::shuffle_xor(static_cast<float>(this_thread() ^ 9), 9);
  };
  CHECK(outcome(0, right).empty());
  const auto half_of_them = [](float* out) {
    out[threadIdx.x] = static_cast<float>(this_thread());
    if (threadIdx.x % 32 < 16) out[threadIdx.x] = svebm::shuffle_xor(out[threadIdx.x], 1);
  };
  CHECK(contains(outcome(0, half_of_them), "16 of a warp's 32 in shuffle_xor"));
  const auto different = [](float* out) { out[threadIdx.x] = svebm::shuffle_xor(1.0f, threadIdx.x % 32 < 16 ? 1 : 2); };
  CHECK(contains(outcome(0, different), "different operations"));
}

void accesses_out_of_bounds() {
  const auto fragment = [](float* out) {
    uint32_t pair[2];
    svebm::load_matrices(pair, reinterpret_cast<const svebm::HalfBits*>(svebm::shared_memory()) + 8 * threadIdx.x);
    out[threadIdx.x] = static_cast<float>(this_thread());
  };
  CHECK(outcome(1024, fragment).empty());
  CHECK(contains(outcome(512, fragment), "outside shared memory"));
  const auto misaligned = [](float*) {
    uint32_t pair[2];
    svebm::load_matrices(pair, reinterpret_cast<const svebm::HalfBits*>(svebm::shared_memory()) + 4 * threadIdx.x);
  };
  CHECK(contains(outcome(1024, misaligned), "misaligned"));
#if !defined(__SANITIZE_ADDRESS__)  // which would stop the program itself
  const auto write = [](float* out) {
    shared_floats()[threadIdx.x + 1] = 0.0f;
    out[threadIdx.x] = static_cast<float>(this_thread());
  };
  CHECK(contains(outcome(4 * kThreads, write), "behind the end"));
#endif
}

// Each thread reads what a thread of the block after has written, once all blocks have met.
void blocks_that_meet() {
  constexpr unsigned kBlocks = 3;
  const auto run = [&](unsigned seed, unsigned n_waiting) -> std::string {
    std::vector<float> exchange(kBlocks * kThreads, NAN), out(kBlocks * kThreads, NAN);
    unsigned counter = 0;
    try {
      emulation::launch_together(kBlocks, kThreads, 0, Options{seed, false}, [&] {
        const unsigned own = blockIdx.x * kThreads + threadIdx.x;
        exchange[own] = static_cast<float>(own);
        svebm::block_barrier(SVEBM_SITE);
        if (threadIdx.x == 0) svebm::arrive_and_wait(&counter, n_waiting, SVEBM_SITE);
        svebm::block_barrier(SVEBM_SITE);
        out[own] = exchange[(own + kThreads) % exchange.size()];
      });
    } catch (const emulation::Error& error) {
      return error.what();
    }
    for (unsigned i = 0; i < out.size(); ++i) {
      if (!(out[i] == static_cast<float>((i + kThreads) % out.size()))) return "wrong";
    }
    return "";
  };
  unsigned n_wrong = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    CHECK(run(seed, kBlocks).empty());
    CHECK(contains(run(seed, kBlocks + 1), "1 for a counter"));
    n_wrong += run(seed, 0) == "wrong" ? 1 : 0;
  }
  CHECK(n_wrong > 0);
}

// Copies land before the wait or at it; a kernel must be right in both cases.
void asynchronous_copies() {
  alignas(16) static float source[4 * kThreads];
  for (unsigned i = 0; i < kThreads; ++i) source[4 * i] = static_cast<float>(i);
  const auto copy = [](float* out, bool commits, bool waits) {
    float* const own = shared_floats() + 4 * threadIdx.x;
    svebm::copy_async16(own, source + 4 * threadIdx.x);
    if (commits) svebm::copy_commit();
    if (waits) svebm::copy_wait<0>(SVEBM_SITE);
    out[threadIdx.x] = own[0];
    svebm::copy_commit();
    if (waits) svebm::copy_wait<0>(SVEBM_SITE);
  };
  constexpr std::size_t kBytes = 16 * kThreads;
  for (const bool late : {false, true}) {
    CHECK(outcome(kBytes, [&](float* out) { copy(out, true, true); }, late).empty());
    CHECK(contains(outcome(kBytes, [&](float* out) { copy(out, true, false); }, late), "unfinished"));
  }
  CHECK(outcome(kBytes, [&](float* out) { copy(out, false, true); }, true) == "wrong");
  CHECK(contains(outcome(kBytes - 16, [&](float* out) { copy(out, true, true); }), "outside shared memory"));
}

// Products of matrix fragments, one of the operands transposed on its way, against plain loops.
void products() {
  const auto left = [](int row, int k) { return static_cast<float>((row * 5 + k * 3) % 7 - 3); };
  const auto right = [](int k, int column) { return static_cast<float>((k * 2 + column * 11) % 5 - 2); };
  const auto kernel = [&](float* out) {
    auto* const a = reinterpret_cast<svebm::HalfBits*>(svebm::shared_memory());  // [16, 16]
    svebm::HalfBits *const rows = a + 256, *const columns = rows + 128;          // [16, 8], [8, 16]
    for (int i = this_thread(); i < 256; i += kThreads) {
      a[i] = emulation::half_bits(left(i / 16, i % 16));
      if (i < 128) rows[i] = emulation::half_bits(right(i / 8, i % 8));
      if (i < 128) columns[i] = emulation::half_bits(right(i % 16, i / 16));
    }
    svebm::block_barrier(SVEBM_SITE);
    const int lane = this_thread() % 32;
    uint32_t fragments[4], plain[2], transposed[2];
    svebm::load_matrices(fragments, a + lane % 16 * 16 + lane / 16 * 8);
    svebm::load_matrices(plain, columns + lane % 8 * 16 + lane / 8 % 2 * 8);
    svebm::load_transposed(transposed, rows + lane % 16 * 8);
    float sums[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    svebm::multiply_add(sums, fragments, plain[0], plain[1]);
    bool right_sums = plain[0] == transposed[0] && plain[1] == transposed[1];
    for (int r = 0; r < 4; ++r) {
      float expected = 1.0f;
      for (int k = 0; k < 16; ++k) expected += left(lane / 4 + r / 2 * 8, k) * right(k, lane % 4 * 2 + r % 2);
      right_sums = right_sums && sums[r] == expected;
    }
    out[threadIdx.x] = right_sums ? static_cast<float>(this_thread()) : NAN;
  };
  CHECK(outcome(1024, kernel).empty());
}

void halves() {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float value = emulation::half_value(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    CHECK(emulation::half_bits(value) == bits);
    const float next = emulation::half_value(static_cast<uint16_t>(bits + 1));
    if (!std::isfinite(value) || !std::isfinite(next)) continue;
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;  // of two that are as near
    CHECK(emulation::half_bits(0.5f * (value + next)) == even);
  }
  CHECK(emulation::half_bits(65519.0f) == 0x7BFF && emulation::half_bits(65520.0f) == 0x7C00);
  const uint32_t pair = svebm::pack_halves(-2.0f, 0.5f);
  CHECK(svebm::unpack_halves(pair).x == -2.0f && svebm::unpack_halves(pair).y == 0.5f);
  CHECK(svebm::largest_magnitudes(svebm::pack_halves(1.0f, 3.0f), pair) == svebm::pack_halves(2.0f, 3.0f));
  CHECK(svebm::largest_magnitudes(svebm::pack_halves(1.0f, 3.0f), 0x7E007E00u) == svebm::pack_halves(1.0f, 3.0f));
}

}  // namespace

int main() {
  a_missing_barrier();
  a_barrier_left_out_on_purpose();
  a_barrier_that_some_threads_miss();
  barriers_of_groups();
  divergent_collectives();
  accesses_out_of_bounds();
  blocks_that_meet();
  asynchronous_copies();
  products();
  halves();
  return check::failures();
}
