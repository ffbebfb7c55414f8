// The entry points of csrc/ as a fuzzer calls them: the first byte chooses one, the others become sizes, strides,
// options and numbers within what the callers in python/ check. Memory is of exactly the size asked for. Results are
// the same bits on one thread and three, and of ordinary numbers alike on all instruction sets.
#include <algorithm>
#include <numeric>

#include "bench/native/ceiling.h"
#include "bytes.h"
#include "checksum/checksum.h"
#include "gemm/gemm.h"
#include "gru_decode/gru_decode.h"
#include "gru_sequence/gru_sequence.h"
#include "langevin/langevin.h"
#include "philox/philox.h"
#include "token_loss/token_loss.h"

namespace fuzz {
namespace {

std::vector<float> unwritten(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), std::numeric_limits<float>::quiet_NaN());
}

std::vector<int64_t> chain_ids(Bytes& bytes, int64_t n) {
  std::vector<int64_t> ids(static_cast<size_t>(n));
  for (int64_t& id : ids) id = static_cast<int64_t>(bytes.word(7));
  return ids;
}

void philox(Bytes& bytes) {
  SvebmPhiloxArguments a{};
  a.n_chains = bytes.between(1, 70);
  a.dim = bytes.between(1, 40);
  a.n_steps = bytes.between(1, 6);
  const std::vector<int64_t> ids = chain_ids(bytes, a.n_chains);
  const uint64_t seed = bytes.word(8);
  a.chain_ids = ids.data();
  a.first_step = static_cast<int64_t>(bytes.word(4)) - a.n_steps;
  if (a.first_step < 0) a.first_step = 0;
  a.seed = bytes.flag() ? seed : 0;
  a.seed_tensor = a.seed == 0 ? &seed : nullptr;
  a.stream = static_cast<uint32_t>(bytes.word(1));
  a.normal = bytes.flag();
  on_all("philox", true, 1e-5, [&](int n_threads) {
    Results out{unwritten(a.n_steps * a.n_chains * a.dim)};
    a.numbers = out[0].data();
    svebm::philox_cpu(a, n_threads);
    return out;
  });
}

void checksum(Bytes& bytes) {
  std::vector<uint8_t> data(static_cast<size_t>(bytes.between(1, 9000)));
  std::minstd_rand random(static_cast<unsigned>(1 + bytes.word(2)));
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(random() >> 7);
  const size_t changed = bytes.word(2) % data.size();
  for (const auto variant : svebm::kCpuVariants) {
    if (!svebm::use_cpu_variant(variant)) continue;
    const auto sum = [&](int n_threads) {
      return svebm::checksum_cpu(data.data(), static_cast<int64_t>(data.size()), n_threads);
    };
    const uint64_t before = sum(1);
    if (sum(3) != before) fail("depends on threads", "checksum", 0, 0, 0);
    data[changed] ^= 0x10;
    if (sum(1) == before) fail("does not see a change", "checksum", static_cast<int64_t>(changed), 0, 0);
    data[changed] ^= 0x10;
  }
}

void gemm(Bytes& bytes) {
  SvebmGemmArguments a{};
  a.m = bytes.between(1, 90);
  a.n = bytes.between(1, 140);
  a.k = bytes.flag() ? bytes.between(1, 40) : bytes.between(1, 1100);
  const bool a_by_row = bytes.flag(), b_by_k = bytes.flag(), add = bytes.flag(), biased = bytes.flag();
  const int64_t a_stride = (a_by_row ? a.k : a.m) + bytes.between(0, 3);
  const int64_t b_stride = (b_by_k ? a.n : a.k) + bytes.between(0, 3);
  a.c_stride = a.n + bytes.between(0, 3);
  const auto extent = [](int64_t rows, int64_t columns, int64_t stride) { return (rows - 1) * stride + columns; };
  const auto left = bytes.numbers(a_by_row ? extent(a.m, a.k, a_stride) : extent(a.k, a.m, a_stride));
  const auto right = bytes.numbers(b_by_k ? extent(a.k, a.n, b_stride) : extent(a.n, a.k, b_stride));
  const auto there = bytes.numbers(extent(a.m, a.n, a.c_stride)), bias = bytes.numbers(a.m);
  a.a = left.data();
  a.b = right.data();
  a.a_row_stride = a_by_row ? a_stride : 1;
  a.a_k_stride = a_by_row ? 1 : a_stride;
  a.b_k_stride = b_by_k ? b_stride : 1;
  a.b_column_stride = b_by_k ? 1 : b_stride;
  a.add = add;
  a.row_bias = biased && !add ? bias.data() : nullptr;
  a.fast = bytes.flag();
  on_all("gemm", !bytes.odd(), a.fast ? 0.05 : 1e-4, [&](int n_threads) {
    Results out{there};
    a.c = out[0].data();
    const Memory workspace(svebm::gemm_cpu_workspace(a, n_threads));
    svebm::gemm_cpu(a, workspace.get(), n_threads);
    return out;
  });
}

