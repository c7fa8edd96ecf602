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
  std::uint32_t rope_width = 0;   // rotated columns of a head
  float rope_base = 10000.0F;
  float norm_epsilon = 1e-5F;
  bool tied_output = false; // no output.weight: the embedding is the head
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
  // ffn_up, ffn_down}, layer by layer in that order, rank and alpha 0.
  AdaptableModules adaptable_modules() const;
  // `targets` are PEFT's names (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj) or
  // "all-linear"; unknown names are refused with the nearest one.
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
