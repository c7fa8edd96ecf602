// SPDX-License-Identifier: Apache-2.0
#include "model/graph/sequences.h"

namespace coppice::graph {

std::vector<Pass> make_passes(std::span<const OwnedSequence> sequences, std::size_t clients,
                              std::uint64_t max_tokens) {
  std::vector<Pass> passes;
  for (const OwnedSequence& owned : sequences) {
    const Sequence& sequence = *owned.sequence;
    if (predicted_tokens(sequence) == 0) continue;
    if (passes.empty() || passes.back().batch.tokens.size() + sequence.tokens.size() > max_tokens) {
      passes.emplace_back(clients);
    }
    Pass& pass = passes.back();
    const std::int64_t begin = pass.batch.size();
    pass.batch.add(owned.client, sequence.tokens);
    for (std::size_t i = 1; i < sequence.tokens.size(); ++i) {
      if (sequence.targets[i] == 0) continue;
      pass.rows.push_back(begin + static_cast<std::int64_t>(i) - 1);
      pass.targets.push_back(sequence.tokens[i]);
      pass.owners.push_back(pass.sequences.size());
    }
    pass.sequences.push_back(owned);
  }
  return passes;
}

} // namespace coppice::graph