void token_loss(Bytes& bytes) {
  SvebmTokenLossArguments a{};
  a.n = bytes.flag() ? bytes.between(1, 40) : bytes.between(1, 450);
  a.h = bytes.between(1, 70);
  a.v = bytes.flag() ? bytes.between(1, 30) : bytes.between(1, 200);
  a.hidden_stride = a.h + bytes.between(0, 3);
  a.weight_stride = a.h + bytes.between(0, 3);
  const auto hidden = bytes.numbers((a.n - 1) * a.hidden_stride + a.h);
  const auto weight = bytes.numbers((a.v - 1) * a.weight_stride + a.h);
  const auto bias = bytes.numbers(a.v), weights = bytes.numbers(a.n);
  const auto targets = bytes.below(a.v, a.n);
  a.hidden = hidden.data();
  a.weight = weight.data();
  a.bias = bytes.flag() ? bias.data() : nullptr;
  a.targets = targets.data();
  a.token_weights = bytes.flag() ? weights.data() : nullptr;
  a.token_weight = bytes.scalar({1.0f, 0.25f, -1.0f});
  a.fast = bytes.flag();
  const bool gradients = bytes.flag();
  on_all("token_loss", !bytes.odd(), a.fast ? 0.1 : 1e-3, [&](int n_threads) {
    Results out{unwritten(a.n)};
    a.loss = out[0].data();
    if (gradients) {
      out.push_back(unwritten(a.n * a.h));
      out.push_back(unwritten(a.v * a.h));
      if (a.bias != nullptr) out.push_back(unwritten(a.v));
    }
    a.grad_hidden = gradients ? out[1].data() : nullptr;
    a.grad_weight = gradients ? out[2].data() : nullptr;
    a.grad_bias = gradients && a.bias != nullptr ? out[3].data() : nullptr;
    const Memory workspace(svebm::token_loss_cpu_workspace(a, n_threads));
    svebm::token_loss_cpu(a, workspace.get(), n_threads);
    return out;
  });
}

void gru_sequence(Bytes& bytes) {
  SvebmGruSequenceArguments a{};
  std::vector<int64_t> sizes(static_cast<size_t>(bytes.between(1, 6)));
  for (int64_t& size : sizes) size = bytes.between(1, 70);
  std::sort(sizes.rbegin(), sizes.rend());
  a.n = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  a.n_steps = static_cast<int64_t>(sizes.size());
  a.batch_sizes = sizes.data();
  a.n_rows = sizes[0];
  a.hidden = bytes.between(1, 60);
  a.n_directions = bytes.flag() ? 2 : 1;
  a.stride = a.n + 32 + bytes.between(0, 16);
  const int64_t D = a.n_directions, H = a.hidden;
  std::vector<float> weight[2], bias[2];
  for (int64_t d = 0; d < D; ++d) {
    weight[d] = bytes.numbers(3 * H * H);
    bias[d] = bytes.numbers(3 * H);
    a.weight[d] = weight[d].data();
    a.bias[d] = bias[d].data();
  }
  const auto initial = bytes.numbers(D * a.n_rows * H), inputs = bytes.numbers(D * 3 * H * a.stride);
  const auto grad_states = bytes.numbers(a.n * D * H), grad_final = bytes.numbers(D * a.n_rows * H);
  a.initial = bytes.flag() ? initial.data() : nullptr;
  a.grad_states = bytes.flag() ? grad_states.data() : nullptr;
  a.grad_final = bytes.flag() ? grad_final.data() : nullptr;
  a.fast = bytes.flag();
  // only what lies at positions is a result; gradients amplify rounding over steps
  on_all("gru_sequence", !bytes.odd(), a.fast ? 1e9 : 0.02, [&](int n_threads) {
    std::vector<float> gates = inputs, recurrent = unwritten(D * H * a.stride), before = recurrent;
    std::vector<float> grad_gates = unwritten(D * 3 * H * a.stride), grad_recurrent = recurrent;
    Results out{unwritten(a.n * D * H), unwritten(D * a.n_rows * H), unwritten(D * a.n_rows * H)};
    a.gates = gates.data();
    a.recurrent = recurrent.data();
    a.before = before.data();
    a.states = out[0].data();
    a.final_states = out[1].data();
    a.grad_gates = grad_gates.data();
    a.grad_recurrent = grad_recurrent.data();
    a.grad_initial = out[2].data();
    const int64_t n_bytes = svebm::gru_sequence_cpu_workspace(a, n_threads);
    svebm::gru_sequence_cpu(a, Memory(n_bytes).get(), n_threads);
    svebm::gru_sequence_backward_cpu(a, Memory(n_bytes).get(), n_threads);
    return out;
  });
}

