// A chunk of tokens at a time: logits, their exponentials, and the products of both gradients. Tokens lie on vector
// lanes, so that softmax is plain vector code, and both gradients' products read the exponentials where they are. The
// softmax's denominator is no factor of its own: it goes into the rows of grad_hidden at the end, and into the hidden
// states before they are multiplied into grad_weight.
#include "token_loss/token_loss.h"

#include "common/cpu/operand.h"
#include "common/cpu/vector_math.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

// Columns of grad_hidden that a thread works on, in blocks, and steps of the sum over words at a time: a tile's
// exponentials stay in the first-level cache for all of these columns, the packed weights in the second-level one.
constexpr int kColumnBlocks = 2;
constexpr int64_t kWordPart = 256;

// Words that a tile of grad_weight takes: of each, the tokens of a block are neighbours.
template <typename Kind>
struct WordOrder {
  static constexpr int kStep = 1;
  static constexpr int row_offset(int r) { return Kind::kPairs ? r / 2 * 64 + 32 + r % 2 * 16 : r * kBlockLanes; }
};

// Tokens that a tile of grad_hidden takes: of each word, or pair of words, the tokens are neighbours.
template <typename Kind>
struct TokenOrder {
  static constexpr int kStep = Kind::kPairs ? 2 * kBlockLanes : kBlockLanes;
  static constexpr int row_offset(int r) { return r; }
};

SVEBM_INLINE float* logits_of(const TokenLossPlan& plan, int64_t block, int64_t word) {
  return plan.logits + (block * plan.padded_words + word) * kBlockLanes;
}

template <typename Kind>
void compute_logits(const TokenLossPlan& plan, float* panel, float* largest, int64_t word) {
  const SvebmTokenLossArguments& a = plan.a;
  const int64_t left = a.v - word;
  const int n_rows = left < 0 ? 0 : left < kPanelRows ? static_cast<int>(left) : kPanelRows;
  const int steps = static_cast<int>(n_steps<Kind>(a.h));
  pack_lanes<Kind>(Source{a.weight + (n_rows > 0 ? word : 0) * a.weight_stride, a.weight_stride, 1}, n_rows, a.h, panel,
                   kPanelRows);
  float bias[kPanelRows] = {};
  for (int r = 0; a.bias != nullptr && r < n_rows; ++r) bias[r] = a.bias[word + r];
  for (int64_t block = 0; block < plan.n_blocks; ++block) {
    float* const tile = logits_of(plan, block, word);
    multiply_tile<Kind, kPanelRows, PanelOrder<kPanelRows>>(
        panel, 1, 0, steps, plan.hidden + block * steps * kBlockLanes, {tile, kBlockLanes, bias, false});
    for (int i = 0; i < kBlockLanes; i += kWidth) {
      float* const most = largest + block * kBlockLanes + i;
      Floats m = load(most);
      for (int r = 0; r < n_rows; ++r) m = larger(load(tile + r * kBlockLanes + i), m);
      store(most, m);
    }
  }
}

