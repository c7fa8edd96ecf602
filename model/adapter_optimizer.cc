// SPDX-License-Identifier: Apache-2.0
#include "model/adapter_optimizer.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model/row_kernels.h"

namespace coppice {

AdapterOptimizer::AdapterOptimizer(std::shared_ptr<const AdapterSpec> spec,
                                   const OptimizerSettings& settings, std::span<const float> start)
    : spec_(std::move(spec)),
      settings_(settings),
      start_(settings.proximal_mu > 0 ? std::vector<float>(start.begin(), start.end())
                                      : std::vector<float>()),
      first_(start.size()),
      second_(start.size()) {}

double AdapterOptimizer::prepare(std::span<const float> values, std::span<float> gradient) const {
  for (std::size_t i = 0; settings_.proximal_mu > 0 && i < gradient.size(); ++i) {
    gradient[i] += settings_.proximal_mu * (values[i] - start_[i]);
  }
  float* slot = gradient.data();
  for (const AdapterTarget& target : spec_->targets) {
    if (!settings_.train_a) std::fill_n(slot, target.a_elements(), 0.0F);
    slot += target.a_elements();
    if (!settings_.train_b) std::fill_n(slot, target.b_elements(), 0.0F);
    slot += target.b_elements();
  }
  double squares = 0;
  for (const float value : gradient) squares += static_cast<double>(value) * double{value};
  const double norm = std::sqrt(squares);
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
  std::size_t offset = 0;
  const auto slot = [&](std::size_t elements, bool trained) {
    if (trained && settings_.kind == OptimizerKind::kSgd) {
      sgd_update(sgd, &gradient[offset], elements, &first_[offset], &values[offset]);
    } else if (trained) {
      adam_update(adam, &gradient[offset], elements, &first_[offset], &second_[offset],
                  &values[offset]);
    }
    offset += elements;
  };
  for (const AdapterTarget& target : spec_->targets) {
    slot(target.a_elements(), settings_.train_a);
    slot(target.b_elements(), settings_.train_b);
  }
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
