// SPDX-License-Identifier: Apache-2.0
// Opens the LibTorch engine's module on first use; the program itself links no LibTorch.
#pragma once

#include "model/engine.h"

namespace coppice {

// Looks for libcoppice_graph.so beside the running program, or where COPPICE_GRAPH_MODULE points.
// kUnavailable, with the reason, if it isn't there or can't be loaded. The module stays loaded.
Result<std::unique_ptr<Engine>> open_graph_engine(std::shared_ptr<const BaseModel> base,
                                                  const EngineOptions& options);

// The one symbol that the module exports, and its type: true and *engine, or false and *error.
inline constexpr char kGraphEngineSymbol[] = "coppice_graph_engine_open";
using OpenGraphEngine = bool(const std::shared_ptr<const BaseModel>* base,
                             const EngineOptions* options, std::unique_ptr<Engine>* engine,
                             Error* error);

} // namespace coppice
