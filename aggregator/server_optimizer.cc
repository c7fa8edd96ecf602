// SPDX-License-Identifier: Apache-2.0
#include "aggregator/server_optimizer.h"

#include <cmath>

#include "base/text.h"

namespace coppice {
namespace {

Result<void> check_rate(double value, const char* name) {
  if (value > 0 && std::isfinite(value)) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat("server optimizer: ", name, " is ", value, "; it is a positive finite number")};
}

Result<void> check_share(double value, const char* name) {
  if (value >= 0 && value < 1) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat("server optimizer: ", name, " is ", value, "; it is at least 0 and below 1")};
}

// sign(0) is 0, as in NumPy: v then stays.
double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }

double next_second_moment(const ServerOptimizerSettings& settings, double v, double square) {
  switch (settings.rule) {
    case ServerRule::kFedAdagrad: return v + square;
    case ServerRule::kFedAdam: return settings.beta2 * v + (1 - settings.beta2) * square;
    case ServerRule::kFedYogi: return v - (1 - settings.beta2) * square * sign(v - square);
    case ServerRule::kFedAvgM: break;
  }
  return 0;
}

// `rounds` before this step
double corrected_learning_rate(const ServerOptimizerSettings& settings, std::uint64_t rounds) {
  if (settings.bias_correction == BiasCorrection::kNone) return settings.learning_rate;
  const double power = static_cast<double>(rounds) + 2;
  return settings.learning_rate * std::sqrt(1 - std::pow(settings.beta2, power)) /
         (1 - std::pow(settings.beta1, power));
}

Result<void> check_state(const ServerOptimizerSettings& settings, const ServerOptimizerState& state,
                         std::size_t parameters) {
  const bool fresh = state.rounds == 0 && state.momentum.empty() && state.second_moment.empty();
  const std::size_t second = settings.rule == ServerRule::kFedAvgM ? 0 : parameters;
  if (fresh || (state.momentum.size() == parameters && state.second_moment.size() == second)) {
    return {};
  }
  return Error{ErrorCode::kFailedPrecondition,
               cat("server optimizer: the state has ", state.momentum.size(), " momenta and ",
                   state.second_moment.size(), " second moments and this rule needs ", parameters,
                   " and ", second, "; it is of another adapter or rule, begin with a fresh one")};
}

} // namespace

Result<void> ServerOptimizerSettings::validate() const {
  COPPICE_TRY(check_rate(learning_rate, "learning_rate"));
  COPPICE_TRY(check_rate(tau, "tau"));
  COPPICE_TRY(check_share(momentum, "momentum"));
  COPPICE_TRY(check_share(beta1, "beta1"));
  COPPICE_TRY(check_share(beta2, "beta2"));
  if (!(initial_second_moment >= 0 && std::isfinite(initial_second_moment))) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("server optimizer: initial_second_moment is ", initial_second_moment,
                     "; it is finite and at least 0")};
  }
  if (bias_correction != BiasCorrection::kNone && rule != ServerRule::kFedAdam) {
    return Error{ErrorCode::kInvalidArgument,
                 "server optimizer: bias_correction belongs to FedAdam alone; set it to none"};
  }
  return {};
}

ServerOptimizerSettings flower_settings(ServerRule rule) {
  ServerOptimizerSettings settings;
  settings.rule = rule;
  if (rule == ServerRule::kFedAvgM) return settings;
  settings.learning_rate = rule == ServerRule::kFedYogi ? 0.01 : 0.1;
  if (rule == ServerRule::kFedAdagrad) return settings;
  settings.beta1 = 0.9;
  settings.beta2 = 0.99;
  if (rule == ServerRule::kFedAdam) settings.bias_correction = BiasCorrection::kFlower;
  return settings;
}

ServerOptimizerSettings paper_settings(ServerRule rule) {
  ServerOptimizerSettings settings = flower_settings(rule);
  settings.bias_correction = BiasCorrection::kNone;
  if (rule == ServerRule::kFedAvgM) {
    settings.momentum = 0.9;
  } else {
    settings.initial_second_moment = settings.tau * settings.tau;
  }
  return settings;
}

Result<ServerStep> server_step(const ServerOptimizerSettings& settings,
                               const ServerOptimizerState& state,
                               std::span<const double> mean_delta) {
  COPPICE_TRY(settings.validate());
  if (mean_delta.empty()) {
    return Error{ErrorCode::kInvalidArgument, "server optimizer: the delta has no values"};
  }
  COPPICE_TRY(check_state(settings, state, mean_delta.size()));
  const bool adaptive = settings.rule != ServerRule::kFedAvgM;
  const double rate = corrected_learning_rate(settings, state.rounds);
  const double kept = adaptive ? settings.beta1 : settings.momentum;
  const double added = adaptive ? 1 - settings.beta1 : 1.0;

  ServerStep next{std::vector<double>(mean_delta.size()), state};
  next.state.rounds = state.rounds + 1;
  next.state.momentum.resize(mean_delta.size(), 0.0);
  if (adaptive) next.state.second_moment.resize(mean_delta.size(), settings.initial_second_moment);
  for (std::size_t i = 0; i < mean_delta.size(); ++i) {
    const double delta = mean_delta[i];
    if (!std::isfinite(delta)) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("server optimizer: value ", i, " of the mean delta is not finite")};
    }
    double& m = next.state.momentum[i];
    m = kept * m + added * delta;
    double scale = 1.0;
    if (adaptive) {
      double& v = next.state.second_moment[i];
      v = next_second_moment(settings, v, delta * delta);
      scale = std::sqrt(v) + settings.tau;
    }
    next.step[i] = rate * m / scale;
    if (!std::isfinite(next.step[i]) || !std::isfinite(scale)) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat("server optimizer: value ", i, " left the range of numbers with a delta of ",
                       delta, "; clip the updates")};
    }
  }
  return next;
}

} // namespace coppice
