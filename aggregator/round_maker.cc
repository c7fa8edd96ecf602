// SPDX-License-Identifier: Apache-2.0
#include "aggregator/round_maker.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "adapters/adapter_file.h"
#include "aggregator/patch.h"
#include "aggregator/version_zero.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "protocol/plan_encoding.h"
#include "protocol/round_mechanism.h"
#include "protocol/shared_values.h"

namespace coppice {

namespace {

Turn turn_of(const AggregatorSettings& settings, RoundId round) {
  if (settings.round.codec != UploadCodec::kTopK) return {};
  return turn_of_round(settings.training.seed, round.value, turns_of_share(settings.round.top_k));
}

} // namespace

Result<RoundPlan> make_plan(const FleetFacts& facts, const AggregatorSettings& settings,
                            const Strategy& strategy, const AdapterSpec& spec,
                            const PlanInputs& inputs) {
  RoundPlan plan;
  plan.fleet = facts.fleet;
  plan.key_set = inputs.key_set;
  plan.epoch = inputs.epoch;
  plan.round = inputs.round;
  plan.base_hash = facts.base_hash;
  plan.adapter_hash = inputs.adapter_hash;
  plan.parent = inputs.parent;
  plan.test = facts.test;
  plan.recipe = settings.training;
  plan.clip_norm = settings.round.clip_norm;
  plan.deadline = settings.round.deadline;
  plan.sum.cohort = inputs.cohort;
  plan.sum.goal =
      std::max(settings.round.min_survivors,
               static_cast<std::uint32_t>(std::ceil(settings.round.goal_fraction * inputs.cohort)));
  plan.sum.min_survivors = settings.round.min_survivors;
  plan.sum.max_weight =
      settings.training.weight_by == WeightBy::kUniform ? 1 : settings.round.max_weight;
  plan.sum.secure_aggregation = settings.round.secure_aggregation;
  if (plan.sum.secure_aggregation) {
    plan.required_features.emplace_back(kFeatureSecureAggregation);
    plan.sum.corrupt_fraction = settings.round.graph.corrupt;
    plan.sum.dropout_fraction = settings.round.graph.dropout;
    plan.sum.server = settings.round.graph.server;
  }
  plan.recipe.trained_rank = COPPICE_TRY(trained_rank(spec, patch_rank(settings)));
  COPPICE_TRY(check_shape(spec, settings));
  strategy.prepare(plan);
  const bool noise = settings.privacy.noise != NoiseKind::kNone;
  if (noise) plan.privacy = inputs.privacy;
  // The seed of the rotation is public; it follows from the round, which nobody chooses.
  COPPICE_TRY(choose_encoding(plan, spec,
                              {.bits = COPPICE_TRY(RingBits::make(settings.round.ring_bits)),
                               .element_bound = settings.round.element_bound,
                               .whole_vector = noise || settings.round.rotate,
                               .rotate = settings.round.rotate,
                               .rotation_seed = KeyedRandom({.experiment = plan.recipe.seed,
                                                             .round = plan.round.value,
                                                             .purpose = RandomPurpose::kRotation})
                                                    .next_u64(),
                               .count_clipped = settings.privacy.clip_quantile > 0,
                               .noise_multiplier = noise ? plan.privacy.noise_multiplier : 0,
                               .levels = levels_of(settings.round.codec),
                               .turn = turn_of(settings, inputs.round),
                               .error_feedback = settings.round.keeps_feedback()}));
  plan.protocol_version = plan.needed_version();
  COPPICE_TRY(plan.validate(spec));
  return plan;
}

Result<double> planned_noise_multiplier(const FleetFacts& facts, const AggregatorSettings& settings,
                                        const Strategy& strategy, const AdapterSpec& spec,
                                        PlanInputs inputs) {
  const PrivacySettings& privacy = settings.privacy;
  std::uint64_t times = privacy.rounds;
  double longer = 1; // what banded noise adds to the sensitivity
  if (privacy.noise == NoiseKind::kBanded) {
    const std::uint64_t series = std::uint64_t{privacy.bands} * privacy.max_participations;
    times = (privacy.rounds + series - 1) / series;
    longer = COPPICE_TRY(BandedCoefficients::create(privacy.bands)).column_norm() *
             std::sqrt(privacy.max_participations);
  }
  const double continuous =
      COPPICE_TRY(noise_multiplier_for({.epsilon = privacy.epsilon,
                                        .delta = privacy.delta,
                                        .sampling_rate = inputs.privacy.sampling_rate,
                                        .rounds = times}));
  const auto plan_with = [&](double multiplier) {
    inputs.privacy.noise_multiplier = multiplier;
    return make_plan(facts, settings, strategy, spec, inputs);
  };
  const RoundPlan plan = COPPICE_TRY(
      least_noise(plan_with, continuous * longer,
                  {.epsilon = privacy.epsilon, .delta = privacy.delta, .times = times}));
  return plan.privacy.noise_multiplier;
}

namespace {

// The metric slots of all groups together; the weight and the deltas are each group's own.
struct MetricSums {
  std::vector<MetricMean> means;
  double reports = 1; // divides
  void add(std::size_t place, const Slot& slot, double sum) {
    // Late uploads' plans may have other metrics, if the settings changed since.
    if (place < means.size() && means[place].name != slot.name) return;
    if (place == means.size()) means.push_back({slot.name, slot.lowest});
    means[place].mean += sum / reports;
  }
};

Result<RoundSum> decode_group(const RoundPlan& plan, const Adapter& current,
                              std::span<const std::uint32_t> elements, MetricSums& metrics) {
  RoundSum sum;
  if (plan.ring_elements() > elements.size()) {
    return Error{ErrorCode::kInternal, "the sum is shorter than the plan's slots"};
  }
  std::size_t at = 0;
  std::size_t metric = 0;
  for (const Slot& slot : plan.slots) {
    const auto part = elements.subspan(at, slot.elements);
    at += slot.elements;
    if (slot.kind == SlotKind::kDelta) continue;
    const double decoded = ring_decode(part, slot.bits, slot.scale).at(0);
    if (slot.kind == SlotKind::kWeight) {
      sum.weight = decoded;
      continue;
    }
    if (slot.name == kMetricSteps) sum.weighted_steps = decoded;
    if (slot.name == kMetricCurvature) sum.weighted_curvature = decoded;
    if (slot.name == cluster_metric(static_cast<std::uint32_t>(sum.cluster_weights.size()))) {
      sum.cluster_weights.push_back(decoded);
    }
    metrics.add(metric++, slot, decoded);
  }
  const std::size_t values = shared_count(current.spec(), plan.recipe);
  sum.delta =
      shared_in_place(plan.recipe, current,
                      spread_in_turn(decode_deltas(plan, elements), plan.encoding.turn, values));
  return sum;
}

// How stale they are follows from the versions that the plans start from.
Result<std::vector<RoundSum>> decode_late(const RoundPlan& plan, const Adapter& current,
                                          std::span<const LateSum> late, MetricSums& metrics) {
  std::vector<RoundSum> sums;
  for (const LateSum& from : late) {
    if (from.plan->parent > plan.parent) {
      return Error{ErrorCode::kInternal, "a late upload started from a later release"};
    }
    sums.push_back(COPPICE_TRY(decode_group(*from.plan, current, from.elements, metrics)));
    sums.back().participants = from.participants;
    sums.back().staleness = static_cast<std::uint32_t>(plan.parent.value - from.plan->parent.value);
  }
  return sums;
}

} // namespace

Result<RoundOutcome> finish_round(const RoundPlan& plan, const Strategy& strategy,
                                  const CountedSums& sums, const Adapter& current,
                                  StrategyState& state) {
  const bool noise = plan.privacy.noise != NoiseKind::kNone;
  std::uint32_t participants =
      std::accumulate(sums.participants.begin(), sums.participants.end(), 0U);
  for (const LateSum& late : sums.late) participants += late.participants;
  MetricSums metrics;
  metrics.reports = noise ? plan.privacy.expected_cohort : std::max(1U, participants);
  std::vector<RoundSum> groups;
  const std::size_t elements = sums.elements.size() / std::max<std::size_t>(1, plan.sum.groups);
  for (std::uint32_t group = 0; group < plan.sum.groups; ++group) {
    if (sums.participants[group] == 0 && plan.sum.groups > 1) continue; // nobody came
    groups.push_back(COPPICE_TRY(
        decode_group(plan, current, sums.elements.subspan(group * elements, elements), metrics)));
    groups.back().participants = sums.participants[group];
    // With noise the divisors are the expected cohort, never who came.
    if (noise) groups.back().weight = plan.privacy.expected_cohort;
  }
  auto late = COPPICE_TRY(decode_late(plan, current, sums.late, metrics));
  StrategyState next_state = state;
  next_state.rounds += 1;
  StepEncoder encoder(current.spec());
  COPPICE_TRY(strategy.step_by_slot({plan, groups, current, &metrics.means, late}, next_state,
                                    [&](auto slot) { return encoder.add(slot); }));
  EncodedStep encoded = COPPICE_TRY(std::move(encoder).finish());
  groups.clear(); // the largest of all this
  late.clear();
  Adapter next = current;
  COPPICE_TRY(apply_step(next, encoded));
  Bytes control = control_content(plan.recipe, current, next_state);
  state = std::move(next_state);
  return RoundOutcome{std::move(next), std::move(encoded), participants, std::move(metrics.means),
                      std::move(control)};
}

Bytes control_content(const Recipe& recipe, const Adapter& current, const StrategyState& state) {
  if (recipe.correction != DriftCorrection::kControlVariate) return {};
  const std::vector<float> control = state.control();
  Adapter shaped(current.shared_spec());
  if (control.size() != shaped.values().size()) return {}; // before the first round
  std::ranges::copy(control, shaped.values().begin());
  return serialize_adapter(shaped);
}

ReleaseContent make_release(const ReleaseInputs& inputs, const Adapter& adapter,
                            const EncodedStep* step, const SigningKey& key) {
  ReleaseContent content;
  content.adapter = serialize_adapter(adapter);
  if (step != nullptr) content.step = serialize_step(*step);
  Release& release = content.release;
  release.fleet = inputs.facts.fleet;
  release.epoch = inputs.epoch;
  release.version = inputs.version;
  release.reason = inputs.reason;
  release.parent_hash = inputs.parent_hash;
  release.adapter_hash = sha256(content.adapter);
  release.adapter_bytes = content.adapter.size();
  if (step != nullptr) {
    release.step_hash = sha256(content.step);
    release.step_bytes = content.step.size();
  }
  content.control = inputs.control;
  if (!content.control.empty()) {
    release.control_hash = sha256(content.control);
    release.control_bytes = content.control.size();
  }
  release.base_hash = inputs.facts.base_hash;
  release.spec_hash = sha256(adapter.spec().encode());
  release.round = inputs.round;
  release.plan_hash = inputs.plan_hash;
  release.participants = inputs.participants;
  release.cumulative_epsilon = inputs.cumulative_epsilon;
  release.reverted_to = inputs.reverted_to;
  release.test = inputs.facts.test;
  release.created = inputs.created;
  release.last_revert = inputs.last_revert;
  content.signed_release = sign_release(key, release);
  return content;
}

} // namespace coppice
