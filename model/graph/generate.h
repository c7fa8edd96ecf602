// SPDX-License-Identifier: Apache-2.0
// Text generation with a KV cache: the prompt in chunks, then a token at a time.
#pragma once

#include <functional>

#include "model/graph/transformer.h"

namespace coppice::graph {

// Appends tokens to a text; gives the logits (V) after the last, float32 on the CPU.
using Advance = std::function<Result<at::Tensor>(std::span<const TokenId> tokens)>;
// A new text that will have at most so many tokens, under the request's adapters, which fit.
using BeginText = std::function<Result<Advance>(std::size_t capacity)>;
// The loop of Engine::generate, whatever computes the logits.
Result<GenerateResult> write_text(const BaseModel& base, const GenerateRequest& request,
                                  const BeginText& begin);

// See Engine::generate.
Result<GenerateResult> generate(Transformer& transformer, const GenerateRequest& request);

} // namespace coppice::graph
