// SPDX-License-Identifier: Apache-2.0
#include "model/engine_module.h"

#include "base/module_file.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr ModuleFile kModule{.file = "libcoppice_graph.so",
                             .variable = "COPPICE_GRAPH_MODULE",
                             .what = "the LibTorch engine",
                             .option = "COPPICE_GRAPH"};

} // namespace

Result<std::unique_ptr<Engine>> open_graph_engine(std::shared_ptr<const BaseModel> base,
                                                  const EngineOptions& options) {
  auto* const open =
      reinterpret_cast<OpenGraphEngine*>(COPPICE_TRY(module_symbol(kModule, kGraphEngineSymbol)));
  std::unique_ptr<Engine> engine;
  Error error{ErrorCode::kInternal, ""};
  if (!open(&base, &options, &engine, &error)) return error;
  return engine;
}

Result<LinearCeiling> measure_linear_ceiling(unsigned tries) {
  auto* const measure = reinterpret_cast<MeasureGraphCeiling*>(
      COPPICE_TRY(module_symbol(kModule, kGraphCeilingSymbol)));
  LinearCeiling ceiling;
  Error error{ErrorCode::kInternal, ""};
  if (!measure(tries, &ceiling, &error)) return error;
  return ceiling;
}

} // namespace coppice
