// What a fuzz target makes of its input: sizes, choices and numbers within bounds, from the bytes in their order.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "common/cpu/variant.h"

namespace fuzz {

// Ends the process, by which a fuzzer knows its input for a finding.
[[noreturn]] inline void fail(const char* what, const char* op, int64_t place, double found, double expected) {
  std::fprintf(stderr, "%s, %s: %s at %lld: %.9g, expected %.9g\n", op, svebm::cpu_variant_name(svebm::cpu_variant()),
               what, static_cast<long long>(place), found, expected);
  std::abort();
}

constexpr float kOdd[] = {NAN,     INFINITY, -INFINITY, 3e38f,  -3e38f,  3.4028234e38f,  1e20f, -1e20f,
                          65504.f, -1e5f,    1e-45f,    1e-40f, -5e-39f, 1.1754944e-38f, -0.0f, 1e4f};

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : next_(data), end_(data + size) {}

  uint64_t word(int n_bytes) {
    uint64_t value = 0;
    for (int i = 0; i < n_bytes; ++i) value = value << 8 | (next_ < end_ ? *next_++ : 0);
    return value;
  }

  // From low to high.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(word(2) % static_cast<uint64_t>(high - low + 1));
  }

  bool flag() { return (word(1) & 1) != 0; }

  // Ordinary numbers, and up to three odd ones, which are noted.
  std::vector<float> numbers(int64_t n) {
    std::vector<float> made(static_cast<size_t>(n));
    const float scales[] = {1.0f, 1.0f, 0.1f, 3.0f};
    std::minstd_rand random(static_cast<unsigned>(1 + word(2)));
    const float scale = scales[word(1) % 4] / 1.0e9f;
    for (float& number : made) number = (static_cast<float>(random()) - 1.073741823e9f) * scale;
    for (int64_t n_odd = between(0, 15) - 12; n_odd > 0 && n > 0; --n_odd) {
      made[static_cast<size_t>(between(0, n - 1))] = kOdd[word(1) % std::size(kOdd)];
      odd_ = true;
    }
    return made;
  }

  // Whole numbers from 0 to high - 1.
  std::vector<int64_t> below(int64_t high, int64_t n) {
    std::vector<int64_t> made(static_cast<size_t>(n));
    for (int64_t& number : made) number = static_cast<int64_t>(word(2) % static_cast<uint64_t>(high));
    return made;
  }

  // A plain number among some, or an odd one.
  float scalar(std::initializer_list<float> usual) {
    if (word(1) % 16 == 0) {
      odd_ = true;
      return kOdd[word(1) % std::size(kOdd)];
    }
    return usual.begin()[word(1) % usual.size()];
  }

  bool odd() const { return odd_; }

 private:
  const uint8_t *next_, *end_;
  bool odd_ = false;
};

// Memory of exactly so many bytes, so that an address sanitizer sees every step beyond it; filled with NaN.
class Memory {
 public:
  explicit Memory(int64_t bytes) {
    if (posix_memalign(&begin_, 64, bytes > 0 ? static_cast<size_t>(bytes) : 1) != 0) std::abort();
    std::memset(begin_, 0xFF, static_cast<size_t>(bytes));
  }
  ~Memory() { std::free(begin_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* get() const { return begin_; }

 private:
  void* begin_ = nullptr;
};

using Results = std::vector<std::vector<float>>;

// Results that are to be the same bits.
inline void same(const Results& found, const Results& expected, const char* op) {
  for (size_t i = 0; i < found.size(); ++i) {
    for (size_t j = 0; j < found[i].size(); ++j) {
      const float x = found[i][j], y = expected[i][j];
      if (std::memcmp(&x, &y, sizeof x) != 0 && !(std::isnan(x) && std::isnan(y))) {
        fail("bits depend on threads", op, static_cast<int64_t>(j), x, y);
      }
    }
  }
}

// Results of ordinary numbers on another instruction set: finite, and alike up to rounding.
inline void alike(const Results& found, const Results& expected, double tolerance, const char* op) {
  for (size_t i = 0; i < found.size(); ++i) {
    double scale = 1e-2;
    for (const float y : expected[i]) scale = std::max(scale, std::abs(static_cast<double>(y)));
    for (size_t j = 0; j < found[i].size(); ++j) {
      const double x = found[i][j], y = expected[i][j];
      if (!(std::abs(x - y) <= tolerance * scale)) fail("another variant", op, static_cast<int64_t>(j), x, y);
    }
  }
}

// Runs run(n_threads) -> Results on every instruction set, on one thread and on three, and compares.
template <typename Run>
void on_all(const char* op, bool ordinary, double tolerance, const Run& run) {
  Results first;
  for (const auto variant : svebm::kCpuVariants) {
    if (!svebm::use_cpu_variant(variant)) continue;
    const Results found = run(1);
    same(run(3), found, op);
    if (first.empty()) first = found;
    if (ordinary) alike(found, first, tolerance, op);
  }
}

}  // namespace fuzz
