// SPDX-License-Identifier: Apache-2.0
// Training of K clients' adapters side by side: one pass of the base over all their tokens.
//
// Parameters, gradients and the optimizer's moments are (K, P) float32, a row a client in the order
// of Adapter::values(). A step whose activations would exceed `activation_bytes` is computed in
// several passes that add up their gradients; the loss is divided by the predicted tokens of the
// whole step.
#pragma once

#include <memory>
#include <vector>

#include "model/graph/transformer.h"

namespace coppice::graph {

// Refuses no jobs at all, jobs of different specs, adapters that don't fit the base, and settings
// that aren't numbers (kInvalidArgument). The transformer must outlive the session.
Result<std::unique_ptr<TrainSession>> start_train_session(Transformer& transformer,
                                                          std::vector<TrainJob> jobs,
                                                          std::uint64_t activation_bytes);

// All layers are kept; one sequence is always computed whole.
TrainingPlan plan_training_passes(const ModelConfig& config, std::uint64_t activation_bytes,
                                  std::size_t longest, std::size_t total);

} // namespace coppice::graph
