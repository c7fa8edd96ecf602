// SPDX-License-Identifier: Apache-2.0
#include "model/native/score.h"

#include <algorithm>

#include "model/input_checks.h"

namespace coppice::native {
namespace {

constexpr std::size_t kScoringTokens = 2048; // tokens of a scoring pass, but for longer sequences

void score_pass(Transformer& transformer, const PassShape& empty,
                std::span<const Sequence> sequences, const ModelLora& lora,
                std::span<Score> scores) {
  PassShape pass = empty;
  std::vector<TokenId> tokens;
  std::vector<TokenId> targets;
  std::vector<std::size_t> rows;
  std::vector<std::size_t> owners;
  std::size_t longest = 0;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const Sequence& sequence = sequences[s];
    for (std::size_t i = 1; i < sequence.tokens.size(); ++i) {
      if (sequence.targets[i] == 0) continue;
      rows.push_back(tokens.size() + i - 1);
      targets.push_back(sequence.tokens[i]);
      owners.push_back(s);
    }
    tokens.insert(tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
    pass.add(sequence.tokens.size());
    longest = std::max(longest, sequence.tokens.size());
  }
  transformer.prepare_positions(longest);
  Buffer x_memory, normed_memory, logits;
  const std::size_t width = transformer.config().width;
  const FloatRows x = float_rows(x_memory, tokens.size(), width);
  transformer.embed(tokens, x);
  transformer.forward(pass, transformer.kernels().precise, lora, x, nullptr);
  const ElementRows normed =
      element_rows(transformer.kernels().precise, normed_memory, rows.size(), width);
  transformer.final_norm(x, rows, transformer.kernels().precise, normed, nullptr);
  std::vector<double> nats(rows.size());
  std::vector<std::uint8_t> correct(rows.size());
  cross_entropy(transformer.pool(), transformer.kernels(), transformer.head(),
                {.hidden = normed,
                 .targets = targets,
                 .weights = {},
                 .nats = nats,
                 .correct = correct,
                 .d_hidden = {}},
                logits);
  for (std::size_t i = 0; i < nats.size(); ++i) {
    scores[owners[i]] += {.nats = nats[i], .tokens = 1, .correct = correct[i]};
  }
}

} // namespace

Result<std::vector<Score>> score_sequences(Transformer& transformer,
                                           std::span<const AdapterUse> adapters,
                                           std::span<const Sequence> sequences, bool round_tokens) {
  for (const Sequence& sequence : sequences) {
    COPPICE_TRY(check_sequence(sequence, transformer.config()));
  }
  const ModelLora lora = COPPICE_TRY(transformer.adapted(adapters, transformer.kernels().precise));
  std::vector<Score> scores(sequences.size());
  const WorkerPool::Interruptible work(transformer.pool());
  for (std::size_t begin = 0; begin < sequences.size();) {
    std::size_t end = begin;
    std::size_t tokens = 0;
    while (end < sequences.size() &&
           (end == begin || tokens + sequences[end].tokens.size() <= kScoringTokens)) {
      tokens += sequences[end++].tokens.size();
    }
    PassShape empty;
    empty.round_tokens = round_tokens;
    score_pass(transformer, empty, sequences.subspan(begin, end - begin), lora,
               std::span(scores).subspan(begin, end - begin));
    if (work.stopped()) return stopped_error();
    begin = end;
  }
  return scores;
}

} // namespace coppice::native
