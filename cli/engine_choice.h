// SPDX-License-Identifier: Apache-2.0
// Which engine the program uses: chosen here and nowhere else.
#pragma once

#include "base/file.h"
#include "model/engine.h"

namespace coppice {

// Opens the base model and the engine on the first call; the base is mapped once.
EngineFactory engine_factory(const fs::path& model, unsigned threads);

} // namespace coppice
