// SPDX-License-Identifier: Apache-2.0
// Which engine the program uses: chosen here and nowhere else.
#pragma once

#include <string>

#include "base/file.h"
#include "model/engine.h"

namespace CLI {
class App;
}

namespace coppice {

inline constexpr char kNativeEngine[] = "native"; // our own kernels
inline constexpr char kGraphEngine[] = "graph";   // LibTorch, in a module of its own

// --engine native|graph
void add_engine_option(CLI::App& command, std::string& engine);

// kInvalidArgument for another name; errors of the engine's own opening.
Result<std::unique_ptr<Engine>> open_engine(const std::string& engine,
                                            std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options);

// Opens the base model and the engine on the first call; the base is mapped once.
EngineFactory engine_factory(const std::string& engine, const fs::path& model,
                             const EngineOptions& options);

} // namespace coppice
