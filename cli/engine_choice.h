// SPDX-License-Identifier: Apache-2.0
// Which engine the program uses: chosen here and nowhere else.
#pragma once

#include <span>
#include <string>

#include "base/file.h"
#include "cli/command_options.h"
#include "model/engine.h"

namespace coppice {

inline constexpr char kNativeEngine[] = "native"; // our own kernels

struct EngineRow {
  std::string_view name;
  std::string_view summary; // "by LibTorch"
  Result<std::unique_ptr<Engine>> (*open)(std::shared_ptr<const BaseModel> base,
                                          const EngineOptions& options);
};
// Those of this program: commands.cc or device_commands.cc.
std::span<const EngineRow> engines();

// --engine, by the names of the table
void add_engine_option(CommandOptions& command, std::string& engine);

// kInvalidArgument for another name; errors of the engine's own opening.
Result<std::unique_ptr<Engine>> open_engine(const std::string& engine,
                                            std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options);

// Opens the base model and the engine on the first call; the base is mapped once.
EngineFactory engine_factory(const std::string& engine, const fs::path& model,
                             const EngineOptions& options);

} // namespace coppice