// Exponentials of words begin .. end of one block in place of their logits, and their sums; words beyond the vocabulary
// become zero.
template <typename Kind>
void exponentials(const TokenLossPlan& plan, int64_t block, int64_t begin, int64_t end, float* sums) {
  constexpr int kParts = kBlockLanes / kWidth;
  Floats most[kParts], sum[kParts];
  for (int p = 0; p < kParts; ++p) {
    const float* const largest = plan.largest + block * kBlockLanes + p * kWidth;
    most[p] = load(largest);
    for (int w = 1; w < plan.n_workers; ++w) most[p] = larger(load(largest + w * kTokenChunk), most[p]);
    sum[p] = zero();
  }
  const bool keep = plan.a.grad_hidden != nullptr;
  const int64_t n_tokens = plan.n - block * kBlockLanes;
  for (int64_t word = begin; word < end; word += 2) {  // the padded number of words is even
    float* const at = logits_of(plan, block, word);
    Floats e[2][kParts];
    for (int r = 0; r < 2; ++r) {
      for (int p = 0; p < kParts; ++p) {
        e[r][p] = word + r < plan.a.v ? exponential(load(at + r * kBlockLanes + p * kWidth) - most[p]) : zero();
        if (n_tokens < kBlockLanes) {  // the logits behind the last token are no numbers where a weight is not finite
          e[r][p] = choose_first(e[r][p], zero(), static_cast<int>(n_tokens) - p * kWidth);
        }
        sum[p] += e[r][p];
      }
    }
    if (!keep) continue;
#if defined(__AVX512BF16__)
    if constexpr (Kind::kPairs) {
      *reinterpret_cast<Ints*>(at) = pack_bf16(e[0][0], e[1][0]);
      *reinterpret_cast<Ints*>(at + 16) = pack_bf16(e[0][1], e[1][1]);
      *reinterpret_cast<Ints*>(at + 32) = pair_bf16(e[0][0], e[0][1]);
      *reinterpret_cast<Ints*>(at + 48) = pair_bf16(e[1][0], e[1][1]);
      continue;
    }
#endif
    for (int r = 0; r < 2; ++r) {
      for (int p = 0; p < kParts; ++p) store(at + r * kBlockLanes + p * kWidth, e[r][p]);
    }
  }
  for (int p = 0; p < kParts; ++p) store(sums + p * kWidth, sum[p]);
}

constexpr int kLastTile = (kBlockLanes - 1) / kPanelRows * kPanelRows;  // first token of a block's last tile
constexpr int kLastRows = kBlockLanes - kLastTile;

// Columns of grad_hidden from `column` on, at most kColumnBlocks * 32 of them.
template <typename Kind>
void grad_hidden(const TokenLossPlan& plan, int64_t column, float* packed) {
  const SvebmTokenLossArguments& a = plan.a;
  const int64_t part = kWordPart * kNumbersPerStep<Kind>;
  int64_t n_columns = a.h - column;
  if (n_columns > kColumnBlocks * kBlockLanes) n_columns = kColumnBlocks * kBlockLanes;
  const auto output = [&](int64_t token) { return a.grad_hidden + (plan.first + token) * a.h + column; };
  for (int64_t word = 0; word < a.v; word += part) {
    const int64_t here = a.v - word < part ? a.v - word : part;
    const int steps = static_cast<int>(n_steps<Kind>(here));
    for (int64_t c = 0; c < n_columns; c += kBlockLanes) {
      const Source from = Source{a.weight, 1, a.weight_stride}.from(column + c, word);
      pack_block<Kind>(from, n_columns - c, here, packed + c * steps);
    }
    // the 32 tokens of a block in tiles of as many rows as there are registers for
    for (int64_t token = 0; token < plan.n; token += token % kBlockLanes < kLastTile ? kPanelRows : kLastRows) {
      const bool last = token % kBlockLanes >= kLastTile;
      const int64_t left = plan.n - token;
      const float* const e = logits_of(plan, token / kBlockLanes, word) + token % kBlockLanes;
      const auto multiply = last ? &multiply_any_tile<Kind, kLastRows, TokenOrder<Kind>>
                                 : &multiply_any_tile<Kind, kPanelRows, TokenOrder<Kind>>;
      for (int64_t c = 0; c < n_columns; c += kBlockLanes) {
        multiply(e, 1, 0, steps, packed + c * steps, left < kPanelRows ? static_cast<int>(left) : kPanelRows,
                 n_columns - c, {output(token) + c, a.h, nullptr, word > 0});
      }
    }
  }
  for (int64_t token = 0; token < plan.n; ++token) {
    float* const row = output(token);
    for (int64_t c = 0; c < n_columns; ++c) row[c] *= plan.coefficients[token];
  }
}

