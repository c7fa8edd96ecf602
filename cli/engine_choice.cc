// SPDX-License-Identifier: Apache-2.0
#include "cli/engine_choice.h"

#include "model/engine_module.h"

namespace coppice {

EngineFactory engine_factory(const fs::path& model, unsigned threads) {
  auto base = std::make_shared<std::shared_ptr<const BaseModel>>();
  return [base, model, threads]() -> Result<std::unique_ptr<Engine>> {
    if (!*base) *base = COPPICE_TRY(BaseModel::open(model));
    return open_graph_engine(*base, EngineOptions{.threads = threads});
  };
}

} // namespace coppice
