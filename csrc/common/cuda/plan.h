// What the first of an op's two CUDA functions, svebm_<op>_cuda_plan, finds out about a call, and what the second one,
// svebm_<op>_cuda, works by: a call is planned once. Plain data, part of the C ABI of libsvebm_cuda.so.
#pragma once

#include <stdint.h>

struct SvebmCudaPlan {
  int64_t workspace_bytes;              // that the second function needs
  char reason[256];                     // why the kernels cannot serve the call; empty where they can
  alignas(16) unsigned char own[1536];  // of the op: read by its own functions only
};
