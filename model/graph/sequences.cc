// SPDX-License-Identifier: Apache-2.0
#include "model/graph/sequences.h"

#include <algorithm>

#include "base/text.h"

namespace coppice::graph {

Result<void> check_tokens(std::span<const TokenId> tokens, const ModelConfig& config) {
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument, "there are no tokens; give at least one"};
  }
  if (tokens.size() > config.context) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the text has ", tokens.size(), " tokens, the model's context is ",
                     config.context, "; cut it into windows")};
  }
  for (const TokenId id : tokens) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= config.vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("token id ", id, " is outside the vocabulary of ", config.vocabulary,
                       "; tokenize with the base model's own tokenizer")};
    }
  }
  return {};
}

Result<void> check_sequence(const Sequence& sequence, const ModelConfig& config) {
  COPPICE_TRY(check_tokens(sequence.tokens, config));
  if (sequence.targets.size() != sequence.tokens.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a sequence has ", sequence.tokens.size(), " tokens but ",
                     sequence.targets.size(), " target marks; give one a token")};
  }
  if (sequence.targets[0] != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "the first token of a sequence can't be predicted; clear its target mark"};
  }
  return {};
}

std::uint64_t predicted_tokens(const Sequence& sequence) {
  return static_cast<std::uint64_t>(std::count_if(sequence.targets.begin(), sequence.targets.end(),
                                                  [](auto t) { return t != 0; }));
}

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
