// SPDX-License-Identifier: Apache-2.0
// One block of the transformer, forward and backward, for the tokens of a pass.
//
//   x1 = x  + [post norm] W_o [sub norm] attention(rope([q/k norm] W_qkv norm(x)))
//   x2 = x1 + [post norm] W_down [sub norm] (act(W_gate norm(x1)) * W_up norm(x1))
//
// with what is in brackets where ModelConfig says so, and LoRA on every W.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "model/base_model.h"
#include "model/native/attention.h"
#include "model/native/kv_cache.h"
#include "model/native/lora.h"
#include "model/native/rope.h"
#include "model/native/weight_matrix.h"

namespace coppice::native {

// A linear layer; its output goes to columns [column, column + rows) of its group's.
struct Projection {
  std::string tensor; // "blk.0.attn_q"
  WeightMatrix weight;
  std::size_t column = 0;
  std::vector<float> bias; // (out), or empty
};

// The linear layers that read the same input.
enum class Group : std::size_t { kQkv, kOutput, kGateUp, kDown, kCount };
inline constexpr std::size_t kGroups = static_cast<std::size_t>(Group::kCount);

struct ProjectionGroup {
  std::size_t in = 0;
  std::size_t out = 0; // of all together
  std::vector<Projection> projections;
};

struct LayerWeights {
  std::array<ProjectionGroup, kGroups> groups;
  // RMSNorm's weights; empty where the architecture hasn't the norm.
  std::vector<float> attention_norm, query_norm, key_norm, attention_sub_norm, post_attention_norm;
  std::vector<float> feed_forward_norm, feed_forward_sub_norm, post_feed_forward_norm;
  const ProjectionGroup& group(Group which) const {
    return groups[static_cast<std::size_t>(which)];
  }
};

LayerWeights load_layer(const BaseModel& base, std::uint32_t layer);

// A list of adapters for each projection of each group of a layer.
using LayerFactors = std::array<std::vector<std::vector<LoraFactor>>, kGroups>;

// The adapters of a layer, ready for products.
struct LayerLora {
  LayerLora(const ProductKernels& kernels, const LayerWeights& weights,
            const LayerFactors& factors);
  std::vector<LoraGroup> groups;
  const LoraGroup& group(Group which) const { return groups[static_cast<std::size_t>(which)]; }
};

// What a layer's forward pass leaves for its backward pass, in elements of the latter's precision.
// Normalized rows are kept before they are multiplied by the norm's weight.
struct LayerActivations {
  ElementRows normed1, normed2;                             // (T, d)
  ElementRows qk_normed;                                    // (T, q + k), with q/k norms
  FloatRows qkv;                                            // (T, q + 2 kv), rotated
  ElementRows mixed;                                        // (T, q): attention's output
  ElementRows projected, fed;                               // (T, d): normalized, with post norms
  ElementRows gate_up;                                      // (T, 2 f)
  float *factors1 = nullptr, *factors2 = nullptr;           // (T)
  float* qk_factors = nullptr;                              // (T, h + h_kv)
  float *mixed_factors = nullptr, *gated_factors = nullptr; // (T), with sub norms
  float *projected_factors = nullptr, *fed_factors = nullptr;
  float* log_sums = nullptr; // (T, h)

  // Lays them out in `memory`, for `tokens`; only counts the bytes where it is null.
  static LayerActivations at(const ModelConfig& config, const ProductKernels& kernels,
                             std::size_t tokens, std::byte* memory, std::uint64_t* bytes);
};

// Places that a pass needs once, whatever the number of layers.
struct PassMemory {
  // For the way there alone, by `kernels`; and for both.
  PassMemory(const ModelConfig& config, const ProductKernels& kernels, std::size_t tokens);
  PassMemory(const ModelConfig& config, const EngineKernels& kernels, std::size_t tokens);
  // Of the latter, without the adapters' part.
  static std::uint64_t bytes_of(const ModelConfig& config, const EngineKernels& kernels,
                                std::size_t tokens);
  const ProductKernels* forward; // what the way there multiplies with; LayerLora must fit
  Buffer wide;                   // (T, max(q + 2 kv, f, d)) floats
  Buffer narrow;                 // (T, d) floats
  Buffer input;                  // (T, max(d, q)) elements: a product's input
  // (T, f) elements: act(gate) * up; on the way back (T, max(2 f, q + 2 kv)) elements: a product's
  // gradient.
  Buffer gated;
  Buffer row_gradient;               // (T, max(d, q)) elements
  Buffer cached_keys, cached_values; // (old and new tokens, kv) floats, with a cache
  LoraHidden h, dh;
};

// A sequence's tokens [begin, begin + count) of the pass; `offset` came before them, in a cache,
// and `text` is the length of it all, by which LongRoPE chooses its factors.
struct TokenRange {
  std::size_t begin = 0;
  std::size_t count = 0;
  std::size_t offset = 0;
  std::size_t text = 0;
};

// What is the same for all layers of a pass: its sequences, one after the other.
struct PassShape {
  std::vector<TokenRange> sequences;
  std::size_t tokens = 0;
  bool round_tokens = false; // EngineOptions::trained_rounding, on an architecture that has it
  void add(std::size_t count) {
    sequences.push_back({.begin = tokens, .count = count, .text = count});
    tokens += count;
  }
};

class Layer {
 public:
  // `kernels` are those of the way back and of what is kept for it.
  Layer(const BaseModel& base, std::uint32_t index, const ProductKernels& kernels, WorkerPool& pool,
        const RopeTables& rope);

