// A thread of the emulated GPU: a stack of its own that runs until it waits for others.
//
// ucontext, since it is in every C library and sanitizers can be told to follow it. A switch costs some .3 us.
#pragma once

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace emulation {

// A copy from global to shared memory that is under way.
struct PendingCopy {
  unsigned char* target;
  const unsigned char* source;
};

class Fiber {
 public:
  static constexpr std::size_t kStackBytes = 256 * 1024;  // reserved; only touched pages cost memory

  Fiber() {
    void* memory =
        mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    stack_ = static_cast<unsigned char*>(memory);
#if defined(__SANITIZE_THREAD__)
    thread_ = __tsan_create_fiber(0);
#endif
  }
  ~Fiber() {
    munmap(stack_, kStackBytes);
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(thread_);
#endif
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void start(unsigned thread_number, const std::function<void()>& body) {
    thread = thread_number;
    done = false;
    error = nullptr;
    copies.clear();
    committed.clear();
    body_ = &body;
#if defined(__SANITIZE_ADDRESS__)
    fake_stack_ = nullptr;
    __asan_unpoison_memory_region(stack_, kStackBytes);
#endif
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&context_, reinterpret_cast<void (*)()>(&Fiber::enter), 2, static_cast<unsigned>(self),
                static_cast<unsigned>(static_cast<std::uint64_t>(self) >> 32));
  }

  // Called by the scheduler: runs the fiber until it suspends itself or ends.
  void resume() {
#if defined(__SANITIZE_ADDRESS__)
    void* scheduler_fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&scheduler_fake_stack, stack_, kStackBytes);
#endif
#if defined(__SANITIZE_THREAD__)
    scheduler_thread_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(thread_, 0);
#endif
    swapcontext(&scheduler(), &context_);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
  }

  // Called by the fiber: back to the scheduler, until it is resumed.
  void suspend() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(done ? nullptr : &fake_stack_, scheduler_stack_, scheduler_stack_bytes_);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(scheduler_thread_, 0);
#endif
    swapcontext(&context_, &scheduler());
    arrived(fake_stack_);
  }

  unsigned thread = 0;
  unsigned priority = 0;
  bool done = false;
  std::exception_ptr error;
  std::vector<PendingCopy> copies;     // started, in order
  std::vector<std::size_t> committed;  // number of copies in each group that has not been waited for

 private:
  static ucontext_t& scheduler() {
    static ucontext_t context;
    return context;
  }

  static void enter(unsigned low, unsigned high) {
    auto* self = reinterpret_cast<Fiber*>(
        static_cast<std::uintptr_t>(static_cast<std::uint64_t>(low) | static_cast<std::uint64_t>(high) << 32));
    self->arrived(nullptr);
    try {
      (*self->body_)();
    } catch (...) {
      self->error = std::current_exception();
    }
    self->done = true;
    self->suspend();
    std::abort();  // an ended fiber is never resumed
  }

  void arrived(void* fake_stack) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
#else
    (void)fake_stack;
#endif
  }

  ucontext_t context_{};
  unsigned char* stack_ = nullptr;
  const std::function<void()>* body_ = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;
#endif
  void* fake_stack_ = nullptr;
#if defined(__SANITIZE_THREAD__)
  void* thread_ = nullptr;
  void* scheduler_thread_ = nullptr;
#endif
};

}  // namespace emulation
