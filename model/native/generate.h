// SPDX-License-Identifier: Apache-2.0
// Writing text token by token, with the keys and values of what came before kept.
#pragma once

#include "model/native/text_cache.h"
#include "model/native/transformer.h"

namespace coppice::native {

// Errors as Engine::generate.
Result<GenerateResult> generate(Transformer& transformer, CpuLevel level, TextCache& kept,
                                const GenerateRequest& request);

// Several texts, decoded together; their keys and values are stored as `cache`. The transformer
// must outlive it.
std::unique_ptr<GenerationSession> start_generation(Transformer& transformer, CpuLevel level,
                                                    BlockType cache);

} // namespace coppice::native
