// SPDX-License-Identifier: Apache-2.0
#include "cli/engine_choice.h"

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "model/engine_module.h"
#include "model/native/native_engine.h"

namespace coppice {

void add_engine_option(CLI::App& command, std::string& engine) {
  command
      .add_option("--engine", engine,
                  "What computes: native, made for devices, or graph, by LibTorch")
      ->type_name("NAME")
      ->check(CLI::IsMember({kNativeEngine, kGraphEngine}).description(""))
      ->capture_default_str();
}

Result<std::unique_ptr<Engine>> open_engine(const std::string& engine,
                                            std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options) {
  if (engine == kNativeEngine) return open_native_engine(std::move(base), options);
  if (engine == kGraphEngine) return open_graph_engine(std::move(base), options);
  return Error{ErrorCode::kInvalidArgument,
               cat("there is no engine ", engine, "; native and graph are known")};
}

EngineFactory engine_factory(const std::string& engine, const fs::path& model,
                             const EngineOptions& options) {
  auto base = std::make_shared<std::shared_ptr<const BaseModel>>();
  return [base, engine, model, options]() -> Result<std::unique_ptr<Engine>> {
    if (!*base) *base = COPPICE_TRY(BaseModel::open(model));
    return open_engine(engine, *base, options);
  };
}

} // namespace coppice
