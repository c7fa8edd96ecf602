// SPDX-License-Identifier: Apache-2.0
#include "model/native/native_engine.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {

const std::uint64_t kLeastActivationBytes = std::uint64_t{4} << 20U;

Result<std::unique_ptr<Engine>> open_engine(std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options) {
  return open_native_engine(std::move(base), options);
}

} // namespace coppice::graph
