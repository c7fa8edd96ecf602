// SPDX-License-Identifier: Apache-2.0
// Sequences checked, and put together into passes of bounded size.
#pragma once

#include <span>
#include <vector>

#include "model/graph/transformer.h"
#include "model/input_checks.h"

namespace coppice::graph {

// A sequence and whose it is; `index` counts within the client's batch.
struct OwnedSequence {
  const Sequence* sequence;
  std::size_t client;
  std::size_t index;
};

// What one pass computes: the batch, and each predicted token with the row before it.
struct Pass {
  explicit Pass(std::size_t clients) : batch(clients) {}
  TokenBatch batch;
  std::vector<OwnedSequence> sequences;
  std::vector<std::int64_t> rows;  // of the batch: the position that predicts
  std::vector<TokenId> targets;    // the token predicted there
  std::vector<std::size_t> owners; // index into `sequences`
};

// Sequences without predicted tokens are left out; the others keep their order (clients must
// ascend), as many in a pass as fit `max_tokens`, at least one.
std::vector<Pass> make_passes(std::span<const OwnedSequence> sequences, std::size_t clients,
                              std::uint64_t max_tokens);

} // namespace coppice::graph
