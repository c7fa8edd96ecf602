// SPDX-License-Identifier: Apache-2.0
#include "model/graph/score.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "model/graph/sequences.h"
#include "model/input_checks.h"

namespace coppice::graph {
namespace {

constexpr std::uint64_t kScoringTokens = 2048; // tokens of a scoring pass

} // namespace

Result<LoraStack> adapted_by(std::span<const AdapterUse> adapters, const BaseModel& base) {
  for (const AdapterUse& use : adapters) COPPICE_TRY(check_fits(use.adapter->spec(), base));
  LoraStack stack(base.config(), 1);
  stack.add_frozen(base, 0, adapters);
  return stack;
}

Result<std::vector<Score>> score_sequences(Transformer& transformer,
                                           std::span<const AdapterUse> adapters,
                                           std::span<const Sequence> sequences) {
  const LoraStack adapted = COPPICE_TRY(adapted_by(adapters, transformer.base()));
  std::vector<OwnedSequence> owned;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    COPPICE_TRY(check_sequence(sequences[i], transformer.base().config()));
    owned.push_back({&sequences[i], 0, i});
  }
  const at::NoGradGuard no_gradient;
  std::vector<Score> scores(sequences.size());
  for (const Pass& pass : make_passes(owned, 1, kScoringTokens)) {
    if (transformer.stopped()) return stopped_error();
    const at::Tensor hidden = transformer.hidden(pass.batch, adapted);
    const at::Tensor normed =
        transformer.final_norm(at::index_select(hidden, 0, at::tensor(pass.rows)));
    const CrossEntropy loss =
        cross_entropy(transformer.pool(), normed, transformer.head(), pass.targets, {});
    for (std::size_t i = 0; i < loss.nats.size(); ++i) {
      scores[pass.sequences[pass.owners[i]].index] +=
          {.nats = loss.nats[i], .tokens = 1, .correct = loss.correct[i]};
    }
  }
  return scores;
}

} // namespace coppice::graph
