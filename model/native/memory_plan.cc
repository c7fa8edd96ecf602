// SPDX-License-Identifier: Apache-2.0
#include "model/native/memory_plan.h"

#include <algorithm>

#include "base/text.h"
#include "model/native/cross_entropy.h"
#include "model/native/layer.h"

namespace coppice::native {
namespace {

constexpr std::size_t kMostTokens = 4096; // of a pass: more gain nothing

std::uint64_t kept_bytes(const ModelConfig& config, const ProductKernels& kernels,
                         std::size_t tokens) {
  std::uint64_t bytes = 0;
  (void)LayerActivations::at(config, kernels, tokens, nullptr, &bytes);
  return bytes;
}

// What a thread's scratch grows to: panels and tiles of the widest products, attention's scores.
std::uint64_t scratch_bytes(const ModelConfig& config, const ProductKernels& kernels,
                            std::size_t tokens) {
  const std::uint64_t element = kernels.element_bytes;
  const std::uint64_t product = tokens * 256 * sizeof(float) + 2048 * 64 * element * 2;
  const std::uint64_t head = std::max<std::uint64_t>(64, config.head_width);
  const std::uint64_t attention = tokens * head * (3 * element + 2 * sizeof(float)) +
                                  tokens * 48 * (2 * sizeof(float) + 2 * element);
  return product + attention;
}

MemoryPlan plan_for(const ModelConfig& config, const ProductKernels& kernels, unsigned threads,
                    std::size_t tokens) {
  MemoryPlan plan{.tokens = tokens};
  const std::uint64_t row = std::uint64_t{config.width} * sizeof(float);
  plan.kept_bytes = kept_bytes(config, kernels, tokens);
  plan.input_bytes = tokens * row;
  plan.fixed_bytes = 2 * tokens * row + PassMemory::bytes_of(config, kernels, tokens) +
                     cross_entropy_bytes(config.vocabulary, tokens) + tokens * row * 2 +
                     threads * scratch_bytes(config, kernels, tokens);
  return plan;
}

} // namespace

Result<MemoryPlan> plan_memory(const ModelConfig& config, const ProductKernels& kernels,
                               unsigned threads, std::size_t longest, std::size_t total,
                               std::uint64_t budget) {
  const auto all_kept = [&](std::size_t tokens) {
    MemoryPlan plan = plan_for(config, kernels, threads, tokens);
    plan.kept_layers = config.layers;
    plan.bytes = plan.fixed_bytes + config.layers * plan.kept_bytes;
    return plan;
  };
  // As many tokens as fit with all kept: bytes grow in proportion to tokens but for little.
  const std::size_t most = std::min(std::max(total, longest), std::max(kMostTokens, longest));
  MemoryPlan plan = all_kept(longest);
  if (plan.bytes <= budget) {
    std::size_t low = longest;
    std::size_t high = most;
    while (low < high) {
      const std::size_t middle = low + (high - low + 1) / 2;
      if (all_kept(middle).bytes <= budget) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return all_kept(low);
  }
  plan = plan_for(config, kernels, threads, longest);
  // A layer that isn't kept has its input, and all of them share one place for the rest.
  const std::uint64_t least = plan.fixed_bytes + plan.kept_bytes + config.layers * plan.input_bytes;
  if (least > budget) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("training on ", longest, " tokens at once takes at least ",
                     (least + (1U << 20U) - 1) >> 20U, " MiB beside the weights, ", budget >> 20U,
                     " MiB are allowed; allow more, or use shorter sequences")};
  }
  const std::uint64_t more = plan.kept_bytes - std::min(plan.kept_bytes, plan.input_bytes);
  plan.kept_layers =
      more == 0 ? 0 : std::min<std::uint64_t>(config.layers - 1, (budget - least) / more);
  plan.bytes = least + plan.kept_layers * more;
  return plan;
}

} // namespace coppice::native
