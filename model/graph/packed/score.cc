// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/score.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>

namespace coppice::graph::packed {

Result<PackScores> score_pack(Transformer& transformer, const Pack& pack, const LoraTable& loras) {
  if (transformer.stopped()) return stopped_error();
  const Compute& compute = transformer.compute();
  const at::NoGradGuard no_gradient;
  PackScores scores{.layout = lay_out(pack), .nats = {}, .correct = {}};
  const at::Tensor hidden =
      COPPICE_TRY(transformer.hidden(packed_tokens(pack, scores.layout, compute), loras));
  const at::Tensor predicting = at::index_select(hidden.view({-1, hidden.size(2)}), 0,
                                                 to_device(scores.layout.rows, compute));
  const Loss loss = cross_entropy(predicting, transformer.head(), transformer.head_cap(),
                                  to_device(scores.layout.targets, compute), {});
  scores.nats = loss.nats.cpu();
  scores.correct = loss.correct.cpu();
  return scores;
}

} // namespace coppice::graph::packed
