// Blocks of the emulated GPU: a scheduler that picks at random among the threads that can go on, barriers, and what the
// threads of a warp do together. Whatever a real device would answer with undefined behaviour ends in an Error here.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
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

// One thread of the host runs everything, so the thread sanitizer has nothing to find; it makes a switch very slow.
#if defined(__SANITIZE_THREAD__)
constexpr bool kUnderThreadSanitizer = true;
#else
constexpr bool kUnderThreadSanitizer = false;
#endif

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

// A thread that looks at a counter in global memory again and again, until it has been counted up to `target`.
struct Waiter {
  Fiber* fiber;
  const unsigned* counter;
  unsigned target;
  bool served() const { return static_cast<int>(*counter - target) >= 0; }
};

struct Block {
  static constexpr std::size_t kCanaryBytes = 1024;
  static constexpr unsigned char kCanary = 0xA5;

  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> runnable;
  std::vector<Warp> warps;
  Barrier barriers[16];
  std::vector<Waiter> waiters;
  Index index;
  unsigned live = 0;      // threads that have not ended
  unsigned priority = 0;  // among blocks that run together
  unsigned char* shared = nullptr;
  std::size_t shared_bytes = 0;
  Fiber* current = nullptr;
  bool late_copies = false;
  unsigned n_candidates = 1;
  std::mt19937 random;
};

// The block that is running.
inline Block*& running_block() {
  static Block first;
  static Block* running = &first;
  return running;
}

inline Block& block() { return *running_block(); }

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

// Waits until `counter` has reached `target`, which threads of other blocks count up to.
inline void wait_for_count(const unsigned* counter, unsigned target, Site site) {
  if (ignored(site)) return;
  const Waiter waiter{block().current, counter, target};
  if (waiter.served()) return;
  block().waiters.push_back(waiter);
  block().current->suspend();
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

inline void barrier_of_warp(Site site) {
  if (!ignored(site)) collective("warp barrier", site.line, nullptr, nullptr, [](Warp&) {});
}

// ---- copies from global to shared memory

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
  if (!b.waiters.empty()) text += "; " + std::to_string(b.waiters.size()) + " for a counter";
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

// Makes a block's threads ready to run.
inline void start_block(Block& b, unsigned threads, const std::function<void()>& body) {
  while (b.fibers.size() < threads) b.fibers.push_back(std::make_unique<Fiber>());
  b.warps.assign((threads + 31) / 32, Warp{});
  for (Barrier& barrier : b.barriers) barrier.waiting.clear();
  b.waiters.clear();
  b.runnable.clear();
  unsigned warp_priority = 0;
  for (unsigned i = 0; i < threads; ++i) {
    b.fibers[i]->start(i, body);
    if (i % 32 == 0) warp_priority = b.random() % 1000000;
    b.fibers[i]->priority = warp_priority + b.random() % 1000;
    b.runnable.push_back(b.fibers[i].get());
  }
  b.live = threads;
}

// Runs one thread of the block until it waits or ends.
inline void run_thread(Block& b) {
  Fiber* fiber = next_fiber(b);
  running_block() = &b;
  b.current = fiber;
  thread_index = {fiber->thread, 0, 0};
  block_index = b.index;
  fiber->resume();
  if (!fiber->done) return;
  if (fiber->error) std::rethrow_exception(fiber->error);
  if (!fiber->copies.empty()) throw Error("a thread ended with an unfinished asynchronous copy");
  --b.live;
}

inline void wake_waiters(Block& b) {
  for (std::size_t i = b.waiters.size(); i-- > 0;) {
    if (!b.waiters[i].served()) continue;
    b.runnable.push_back(b.waiters[i].fiber);
    b.waiters.erase(b.waiters.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

inline void require_ended(const Block& b) {
  if (b.live > 0) throw Error(std::to_string(b.live) + " threads wait for ever" + waiting_threads(b));
}

inline void run_block(unsigned threads, std::size_t shared_bytes, const std::function<void()>& body) {
  Block& b = block();
  const SharedMemory shared(shared_bytes);
  start_block(b, threads, body);
  while (!b.runnable.empty()) {
    run_thread(b);
    wake_waiters(b);
  }
  require_ended(b);
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
    b.index = {number % grid.x, number / grid.x, 0};
    run_block(threads, shared_bytes, function);
  }
}

template <typename Body>
void launch(Index grid, unsigned threads, unsigned seed, const Body& body) {
  launch(grid, threads, 0, Options{seed, false}, body);
}

// Goes on with a block that can, mostly one of high priority, until none can.
inline void run_together(std::vector<Block*>& blocks, std::mt19937& random, unsigned n_candidates) {
  std::vector<Block*> ready;
  for (;;) {
    ready.clear();
    for (Block* b : blocks) {
      wake_waiters(*b);
      if (!b->runnable.empty()) ready.push_back(b);
    }
    if (ready.empty()) return;
    Block* chosen = ready[random() % ready.size()];
    for (unsigned i = 1; i < n_candidates; ++i) {
      Block* other = ready[random() % ready.size()];
      if (other->priority > chosen->priority) chosen = other;
    }
    const unsigned n_turns = 1 + random() % 64;
    for (unsigned i = 0; i < n_turns && !chosen->runnable.empty(); ++i) run_thread(*chosen);
  }
}

// As a cooperative launch: the blocks run side by side and may wait for each other.
template <typename Body>
void launch_together(unsigned n_blocks, unsigned threads, std::size_t shared_bytes, Options options, const Body& body) {
  static std::vector<std::unique_ptr<Block>> pool;  // keeps the stacks
  const std::function<void()> function = body;
  std::mt19937 random(options.seed);
  Block* const before = running_block();
  grid_size = {n_blocks, 1, 1};
  block_size = {threads, 1, 1};
  while (pool.size() < n_blocks) pool.push_back(std::make_unique<Block>());
  std::vector<Block*> blocks;
  std::vector<std::unique_ptr<SharedMemory>> memories;
  const auto restore = [before](void*) { running_block() = before; };
  const std::unique_ptr<void, decltype(restore)> at_the_end(before, restore);
  for (unsigned i = 0; i < n_blocks; ++i) {
    Block& b = *pool[i];
    running_block() = &b;
    memories.push_back(std::make_unique<SharedMemory>(shared_bytes));
    b.random.seed(random());
    b.late_copies = options.late_copies;
    b.n_candidates = 1u << (2 * (options.seed % 4));
    b.index = {i, 0, 0};
    b.priority = static_cast<unsigned>(random() % 1000000);
    start_block(b, threads, function);
    blocks.push_back(&b);
  }
  run_together(blocks, random, 1u << (options.seed / 4 % 4));
  for (const Block* b : blocks) require_ended(*b);
  for (const auto& memory : memories) memory->check();
}

}  // namespace emulation
