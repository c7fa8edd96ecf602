// SPDX-License-Identifier: Apache-2.0
#include "model/adapter_optimizer.h"

#include <algorithm>
#include <cmath>

#include "adapters/factor_choice.h"
#include "base/sum_of_squares.h"
#include "base/text.h"
#include "model/row_kernels.h"

namespace coppice {
namespace {

FactorChoice trained_by(const OptimizerSettings& settings) {
  return {.a = settings.train_a, .b = settings.train_b, .rank = settings.trained_rank};
}

float as_float(double value) { return static_cast<float>(value); }

} // namespace

AdapterOptimizer::AdapterOptimizer(std::shared_ptr<const AdapterSpec> spec, const TrainJob& job)
    : spec_(std::move(spec)),
      settings_(job.optimizer),
      start_(job.optimizer.proximal_mu > 0 ? job.start : nullptr),
      offset_(job.gradient_offset),
      core_(job.core),
      first_(spec_->parameters()),
      second_(spec_->parameters()) {}

double AdapterOptimizer::prepare(std::span<const float> values, std::span<float> gradient) const {
  for (std::size_t i = 0; offset_ && i < gradient.size(); ++i) gradient[i] += (*offset_)[i];
  for (std::size_t i = 0; start_ && i < gradient.size(); ++i) {
    gradient[i] += settings_.proximal_mu * (values[i] - start_->values()[i]);
  }
  std::size_t at = 0; // what lies between the trained runs is cleared
  const auto clear_to = [&](std::size_t end) {
    std::fill(gradient.begin() + static_cast<std::ptrdiff_t>(at),
              gradient.begin() + static_cast<std::ptrdiff_t>(end), 0.0F);
  };
  if (core_) {
    const std::vector<double> cores = core_->cores(gradient);
    std::ranges::transform(cores, gradient.begin(), as_float);
    at = cores.size();
  } else {
    for_each_chosen(*spec_, trained_by(settings_), [&](std::size_t first, std::size_t count) {
      clear_to(first);
      at = first + count;
    });
  }
  clear_to(gradient.size());
  const double norm = std::sqrt(sum_of_squares(gradient));
  const auto limit = static_cast<double>(settings_.max_gradient_norm);
  // PyTorch's clip_grad_norm_: the 1e-6 keeps a norm of zero from dividing.
  if (limit > 0 && norm > limit) {
    scale_row(gradient.data(), static_cast<float>(limit / (norm + 1e-6)), gradient.size());
  }
  return norm;
}

void AdapterOptimizer::update(std::span<const float> gradient, float rate_factor,
                              std::span<float> values) {
  ++steps_;
  const double rate = double{settings_.learning_rate} * double{rate_factor};
  const auto bias = [&](float beta) {
    return 1.0 - std::pow(double{beta}, static_cast<double>(steps_));
  };
  const AdamStep adam{.decay = static_cast<float>(1.0 - rate * double{settings_.weight_decay}),
                      .beta1 = settings_.beta1,
                      .beta2 = settings_.beta2,
                      .step_size = static_cast<float>(rate / bias(settings_.beta1)),
                      .root_bias = static_cast<float>(std::sqrt(bias(settings_.beta2))),
                      .epsilon = settings_.epsilon};
  const SgdStep sgd{.rate = static_cast<float>(rate),
                    .momentum = settings_.momentum,
                    .decay = settings_.weight_decay};
  const auto move = [&](std::size_t at, std::size_t count, std::span<float> moved) {
    if (settings_.kind == OptimizerKind::kSgd) {
      sgd_update(sgd, &gradient[at], count, &first_[at], &moved[at]);
    } else {
      adam_update(adam, &gradient[at], count, &first_[at], &second_[at], &moved[at]);
    }
  };
  if (core_) {
    move_cores(values, [&](std::span<float> cores) { move(0, cores.size(), cores); });
    return;
  }
  // Value by value, so that how they are cut into runs changes nothing.
  for_each_chosen(*spec_, trained_by(settings_),
                  [&](std::size_t at, std::size_t count) { move(at, count, values); });
}

void AdapterOptimizer::move_cores(std::span<float> values,
                                  const std::function<void(std::span<float>)>& move) const {
  std::vector<double> cores = core_->cores(values);
  std::vector<float> moved(cores.size());
  std::ranges::transform(cores, moved.begin(), as_float);
  move(moved);
  for (std::size_t i = 0; i < cores.size(); ++i) cores[i] = double{moved[i]} - cores[i];
  const std::vector<double> change = core_->in_place(cores);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = as_float(double{values[i]} + change[i]);
}

Result<void> check_state(const TrainState& state, std::size_t values) {
  const auto fits = [&](std::span<const float> part) { return part.size() == values; };
  if (!fits(state.values) || !fits(state.first_moment) || !fits(state.second_moment)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the state to go on from has ", state.values.size(), " values, the adapter ",
                     values, "; it is of another training")};
  }
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::ranges::all_of(state.values, finite) ||
      !std::ranges::all_of(state.first_moment, finite) ||
      !std::ranges::all_of(state.second_moment,
                           [&](float value) { return finite(value) && value >= 0; })) {
    return Error{ErrorCode::kInvalidArgument,
                 "the state to go on from holds values that no training leaves; start anew"};
  }
  return {};
}

Result<void> AdapterOptimizer::restore(const TrainState& state, std::span<float> values) {
  COPPICE_TRY(check_state(state, values.size()));
  std::ranges::copy(state.values, values.begin());
  first_.assign(state.first_moment.begin(), state.first_moment.end());
  second_.assign(state.second_moment.begin(), state.second_moment.end());
  steps_ = state.steps;
  return {};
}

} // namespace coppice
