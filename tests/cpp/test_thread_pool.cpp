// Every item exactly once, whatever the sizes; nested, concurrent and forked use. Built twice: for the pool's own
// threads, and for those of an OpenMP runtime.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "check.h"
#include "common/cpu/thread_pool.h"

#if defined(SVEBM_TEST_OPENMP)
#include <omp.h>
extern "C" void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned);
#endif

namespace {

bool covers(int n_threads, int64_t n_items, int64_t grain) {
  std::vector<std::atomic<int>> visits(static_cast<size_t>(n_items));
  svebm::parallel_for(n_threads, n_items, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  for (const auto& visit : visits) {
    if (visit != 1) return false;
  }
  return true;
}

void every_item_once() {
  for (const int n_threads : {1, 2, 3, 7}) {
    for (const int64_t n_items : {0, 1, 2, 63, 1000, 4099}) {
      for (const int64_t grain : {1, 16, 100000}) CHECK(covers(n_threads, n_items, grain));
    }
  }
}

void no_more_threads_than_asked_for() {
  std::atomic<int> inside{0}, most{0};
  svebm::parallel_for(3, 2000, 1, [&](int64_t, int64_t) {
    const int now = ++inside;
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::yield();
    --inside;
  });
  CHECK(most >= 1 && most <= 3);
#if defined(SVEBM_TEST_OPENMP)
  CHECK(svebm::n_pool_threads() == 0);
#else
  CHECK(svebm::n_pool_threads() <= 6);  // the most that any test before asked for, the caller not counted
#endif
}

void nested() {
  std::atomic<int64_t> sum{0};
  svebm::parallel_for(2, 8, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      svebm::parallel_for(2, 10, 1, [&](int64_t inner, int64_t inner_end) { sum += inner_end - inner; });
    }
  });
  CHECK(sum == 80);
}

void several_callers() {
  std::atomic<int> good{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&good] {
      for (int i = 0; i < 50; ++i) good += covers(2, 257, 8) ? 1 : 0;
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(good == 200);
}

// Threads of a team meet at each barrier: what one writes before it, all read after it.
void teams() {
  for (const int n_threads : {1, 2, 3, 6}) {
    std::vector<int> written(8, 0);
    std::atomic<int> n_calls{0}, wrong{0};
    int size = 0;
    svebm::parallel_team(n_threads, [&](int worker, int n_workers, svebm::Barrier& barrier) {
      ++n_calls;
      if (worker == 0) size = n_workers;
      for (int round = 1; round <= 200; ++round) {
        written[static_cast<size_t>(worker)] = round;
        barrier.wait();
        for (int other = 0; other < n_workers; ++other) {
          if (written[static_cast<size_t>(other)] != round) ++wrong;
        }
        barrier.wait();
      }
    });
    CHECK(wrong == 0);
    CHECK(n_calls == size && size == n_threads);
  }
  // a team inside a team, and beside another caller, is one thread alone
  std::atomic<int> inner{0};
  svebm::parallel_team(2, [&](int, int, svebm::Barrier& barrier) {
    svebm::parallel_team(2, [&](int, int n_workers, svebm::Barrier& own) {
      inner += n_workers;
      own.wait();
    });
    barrier.wait();
  });
  CHECK(inner == 2);
}

#if !defined(__SANITIZE_THREAD__)  // which supports no threads in the child of a process that had some
void after_a_fork() {
  CHECK(covers(3, 1000, 1));
  const pid_t child = fork();
  if (child == 0) _exit(covers(3, 1000, 1) ? 0 : 1);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

#if defined(SVEBM_TEST_OPENMP)
// Inside a parallel region of somebody else's there is one thread for each caller, or none beside it.
void inside_a_region() {
  std::atomic<int> good{0};
#pragma omp parallel num_threads(3)
  good += covers(2, 257, 8) ? 1 : 0;
  CHECK(good == 3);
}

// Back to the pool, and to OpenMP again.
void changed_between_calls(const svebm::OpenMp& runtime) {
  svebm::share_openmp({});
  CHECK(covers(3, 1000, 1));
  CHECK(svebm::n_pool_threads() == 2);
  svebm::share_openmp(runtime);
  CHECK(covers(3, 1000, 1));
  teams();
}
#endif

}  // namespace

int main() {
#if defined(SVEBM_TEST_OPENMP)
  const svebm::OpenMp runtime{GOMP_parallel, omp_get_num_threads, omp_get_max_threads};
  svebm::share_openmp(runtime);
#endif
  every_item_once();
  no_more_threads_than_asked_for();
  nested();
  several_callers();
  teams();
#if !defined(__SANITIZE_THREAD__)
  after_a_fork();
#endif
#if defined(SVEBM_TEST_OPENMP)
  inside_a_region();
  changed_between_calls(runtime);
#endif
  return check::failures();
}
