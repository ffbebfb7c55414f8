// The threads of kernels: those of torch's OpenMP runtime where it is shared, else a small pool of our own.
//
// After each of torch's operations its threads spin for some milliseconds, waiting for the next. Threads of our own
// would have to push them off the processors first; a kernel that is their next work starts within microseconds.
// Threads of our own sleep between calls.
//
// Results of kernels never depend on how items are divided, so parts are handed out as threads become free.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace svebm {

using RangeFunction = void (*)(void* context, int worker, int64_t begin, int64_t end);

// Calls function(context, worker, begin, end) for parts of [0, n_items) of `part` items each (the last may be smaller),
// on at most n_threads threads, the caller among them. Calls that run at the same time have different workers, from 0
// to n_threads - 1, so that each can have memory of its own. Runs on the caller alone where there is one part only, and
// where the pool is busy with another caller. The function must not throw.
void parallel_parts(int n_threads, int64_t n_items, int64_t part, RangeFunction function, void* context);

template <typename Callable>
void parallel_parts(int n_threads, int64_t n_items, int64_t part, const Callable& callable) {
  const auto call = [](void* context, int worker, int64_t begin, int64_t end) {
    (*static_cast<const Callable*>(context))(worker, begin, end);
  };
  parallel_parts(n_threads, n_items, part, call, const_cast<void*>(static_cast<const void*>(&callable)));
}

// As above with callable(begin, end) for cheap items, in parts of at least `grain`: about four parts a thread, so that
// a late thread costs little, and the counter is touched rarely.
template <typename Callable>
void parallel_for(int n_threads, int64_t n_items, int64_t grain, const Callable& callable) {
  if (grain < 1) grain = 1;
  const int64_t n_useful = std::min<int64_t>(n_threads, (n_items + grain - 1) / grain);
  if (n_useful < 1) return;
  const int64_t part = std::max(grain, (n_items + 4 * n_useful - 1) / (4 * n_useful));
  parallel_parts(static_cast<int>(n_useful), n_items, part,
                 [&](int, int64_t begin, int64_t end) { callable(begin, end); });
}

// Threads that run at the same time and wait for each other.
class Barrier {
 public:
  explicit Barrier(int n_threads) : n_threads_(n_threads) {}
  // The number of threads that will call wait(); each of them may tell it, before its first wait().
  void expect(int n_threads) { n_threads_.store(n_threads, std::memory_order_relaxed); }
  // Returns when all threads of the team have called it. Spins, and leaves the processor after a while.
  void wait();

 private:
  std::atomic<int> n_threads_;
  std::atomic<int> n_arrived_{0};
  std::atomic<unsigned> round_{0};
};

using TeamFunction = void (*)(void* context, int worker, int n_workers, Barrier& barrier);

// Calls function(context, worker, n_workers, barrier) once on each of n_workers threads at the same time, the caller
// among them: as many as asked for, or fewer where there are no more or the pool is busy (then one).
void parallel_team(int n_threads, TeamFunction function, void* context);

template <typename Callable>
void parallel_team(int n_threads, const Callable& callable) {
  const auto call = [](void* context, int worker, int n_workers, Barrier& barrier) {
    (*static_cast<const Callable*>(context))(worker, n_workers, barrier);
  };
  parallel_team(n_threads, call, const_cast<void*>(static_cast<const void*>(&callable)));
}

// What is called of an OpenMP runtime, under the names of GNU's, which LLVM's and Intel's have too.
struct OpenMp {
  // GOMP_parallel(function, context, n_threads, flags): 0 threads are as many as usual
  void (*parallel)(void (*function)(void*), void* context, unsigned n_threads, unsigned flags) = nullptr;
  int (*team_size)() = nullptr;   // omp_get_num_threads
  int (*usual_size)() = nullptr;  // omp_get_max_threads
};

// From now on work is done by this runtime's threads; without `parallel` by the pool. Not while work is being done. A
// child of fork() has a pool again.
void share_openmp(const OpenMp& runtime);

// Threads of the pool that were started so far, the callers not counted.
int n_pool_threads();

}  // namespace svebm
