// SPDX-License-Identifier: Apache-2.0
// What a training pass keeps between forward and backward, and what it computes again.
//
// A layer either keeps its activations, or only its input in float32, from which the same
// activations come again, bit for bit: the plan changes time and memory, never a result.
#pragma once

#include <cstdint>

#include "model/base_model.h"
#include "model/native/product_kernels.h"

namespace coppice::native {

struct MemoryPlan {
  std::size_t tokens = 0;        // of a pass
  std::size_t kept_layers = 0;   // the lowest ones are computed again
  std::uint64_t bytes = 0;       // beyond weights, adapters and optimizer
  std::uint64_t kept_bytes = 0;  // of a kept layer
  std::uint64_t input_bytes = 0; // of a layer that is computed again
  std::uint64_t fixed_bytes = 0; // whatever the layers do
};

// For passes of at most `longest` tokens a sequence and `total` tokens a step. Sequences share a
// pass as far as the budget goes with all layers kept; one sequence alone keeps as many layers as
// fit. kInvalidArgument, with the smallest budget that works, where it doesn't.
Result<MemoryPlan> plan_memory(const ModelConfig& config, const ProductKernels& kernels,
                               unsigned threads, std::size_t longest, std::size_t total,
                               std::uint64_t budget);

} // namespace coppice::native