// Columns of hidden times coefficient, the last one of which is 1 where there is a bias.
template <typename Kind>
void pack_scaled(const TokenLossPlan& plan, int64_t block) {
  const SvebmTokenLossArguments& a = plan.a;
  const int64_t n_tokens = plan.n_blocks * kBlockLanes, steps = n_steps<Kind>(n_tokens);
  const auto row = [&](int64_t token, int64_t column) {
    if (token >= plan.n) return zero();
    const int64_t left = a.h - column;
    const float* const from = a.hidden + (plan.first + token) * a.hidden_stride + column;
    Floats value = left >= kWidth ? load_anywhere(from) : left > 0 ? load_some(from, static_cast<int>(left)) : zero();
    if (a.bias != nullptr && left >= 0 && left < kWidth) value[left] = 1.0f;
    return value * plan.coefficients[token];
  };
  for (int64_t i = 0; i < steps; ++i) {
    for (int lane = 0; lane < kBlockLanes; lane += kWidth) {
      const int64_t column = block * kBlockLanes + lane;
      float* const to = plan.scaled + (block * steps + i) * kBlockLanes + lane;
#if defined(__AVX512BF16__)
      if constexpr (Kind::kPairs) {
        *reinterpret_cast<Ints*>(to) = pack_bf16(row(2 * i, column), row(2 * i + 1, column));
        continue;
      }
#endif
      store(to, row(i, column));
    }
  }
}

template <typename Kind>
void grad_weight(const TokenLossPlan& plan, int64_t word) {
  const SvebmTokenLossArguments& a = plan.a;
  const int64_t steps = n_steps<Kind>(plan.n_blocks * kBlockLanes), columns = a.h + (a.bias != nullptr ? 1 : 0);
  const int64_t left = a.v - word;
  const int n_rows = left < kPanelRows ? static_cast<int>(left) : kPanelRows;
  const bool add = plan.first > 0;
  const int block_steps = static_cast<int>(n_steps<Kind>(kBlockLanes));
  const auto multiply = [&](int64_t column, int64_t n_lanes, const TileOutput& out) {
    multiply_any_tile<Kind, kPanelRows, WordOrder<Kind>>(logits_of(plan, 0, word), static_cast<int>(plan.n_blocks),
                                                         plan.padded_words * kBlockLanes, block_steps,
                                                         plan.scaled + column * steps, n_rows, n_lanes, out);
  };
  for (int64_t column = 0; column < columns; column += kBlockLanes) {
    const int64_t n_lanes = a.h - column;
    float* const to = a.grad_weight + word * a.h + column;
    if (a.bias == nullptr || n_lanes >= kBlockLanes) {
      multiply(column, n_lanes, {to, a.h, nullptr, add});
      continue;
    }
    alignas(64) float tile[kPanelRows * kBlockLanes];
    multiply(column, kBlockLanes, {tile, kBlockLanes, nullptr, false});
    write_part(tile, n_rows, n_lanes, {to, a.h, nullptr, add});
    write_part(tile + n_lanes, n_rows, 1, {a.grad_bias + word, 1, nullptr, add});
  }
}

}  // namespace

#if defined(__AVX512BF16__)
#define SVEBM_BY_KIND(plan, function, ...) \
  ((plan).pairs ? function<Bf16Pairs>(plan, __VA_ARGS__) : function<Single>(plan, __VA_ARGS__))
#else
#define SVEBM_BY_KIND(plan, function, ...) function<Single>(plan, __VA_ARGS__)
#endif

namespace {

template <typename Kind>
void pack_hidden(const TokenLossPlan& plan, int64_t block) {
  const SvebmTokenLossArguments& a = plan.a;
  const float* const from = a.hidden + (plan.first + block * kBlockLanes) * a.hidden_stride;
  pack_block<Kind>({from, a.hidden_stride, 1}, plan.n - block * kBlockLanes, a.h,
                   plan.hidden + block * n_steps<Kind>(a.h) * kBlockLanes);
}

}  // namespace

void token_loss_pack(const TokenLossPlan& plan, int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block) SVEBM_BY_KIND(plan, pack_hidden, block);
}

