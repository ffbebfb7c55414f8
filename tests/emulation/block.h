// Blocks of the emulated GPU: a scheduler that picks at random among the threads that can go on, barriers, and what the
// threads of a warp do together. Whatever a real device would answer with undefined behaviour ends in an Error here.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>

#include "fiber.h"

namespace emulation {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

inline Index thread_index, block_index, block_size, grid_size;

// Place of a barrier or wait in the source.
struct Site {
  const char* file;
  int line;
  bool operator<(const Site& other) const {
    const int order = std::strcmp(file, other.file);
    return order != 0 ? order < 0 : line < other.line;
  }
  bool operator==(const Site& other) const { return !(*this < other) && !(other < *this); }
  std::string text() const {
    const char* slash = std::strrchr(file, '/');
    return std::string(slash != nullptr ? slash + 1 : file) + ":" + std::to_string(line);
  }
};

struct Options {
  unsigned seed = 1;
  bool late_copies = false;  // cp.async lands at the wait, instead of at once: the device may do either
};

inline std::map<Site, std::size_t> sites_hit;  // by all launches so far
inline Site ignored_site{"", 0};               // a barrier or wait here does nothing

// What the threads of a warp have brought to a collective operation that not all have reached.
struct Warp {
  const char* operation = nullptr;
  int argument = 0;
  unsigned arrived = 0;
  const void* inputs[32];
  void* outputs[32];
  Fiber* fibers[32];
};

struct Barrier {
  Site site{"", 0};
  unsigned n_threads = 0;
  std::vector<Fiber*> waiting;
};

// The block that is running.
struct Block {
  static constexpr std::size_t kCanaryBytes = 1024;
  static constexpr unsigned char kCanary = 0xA5;

  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> runnable;
  std::vector<Warp> warps;
  Barrier barriers[16];
  unsigned char* shared = nullptr;
  std::size_t shared_bytes = 0;
  Fiber* current = nullptr;
  bool late_copies = false;
  unsigned n_candidates = 1;
  std::mt19937 random;
};

inline Block& block() {
  static Block running;
  return running;
}

inline unsigned char* shared_memory() { return block().shared; }

// Stops the kernel where an access leaves the block's shared memory, or is not aligned as the device wants it.
inline void require_shared(const void* address, std::size_t bytes, const char* what) {
  const auto* begin = static_cast<const unsigned char*>(address);
  const Block& b = block();
  if (begin < b.shared || begin + bytes > b.shared + b.shared_bytes) {
    throw Error(std::string(what) + " outside shared memory, at byte " + std::to_string(begin - b.shared));
  }
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) throw Error(std::string("misaligned ") + what);
}

template <typename T>
void require_aligned(const void* address) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignof(T) != 0) throw Error("misaligned vector access");
}

inline bool ignored(Site site) {
  ++sites_hit[site];
  return site == ignored_site;
}

inline void barrier(unsigned id, unsigned n_threads, Site site) {
  if (ignored(site)) return;
  Block& b = block();
  if (id >= 16 || n_threads % 32 != 0) throw Error("barrier with a wrong id or number of threads at " + site.text());
  Barrier& at = b.barriers[id];
  if (at.waiting.empty()) {
    at.site = site;
    at.n_threads = n_threads;
  } else if (!(at.site == site) || at.n_threads != n_threads) {
    throw Error("threads meet at different barriers: " + at.site.text() + " and " + site.text());
  }
  at.waiting.push_back(b.current);
  if (at.waiting.size() < n_threads) {
    b.current->suspend();
    return;
  }
  for (Fiber* fiber : at.waiting) {
    if (fiber != b.current) b.runnable.push_back(fiber);
  }
  at.waiting.clear();
}

// All 32 threads of a warp bring an input; the last one calls work(warp), which writes every output.
template <typename Work>
void collective(const char* operation, int argument, const void* input, void* output, const Work& work) {
  Block& b = block();
  Warp& warp = b.warps[b.current->thread / 32];
  if (warp.arrived == 0) {
    warp.operation = operation;
    warp.argument = argument;
  } else if (warp.operation != operation || warp.argument != argument) {
    throw Error(std::string("threads of a warp meet in different operations: ") + warp.operation + " and " + operation);
  }
  const unsigned lane = b.current->thread % 32;
  warp.inputs[lane] = input;
  warp.outputs[lane] = output;
  warp.fibers[lane] = b.current;
  if (++warp.arrived < 32) {
    b.current->suspend();
    return;
  }
  warp.arrived = 0;
  work(warp);
  for (Fiber* fiber : warp.fibers) {
    if (fiber != b.current) b.runnable.push_back(fiber);
  }
}

// ---- copies from global to shared memory
// -----------------------------------------------------------------------------

inline void copy_async(void* shared, const void* global) {
  require_shared(shared, 16, "asynchronous copy");
  if (reinterpret_cast<std::uintptr_t>(global) % 16 != 0) throw Error("asynchronous copy from a misaligned address");
  Fiber& fiber = *block().current;
  fiber.copies.push_back({static_cast<unsigned char*>(shared), static_cast<const unsigned char*>(global)});
  if (!block().late_copies) std::memcpy(shared, global, 16);
}

inline void copy_commit() {
  Fiber& fiber = *block().current;
  const std::size_t before = std::accumulate(fiber.committed.begin(), fiber.committed.end(), std::size_t{0});
  fiber.committed.push_back(fiber.copies.size() - before);
}

