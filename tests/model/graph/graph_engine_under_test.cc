// SPDX-License-Identifier: Apache-2.0
#include "model/graph/graph_engine.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {

const std::uint64_t kLeastActivationBytes = 1;

Result<std::unique_ptr<Engine>> open_engine(std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options) {
  return make_graph_engine(std::move(base), options);
}

} // namespace coppice::graph