void token_loss_logits(const TokenLossPlan& plan, int worker, int64_t begin, int64_t end) {
  float* const panel = plan.buffers + worker * plan.buffer;
  float* const largest = plan.largest + worker * kTokenChunk;
  for (int64_t word = begin * kTokenLossWords; word < end * kTokenLossWords; word += kPanelRows) {
    SVEBM_BY_KIND(plan, compute_logits, panel, largest, word);
  }
}

void token_loss_exponentials(const TokenLossPlan& plan, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; ++item) {
    const int64_t block = item / plan.n_segments, first = item % plan.n_segments * kTokenLossSegment;
    int64_t last = first + kTokenLossSegment;
    if (last > plan.padded_words) last = plan.padded_words;
    SVEBM_BY_KIND(plan, exponentials, block, first, last, plan.sums + item * kBlockLanes);
  }
}

void token_loss_grad_hidden(const TokenLossPlan& plan, int worker, int64_t begin, int64_t end) {
  for (int64_t group = begin; group < end; ++group) {
    SVEBM_BY_KIND(plan, grad_hidden, group * kColumnBlocks * kBlockLanes, plan.buffers + worker * plan.buffer);
  }
}

void token_loss_pack_scaled(const TokenLossPlan& plan, int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block) SVEBM_BY_KIND(plan, pack_scaled, block);
}

