// SPDX-License-Identifier: Apache-2.0
// Opens the LibTorch engine's module on first use; the program itself links no LibTorch.
#pragma once

#include "model/engine.h"

namespace coppice {

// Looks for libcoppice_graph.so beside the running program, or where COPPICE_GRAPH_MODULE points.
// kUnavailable, with the reason, if it isn't there or can't be loaded. The module stays loaded.
Result<std::unique_ptr<Engine>> open_graph_engine(std::shared_ptr<const BaseModel> base,
                                                  const EngineOptions& options);

// The best of `tries` single-thread products of (512, 2048) and (2048, 2048) by at::linear: what
// this machine's best library reaches on one core. A ceiling is this times cores.
struct LinearCeiling {
  double f32_gflops = 0; // 10^9 multiplications and additions a second
  double bf16_gflops = 0;
};
// kUnavailable as open_graph_engine(). Takes about `tries` tenths of a second.
Result<LinearCeiling> measure_linear_ceiling(unsigned tries);

// The symbols that the module exports, and their types: true and the value, or false and *error.
inline constexpr char kGraphEngineSymbol[] = "coppice_graph_engine_open";
using OpenGraphEngine = bool(const std::shared_ptr<const BaseModel>* base,
                             const EngineOptions* options, std::unique_ptr<Engine>* engine,
                             Error* error);
inline constexpr char kGraphCeilingSymbol[] = "coppice_graph_ceiling";
using MeasureGraphCeiling = bool(unsigned tries, LinearCeiling* ceiling, Error* error);

} // namespace coppice