inline void copy_wait(int pending_groups, Site site) {
  if (ignored(site)) return;
  Fiber& fiber = *block().current;
  while (fiber.committed.size() > static_cast<std::size_t>(pending_groups)) {
    for (std::size_t i = 0; i < fiber.committed.front(); ++i) {
      if (block().late_copies) std::memcpy(fiber.copies[i].target, fiber.copies[i].source, 16);
    }
    fiber.copies.erase(fiber.copies.begin(),
                       fiber.copies.begin() + static_cast<std::ptrdiff_t>(fiber.committed.front()));
    fiber.committed.erase(fiber.committed.begin());
  }
}

// ---- running
// ---------------------------------------------------------------------------------------------------------

// Shared memory of exactly the asked size, full of NaN in every format, with a guard behind it.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes) : bytes_(bytes) {
    const std::size_t all = (bytes + Block::kCanaryBytes + 127) / 128 * 128;
    memory_ = static_cast<unsigned char*>(std::aligned_alloc(128, all));
    std::memset(memory_, 0xFF, bytes);
    std::memset(memory_ + bytes, Block::kCanary, Block::kCanaryBytes);
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(memory_ + bytes, Block::kCanaryBytes);
#endif
    block().shared = memory_;
    block().shared_bytes = bytes;
  }
  ~SharedMemory() {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(memory_ + bytes_, Block::kCanaryBytes);
#endif
    std::free(memory_);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void check() const {
#if !defined(__SANITIZE_ADDRESS__)
    for (std::size_t i = 0; i < Block::kCanaryBytes; ++i) {
      if (memory_[bytes_ + i] != Block::kCanary) throw Error("a write behind the end of shared memory");
    }
#endif
  }

 private:
  unsigned char* memory_;
  std::size_t bytes_;
};

inline std::string waiting_threads(const Block& b) {
  std::string text;
  for (const Barrier& barrier : b.barriers) {
    if (barrier.waiting.empty()) continue;
    text += "; " + std::to_string(barrier.waiting.size()) + " of " + std::to_string(barrier.n_threads) +
            " at the barrier " + barrier.site.text();
  }
  for (const Warp& warp : b.warps) {
    if (warp.arrived > 0) text += "; " + std::to_string(warp.arrived) + " of a warp's 32 in " + warp.operation;
  }
  return text;
}

// Mostly the favoured among a few that can go on: one warp or thread then runs far ahead of another, as on a device
// where it waits for memory. How much so depends on the seed; with one candidate all are alike.
inline Fiber* next_fiber(Block& b) {
  std::size_t chosen = b.random() % b.runnable.size();
  for (unsigned i = 1; i < b.n_candidates; ++i) {
    const std::size_t other = b.random() % b.runnable.size();
    if (b.runnable[other]->priority > b.runnable[chosen]->priority) chosen = other;
  }
  Fiber* fiber = b.runnable[chosen];
  b.runnable[chosen] = b.runnable.back();
  b.runnable.pop_back();
  return fiber;
}

inline void run_block(unsigned threads, std::size_t shared_bytes, const std::function<void()>& body) {
  Block& b = block();
  const SharedMemory shared(shared_bytes);
  while (b.fibers.size() < threads) b.fibers.push_back(std::make_unique<Fiber>());
  b.warps.assign((threads + 31) / 32, Warp{});
  for (Barrier& barrier : b.barriers) barrier.waiting.clear();
  b.runnable.clear();
  unsigned warp_priority = 0;
  for (unsigned i = 0; i < threads; ++i) {
    b.fibers[i]->start(i, body);
    if (i % 32 == 0) warp_priority = b.random() % 1000000;
    b.fibers[i]->priority = warp_priority + b.random() % 1000;
    b.runnable.push_back(b.fibers[i].get());
  }
  unsigned live = threads;
  while (!b.runnable.empty()) {
    Fiber* fiber = next_fiber(b);
    b.current = fiber;
    thread_index = {fiber->thread, 0, 0};
    fiber->resume();
    if (!fiber->done) continue;
    if (fiber->error) std::rethrow_exception(fiber->error);
    if (!fiber->copies.empty()) throw Error("a thread ended with an unfinished asynchronous copy");
    --live;
  }
  if (live > 0) throw Error(std::to_string(live) + " threads wait for ever" + waiting_threads(b));
  shared.check();
}

inline std::vector<unsigned> shuffled(unsigned n, std::mt19937& random) {
  std::vector<unsigned> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// Runs body() once for every thread of a grid of 1-D blocks, the blocks one after the other in random order.
template <typename Body>
void launch(Index grid, unsigned threads, std::size_t shared_bytes, Options options, const Body& body) {
  const std::function<void()> function = body;
  Block& b = block();
  b.random.seed(options.seed);
  b.late_copies = options.late_copies;
  b.n_candidates = 1u << (2 * (options.seed % 4));  // 1, 4, 16 or 64
  grid_size = grid;
  block_size = {threads, 1, 1};
  for (const unsigned number : shuffled(grid.x * grid.y, b.random)) {
    block_index = {number % grid.x, number / grid.x, 0};
    run_block(threads, shared_bytes, function);
  }
}

template <typename Body>
void launch(Index grid, unsigned threads, unsigned seed, const Body& body) {
  launch(grid, threads, 0, Options{seed, false}, body);
}

}  // namespace emulation
