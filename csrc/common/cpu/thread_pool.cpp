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
  int most_workers;
  std::atomic<int64_t> next{0};
  std::atomic<int> n_workers{0};

  void work() {
    const int worker = n_workers.fetch_add(1, std::memory_order_relaxed);
    if (worker >= most_workers) return;  // a team of OpenMP's may be larger than what was asked for
    for (;;) {
      const int64_t begin = next.fetch_add(part, std::memory_order_relaxed);
      if (begin >= n_items) return;
      function(context, worker, begin, std::min(begin + part, n_items));
    }
  }
};

struct Team {
  TeamFunction function;
  void* context;
  int most_workers = 1;
  std::atomic<int> n_joined{0};
  Barrier barrier{1};

  // Called by each thread of the team with the same number of workers, beyond which threads are not needed.
  void join(int n_workers) {
    const int worker = n_joined.fetch_add(1, std::memory_order_relaxed);
    if (worker >= n_workers) return;
    barrier.expect(n_workers);
    function(context, worker, n_workers, barrier);
  }
};

OpenMp openmp;

class ThreadPool {
 public:
  // Returns false, having done nothing, where another caller is using the pool.
  bool run(int n_helpers, Job& job) {
    std::unique_lock<std::mutex> only_caller(caller_, std::try_to_lock);
    if (!only_caller) return false;
    if (openmp.parallel != nullptr) {
      run_by_openmp(n_helpers + 1, [](void* member) { static_cast<Job*>(member)->work(); }, &job);
    } else {
      start_threads(n_helpers);
      run_locked(n_helpers, job);
    }
    return true;
  }

  // As many helpers as there can be, up to `wanted`, join the team while the caller does.
  bool run_team(int wanted, Team& team) {
    std::unique_lock<std::mutex> only_caller(caller_, std::try_to_lock);
    if (!only_caller) return false;
    if (openmp.parallel != nullptr) {
      team.most_workers = wanted + 1;
      const auto work = [](void* context) {
        auto& joined = *static_cast<Team*>(context);
        joined.join(std::min(joined.most_workers, openmp.team_size()));
      };
      run_by_openmp(wanted + 1, work, &team);
    } else {
      start_threads(wanted);
      const int n_helpers = std::min(wanted, n_threads_.load());
      team.most_workers = n_helpers + 1;
      const auto work = [](void* context, int, int64_t begin, int64_t end) {
        auto& joined = *static_cast<Team*>(context);
        for (int64_t i = begin; i < end; ++i) joined.join(joined.most_workers);
      };
      Job job{work, &team, n_helpers + 1, 1, n_helpers + 1};
      run_locked(n_helpers, job);
    }
    return true;
  }

  int n_threads() const { return n_threads_.load(); }

 private:
  // 0 is the size that torch's operations ask for: a team of another size would end some threads, and start them again
  // for torch's next operation.
  static void run_by_openmp(int n_threads, void (*work)(void*), void* context) {
    openmp.parallel(work, context, n_threads <= openmp.usual_size() ? 0 : static_cast<unsigned>(n_threads), 0);
  }

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

// Never destroyed: its threads sleep until the process ends. After a fork the child has none of them nor of OpenMP's,
// for which its runtime would wait forever, and the locks may be in any state: it gets a new pool and forgets the old.
ThreadPool& pool() {
  static const bool once = [] {
    current_pool = new ThreadPool;
    pthread_atfork(nullptr, nullptr, [] {
      current_pool = new ThreadPool;
      openmp = OpenMp{};
    });
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
    Job job{function, context, n_items, part, static_cast<int>(n_useful)};
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
  Team team{function, context};
  if (n_threads > 1 && pool().run_team(n_threads - 1, team)) return;
  team.join(1);
}

void share_openmp(const OpenMp& runtime) {
  pool();  // which sees to forks
  openmp = runtime;
}

int n_pool_threads() { return pool().n_threads(); }

}  // namespace svebm
