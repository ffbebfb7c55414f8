// Projection of hidden states onto a vocabulary and cross-entropy, with both gradients, in chunks of tokens.
//
//   logits = h W^T + b     loss_t = logsumexp_v(logits_tv) - logits_t,target(t)
//   P = softmax(logits) - onehot(target)     dh_t = w_t P_t W     dW = sum_t w_t P_t^T h_t     db = sum_t w_t P_t
#pragma once

#include <cstdint>

#include "common/cpu/variant.h"

struct SvebmTokenLossArguments {
  const float* hidden;  // [n][h], rows hidden_stride apart
  int64_t hidden_stride;
  const float* weight;  // [v][h], rows weight_stride apart
  int64_t weight_stride;
  const float* bias;           // [v], or null
  const int64_t* targets;      // [n], each in 0 .. v - 1
  const float* token_weights;  // [n] w_t, or null: all are token_weight
  float token_weight;
  int64_t n, h, v;
  float* loss;         // [n], or null
  float* grad_hidden;  // [n][h], or null together with grad_weight: no gradients
  float* grad_weight;  // [v][h]
  float* grad_bias;    // [v], or null where bias is
  int32_t fast;        // operands of products in bfloat16 where the processor multiplies them
};

namespace svebm {

// Tokens of a chunk: enough that packing the weights costs little, few enough that a chunk of hidden states stays in
// the second-level cache. A chunk's logits, 15 MB at 10,000 words, stay in the third-level cache of most processors.
constexpr int64_t kTokenChunk = 384;

// Words that logits are computed for at a time: a multiple of every variant's rows of a tile.
constexpr int64_t kTokenLossWords = 12;

// Words whose exponentials are summed into one number.
constexpr int64_t kTokenLossSegment = 2048;

// One chunk and its memory. Tokens lie on vector lanes, in blocks of 32.
struct TokenLossPlan {
  SvebmTokenLossArguments a;
  bool pairs;     // operands are pairs in bfloat16
  int64_t first;  // token of the chunk's first lane
  int64_t n;      // tokens of the chunk
  int64_t n_blocks, n_segments, padded_words;
  int n_workers;
  float* hidden;        // [block][step of h][32]
  float* logits;        // [block][padded word][32]; then exponentials of logits less their largest, see below
  float* largest;       // [worker][token]
  float* sums;          // [block][segment][32]
  float* targets;       // [token] logit of the target
  float* coefficients;  // [token] w_t / sum of exponentials
  float* scaled;        // [column block of h, and of b][step of tokens][32] hidden times coefficient; 1 stands for b
  float* buffers;       // of each worker
  int64_t buffer;       // numbers of one

  // Exponentials in bfloat16: each two words, which have 64 numbers, keep first the pairs of words that the gradient of
  // the hidden states is a sum over, [token]; then the pairs of tokens that the gradient of the weights is a sum over,
  // [word][token / 2].
};

// Parts of token_loss_cpu for one thread. Ranges are of blocks; of groups of kTokenLossWords; of block * segments; of
// groups of 64 columns; of column blocks.
SVEBM_DECLARE_VARIANTS(void token_loss_pack(const TokenLossPlan& plan, int64_t begin, int64_t end);
                       void token_loss_logits(const TokenLossPlan& plan, int worker, int64_t begin, int64_t end);
                       void token_loss_exponentials(const TokenLossPlan& plan, int64_t begin, int64_t end);
                       void token_loss_grad_hidden(const TokenLossPlan& plan, int worker, int64_t begin, int64_t end);
                       void token_loss_pack_scaled(const TokenLossPlan& plan, int64_t begin, int64_t end);
                       void token_loss_grad_weight(const TokenLossPlan& plan, int64_t begin, int64_t end))

// Bytes of workspace, to begin at a multiple of 64.
int64_t token_loss_cpu_workspace(const SvebmTokenLossArguments& arguments, int n_threads);

// Bits do not depend on n_threads.
void token_loss_cpu(const SvebmTokenLossArguments& arguments, void* workspace, int n_threads);

}  // namespace svebm
