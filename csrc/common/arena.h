// Laying memory out: of a workspace, or of a block's shared memory on CUDA. One place, for every op and both devices.
#pragma once

#include <stdint.h>

#include "common/inline.h"

namespace svebm {

// The smallest multiple that is not below n.
template <typename Integer>
SVEBM_INLINE constexpr Integer round_up(Integer n, int multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Gives out consecutive parts of one block of memory, each at a multiple of `alignment` bytes. Where there is no memory
// yet it counts only, so that the same lines say how much is needed and where what lies.
class Arena {
 public:
  SVEBM_INLINE_MEMBER explicit Arena(int alignment, void* memory = nullptr)
      : memory_(static_cast<char*>(memory)), alignment_(alignment) {}

  // Bytes from the start of the memory to a part of so many.
  SVEBM_INLINE_MEMBER int64_t take_bytes(int64_t n_bytes) {
    const int64_t offset = used_;
    used_ += round_up(n_bytes, alignment_);
    return offset;
  }

  // A part of n of these; null where there is no memory.
  template <typename T>
  SVEBM_INLINE_MEMBER T* take(int64_t n) {
    const int64_t offset = take_bytes(n * static_cast<int64_t>(sizeof(T)));
    return memory_ != nullptr ? reinterpret_cast<T*>(memory_ + offset) : nullptr;
  }

  // Bytes given out so far.
  SVEBM_INLINE_MEMBER int64_t used() const { return used_; }

 private:
  char* memory_;
  int alignment_;
  int64_t used_ = 0;
};

}  // namespace svebm
