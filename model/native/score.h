// SPDX-License-Identifier: Apache-2.0
// Scoring on the native engine: what Engine::score() and TrainSession::score() have in common.
#pragma once

#include <span>
#include <vector>

#include "model/native/transformer.h"

namespace coppice::native {

// Of each sequence, in passes of about 2,048 tokens. `round_tokens`: see
// EngineOptions::trained_rounding. Errors of check_sequence() and check_fits(); kCancelled where
// the transformer's pool is asked to stop.
Result<std::vector<Score>> score_sequences(Transformer& transformer,
                                           std::span<const AdapterUse> adapters,
                                           std::span<const Sequence> sequences, bool round_tokens);

} // namespace coppice::native
