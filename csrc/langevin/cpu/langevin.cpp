// Langevin on the CPU. A block of 16 or 32 chains goes through all S steps while weights and activations stay in the
// second-level cache; chains lie on vector lanes, so that everything but the products is plain vector code, and the
// products are register-blocked over packed panels of the weights (common/cpu/panel.h).
//
// Each chain's arithmetic is the same in every block size and on every thread: bits do not depend on either.
#include "langevin/langevin.h"

#include "langevin/cpu/chains.h"

namespace svebm {
namespace SVEBM_VARIANT {
namespace {

constexpr int kAlignment = 64;

template <typename Kind>
Panels pack_layer(const SvebmLangevinArguments& a, int layer, bool transposed, Arena& workspace, bool write) {
  const int in = a.widths[layer], out = a.widths[layer + 1];
  const int rows = transposed ? in : out, k = transposed ? out : in;
  const float* const bias = transposed ? nullptr : a.biases[layer];
  void* const data = workspace.take<float>(packed_elements<Kind>(rows, k));
  auto* const packed_bias = workspace.take<float>(choose_panels(rows, Kind::kPairs).packed_rows());
  if (!write) return Panels{};
  return pack_panels<Kind>(a.weights[layer], transposed ? 1 : in, transposed ? in : 1, bias, rows, k, data,
                           packed_bias);
}

// Packs the weights into the workspace, or only counts what they take; each worker's buffers lie behind them.
template <typename Kind>
void pack(const SvebmLangevinArguments& a, Arena& workspace, bool write) {
  auto* const network = workspace.take<PackedNetwork>(1);
  for (int l = 0; l < a.n_layers; ++l) {
    if (l == last_layer(a) && a.labels != nullptr) break;  // its row of the label is all that is used
    const Panels forward = pack_layer<Kind>(a, l, false, workspace, write);
    const Panels backward = pack_layer<Kind>(a, l, true, workspace, write);
    if (!write) continue;
    network->forward[l] = forward;
    network->backward[l] = backward;
  }
}

int64_t pack(const SvebmLangevinArguments& a, void* memory, bool write) {
  Arena workspace(kAlignment, memory);
#if defined(__AVX512BF16__)
  if (a.fast != 0) {
    pack<Bf16Pairs>(a, workspace, write);
    return workspace.used();
  }
#endif
  pack<Single>(a, workspace, write);
  return workspace.used();
}

int64_t worker_bytes(const SvebmLangevinArguments& a, int lanes) {
  Buffers buffers;
  return sizeof(float) * lay_out(a, nullptr, lanes, buffers);
}

template <typename Kind, int kLanes>
void run_blocks(const SvebmLangevinArguments& a, const PackedNetwork& network, const Buffers& buffers, int64_t begin,
                int64_t end) {
  const uint64_t seed = a.seed_tensor != nullptr ? *a.seed_tensor : a.seed;
  for (int64_t block = begin; block < end; ++block) {
    ChainBlock<Kind, kLanes>(a, network, buffers, seed, block * kLanes).run();
  }
}

// Numbers too small for full precision count as zero while a block is worked on: some processors take a hundred times
// as long for them, and they arise wherever a softmax or an activation is saturated.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  const unsigned saved_;
#endif
};

}  // namespace

int64_t langevin_weight_bytes(const SvebmLangevinArguments& a) { return pack(a, nullptr, false); }

int64_t langevin_worker_bytes(const SvebmLangevinArguments& a) { return worker_bytes(a, 32); }

void langevin_prepare(const SvebmLangevinArguments& a, void* workspace) { pack(a, workspace, true); }

void langevin_blocks(const SvebmLangevinArguments& a, void* weights, void* memory, int lanes, int64_t begin,
                     int64_t end) {
  [[maybe_unused]] const FlushDenormals flush;
  const auto& network = *static_cast<const PackedNetwork*>(weights);
  Buffers buffers;
  lay_out(a, static_cast<float*>(memory), lanes, buffers);
#if defined(__AVX512BF16__)
  if (a.fast != 0) {
    lanes == 16 ? run_blocks<Bf16Pairs, 16>(a, network, buffers, begin, end)
                : run_blocks<Bf16Pairs, 32>(a, network, buffers, begin, end);
    return;
  }
#endif
  lanes == 16 ? run_blocks<Single, 16>(a, network, buffers, begin, end)
              : run_blocks<Single, 32>(a, network, buffers, begin, end);
}

}  // namespace SVEBM_VARIANT
}  // namespace svebm

#if defined(SVEBM_BASE_VARIANT)

#include "common/cpu/thread_pool.h"

namespace svebm {
namespace {

// Chains in a block. Weights are read once for a block, so that 32 are cheaper than twice 16; but few blocks may leave
// threads idle.
int choose_lanes(int64_t n_chains, int n_threads) {
  const auto time = [&](int lanes, double cost) {
    const int64_t n_blocks = (n_chains + lanes - 1) / lanes;
    return static_cast<double>((n_blocks + n_threads - 1) / n_threads) * cost;
  };
  return time(16, 0.57) < time(32, 1.0) ? 16 : 32;
}

}  // namespace

int64_t langevin_cpu_workspace(const SvebmLangevinArguments& arguments, int n_threads) {
  return SVEBM_CHOOSE_VARIANT(langevin_weight_bytes)(arguments) +
         n_threads * SVEBM_CHOOSE_VARIANT(langevin_worker_bytes)(arguments);
}

void langevin_cpu(const SvebmLangevinArguments& arguments, void* workspace, int n_threads) {
  const int64_t weight_bytes = SVEBM_CHOOSE_VARIANT(langevin_weight_bytes)(arguments);
  const int64_t worker_bytes = SVEBM_CHOOSE_VARIANT(langevin_worker_bytes)(arguments);
  SVEBM_CHOOSE_VARIANT(langevin_prepare)(arguments, workspace);
  const auto run_blocks = SVEBM_CHOOSE_VARIANT(langevin_blocks);
  char* const buffers = static_cast<char*>(workspace) + weight_bytes;
  const int lanes = choose_lanes(arguments.n_chains, n_threads);
  // a block takes milliseconds: one at a time keeps all threads busy to the end
  parallel_parts(n_threads, (arguments.n_chains + lanes - 1) / lanes, 1, [&](int worker, int64_t begin, int64_t end) {
    run_blocks(arguments, workspace, buffers + worker * worker_bytes, lanes, begin, end);
  });
}

}  // namespace svebm

#endif
