// SPDX-License-Identifier: Apache-2.0
// A base model's file, opened: its configuration, tokenizer and mapped tensors. Frozen, shared, one
// map a process. Knows nothing of how a forward pass is computed; engines do.
//
// Immutable after open: thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "adapters/peft_adapter.h"
#include "formats/gguf_reader.h"
#include "model/tokenizer.h"

namespace coppice {

// Letters used in model/: T tokens, d model width, h heads, h_kv key-value heads, f feed-forward
// width, V vocabulary, L layers, r rank, K clients trained together.

// Which columns of a head turn together by RoPE (Su et al. 2021): (2i, 2i + 1), or (i, i + half).
enum class RopeOrder : std::uint8_t { kAdjacentPairs, kHalves };

// What the gated feed-forward block applies to its gate before the product with up.
enum class Activation : std::uint8_t { kSilu, kGeluTanh, kSquaredRelu };
std::string_view activation_name(Activation activation); // "silu", "gelu_pytorch_tanh", "relu2"

// The angles of one kind of layer: position / (base^(2i / width) factor_i), and cosine and sine
// times `magnitude`.
struct RopeConfig {
  float base = 10000.0F;
  float linear_factor = 1.0F; // divides every position
  float magnitude = 1.0F;     // LongRoPE's attention factor
  // Of LongRoPE (Ding et al. 2024): texts of more tokens take the file's long factors, others its
  // short ones. 0: no such factors.
  std::uint32_t short_context = 0;
};

// A model's shape and what its architecture does differently: the one table of differences is in
// model/architecture.cc, and engines ask here, never for a name.
struct ModelConfig {
  std::string architecture;
  std::uint32_t layers = 0;       // L
  std::uint32_t width = 0;        // d
  std::uint32_t heads = 0;        // h
  std::uint32_t kv_heads = 0;     // h_kv
  std::uint32_t head_width = 0;   // columns of one head
  std::uint32_t feed_forward = 0; // f
  std::uint32_t vocabulary = 0;   // V
  std::uint32_t context = 0;      // positions the model was made for
  float norm_epsilon = 1e-5F;
  bool tied_output = false; // no output.weight: the embedding is the head

  RopeOrder rope_order = RopeOrder::kAdjacentPairs;
  std::uint32_t rope_width = 0; // rotated columns of a head, its first
  RopeConfig rope{};
  RopeConfig local_rope{};           // of layers with a window, where `has_local_rope`
  bool has_local_rope = false;       // gemma3
  std::uint32_t unrotated_every = 0; // smollm3: layers i with (i + 1) % this == 0 have no RoPE

  bool qkv_bias = false;      // blk.N.attn_{q,k,v}.bias
  bool qk_norm = false;       // RMSNorm of each head of q and k before RoPE: attn_{q,k}_norm
  bool fused_qkv = false;     // attn_qkv: rows of q, then k, then v
  bool fused_gate_up = false; // ffn_up: rows of gate, then up
  bool post_norms = false;    // post_attention_norm, post_ffw_norm: before the residual is added
  bool sub_norms = false;     // attn_sub_norm before attn_output, ffn_sub_norm before ffn_down
  bool token_scales = false;  // int8 activations have one scale a token, as in training (BitNet)
  Activation activation = Activation::kSilu;
  float embedding_scale = 1.0F; // sqrt(d) for gemma
  float attention_scale = 0;    // of q k, before cap and mask: 1 / sqrt(head_width)
  float attention_cap = 0;      // c tanh(score / c); 0: none
  float output_cap = 0;         // likewise of the logits
  std::uint32_t window = 0;     // a token sees itself and window - 1 before it; 0: all before it
  // Layers with (i + 1) % global_every == 0 see everything, the others the window; 1: none has a
  // window; 0: all have.
  std::uint32_t global_every = 1;

  bool has_window(std::uint32_t layer) const {
    return window > 0 && (global_every == 0 || (layer + 1) % global_every != 0);
  }
  bool rotates(std::uint32_t layer) const {
    return unrotated_every == 0 || (layer + 1) % unrotated_every != 0;
  }
  const RopeConfig& rope_of(std::uint32_t layer) const {
    return has_local_rope && has_window(layer) ? local_rope : rope;
  }
};

class BaseModel {
 public:
  // Refuses, by name, an architecture that isn't known, a tensor that is missing or has another
  // shape than the configuration implies, and a block type that can't be read.
  static Result<std::shared_ptr<const BaseModel>> open(const fs::path& path);

  const ModelConfig& config() const { return config_; }
  const GgufFile& file() const { return file_; }
  const fs::path& path() const { return path_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  std::uint64_t parameters() const; // elements of all tensors of the file but rope tables

  // Every linear layer that may carry LoRA: blk.N.{attn_q, attn_k, attn_v, attn_output, ffn_gate,
  // ffn_up, ffn_down}, layer by layer in that order, rank and alpha 0. Where the file fuses them,
  // attn_qkv stands for the first three, and ffn_up for gate and up.
  AdaptableModules adaptable_modules() const;
  // `targets` are PEFT's names (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; for
  // fused ones qkv_proj, gate_up_proj) or "all-linear"; names that this model lacks are refused
  // with the nearest one.
  Result<AdapterSpec> make_spec(std::uint32_t rank, float alpha, LoraScaling scaling,
                                std::span<const std::string> targets) const;

 private:
  BaseModel(fs::path path, GgufFile file);
  fs::path path_;
  GgufFile file_;
  ModelConfig config_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

} // namespace coppice
