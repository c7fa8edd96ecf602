// SPDX-License-Identifier: Apache-2.0
#include "model/architecture.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace coppice {
namespace {

const std::vector<Architecture>& table() {
  constexpr RopeOrder kPairs = RopeOrder::kAdjacentPairs;
  constexpr RopeOrder kHalves = RopeOrder::kHalves;
  static const std::vector<Architecture> architectures = {
      // Llama 1 to 3.2, Mistral, TinyLlama, SmolLM2.
      {.config = {.architecture = "llama", .rope_order = kPairs}},
      {.config = {.architecture = "qwen2", .rope_order = kHalves, .qkv_bias = true}},
      {.config = {.architecture = "qwen3", .rope_order = kHalves, .qk_norm = true}},
      // Phi-3 and Phi-4-mini: a window, where the file has one, in every layer.
      {.config = {.architecture = "phi3",
                  .rope_order = kHalves,
                  .fused_qkv = true,
                  .fused_gate_up = true,
                  .global_every = 0}},
      // The model of 27 billion parameters has 46 layers.
      {.config = {.architecture = "gemma2",
                  .rope_order = kHalves,
                  .post_norms = true,
                  .activation = Activation::kGeluTanh,
                  .attention_cap = 50.0F,
                  .output_cap = 30.0F,
                  .window = 4096,
                  .global_every = 2},
       .scales_embedding = true,
       .wide_scores_layers = 46},
      // The model of 27 billion parameters has 62 layers.
      {.config = {.architecture = "gemma3",
                  .rope_order = kHalves,
                  .local_rope = {.base = 10000.0F},
                  .has_local_rope = true,
                  .qk_norm = true,
                  .post_norms = true,
                  .activation = Activation::kGeluTanh,
                  .global_every = 6},
       .scales_embedding = true,
       .wide_scores_layers = 62},
      {.config = {.architecture = "smollm3", .rope_order = kPairs, .unrotated_every = 4}},
      // BitNet b1.58: squared ReLU is a key of the file.
      {.config = {.architecture = "bitnet",
                  .rope_order = kHalves,
                  .sub_norms = true,
                  .token_scales = true}},
  };
  return architectures;
}

} // namespace

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::kSilu: return "silu";
    case Activation::kGeluTanh: return "gelu_pytorch_tanh";
    case Activation::kSquaredRelu: return "relu2";
  }
  return "unknown";
}

const Architecture* find_architecture(std::string_view name) {
  const auto found = std::ranges::find_if(
      table(), [name](const Architecture& known) { return known.config.architecture == name; });
  return found == table().end() ? nullptr : &*found;
}

std::string known_architectures() {
  std::vector<std::string> names;
  for (const Architecture& known : table()) names.push_back(known.config.architecture);
  return join(names, ", ");
}

} // namespace coppice
