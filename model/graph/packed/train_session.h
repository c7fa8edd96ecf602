// SPDX-License-Identifier: Apache-2.0
// Training of K packed clients: one pass of the base over all their tokens, one optimizer step over
// all their adapters.
//
// Parameters, gradients and moments are (K, P) float32 on the device, a row a client in the order
// of Adapter::values(); products take a copy of the parameters in the type of the computation.
// Clients whose batch is empty rest: they are left out of the pass, and their rows as they are.
#pragma once

#include "model/graph/packed/transformer.h"

namespace coppice::graph::packed {

// As graph::start_train_session(). The transformer must outlive the session.
Result<std::unique_ptr<TrainSession>> start_train_session(Transformer& transformer,
                                                          std::vector<TrainJob> jobs,
                                                          std::uint64_t activation_bytes);

TrainingPlan plan_training_passes(const Transformer& transformer, std::uint64_t activation_bytes,
                                  std::size_t longest, std::size_t total);

// Adapters that don't change, as LoRA of K clients: lists[k] is client k's. Only the targets'
// modules of the table are filled; where all lists are the same one copy serves all.
void add_frozen(LoraTable& table, const Transformer& transformer,
                std::span<const std::vector<AdapterUse>> lists);

} // namespace coppice::graph::packed
