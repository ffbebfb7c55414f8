// The checksum in every variant: whatever is changed, moved, cut off or made negative changes it.
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "check.h"
#include "checksum/checksum.h"
#include "variants.h"

namespace {

std::vector<uint32_t> numbers_for(size_t n) {
  std::mt19937 random(7);
  std::vector<uint32_t> numbers(n);
  for (uint32_t& number : numbers) number = static_cast<uint32_t>(random());
  return numbers;
}

uint64_t sum_of(const std::vector<uint32_t>& numbers, int n_threads = 1) {
  return svebm::checksum_cpu(numbers.data(), static_cast<int64_t>(4 * numbers.size()), n_threads);
}

void every_bit_counts() {
  auto numbers = numbers_for(300);
  std::set<uint64_t> sums{sum_of(numbers)};
  for (uint32_t& number : numbers) {
    for (int bit = 0; bit < 32; ++bit) {
      number ^= 1u << bit;
      sums.insert(sum_of(numbers));
      number ^= 1u << bit;
    }
  }
  CHECK(sums.size() == 300 * 32 + 1);
}

void changes_of_many_numbers() {
  const auto numbers = numbers_for(200000);
  std::set<uint64_t> sums{sum_of(numbers)};
  size_t expected = 1;
  const auto add = [&](const std::vector<uint32_t>& changed) {
    sums.insert(sum_of(changed));
    ++expected;
  };
  auto changed = numbers;
  for (uint32_t& number : changed) number ^= 0x80000000u;  // every sign
  add(changed);
  for (const size_t distance : {size_t{1}, size_t{16}, size_t{128}, size_t{512}, size_t{65536}, size_t{131072}}) {
    changed = numbers;
    std::swap(changed[3], changed[3 + distance]);
    add(changed);
    changed = numbers;
    changed[3] ^= 0x80000000u, changed[3 + distance] ^= 0x80000000u;
    add(changed);
  }
  changed = numbers;
  changed.pop_back();
  add(changed);
  changed = std::vector<uint32_t>(200000, 0);
  add(changed);
  changed.push_back(0);
  add(changed);
  CHECK(sums.size() == expected);
}

void threads_and_places_do_not() {
  const auto numbers = numbers_for(300000);
  const uint64_t sum = sum_of(numbers);
  for (const int n_threads : {2, 3, 7}) CHECK(sum_of(numbers, n_threads) == sum);
  std::vector<char> moved(4 * numbers.size() + 1);
  std::memcpy(moved.data() + 1, numbers.data(), 4 * numbers.size());
  CHECK(svebm::checksum_cpu(moved.data() + 1, static_cast<int64_t>(4 * numbers.size()), 1) == sum);
  CHECK(svebm::checksum_cpu(nullptr, 0, 1) == svebm::checksum_cpu(nullptr, 0, 2));
}

}  // namespace

int main() {
  on_every_variant([] {
    every_bit_counts();
    changes_of_many_numbers();
    threads_and_places_do_not();
  });
  return check::failures();
}
