// SPDX-License-Identifier: Apache-2.0
// A run's strategy, and what it has devices keep.
#include "base/text.h"
#include "client/kept_rules.h"
#include "sim/simulation.h"

namespace coppice {
namespace {

// Devices whose clients are not held out: what a round's cohort is drawn from.
std::uint64_t devices_that_train(const Population& population, const ClientData* data,
                                 const Scenario& scenario) {
  if (data == nullptr || scenario.data.held_out == 0) return population.size();
  std::uint64_t training = 0;
  for (DeviceNumber device = 0; device < population.size(); ++device) {
    training += data->unseen(device % data->clients()) ? 0 : 1;
  }
  return training;
}

} // namespace

// After the devices: their number is known.
Result<void> Simulation::prepare_strategy() {
  const Scenario& scenario = parts_.scenario;
  StrategySettings settings = scenario.fleet.strategy;
  // A real fleet that is played again has its own aggregator's.
  if (settings.population == 0 && parts_.identities.empty()) {
    settings.population = devices_that_train(*population_, data_.get(), scenario);
  }
  strategy_ = COPPICE_TRY(make_strategy(settings, scenario.fleet.round.secure_aggregation));
  RoundPlan first;
  first.round = RoundId{1};
  first.recipe = scenario.fleet.training;
  first.sum.cohort = std::max(1U, scenario.fleet.cohort.min_train);
  first.encoding.error_feedback = scenario.fleet.round.keeps_feedback();
  strategy_->prepare(first);
  if (first.sum.max_staleness > 0 && ranks_.place().size > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("under strategy ", settings.name,
                     " uploads of one round count in a later one, and several processes would each "
                     "keep some of them; run it in one")};
  }
  if (scenario.training == TrainingKind::kNone || !keeps_between_rounds(first)) return {};
  if (ranks_.place().size > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("devices keep something between rounds under strategy ", settings.name,
                     first.encoding.error_feedback ? " with round.error_feedback" : "",
                     ", and several processes would train a device in turn; run it in one")};
  }
  kept_ = std::make_unique<KeptStates>();
  return {};
}

void Simulation::settle_kept(const PlayedRound& played) {
  if (!kept_) return;
  kept_->settle(played.released ? std::span(played.counted) : std::span<const DeviceNumber>{});
}

// Whether the newest release carries something for devices' corrections: the first that a round
// made is the first that does.
bool Simulation::has_control(const Recipe& recipe) const {
  return recipe.correction == DriftCorrection::kControlVariate && state_.version.value > 0;
}

Result<std::shared_ptr<const std::vector<float>>> Simulation::control_for(
    const Recipe& recipe) const {
  if (!has_control(recipe)) return std::shared_ptr<const std::vector<float>>{};
  const StrategyState kept = COPPICE_TRY(StrategyState::decode(state_.strategy));
  return std::make_shared<const std::vector<float>>(kept.control());
}

} // namespace coppice
