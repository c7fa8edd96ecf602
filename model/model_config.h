// SPDX-License-Identifier: Apache-2.0
// A model's numbers from the metadata of its GGUF file; private to model/.
#pragma once

#include "model/base_model.h"

namespace coppice {

// kUnsupported for an architecture or a feature that isn't computed here, kCorrupt for numbers that
// contradict one another; each with the key. `tied_output` is left to the tensors.
Result<ModelConfig> read_model_config(const GgufFile& file);

} // namespace coppice
