// SPDX-License-Identifier: Apache-2.0
// Text generation with a KV cache: the prompt in chunks, then a token at a time.
#pragma once

#include "model/graph/transformer.h"

namespace coppice::graph {

// See Engine::generate.
Result<GenerateResult> generate(Transformer& transformer, const GenerateRequest& request);

} // namespace coppice::graph
