// SPDX-License-Identifier: Apache-2.0
// What a simulation writes into its events, and what it evaluates.
#include <algorithm>
#include <array>
#include <cmath>

#include "adapters/peft_adapter.h"
#include "adapters/rank_slices.h"
#include "aggregator/version_zero.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "model/adapter_files.h"
#include "sim/attack.h"
#include "sim/delta_spread.h"
#include "sim/simulation.h"

namespace coppice {
namespace {

Json totals(const RunState& state) {
  return {{"round", state.rounds},
          {"time_s", state.time.seconds()},
          {"bytes_up", state.bytes_up},
          {"bytes_down", state.bytes_down},
          {"joules", state.joules}};
}

void add_answers(const AnswerScore& answers, Json& event) {
  const auto add = [&](const char* name, std::optional<double> value) {
    if (value) event[name] = *value;
  };
  add("choice_accuracy", answers.choice_accuracy());
  add("choice_accuracy_by_byte", answers.choice_accuracy_by_byte());
  add("exact_match", answers.exact_match());
  add("rouge_l", answers.mean_rouge_l());
}

Json dropped(const RoundTraffic& traffic) {
  constexpr std::array<const char*, kDropPhases> kNames{"answer", "training", "masking",
                                                        "uploading", "unmasking"};
  Json json = Json::object();
  for (std::size_t i = 0; i < kDropPhases; ++i) json[kNames[i]] = traffic.dropped[i];
  json["late"] = traffic.late;
  return json;
}

} // namespace

Result<void> Simulation::write_round(const RoundPlan& plan, Nanos began,
                                     const PlayedRound& played) {
  Json metrics = Json::object();
  if (outcome_) {
    for (const MetricMean& metric : outcome_->metrics) metrics[metric.name] = metric.mean;
  }
  Json event{{"event", "round"},
             {"round", state_.rounds},
             {"started_s", began.seconds()},
             {"time_s", played.ended.seconds()},
             {"asked", plan.sum.cohort},
             {"accepted", played.accepted},
             {"declined", played.declined},
             {"trained", played.trained},
             {"counted", played.released ? played.counted.size() + played.late_counted.size() : 0},
             {"dropped", dropped(played.traffic)},
             {"bytes_down", played.traffic.bytes_down},
             {"bytes_up", played.traffic.bytes_up},
             {"joules", played.traffic.joules},
             {"tokens", tokens_},
             {"participants", participation_->participants()},
             {"metrics", metrics},
             {"released", played.released}};
  if (!played.released) event["reason"] = played.reason;
  if (played.released) {
    event["version"] = state_.version.next().value;
    event["release_sha256"] = state_.releases.back().hex();
  }
  const double gini = participation_->gini();
  if (std::isfinite(gini)) event["participation_gini"] = gini;
  event["clip_norm"] = plan.clip_norm;
  const auto late = static_cast<double>(played.late_counted.size());
  if (plan.sum.max_staleness > 0) {
    event["late"] = played.late_counted.size();
    event["staleness"] = late == 0 ? 0 : static_cast<double>(late_staleness_) / late;
    event["stale"] = late_stale_;
    event["under_way"] = under_way().size();
  }
  const double counted = std::max<double>(1, static_cast<double>(played.counted.size()) + late);
  event["clipped"] = static_cast<double>(clipped_) / counted;
  event["clamped"] = clamped_;
  if (plan.privacy.noise != NoiseKind::kNone) {
    event["epsilon"] = plan.privacy.cumulative_epsilon;
    event["noise_multiplier"] = priced_.privacy.noise_multiplier; // which that epsilon follows from
  }
  if (deltas_.size() >= 2) {
    std::vector<std::vector<float>> values;
    for (const auto& [device, delta] : deltas_) values.push_back(delta);
    const DeltaSpread spread = delta_spread(*adapter_, values);
    event["cosine_mean"] = spread.cosine_mean;
    event["cosine_p10"] = spread.cosine_p10;
    event["cosine_p90"] = spread.cosine_p90;
    event["product_gap"] = spread.product_gap;
  }
  return add_event(event);
}

Result<void> Simulation::evaluate() {
  const auto write = [&](const char* adapter, const std::vector<SetScore>& scores) -> Result<void> {
    for (const SetScore& score : scores) {
      Json event{{"event", "evaluation"}};
      event.update(totals(state_));
      if (has_noise(parts_.scenario.fleet)) {
        event["epsilon"] = COPPICE_TRY(ledger_.epsilon(parts_.scenario.fleet.privacy.delta));
      }
      event["set"] = score.set;
      event["adapter"] = adapter;
      event["bits_per_byte"] = score.bits_per_byte;
      event["nats_per_token"] = score.nats_per_token;
      event["tokens"] = score.tokens;
      event["token_accuracy"] = score.token_accuracy;
      add_answers(score.answers, event);
      COPPICE_TRY(add_event(event));
    }
    return {};
  };
  if (state_.rounds == 0) COPPICE_TRY(write("base", COPPICE_TRY(evaluation_->score(nullptr))));
  COPPICE_TRY(write("shared", COPPICE_TRY(evaluation_->score(&*adapter_))));
  const std::uint32_t every = parts_.scenario.report.adapters_every;
  if (folder_ && (!more_rounds() || (every > 0 && state_.rounds % every == 0))) {
    const fs::path folder = folder_->path() / "adapters" / cat("round-", state_.rounds);
    const LoadedAdapter stored{*adapter_, AdapterFormat::kPeft, true};
    const PeftWriteOptions options{.base_model = facts_.base_name};
    COPPICE_TRY(save_adapter(folder / "peft", stored, AdapterFormat::kPeft, options));
    COPPICE_TRY(save_adapter(folder / "adapter.gguf", stored, AdapterFormat::kGguf, options));
  }
  if (!more_rounds() && parts_.scenario.report.centralized) {
    const Adapter first = COPPICE_TRY(first_adapter());
    const std::uint32_t clusters = cluster_count(parts_.scenario.fleet);
    const Adapter start = clusters > 1 ? slice_of(first, clusters, 0) : first;
    pooled_ = COPPICE_TRY(evaluation_->train_centralized(start, state_.tokens));
    COPPICE_TRY(write("centralized", COPPICE_TRY(evaluation_->score(&*pooled_))));
  }
  return {};
}

Result<void> Simulation::evaluate_clients() {
  const Scenario& scenario = parts_.scenario;
  const auto scores =
      COPPICE_TRY(evaluation_->score_clients({.adapter = *adapter_,
                                              .hash = sha256(state_.adapter),
                                              .rounds = state_.rounds,
                                              .kept = kept_.get(),
                                              .centralized = pooled_ ? &*pooled_ : nullptr}));
  for (const ClientScore& score : scores) {
    Json event{{"event", "client"},
               {"round", state_.rounds},
               {"client", score.client},
               {"name", data_->name(score.client)},
               {"class", population_->class_of(score.client % population_->size()).name},
               {"seen", !data_->unseen(score.client)},
               {"train_bytes", score.train_bytes},
               {"report_bytes", score.report.bytes},
               {"base", score.report.base},
               {"shared", score.report.shared}};
    if (score.report.personal) event["personal"] = *score.report.personal;
    if (score.local) event["local"] = *score.local;
    if (score.centralized) event["centralized"] = *score.centralized;
    event["served"] = served_name(score.gate.served);
    event["harmed"] = score.harmed();
    if (is_hostile(scenario.attack, scenario.seed, score.client)) event["hostile"] = true;
    COPPICE_TRY(add_event(event));
  }
  return {};
}

std::uint64_t Simulation::hostile_devices() const {
  std::uint64_t count = 0;
  for (DeviceNumber device = 0; device < population_->size(); ++device) {
    count += is_hostile(parts_.scenario.attack, parts_.scenario.seed, device) ? 1 : 0;
  }
  return count;
}

Result<void> Simulation::conclude() {
  if (evaluation_) COPPICE_TRY(evaluate_clients());
  state_.ended = true;
  Json event{{"event", "end"}, {"rounds", state_.rounds}, {"released", state_.releases.size()}};
  event.update(totals(state_));
  event.erase("round");
  if (has_noise(parts_.scenario.fleet)) {
    event["epsilon"] = COPPICE_TRY(ledger_.epsilon(parts_.scenario.fleet.privacy.delta));
  }
  if (parts_.scenario.attack.kind != AttackKind::kNone) event["hostile"] = hostile_devices();
  event["reason"] = end_.reason;
  return add_event(event);
}

} // namespace coppice
