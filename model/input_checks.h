// SPDX-License-Identifier: Apache-2.0
// What every engine refuses, in one place: tokens, sequences, adapters and jobs that don't suit the
// base model. All errors but check_finite()'s are kInvalidArgument; they say what to do. Pure
// functions; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/engine.h"

namespace coppice {

// No tokens, more than the context, or an id outside the vocabulary.
Result<void> check_tokens(std::span<const TokenId> tokens, const ModelConfig& config);
// The above, targets of another length, and a target at the first token.
Result<void> check_sequence(const Sequence& sequence, const ModelConfig& config);
// The number of targets.
std::uint64_t predicted_tokens(const Sequence& sequence);

// An adapter of another architecture, for a module that the base doesn't have, or of another shape,
// with the module's name.
Result<void> check_fits(const AdapterSpec& spec, const BaseModel& base);
// The place of each target in BaseModel::adaptable_modules(). `spec` must fit.
std::vector<std::size_t> module_indices(const AdapterSpec& spec, const BaseModel& base);

// No jobs at all, jobs of different specs, adapters that don't fit the base, and settings that
// aren't numbers.
Result<void> check_jobs(const std::vector<TrainJob>& jobs, const BaseModel& base);
// One text list a client.
Result<void> check_texts(std::span<const std::span<const Sequence>> texts, std::size_t clients);
// All clients rest.
Result<void> check_any_works(std::span<const Batch> batches);
// A bad sequence, a batch that predicts nothing, and a bad learning rate's factor.
Result<void> check_batch(std::size_t client, const Batch& batch, const ModelConfig& config);

// Whether loss and gradient are finite numbers; where not, the loss becomes NaN, as a step says.
bool settle(StepResult& result);
// kFailedPrecondition for a loss that is no finite number.
Result<void> check_finite(const StepResult& result);

} // namespace coppice
