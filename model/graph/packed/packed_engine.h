// SPDX-License-Identifier: Apache-2.0
// The LibTorch engine for many clients at once, behind model/engine.h: made for GPUs, and right on
// a CPU too, where its tests run.
#pragma once

#include "model/engine.h"

namespace coppice::graph::packed {

// On options.device, with choose_compute()'s errors, and kInvalidArgument for a thread count of 0
// (it uses one). Holds all weights dequantized. generate() computes the whole text for each token.
Result<std::unique_ptr<Engine>> make_packed_engine(std::shared_ptr<const BaseModel> base,
                                                   const EngineOptions& options);

} // namespace coppice::graph::packed
