// SPDX-License-Identifier: Apache-2.0
// The packed engine in the graph's place: on the CPU and in float32, as exact as that one.
#include "model/graph/packed/packed_engine.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {

const std::uint64_t kLeastActivationBytes = 1;

Result<std::unique_ptr<Engine>> open_engine(std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options) {
  EngineOptions exact = options;
  exact.precision = EnginePrecision::kFloat32;
  return packed::make_packed_engine(std::move(base), exact);
}

} // namespace coppice::graph
