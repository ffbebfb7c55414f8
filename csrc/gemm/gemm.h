// Matrix product C (+)= A B in single precision, operands rounded to bfloat16 where asked for and where the processor
// multiplies them: what the ops' CPU kernels are put together from.
#pragma once

#include <cstdint>

#include "common/cpu/variant.h"

struct SvebmGemmArguments {
  const float *a, *b;                // A [m][k], B [k][n]; in each, one of the two strides is 1
  int64_t a_row_stride, a_k_stride;  // in numbers
  int64_t b_k_stride, b_column_stride;
  float* c;  // [m][n], rows c_stride apart
  int64_t c_stride;
  const float* row_bias;  // [m] added to each row of C, or null
  int64_t m, n, k;
  int32_t add;   // to what is in C; not together with row_bias
  int32_t fast;  // bfloat16 operands
};

namespace svebm {

// Parts of gemm_cpu for one thread: blocks begin .. end of B for numbers k .. k + part, and rows begin .. end of C on
// some of those blocks.
SVEBM_DECLARE_VARIANTS(int gemm_panel_rows(); void gemm_pack_blocks(const SvebmGemmArguments& arguments, int64_t k,
                                                                    int64_t part, float* b, int64_t begin, int64_t end);
                       void gemm_rows(const SvebmGemmArguments& arguments, int64_t k, int64_t part, const float* b,
                                      float* panel, int64_t begin, int64_t end, int64_t first_block,
                                      int64_t last_block))

// Bytes of workspace, to begin at a multiple of 64.
int64_t gemm_cpu_workspace(const SvebmGemmArguments& arguments, int n_threads);

// Sums run over k from first to last in parts of a fixed size: bits do not depend on n_threads.
void gemm_cpu(const SvebmGemmArguments& arguments, void* workspace, int n_threads);

}  // namespace svebm
