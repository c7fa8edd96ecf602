// SPDX-License-Identifier: Apache-2.0
#include "client/plan_check.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {
namespace {

std::optional<std::string> below_floor(const RoundPlan& plan, const OwnerFloors& floors) {
  if (floors.require_secure_aggregation && !plan.sum.secure_aggregation) {
    return "the plan has no secure aggregation, which the owner requires";
  }
  // What is hidden is hidden in the sum of a group.
  const std::uint32_t fewest =
      plan.sum.secure_aggregation ? plan.sum.group_survivors() : plan.sum.min_survivors;
  if (fewest < floors.min_survivors) {
    return cat("the plan would release a sum over ", fewest, " devices, the owner's floor is ",
               floors.min_survivors);
  }
  const std::uint32_t limit_s = floors.max_minutes * 60;
  if (limit_s > 0 && (plan.recipe.max_seconds == 0 || plan.recipe.max_seconds > limit_s)) {
    return cat("the plan may train for longer than the owner's ", floors.max_minutes, " minutes");
  }
  return std::nullopt;
}

// Where privacy is promised: the owner's limits, and that nothing is spent twice or forgotten.
std::optional<std::string> privacy_refusal(const RoundPlan& plan, const OwnerFloors& floors,
                                           const DeviceMarks& marks) {
  const PrivacyTerms& privacy = plan.privacy;
  if (privacy.cumulative_epsilon < marks.cumulative_epsilon) {
    return cat("the plan says that epsilon ", fixed(privacy.cumulative_epsilon, 3),
               " is spent in all, and this device has seen ", fixed(marks.cumulative_epsilon, 3));
  }
  if (privacy.noise == NoiseKind::kNone) return std::nullopt;
  if (privacy.cumulative_epsilon > floors.max_epsilon) {
    return cat("the plan spends privacy up to epsilon ", fixed(privacy.cumulative_epsilon, 2),
               ", the owner's limit is ", fixed(floors.max_epsilon, 2));
  }
  if (privacy.noise_multiplier < floors.min_noise_multiplier) {
    return cat("the plan's noise multiplier is ", fixed(privacy.noise_multiplier, 3),
               ", the owner's floor is ", fixed(floors.min_noise_multiplier, 3));
  }
  const std::uint64_t last = marks.round.highest_round.value; // the same round again is fine
  if (last > 0 && plan.round.value > last && plan.round.value - last < privacy.min_separation) {
    return cat("this device took part in round ", last,
               ", and the plan's accounting lets it again ", privacy.min_separation,
               " rounds later");
  }
  return std::nullopt;
}

} // namespace

std::vector<std::string> supported_features() { return {kFeatureSecureAggregation}; }

std::optional<std::string> plan_refusal(const RoundPlan& plan, const Membership& membership,
                                        const SharedAdapter& shared, const OwnerFloors& floors,
                                        const DeviceMarks& marks) {
  if (plan.fleet != membership.fleet) return "the plan is of another fleet";
  // An earlier one is a round that began before the keys were rotated.
  if (plan.key_set > membership.keys.number) return "the plan names a later key set";
  if (plan.test) return "the plan is marked test, and this is a real device";
  if (plan.base_hash != membership.base_hash) return "the plan is for another base model";
  if (plan.epoch < shared.release.epoch) return "the plan is of an epoch that is past";
  if (plan.adapter_hash != shared.release.adapter_hash || plan.parent != shared.release.version) {
    return cat("the plan starts from release ", plan.parent, ", this device holds ",
               shared.release.version);
  }
  const auto known = supported_features();
  for (const std::string& feature : plan.required_features) {
    if (std::ranges::find(known, feature) == known.end()) {
      return cat("the plan needs the feature '", feature, "'; update coppice");
    }
  }
  if (const auto valid = plan.validate(shared.adapter.spec()); !valid.ok()) {
    return valid.error().message;
  }
  if (auto low = below_floor(plan, floors)) return low;
  return privacy_refusal(plan, floors, marks);
}

} // namespace coppice
