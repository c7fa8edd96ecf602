// SPDX-License-Identifier: Apache-2.0
#include "model/native/memory_plan.h"

#include <algorithm>

#include "base/text.h"
#include "model/native/attention_tile.h"
#include "model/native/cross_entropy.h"
#include "model/native/layer.h"
#include "model/native/linear.h"

namespace coppice::native {
namespace {

constexpr std::size_t kMostTokens = 4096; // of a pass: more gain nothing

// What each slot of a thread's scratch grows to; see the users of buffer.h's slots.
std::uint64_t scratch_bytes(const ModelConfig& config, const EngineKernels& kernels,
                            std::size_t tokens, const MemoryRequest& request) {
  constexpr std::uint64_t kFloat = sizeof(float);
  const std::uint64_t precise = kernels.precise.element_bytes;
  const std::uint64_t element = kernels.fast.element_bytes;
  const std::uint64_t longest = request.longest;
  const std::uint64_t head = config.head_width;
  const std::uint64_t head_panels = (head + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  const std::uint64_t f = config.feed_forward;
  const std::uint64_t tile = kPanelColumns * tokens * kFloat;
  // A head's keys or values, packed one way or the other, or as rows of elements.
  const std::uint64_t keys = longest * head_panels * element;
  const std::uint64_t precise_keys = longest * head_panels * precise;
  const std::uint64_t rows = longest * std::max(kernels.precise.padded(head), head) * precise;
  const std::uint64_t scores = kQueryTile * longest;
  const std::uint64_t weights = std::max({kDepthChunk * kPanelColumns * precise,
                                          4 * kBackwardDepthChunk * kPanelColumns * element,
                                          tokens * kPanelColumns * element});
  std::uint64_t bytes = tile;               // kOutput
  bytes += std::max(tile, scores * kFloat); // kScores
  bytes += std::max(weights, precise_keys); // kPanel
  bytes += std::max<std::uint64_t>(precise_keys,
                                   request.lora_width * kPanelColumns * element); // kPanelB
  bytes += std::max({keys, 2 * f * kFloat, std::uint64_t{4096}});                 // kWeights
  bytes += std::max(2 * f * kFloat, 1024 * kPanelColumns * precise);              // kRows
  bytes += scores * std::max(kFloat, precise) + scores * element; // kScoresB, kScoresC
  bytes += std::max(scores * element, rows);                      // kTransposed
  bytes += 2 * longest * head * kFloat;                           // kSums, kSumsB
  if (config.attention_cap > 0) bytes += scores * kFloat;         // kTransposedB
  return bytes;
}

TrainingPlan plan_for(const ModelConfig& config, const EngineKernels& kernels,
                      const MemoryRequest& request, std::size_t tokens) {
  TrainingPlan plan{.pass_tokens = tokens, .layers = config.layers};
  (void)LayerActivations::at(config, kernels.fast, tokens, nullptr, &plan.kept_layer_bytes);
  const std::uint64_t row = std::uint64_t{config.width} * sizeof(float);
  plan.input_bytes = tokens * row;
  // The residual stream and its gradient; the norm's factors of the rows that predict.
  const std::uint64_t rows = tokens * (2 * row + sizeof(float));
  const std::uint64_t hidden =
      tokens * request.lora_width *
      (2 * sizeof(float) + kernels.precise.element_bytes + 3 * kernels.fast.element_bytes);
  plan.fixed_bytes = rows + hidden + PassMemory::bytes_of(config, kernels, tokens) +
                     cross_entropy_bytes(config.vocabulary, tokens) +
                     request.threads * scratch_bytes(config, kernels, tokens, request);
  return plan;
}

TrainingPlan all_kept(const ModelConfig& config, const EngineKernels& kernels,
                      const MemoryRequest& request, std::size_t tokens) {
  TrainingPlan plan = plan_for(config, kernels, request, tokens);
  plan.kept_layers = plan.layers;
  plan.bytes = plan.fixed_bytes + plan.layers * plan.kept_layer_bytes;
  return plan;
}

} // namespace

Result<TrainingPlan> plan_memory(const ModelConfig& config, const EngineKernels& kernels,
                                 const MemoryRequest& request) {
  const auto kept = [&](std::size_t tokens) { return all_kept(config, kernels, request, tokens); };
  if (kept(request.longest).bytes <= request.budget) {
    // As many tokens as fit: bytes grow with them.
    std::size_t low = request.longest;
    std::size_t high = std::max(std::min(request.total, kMostTokens), low);
    while (low < high) {
      const std::size_t middle = low + (high - low + 1) / 2;
      if (kept(middle).bytes <= request.budget) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return kept(low);
  }
  TrainingPlan plan = plan_for(config, kernels, request, request.longest);
  // A layer that isn't kept has its input, and all of them share one place for the rest.
  const std::uint64_t least =
      plan.fixed_bytes + plan.kept_layer_bytes + plan.layers * plan.input_bytes;
  if (least > request.budget) {
    return Error{
        ErrorCode::kInvalidArgument,
        cat("training on ", request.longest, " tokens at once takes at least ",
            (least + (1U << 20U) - 1) >> 20U, " MiB beside the weights, ", request.budget >> 20U,
            " MiB are allowed; allow more, or use shorter sequences")};
  }
  const std::uint64_t more =
      plan.kept_layer_bytes - std::min(plan.kept_layer_bytes, plan.input_bytes);
  if (more > 0) {
    plan.kept_layers = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(plan.layers - 1, (request.budget - least) / more));
  }
  plan.bytes = least + plan.kept_layers * more;
  // A layer costs about as much forward as backward, where only the inputs' gradients are needed.
  plan.cost = 1.0 + 0.5 * static_cast<double>(plan.layers - plan.kept_layers) / plan.layers;
  return plan;
}

} // namespace coppice::native