void token_loss_grad_weight(const TokenLossPlan& plan, int64_t begin, int64_t end) {
  for (int64_t word = begin * kTokenLossWords; word < end * kTokenLossWords && word < plan.a.v; word += kPanelRows) {
    SVEBM_BY_KIND(plan, grad_weight, word);
  }
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/arena.h"
#include "common/cpu/thread_pool.h"

namespace svebm {
namespace {

constexpr int64_t kColumnGroup = 64;  // columns of grad_hidden that are one item of work

// Lays the workspace out, or only counts where there is no memory; returns its bytes.
int64_t lay_out(const SvebmTokenLossArguments& a, int n_threads, void* memory, TokenLossPlan& plan) {
  plan.a = a;
  plan.pairs = a.fast != 0 && cpu_variant() == CpuVariant::kAvx512Bf16;
  plan.n_workers = n_threads;
  plan.padded_words = round_up(a.v, kTokenLossWords);
  plan.n_segments = (plan.padded_words + kTokenLossSegment - 1) / kTokenLossSegment;
  const int64_t blocks = (std::min(a.n, kTokenChunk) + 31) / 32, column_blocks = a.h / 32 + 1;
  Arena arena(64, memory);
  plan.hidden = arena.take<float>(blocks * 32 * a.h + 32);
  plan.logits = arena.take<float>(blocks * 32 * plan.padded_words);
  plan.largest = arena.take<float>(n_threads * kTokenChunk);
  plan.sums = arena.take<float>(blocks * 32 * plan.n_segments);
  plan.targets = arena.take<float>(kTokenChunk);
  plan.coefficients = arena.take<float>(kTokenChunk);
  plan.scaled = arena.take<float>(a.grad_hidden != nullptr ? column_blocks * 32 * blocks * 32 : 0);
  plan.buffer = round_up(std::max<int64_t>(12 * (a.h + 1) + 16, kColumnGroup * 512), 16);
  plan.buffers = arena.take<float>(n_threads * plan.buffer);
  return arena.used();
}

float* logit(const TokenLossPlan& plan, int64_t token, int64_t word) {
  return plan.logits + (token / 32 * plan.padded_words + word) * 32 + token % 32;
}

uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

// Puts softmax - 1, times the softmax's denominator, where the target's exponential is.
void subtract_target(const TokenLossPlan& plan, int64_t token, int64_t word, float value) {
  if (!plan.pairs) {
    *logit(plan, token, word) = value;
    return;
  }
  const uint16_t rounded = to_bf16(value);
  auto* const pair = reinterpret_cast<char*>(logit(plan, token / 32 * 32, word / 2 * 2));
  const int64_t lane = token % 32, second = word % 2;
  std::memcpy(pair + 4 * lane + 2 * second, &rounded, sizeof rounded);
  std::memcpy(pair + 128 + 64 * second + 2 * lane, &rounded, sizeof rounded);
}

// Loss of each token, its coefficient, and the target's share of the gradient.
void finish_softmax(const TokenLossPlan& plan) {
  const SvebmTokenLossArguments& a = plan.a;
  for (int64_t token = 0; token < plan.n; ++token) {
    const int64_t block = token / 32, lane = token % 32;
    float largest = -std::numeric_limits<float>::infinity();
    for (int w = 0; w < plan.n_workers; ++w) largest = std::max(largest, plan.largest[w * kTokenChunk + token]);
    double sum = 0.0;
    for (int64_t s = 0; s < plan.n_segments; ++s) sum += plan.sums[(block * plan.n_segments + s) * 32 + lane];
    const float target = plan.targets[token] - largest;
    if (a.loss != nullptr) a.loss[plan.first + token] = static_cast<float>(std::log(sum) - target);
    if (a.grad_hidden == nullptr) continue;
    const float weight = a.token_weights != nullptr ? a.token_weights[plan.first + token] : a.token_weight;
    plan.coefficients[token] = static_cast<float>(weight / sum);
    subtract_target(plan, token, a.targets[plan.first + token],
                    static_cast<float>(std::exp(static_cast<double>(target)) - sum));
  }
}

void run_chunk(const TokenLossPlan& plan, int n_threads) {
  const SvebmTokenLossArguments& a = plan.a;
  const auto logits = SVEBM_CHOOSE_VARIANT(token_loss_logits);
  const auto grad_hidden = SVEBM_CHOOSE_VARIANT(token_loss_grad_hidden);
  const auto each = [&](auto function, int64_t n_items, int64_t grain) {
    parallel_for(n_threads, n_items, grain, [&](int64_t begin, int64_t end) { function(plan, begin, end); });
  };
  std::fill_n(plan.largest, n_threads * kTokenChunk, -std::numeric_limits<float>::infinity());
  each(SVEBM_CHOOSE_VARIANT(token_loss_pack), plan.n_blocks, 1);
  const int64_t n_groups = plan.padded_words / kTokenLossWords;
  parallel_parts(n_threads, n_groups, 8,
                 [&](int worker, int64_t begin, int64_t end) { logits(plan, worker, begin, end); });
  for (int64_t t = 0; t < plan.n; ++t) plan.targets[t] = *logit(plan, t, a.targets[plan.first + t]);
  each(SVEBM_CHOOSE_VARIANT(token_loss_exponentials), plan.n_blocks * plan.n_segments, 1);
  finish_softmax(plan);
  if (a.grad_hidden == nullptr) return;
  parallel_parts(n_threads, (a.h + kColumnGroup - 1) / kColumnGroup, 1,
                 [&](int worker, int64_t begin, int64_t end) { grad_hidden(plan, worker, begin, end); });
  each(SVEBM_CHOOSE_VARIANT(token_loss_pack_scaled), (a.h + (a.bias != nullptr ? 1 : 0) + 31) / 32, 1);
  const auto grad_weight = SVEBM_CHOOSE_VARIANT(token_loss_grad_weight);
  parallel_parts(n_threads, n_groups, 8, [&](int, int64_t begin, int64_t end) { grad_weight(plan, begin, end); });
}

}  // namespace

int64_t token_loss_cpu_workspace(const SvebmTokenLossArguments& arguments, int n_threads) {
  TokenLossPlan plan;
  return lay_out(arguments, n_threads, nullptr, plan);
}

void token_loss_cpu(const SvebmTokenLossArguments& arguments, void* workspace, int n_threads) {
  TokenLossPlan plan;
  lay_out(arguments, n_threads, workspace, plan);
  for (plan.first = 0; plan.first < arguments.n; plan.first += kTokenChunk) {
    plan.n = std::min(kTokenChunk, arguments.n - plan.first);
    plan.n_blocks = (plan.n + 31) / 32;
    run_chunk(plan, n_threads);
  }
}

}  // namespace svebm

#endif
