// SPDX-License-Identifier: Apache-2.0
// Scoring packs: what Engine::score() and TrainSession::score() have in common.
#pragma once

#include "model/graph/packed/transformer.h"

namespace coppice::graph::packed {

// Tokens of a scoring pass, but for longer sequences; more where the memory of training allows.
inline constexpr std::uint64_t kScoringTokens = 16384;

// What each of a pack's predicted tokens costs, in the order of layout.owners, on the CPU.
struct PackScores {
  PackRows layout;
  at::Tensor nats;    // (n) float32
  at::Tensor correct; // (n) bool
  Score at(std::size_t i) const {
    return {.nats = double{nats.const_data_ptr<float>()[i]},
            .tokens = 1,
            .correct = correct.const_data_ptr<bool>()[i] ? 1U : 0U};
  }
};
// Under the adapters of its rows. kCancelled where the transformer is asked to stop; errors of
// Transformer::hidden(). To be called within guarded().
Result<PackScores> score_pack(Transformer& transformer, const Pack& pack, const LoraTable& loras);

} // namespace coppice::graph::packed
