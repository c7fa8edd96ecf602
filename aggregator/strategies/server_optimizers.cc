// SPDX-License-Identifier: Apache-2.0
// A server optimizer around another strategy (Hsu, Qi, Brown 2019; Reddi et al. 2021, algorithm 2):
// its step is taken for a gradient. fedavgm, fedadam, fedyogi and fedadagrad are the four around
// fedavg, by the papers' definitions (aggregator/server_optimizer.h says where Flower's differ).
#include "aggregator/server_optimizer.h"

#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

// The papers tune 0.1 and less for networks with all their weights. An adaptive step moves each
// value by about its rate, and factors of LoRA by some hundredths in a round: 0.1 throws them out.
constexpr double kAdaptiveRate = 0.01;

ServerOptimizerSettings optimizer_of(const StrategySettings& settings) {
  const auto with = [&](ServerRule rule) {
    ServerOptimizerSettings made = paper_settings(rule);
    if (rule != ServerRule::kFedAvgM) made.learning_rate = kAdaptiveRate;
    if (settings.server_learning_rate > 0) made.learning_rate = settings.server_learning_rate;
    if (rule == ServerRule::kFedAvgM) {
      made.momentum = settings.server_momentum;
      return made;
    }
    made.tau = settings.tau;
    made.initial_second_moment = settings.tau * settings.tau;
    if (rule == ServerRule::kFedAdagrad) return made;
    made.beta1 = settings.beta1;
    made.beta2 = settings.beta2;
    return made;
  };
  switch (settings.server_optimizer) {
    case ServerOptimizerKind::kAdam: return with(ServerRule::kFedAdam);
    case ServerOptimizerKind::kYogi: return with(ServerRule::kFedYogi);
    case ServerOptimizerKind::kAdagrad: return with(ServerRule::kFedAdagrad);
    case ServerOptimizerKind::kNone:
    case ServerOptimizerKind::kMomentum: break;
  }
  return with(ServerRule::kFedAvgM);
}

class ServerOptimized final : public Strategy {
 public:
  ServerOptimized(std::unique_ptr<Strategy> inner, const ServerOptimizerSettings& settings)
      : inner_(std::move(inner)), settings_(settings) {}
  Need need() const override { return inner_->need(); }
  void prepare(RoundPlan& plan) const override { inner_->prepare(plan); }
  Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const override {
    const auto mean = COPPICE_TRY(inner_->step(round, state));
    ServerOptimizerState kept{.rounds = state.rounds - 1, .momentum = {}, .second_moment = {}};
    if (kept.rounds > 0) {
      kept.momentum = state.vectors["server_momentum"];
      kept.second_moment = state.vectors["server_second_moment"];
    }
    ServerStep made = COPPICE_TRY(server_step(settings_, kept, mean));
    state.vectors["server_momentum"] = std::move(made.state.momentum);
    state.vectors["server_second_moment"] = std::move(made.state.second_moment);
    return std::move(made.step);
  }

 private:
  std::unique_ptr<Strategy> inner_;
  ServerOptimizerSettings settings_;
};

std::unique_ptr<Strategy> around_fedavg(StrategySettings settings, ServerOptimizerKind kind) {
  settings.server_optimizer = kind;
  return with_server_optimizer(fedavg(settings), settings);
}

} // namespace

std::unique_ptr<Strategy> with_server_optimizer(std::unique_ptr<Strategy> inner,
                                                const StrategySettings& settings) {
  if (settings.server_optimizer == ServerOptimizerKind::kNone) return inner;
  return std::make_unique<ServerOptimized>(std::move(inner), optimizer_of(settings));
}

std::unique_ptr<Strategy> fedavgm(const StrategySettings& settings) {
  return around_fedavg(settings, ServerOptimizerKind::kMomentum);
}
std::unique_ptr<Strategy> fedadam(const StrategySettings& settings) {
  return around_fedavg(settings, ServerOptimizerKind::kAdam);
}
std::unique_ptr<Strategy> fedyogi(const StrategySettings& settings) {
  return around_fedavg(settings, ServerOptimizerKind::kYogi);
}
std::unique_ptr<Strategy> fedadagrad(const StrategySettings& settings) {
  return around_fedavg(settings, ServerOptimizerKind::kAdagrad);
}

} // namespace coppice
