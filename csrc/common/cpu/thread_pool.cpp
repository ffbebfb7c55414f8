#include "common/cpu/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

namespace svebm {
namespace {

struct Job {
  RangeFunction function;
  void* context;
  int64_t n_items;
  int64_t part;
  std::atomic<int64_t> next{0};
  std::atomic<int> n_workers{0};

  void work() {
    const int worker = n_workers.fetch_add(1, std::memory_order_relaxed);
    for (;;) {
      const int64_t begin = next.fetch_add(part, std::memory_order_relaxed);
      if (begin >= n_items) return;
      function(context, worker, begin, std::min(begin + part, n_items));
    }
  }
};

class ThreadPool {
 public:
  // Returns false, having done nothing, where another caller is using the pool.
  bool run(int n_helpers, Job& job) {
    std::unique_lock<std::mutex> only_caller(caller_, std::try_to_lock);
    if (!only_caller) return false;
    start_threads(n_helpers);
    run_locked(n_helpers, job);
    return true;
  }

  // As many helpers as there can be, up to `wanted`, all of which call function(helper + 1) while the caller is in
  // function(0); prepare(n) is called first with their number and the caller's.
  template <typename Prepare>
  bool run_team(int wanted, Job& job, const Prepare& prepare) {
    std::unique_lock<std::mutex> only_caller(caller_, std::try_to_lock);
    if (!only_caller) return false;
    start_threads(wanted);
    const int n_helpers = std::min(wanted, n_threads_.load());
    prepare(n_helpers + 1);
    run_locked(n_helpers, job);
    return true;
  }

  int n_threads() const { return n_threads_.load(); }

 private:
  void run_locked(int n_helpers, Job& job) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      free_places_ = n_helpers;
    }
    wake_.notify_all();
    job.work();
    std::unique_lock<std::mutex> lock(mutex_);
    job_ = nullptr;  // a helper that wakes only now finds nothing and need not be waited for
    done_.wait(lock, [this] { return n_working_ == 0; });
  }

  void start_threads(int wanted) {
    while (n_threads_.load() < wanted) {
      try {
        std::thread(&ThreadPool::help, this).detach();
      } catch (const std::system_error&) {
        return;  // the process may start no more threads: those there are do the work
      }
      ++n_threads_;
    }
  }

  void help() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return job_ != nullptr && free_places_ > 0; });
      Job* job = job_;
      --free_places_;
      ++n_working_;
      lock.unlock();
      job->work();
      lock.lock();
      if (--n_working_ == 0) done_.notify_one();
    }
  }

  std::mutex caller_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Job* job_ = nullptr;
  int free_places_ = 0;
  int n_working_ = 0;
  std::atomic<int> n_threads_{0};
};

ThreadPool* current_pool = nullptr;

// Never destroyed: its threads sleep until the process ends. After a fork the child has none of them, and the locks may
// be in any state, so it gets a new pool and forgets the old one.
ThreadPool& pool() {
  static const bool once = [] {
    current_pool = new ThreadPool;
    pthread_atfork(nullptr, nullptr, [] { current_pool = new ThreadPool; });
    return true;
  }();
  (void)once;
  return *current_pool;
}

}  // namespace

void parallel_parts(int n_threads, int64_t n_items, int64_t part, RangeFunction function, void* context) {
  if (n_items <= 0) return;
  part = std::max<int64_t>(part, 1);
  const int64_t n_useful = std::min<int64_t>(n_threads, (n_items + part - 1) / part);
  if (n_useful > 1) {
    Job job{function, context, n_items, part};
    if (pool().run(static_cast<int>(n_useful) - 1, job)) return;
  }
  function(context, 0, 0, n_items);
}

void Barrier::wait() {
  const unsigned round = round_.load(std::memory_order_acquire);
  if (n_arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_threads_) {
    n_arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
    // where there are more threads than processors, the one that is waited for needs this one's
    if (spins > 2000) std::this_thread::yield();
#if defined(__SSE2__)
    __builtin_ia32_pause();
#endif
  }
}

void parallel_team(int n_threads, TeamFunction function, void* context) {
  struct Team {
    TeamFunction function;
    void* context;
    int n_workers;
    Barrier* barrier;
  } team{function, context, 1, nullptr};
  const auto call = [](void* member, int, int64_t begin, int64_t end) {
    const Team& t = *static_cast<const Team*>(member);
    for (int64_t worker = begin; worker < end; ++worker) {
      t.function(t.context, static_cast<int>(worker), t.n_workers, *t.barrier);
    }
  };
  if (n_threads > 1) {
    Job job{call, &team, 0, 1};
    alignas(Barrier) char memory[sizeof(Barrier)];
    const bool ran = pool().run_team(n_threads - 1, job, [&](int n_workers) {
      team.n_workers = n_workers;
      team.barrier = new (memory) Barrier(n_workers);
      job.n_items = n_workers;
    });
    if (ran) return;
  }
  Barrier alone(1);
  team.barrier = &alone;
  call(&team, 0, 0, 1);
}

int n_pool_threads() { return pool().n_threads(); }

}  // namespace svebm