void gru_decode(Bytes& bytes) {
  SvebmGruDecodeArguments a{};
  a.n_rows = bytes.between(1, 40);
  a.max_tokens = static_cast<int32_t>(bytes.between(1, 8));
  a.hidden = static_cast<int32_t>(bytes.between(1, 70));
  a.vocabulary = static_cast<int32_t>(bytes.between(1, 150));
  const int64_t B = a.n_rows, H = a.hidden, V = a.vocabulary;
  const auto state = bytes.numbers(B * H), gate_bias = bytes.numbers(B * 3 * H), gates = bytes.numbers(V * 3 * H);
  const auto weight = bytes.numbers(3 * H * H), bias = bytes.numbers(3 * H), output = bytes.numbers(V * H);
  const auto output_bias = bytes.numbers(V);
  const auto ids = chain_ids(bytes, B);
  auto excluded = bytes.below(V, bytes.between(0, 3));
  std::sort(excluded.begin(), excluded.end());
  excluded.erase(std::unique(excluded.begin(), excluded.end()), excluded.end());
  if (static_cast<int64_t>(excluded.size()) >= V) excluded.clear();
  a.state = state.data();
  a.gate_bias = gate_bias.data();
  a.input_gates = gates.data();
  a.weight = weight.data();
  a.bias = bias.data();
  a.output = output.data();
  a.output_bias = bytes.flag() ? output_bias.data() : nullptr;
  a.ids = ids.data();
  a.begin = static_cast<int32_t>(bytes.between(0, V - 1));
  a.end = static_cast<int32_t>(bytes.between(0, V - 1));
  a.pad = -1;
  a.excluded = excluded.data();
  a.n_excluded = static_cast<int32_t>(excluded.size());
  a.greedy = bytes.flag();
  const float temperatures[] = {1.0f, 0.7f, 2.0f, 1e-20f, 1e20f}, masses[] = {1.0f, 0.9f, 1e-30f};
  a.temperature = temperatures[bytes.word(1) % 5];
  a.top_k = static_cast<int32_t>(bytes.flag() ? 0 : bytes.between(0, V + 2));
  a.top_p = masses[bytes.word(1) % 3];
  a.seed = bytes.word(8);
  a.stream = static_cast<uint32_t>(bytes.word(1));
  a.fast = bytes.flag();
  const bool logs = bytes.flag();
  on_all("gru_decode", false, 0.0, [&](int n_threads) {
    Results out{unwritten(B * a.max_tokens)};
    std::vector<int64_t> tokens(static_cast<size_t>(B * a.max_tokens), -7), lengths(static_cast<size_t>(B), -7);
    int32_t non_finite = 0;
    a.tokens = tokens.data();
    a.lengths = lengths.data();
    a.log_probabilities = logs ? out[0].data() : nullptr;
    a.non_finite = &non_finite;
    const Memory packed(svebm::gru_decode_cpu_packed_bytes(a));
    svebm::gru_decode_cpu_pack(a, packed.get());
    const Memory workspace(svebm::gru_decode_cpu_workspace(a, n_threads));
    if (!svebm::gru_decode_cpu(a, packed.get(), workspace.get(), n_threads)) fail("refused", "gru_decode", 0, 0, 1);
    for (int64_t row = 0; row < B; ++row) {
      const int64_t length = lengths[static_cast<size_t>(row)];
      if (length < 1 || length > a.max_tokens) fail("length", "gru_decode", row, static_cast<double>(length), 1);
      for (int64_t t = 0; t < a.max_tokens; ++t) {
        const int64_t token = tokens[static_cast<size_t>(row * a.max_tokens + t)];
        const bool word = token >= 0 && token < V;
        if (t < length ? !word : token != a.pad) fail("token", "gru_decode", row, static_cast<double>(token), V);
      }
    }
    std::vector<float> numbers(tokens.begin(), tokens.end());
    numbers.push_back(static_cast<float>(non_finite));
    out.push_back(std::move(numbers));
    std::memset(packed.get(), 0xFF, 8);
    if (svebm::gru_decode_cpu(a, packed.get(), workspace.get(), n_threads)) fail("taken", "gru_decode", 0, 1, 0);
    return out;
  });
}

