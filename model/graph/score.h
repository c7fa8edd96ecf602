// SPDX-License-Identifier: Apache-2.0
// Scoring on the LibTorch engine: what Engine::score() and TrainSession::score() have in common.
#pragma once

#include <span>
#include <vector>

#include "model/graph/transformer.h"

namespace coppice::graph {

// The adapters of a pass of one client; errors of check_fits(). They must outlive it.
Result<LoraStack> adapted_by(std::span<const AdapterUse> adapters, const BaseModel& base);

// Of each sequence, in passes of about 2,048 tokens. Errors of check_sequence() and check_fits();
// kCancelled where the transformer is asked to stop. To be called within guarded().
Result<std::vector<Score>> score_sequences(Transformer& transformer,
                                           std::span<const AdapterUse> adapters,
                                           std::span<const Sequence> sequences);

} // namespace coppice::graph