  const LayerWeights& weights() const { return weights_; }
  void keep_panels(const EngineKernels& kernels);

  // x (T, d) in place. With a cache, the pass is one sequence that goes on from it.
  void forward(const PassShape& pass, const LayerLora& lora, const FloatRows& x,
               LayerActivations& kept, PassMemory& memory, KvCache* cache = nullptr) const;
  // dx (T, d), the gradient of the output, becomes that of the input, unless nothing below is
  // trained (`to_input` false). Adapters' gradients are added to.
  void backward(const PassShape& pass, const LayerLora& lora, const LayerActivations& kept,
                const FloatRows& dx, bool to_input, PassMemory& memory) const;
  // out (T, in) = what the products of a group were given, again from what forward() kept.
  void input_of(Group which, const LayerActivations& kept, const ElementRows& out) const;

 private:
  struct Norm {
    const std::vector<float>* weight;
    ElementRows normed;
    float* factors;
  };
  AttentionShape attention_shape() const;
  std::vector<AttentionSequence> attention_sequences(const PassShape& pass,
                                                     const LayerActivations& kept) const;
  // The products of a group, to floats (T, out). x is rounded where the pass says so.
  void project(Group which, const PassShape& pass, const LayerLora& lora, const ElementRows& x,
               const FloatRows& y, PassMemory& memory) const;
  void round_tokens(const ProductKernels& kernels, const ElementRows& x) const;
  // Back through a group: dx (T, in) = dy W. Then the adapters' gradients, of the same dy; x is the
  // group's input.
  void project_back(Group which, const LayerLora& lora, const ElementRows& dy, const FloatRows* dx,
                    PassMemory& memory) const;
  void add_gradients(Group which, const LayerLora& lora, const ElementRows& x,
                     const ElementRows& dy, PassMemory& memory) const;
  void normalize(const FloatRows& x, const Norm& norm, const ProductKernels& kernels,
                 const ElementRows& weighted) const;
  void weighted(const Norm& norm, const ElementRows& out) const;
  // dx = or += back through norm of g (T, n), which is overwritten.
  void normalize_back(const FloatRows& g, const Norm& norm, const FloatRows& dx, bool add) const;
  void finish_qkv(const PassShape& pass, LayerActivations& kept, KvCache* cache) const;
  // All keys and values of the one sequence, old and new, as attention reads them.
  void read_cache(const KvCache& cache, AttentionSequence& sequence, PassMemory& memory) const;
  void finish_qkv_back(const PassShape& pass, const FloatRows& dqkv, const LayerActivations& kept,
                       const ElementRows& out) const;
  void add_projected(const FloatRows& y, const Norm& post, const FloatRows& x) const;
  void gate(const LayerActivations& kept, const ElementRows& out) const;
  void finish_gated(const LayerActivations& kept, std::size_t row, float* y,
                    const ProductKernels& kernels, const ElementRows& out) const;
  void gate_products(const PassShape& pass, const LayerLora& lora, const ElementRows& normed,
                     const LayerActivations& kept, const ElementRows& out,
                     PassMemory& memory) const;
  // act(gate) * up again, which may take the place of its gradient; not where `gated` is null.
  void gate_back(const LayerActivations& kept, const FloatRows& d_gated, const ElementRows& gated,
                 const ElementRows& out) const;
  // Attention's output as its projection reads it: from floats, which are overwritten, and again
  // from what was kept.
  void finish_mixed(const FloatRows& mixed, const LayerActivations& kept,
                    const ProductKernels& kernels, const ElementRows& out) const;
  void attention_input(const LayerActivations& kept, const ElementRows& out) const;
  void sub_norm_back(const LayerActivations& kept, const FloatRows& d_mixed) const;
  void attention_back(const PassShape& pass, const LayerActivations& kept,
                      const ProductKernels& scores, const ElementRows& d_out,
                      const FloatRows& dqkv) const;

  const ModelConfig& config_;
  std::uint32_t index_;
  const ProductKernels& kernels_;
  WorkerPool& pool_;
  const RopeTables& rope_;
  LayerWeights weights_;
};

} // namespace coppice::native
