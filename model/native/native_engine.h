// SPDX-License-Identifier: Apache-2.0
// The device engine behind model/engine.h: our own kernels, in little memory, without LibTorch.
#pragma once

#include "model/engine.h"

namespace coppice {

// kInvalidArgument for no threads, and errors of COPPICE_ENGINE_CPU (native/cpu_level.h).
Result<std::unique_ptr<Engine>> open_native_engine(std::shared_ptr<const BaseModel> base,
                                                   const EngineOptions& options);

} // namespace coppice
