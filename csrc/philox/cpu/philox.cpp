// Philox on the CPU. Counters are worked on 64 at a time. A last, smaller batch does the same work and writes less of
// it: no number depends on where a range begins or ends.
#include "philox/philox.h"

#include "philox/cpu/batch.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

constexpr int kBatch = 64;

struct Batch : PhiloxBatch<kBatch> {
  alignas(64) float numbers[4 * kBatch];
};

// Position of a counter within the [n_steps, n_chains, blocks] grid, advanced one by one instead of divided anew.
struct Position {
  int64_t step, chain, block;
};

void fill_counters(const SvebmPhiloxArguments& a, int64_t blocks, Position at, int count, Batch& batch) {
  for (int i = 0; i < count; ++i) {
    const PhiloxWords counter = philox_counter(a.chain_ids[at.chain], static_cast<uint32_t>(a.first_step + at.step),
                                               static_cast<uint32_t>(at.block), a.stream);
    batch.words[0][i] = counter.w0;
    batch.words[1][i] = counter.w1;
    batch.words[2][i] = counter.w2;
    batch.words[3][i] = counter.w3;
    if (++at.block == blocks) {
      at.block = 0;
      if (++at.chain == a.n_chains) at.chain = 0, ++at.step;
    }
  }
  for (int i = count; i < kBatch; ++i) {
    for (int w = 0; w < 4; ++w) batch.words[w][i] = 0;
  }
}

void make_uniform(Batch& batch) {
  for (int i = 0; i < kBatch; ++i) {
    for (int w = 0; w < 4; ++w) batch.numbers[4 * i + w] = uniform_from_word(batch.words[w][i]);
  }
}

void make_normal(Batch& batch) {
  alignas(64) float normal[4][kBatch];
  batch.normal(normal[0]);
  for (int i = 0; i < kBatch; ++i) {
    for (int w = 0; w < 4; ++w) batch.numbers[4 * i + w] = normal[w][i];
  }
}

// Rows hold dim numbers, counters four each: where dim is no multiple of four, a row's last counter is cut short.
void write(const SvebmPhiloxArguments& a, int64_t blocks, int64_t first_counter, int count, const Batch& batch) {
  if (a.dim == 4 * blocks) {
    std::memcpy(a.numbers + 4 * first_counter, batch.numbers, sizeof(float) * 4 * count);
    return;
  }
  int64_t row = first_counter / blocks, block = first_counter % blocks;
  for (int i = 0; i < count; ++i) {
    const int64_t kept = block + 1 == blocks ? a.dim - 4 * block : 4;
    std::memcpy(a.numbers + row * a.dim + 4 * block, batch.numbers + 4 * i, sizeof(float) * kept);
    if (++block == blocks) block = 0, ++row;
  }
}

}  // namespace

void philox_range(const SvebmPhiloxArguments& a, int64_t begin, int64_t end) {
  const int64_t blocks = (a.dim + 3) / 4;
  const uint64_t seed = a.seed_tensor != nullptr ? *a.seed_tensor : a.seed;
  Batch batch;
  for (int64_t counter = begin; counter < end; counter += kBatch) {
    const int count = static_cast<int>(end - counter < kBatch ? end - counter : kBatch);
    const int64_t row = counter / blocks;
    fill_counters(a, blocks, {row / a.n_chains, row % a.n_chains, counter % blocks}, count, batch);
    batch.randomise(seed);
    a.normal != 0 ? make_normal(batch) : make_uniform(batch);
    write(a, blocks, counter, count, batch);
  }
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include "common/cpu/thread_pool.h"

namespace svebm {

void philox_cpu(const SvebmPhiloxArguments& arguments, int n_threads) {
  // below about a thousand counters (tens of microseconds) waking a thread costs more than it brings
  constexpr int64_t kGrain = 1024;
  const auto range = SVEBM_CHOOSE_VARIANT(philox_range);
  const int64_t n_counters = arguments.n_steps * arguments.n_chains * ((arguments.dim + 3) / 4);
  parallel_for(n_threads, n_counters, kGrain, [&](int64_t begin, int64_t end) { range(arguments, begin, end); });
}

}  // namespace svebm

#endif
