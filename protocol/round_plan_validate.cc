// SPDX-License-Identifier: Apache-2.0
// What a plan may ask for; its slots are checked in plan_encoding.cc.
#include <cmath>

#include "base/text.h"
#include "protocol/plan_encoding.h"
#include "protocol/round_plan.h"

namespace coppice {
namespace {

constexpr std::size_t kEnvelopeRoom = 1024; // a plan travels in an offer, that in an envelope

bool positive(double value) { return std::isfinite(value) && value > 0; }
bool not_negative(double value) { return std::isfinite(value) && value >= 0; }

Result<void> check_recipe(const Recipe& recipe) {
  if (!positive(recipe.learning_rate)) {
    return plan_refusal("recipe.learning_rate", "is ", recipe.learning_rate,
                        "; it must be above 0");
  }
  if (!not_negative(recipe.weight_decay) || !not_negative(recipe.max_gradient_norm) ||
      !not_negative(recipe.proximal_mu)) {
    return plan_refusal("recipe", "has a weight_decay, max_gradient_norm or proximal_mu below 0");
  }
  if (recipe.max_steps == 0 && recipe.max_tokens == 0) {
    return plan_refusal("recipe", "has no end: set max_steps or max_tokens");
  }
  if (recipe.window < 2 || recipe.batch_tokens == 0) {
    return plan_refusal("recipe", "trains nothing: window is ", recipe.window, " and batch_tokens ",
                        recipe.batch_tokens);
  }
  if (!recipe.train_a && !recipe.train_b) return plan_refusal("recipe", "trains neither A nor B");
  if (!recipe.share_a && !recipe.share_b) return plan_refusal("recipe", "shares neither A nor B");
  const FactorChoice own = own_factors(recipe);
  if ((own.a || own.b) && recipe.trained_rank != 0) {
    return plan_refusal("recipe.trained_rank", "is ", recipe.trained_rank,
                        ", and devices keep a factor of their own, which they train whole");
  }
  if (recipe.core && (recipe.train_a || recipe.share_a || recipe.trained_rank != 0 ||
                      recipe.correction != DriftCorrection::kNone)) {
    return plan_refusal("recipe.core", "is set, and more than the core of B is trained or sent");
  }
  if (recipe.clusters == 0 || recipe.clusters > limits::kClusters) {
    return plan_refusal("recipe.clusters", "is ", recipe.clusters, "; there are from 1 to ",
                        limits::kClusters);
  }
  if (recipe.clusters > 1 && (own.a || own.b || recipe.core || recipe.trained_rank != 0 ||
                              recipe.correction != DriftCorrection::kNone)) {
    return plan_refusal(
        "recipe.clusters", "is ", recipe.clusters,
        ", and devices keep factors or corrections of their own, or train some ranks "
        "only, which belong to no cluster");
  }
  if (recipe.correction == DriftCorrection::kDynamic && !positive(recipe.proximal_mu)) {
    return plan_refusal("recipe.correction", "is dynamic; it divides by proximal_mu, which is ",
                        recipe.proximal_mu);
  }
  if (recipe.correction == DriftCorrection::kControlVariate &&
      (recipe.optimizer != LocalOptimizer::kSgd || recipe.momentum != 0 ||
       !recipe.normalize_by_steps)) {
    return plan_refusal("recipe.correction",
                        "reads mean gradients off deltas, which needs the optimizer "
                        "SGD without momentum, and normalize_by_steps");
  }
  if (!(recipe.loss_power >= 0 && recipe.loss_power <= 10)) {
    return plan_refusal("recipe.loss_power", "is ", recipe.loss_power, "; it must be from 0 to 10");
  }
  if (!(recipe.momentum >= 0 && recipe.momentum < 1)) {
    return plan_refusal("recipe.momentum", "is ", recipe.momentum,
                        "; it must be from 0 to below 1");
  }
  if (recipe.examples_per_weight == 0) {
    return plan_refusal("recipe.examples_per_weight", "is 0; it divides");
  }
  if (recipe.normalize_by_steps && planned_steps(recipe) == 0) {
    return plan_refusal("recipe.normalize_by_steps", "needs max_steps or max_tokens");
  }
  return {};
}

Result<void> check_features(const RoundPlan& plan) {
  const auto& features = plan.required_features;
  if (features.size() > limits::kFeatures) {
    return plan_refusal("required_features", "number ", features.size(), ", at most ",
                        limits::kFeatures);
  }
  for (const std::string& feature : features) {
    if (feature.empty() || feature.size() > limits::kSlotName) {
      return plan_refusal("required_features", "have a name of ", feature.size(), " bytes");
    }
  }
  // A device that doesn't know how must decline by name, not upload in the clear under such a plan.
  if (plan.sum.secure_aggregation &&
      std::find(features.begin(), features.end(), kFeatureSecureAggregation) == features.end()) {
    return plan_refusal("sum.secure_aggregation", "is set without requiring the feature '",
                        kFeatureSecureAggregation, "'");
  }
  return {};
}

} // namespace

Result<void> check_sum_terms(const SumTerms& sum) {
  if (sum.cohort == 0 || sum.cohort > limits::kClients) {
    return plan_refusal("sum.cohort", "is ", sum.cohort, "; it must be from 1 to ",
                        limits::kClients);
  }
  // With late uploads of earlier rounds more can come than are asked.
  const std::uint32_t most = sum.max_staleness > 0 ? limits::kClients : sum.cohort;
  if (sum.goal == 0 || sum.goal > most) {
    return plan_refusal("sum.goal", "is ", sum.goal, "; it must be from 1 to ",
                        sum.max_staleness > 0 ? "" : "the cohort's ", most);
  }
  if (sum.min_survivors == 0 || sum.min_survivors > sum.goal) {
    return plan_refusal("sum.min_survivors", "is ", sum.min_survivors,
                        "; it must be from 1 to the goal's ", sum.goal);
  }
  if (sum.max_weight == 0 || sum.max_weight > limits::kMaxWeight) {
    return plan_refusal("sum.max_weight", "is ", sum.max_weight, "; it must be from 1 to ",
                        limits::kMaxWeight);
  }
  if (sum.groups == 0 || sum.groups > sum.cohort) {
    return plan_refusal("sum.groups", "is ", sum.groups, "; it must be from 1 to the cohort's ",
                        sum.cohort);
  }
  if (sum.groups > 1 && sum.secure_aggregation && sum.smallest_group() < kMinMembers) {
    return plan_refusal("sum.groups", "of ", sum.groups, " leave groups of ", sum.smallest_group(),
                        " devices; secure aggregation hides a device among ", kMinMembers,
                        " at least: make the cohort or strategy.bucket larger");
  }
  if (sum.max_staleness > limits::kStaleness) {
    return plan_refusal("sum.max_staleness", "is ", sum.max_staleness, ", at most ",
                        limits::kStaleness);
  }
  if (sum.max_staleness > 0 && (sum.secure_aggregation || sum.groups > 1)) {
    return plan_refusal("sum.max_staleness", "is ", sum.max_staleness,
                        ", and masks, or groups of devices, are those of one round's uploads");
  }
  return {};
}

namespace {

// What late uploads and clusters can't be combined with beside the sum's own terms.
Result<void> check_combinations(const RoundPlan& plan, const AdapterSpec& spec) {
  const bool noise = plan.privacy.noise != NoiseKind::kNone;
  const FactorChoice own = own_factors(plan.recipe);
  if (plan.sum.max_staleness > 0 &&
      (noise || own.a || own.b || plan.recipe.correction != DriftCorrection::kNone ||
       plan.encoding.error_feedback || plan.encoding.turn.turns > 1)) {
    return plan_refusal(
        "sum.max_staleness", "is ", plan.sum.max_staleness,
        ", and noise, turns, or what devices keep between rounds, needs every upload in "
        "its own round");
  }
  if (plan.encoding.error_feedback && (plan.recipe.core || plan.recipe.clusters > 1)) {
    return plan_refusal(
        "encoding.error_feedback",
        "keeps values of one round for the next, and those of a core or a cluster are "
        "others by then");
  }
  if (plan.recipe.clusters > 1 && noise) {
    return plan_refusal(
        "recipe.clusters", "is ", plan.recipe.clusters,
        ", and how many devices are in each would have to be noised and divided by");
  }
  for (const AdapterTarget& target : spec.targets) {
    if (target.rank % plan.recipe.clusters == 0) continue;
    return plan_refusal("recipe.clusters", "is ", plan.recipe.clusters,
                        ", which doesn't divide rank ", target.rank, " of ", target.tensor);
  }
  return {};
}

} // namespace

Result<void> RoundPlan::validate(const AdapterSpec& spec) const {
  if (protocol_version < limits::kOldestProtocolVersion ||
      protocol_version > limits::kProtocolVersion) {
    return plan_refusal("protocol_version", "is ", protocol_version, "; this program speaks ",
                        limits::kProtocolVersion);
  }
  if (round.value == 0) return plan_refusal("round", "is 0; rounds count from 1");
  COPPICE_TRY(check_sum_terms(sum));
  COPPICE_TRY(check_features(*this));
  COPPICE_TRY(check_recipe(recipe));
  COPPICE_TRY(check_combinations(*this, spec));
  COPPICE_TRY(check_encoding(*this, spec));
  COPPICE_TRY(check_noise(*this));
  if (!positive(clip_norm))
    return plan_refusal("clip_norm", "is ", clip_norm, "; it must be above 0");
  if (!not_negative(privacy.cumulative_epsilon)) {
    return plan_refusal("privacy.cumulative_epsilon", "is ", privacy.cumulative_epsilon);
  }
  if (deadline.count <= 0 || deadline.count > limits::kLongestRoundMs) {
    return plan_refusal("deadline", "is ", deadline, "; it must be from 1 to ",
                        limits::kLongestRoundMs);
  }
  const std::size_t size = encode().size();
  if (size + kEnvelopeRoom > limits::kControlFrameBytes) {
    return plan_refusal("slots", "make it ", size, " bytes long, over the control socket's ",
                        limits::kControlFrameBytes, "; adapt fewer modules");
  }
  return {};
}

} // namespace coppice