void langevin(Bytes& bytes) {
  SvebmLangevinArguments a{};
  a.n_layers = static_cast<int32_t>(bytes.between(1, 3));
  a.n_chains = bytes.between(1, 70);
  a.n_steps = bytes.between(1, 5);
  for (int l = 0; l <= a.n_layers; ++l) a.widths[l] = static_cast<int32_t>(bytes.between(1, 60));
  const int64_t N = a.n_chains, S = a.n_steps, D = a.widths[0], groups = (N + kSvebmChainGroup - 1) / kSvebmChainGroup;
  const bool bank = bytes.flag();
  const int64_t rows = bank ? N + bytes.between(0, 9) : N;
  const auto states = bytes.numbers(rows * D), context = bytes.numbers(N * a.widths[1]);
  std::vector<float> weights[3], biases[3], sizes = unwritten(S);
  for (int l = 0; l < a.n_layers; ++l) {
    weights[l] = bytes.numbers(int64_t{a.widths[l]} * a.widths[l + 1]);
    biases[l] = bytes.numbers(a.widths[l + 1]);
    a.weights[l] = weights[l].data();
    a.biases[l] = biases[l].data();
  }
  const auto tempers = bytes.numbers(S), changes = bytes.numbers(S);
  const auto ids = chain_ids(bytes, N), labels = bytes.below(a.widths[a.n_layers], N);
  std::vector<int64_t> indices(static_cast<size_t>(rows));
  std::iota(indices.begin(), indices.end(), 0);
  std::shuffle(indices.begin(), indices.end(), std::minstd_rand(static_cast<unsigned>(1 + bytes.word(2))));
  indices.resize(static_cast<size_t>(N));
  for (float& size : sizes) size = 0.01f * static_cast<float>(bytes.between(1, 20));
  a.bank_indices = bank ? indices.data() : nullptr;
  a.chain_ids = ids.data();
  a.labels = bytes.flag() ? labels.data() : nullptr;
  a.context_shift = bytes.flag() ? context.data() : nullptr;
  a.activation = static_cast<int32_t>(bytes.between(0, 3));
  a.negative_slope = bytes.scalar({0.2f, 0.0f, -1.0f});
  a.temperature = bytes.flag() ? 1.0f : 0.5f;
  a.first_step = static_cast<int64_t>(bytes.word(4)) - S < 0 ? 0 : 77;
  a.seed = bytes.word(8);
  a.stream = 1;
  a.metropolis_stream = 2;
  a.step_size = bytes.scalar({0.1f, 0.01f});
  a.step_sizes = bytes.flag() ? sizes.data() : nullptr;
  const bool tempered = bytes.flag(), diagnosed = bytes.flag();
  a.temper = tempered ? tempers.data() : nullptr;
  a.temper_changes = tempered ? changes.data() : nullptr;
  a.reference_precision = bytes.scalar({1.0f, 0.0f});
  a.metropolis = bytes.flag();
  a.noise_scale = a.metropolis ? 1.0f : bytes.scalar({1.0f, 0.0f, 0.3f});
  a.fast = bytes.flag();
  // chains part where rounding decides over a move, and chaotic ones after some steps: bits and bounds only
  on_all("langevin", false, 0.0, [&](int n_threads) {
    Results out{states, unwritten(N * D), unwritten(S * groups * kSvebmPartials), unwritten(N)};
    int32_t non_finite = 0;
    a.states = out[0].data();
    a.z = out[1].data();
    a.partials = diagnosed || a.metropolis ? out[2].data() : nullptr;
    a.log_weights = tempered ? out[3].data() : nullptr;
    a.non_finite = &non_finite;
    const Memory workspace(svebm::langevin_cpu_workspace(a, n_threads));
    svebm::langevin_cpu(a, workspace.get(), n_threads);
    const bool finite = std::all_of(out[1].begin(), out[1].end(), [](float x) { return std::isfinite(x); });
    if (!finite && non_finite == 0) fail("finite", "langevin", 0, 1, 0);
    return out;
  });
}

void ceiling(Bytes& bytes) {
  using namespace svebm;
  const bool bf16 = bytes.flag();
  for (const auto variant : kCpuVariants) {
    if (use_cpu_variant(variant)) SVEBM_CHOOSE_VARIANT(multiply_add)(bytes.between(0, 3), bf16);
  }
}

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using Target = void (*)(fuzz::Bytes&);
  constexpr Target kTargets[] = {&fuzz::philox,       &fuzz::checksum,   &fuzz::gemm,     &fuzz::token_loss,
                                 &fuzz::gru_sequence, &fuzz::gru_decode, &fuzz::langevin, &fuzz::ceiling};
  fuzz::Bytes bytes(data, size);
  kTargets[bytes.word(1) % std::size(kTargets)](bytes);
  return 0;
}
