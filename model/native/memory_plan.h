// SPDX-License-Identifier: Apache-2.0
// What a training pass keeps between forward and backward, and what it computes again.
//
// A layer either keeps its activations, or only its input in float32, from which the same
// activations come again, bit for bit: the plan changes time and memory, never a result.
#pragma once

#include <cstdint>

#include "model/engine.h"
#include "model/native/product_kernels.h"

namespace coppice::native {

struct MemoryRequest {
  unsigned threads = 1;
  std::size_t longest = 0;    // tokens of the longest sequence of a step
  std::size_t total = 0;      // tokens of a step
  std::size_t lora_width = 0; // ranks of all adapters of the widest group of layers, together
  std::uint64_t budget = 0;
};

// Sequences share a pass as far as the budget goes with all layers kept; one sequence alone keeps
// as many layers as fit. kInvalidArgument, with the smallest budget that works, where it doesn't.
Result<TrainingPlan> plan_memory(const ModelConfig& config, const EngineKernels& kernels,
                                 const MemoryRequest& request);

} // namespace coppice::native
