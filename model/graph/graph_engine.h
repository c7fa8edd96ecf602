// SPDX-License-Identifier: Apache-2.0
// The LibTorch engine behind model/engine.h. Names no LibTorch type: tests link it without the
// module.
#pragma once

#include "model/engine.h"

namespace coppice::graph {

// On another device than the CPU, the packed engine. Refuses a thread count of 0
// (kInvalidArgument). Sets LibTorch's thread count to 1 for every thread that calls the engine: the
// engine's own threads share the work.
Result<std::unique_ptr<Engine>> make_graph_engine(std::shared_ptr<const BaseModel> base,
                                                  const EngineOptions& options);

// LibTorch's name of the instructions that it computes with: "avx512".
std::string cpu_capability();

} // namespace coppice::graph
