// SPDX-License-Identifier: Apache-2.0
// What a plan may ask for: its slots, and that no sum of its uploads can wrap.
#include <cmath>

#include "base/text.h"
#include "protocol/round_plan.h"

namespace coppice {
namespace {

constexpr double kFewestLevels = 8; // on each side of zero: coarser steps teach nothing
constexpr RingBits kScalarBits{32}; // of weight and metrics: one element each, so width is free
constexpr std::size_t kEnvelopeRoom = 1024; // a plan travels in an offer, that in an envelope

struct Metric {
  const char* name;
  double lowest;
  double highest;
};
constexpr Metric kMetrics[] = {
    {kMetricLossBefore, 0,
     20}, // ln(vocabulary) is about 12 for the largest: 20 is worse than chance
    {kMetricLossAfter, 0, 20},
    {kMetricReleaseKept, 0, 1},
    {kMetricExamples, 0, 1e6},
};

Error refused(std::string_view field, const auto&... words) {
  return {ErrorCode::kInvalidArgument, cat("the plan's ", field, " ", words...)};
}

bool positive(double value) { return std::isfinite(value) && value > 0; }
bool not_negative(double value) { return std::isfinite(value) && value >= 0; }

// The largest magnitude that a slot's value has when it is scaled: metrics are shifted to start at
// 0.
double bound_of(const Slot& slot) {
  if (slot.kind == SlotKind::kMetric) return slot.highest - slot.lowest;
  return std::max(std::abs(slot.lowest), std::abs(slot.highest));
}

// Deltas are multiplied by the device's weight; the weight itself and metrics aren't.
double largest_scale(const Slot& slot, const SumTerms& sum) {
  const std::uint64_t weight = slot.kind == SlotKind::kDelta ? sum.max_weight : 1;
  return largest_safe_scale(slot.bits, sum.cohort, weight, bound_of(slot));
}

// Names, kinds and elements of the slots, without bounds and scales, or the first thing too large.
Result<std::vector<Slot>> slot_shapes(const AdapterSpec& spec) {
  COPPICE_TRY(spec.validate());
  if (spec.parameters() > limits::kParameters) {
    return refused("slots", "hold ", spec.parameters(), " parameters, at most ",
                   limits::kParameters,
                   " may leave a device; lower the rank or the number of targets");
  }
  std::vector<Slot> slots;
  const auto add = [&slots](std::string name, SlotKind kind, std::size_t elements) {
    slots.push_back({.name = std::move(name),
                     .kind = kind,
                     .elements = static_cast<std::uint32_t>(elements),
                     .bits = kScalarBits});
  };
  for (const AdapterTarget& target : spec.targets) {
    add(target.tensor + ".lora_a", SlotKind::kDelta, target.a_elements());
    add(target.tensor + ".lora_b", SlotKind::kDelta, target.b_elements());
  }
  add("weight", SlotKind::kWeight, 1);
  for (const Metric& metric : kMetrics) {
    add(metric.name, SlotKind::kMetric, 1);
    slots.back().lowest = metric.lowest;
    slots.back().highest = metric.highest;
  }
  if (slots.size() > limits::kSlots) {
    return refused("slots", "number ", slots.size(), ", at most ", limits::kSlots,
                   " are allowed; adapt fewer modules");
  }
  for (const Slot& slot : slots) {
    if (slot.name.size() > limits::kSlotName) {
      return refused("slots", "have a name of over ", limits::kSlotName, " bytes: ", slot.name);
    }
  }
  return slots;
}

Result<void> check_sum_terms(const SumTerms& sum) {
  if (sum.cohort == 0 || sum.cohort > limits::kClients) {
    return refused("sum.cohort", "is ", sum.cohort, "; it must be from 1 to ", limits::kClients);
  }
  if (sum.goal == 0 || sum.goal > sum.cohort) {
    return refused("sum.goal", "is ", sum.goal, "; it must be from 1 to the cohort's ", sum.cohort);
  }
  if (sum.min_survivors == 0 || sum.min_survivors > sum.goal) {
    return refused("sum.min_survivors", "is ", sum.min_survivors,
                   "; it must be from 1 to the goal's ", sum.goal);
  }
  if (sum.max_weight == 0 || sum.max_weight > limits::kMaxWeight) {
    return refused("sum.max_weight", "is ", sum.max_weight, "; it must be from 1 to ",
                   limits::kMaxWeight);
  }
  return {};
}

// Shape as the adapter has it, range as its kind has it, and a scale with which no sum can wrap.
Result<void> check_slot(const Slot& slot, const Slot& shape, const SumTerms& sum) {
  if (slot.name != shape.name || slot.kind != shape.kind || slot.elements != shape.elements) {
    return refused("slots", "hold '", slot.name, "' (", slot.elements, " elements) where '",
                   shape.name, "' (", shape.elements,
                   ") stands in the adapter's order; it is a plan for another adapter");
  }
  bool range_fits = std::isfinite(slot.lowest) && std::isfinite(slot.highest);
  switch (slot.kind) {
    case SlotKind::kDelta:
      range_fits = range_fits && slot.highest > 0 && slot.lowest == -slot.highest;
      break;
    case SlotKind::kWeight:
      range_fits = slot.lowest == 1 && slot.highest == sum.max_weight && slot.scale == 1;
      break;
    case SlotKind::kMetric:
      range_fits = slot.lowest == shape.lowest && slot.highest == shape.highest;
      break;
  }
  if (!range_fits) {
    return refused("slots", "give '", slot.name,
                   "' a range that its kind doesn't have: ", slot.lowest, " to ", slot.highest);
  }
  const double most = largest_scale(slot, sum);
  if (!positive(slot.scale) || slot.scale > most) {
    return refused("slots", "give '", slot.name, "' the scale ", slot.scale, "; a sum of ",
                   sum.cohort, " devices in ", slot.bits.value, " bits can't wrap up to ", most);
  }
  return {};
}

Result<void> check_slots(const RoundPlan& plan, const AdapterSpec& spec) {
  const std::vector<Slot> shapes = COPPICE_TRY(slot_shapes(spec));
  if (plan.slots.size() != shapes.size()) {
    return refused("slots", "number ", plan.slots.size(), "; the adapter's are ", shapes.size());
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    COPPICE_TRY(check_slot(plan.slots[i], shapes[i], plan.sum));
    bytes += packed_size(plan.slots[i].elements, plan.slots[i].bits);
  }
  if (bytes + kEnvelopeRoom > limits::kUploadBytes) {
    return refused("slots", "take ", human_bytes(static_cast<double>(bytes)),
                   " an upload; at most ", human_bytes(static_cast<double>(limits::kUploadBytes)),
                   " are taken");
  }
  return {};
}

Result<void> check_recipe(const Recipe& recipe) {
  if (!positive(recipe.learning_rate)) {
    return refused("recipe.learning_rate", "is ", recipe.learning_rate, "; it must be above 0");
  }
  if (!not_negative(recipe.weight_decay) || !not_negative(recipe.max_gradient_norm) ||
      !not_negative(recipe.proximal_mu)) {
    return refused("recipe", "has a weight_decay, max_gradient_norm or proximal_mu below 0");
  }
  if (recipe.max_steps == 0 && recipe.max_tokens == 0) {
    return refused("recipe", "has no end: set max_steps or max_tokens");
  }
  if (recipe.window < 2 || recipe.batch_tokens == 0) {
    return refused("recipe", "trains nothing: window is ", recipe.window, " and batch_tokens ",
                   recipe.batch_tokens);
  }
  if (!recipe.train_a && !recipe.train_b) return refused("recipe", "trains neither A nor B");
  if (recipe.examples_per_weight == 0) {
    return refused("recipe.examples_per_weight", "is 0; it divides");
  }
  return {};
}

Result<void> check_features(const RoundPlan& plan) {
  const auto& features = plan.required_features;
  if (features.size() > limits::kFeatures) {
    return refused("required_features", "number ", features.size(), ", at most ",
                   limits::kFeatures);
  }
  for (const std::string& feature : features) {
    if (feature.empty() || feature.size() > limits::kSlotName) {
      return refused("required_features", "have a name of ", feature.size(), " bytes");
    }
  }
  // A device that doesn't know how must decline by name, not upload in the clear under such a plan.
  if (plan.sum.secure_aggregation &&
      std::find(features.begin(), features.end(), kFeatureSecureAggregation) == features.end()) {
    return refused("sum.secure_aggregation", "is set without requiring the feature '",
                   kFeatureSecureAggregation, "'");
  }
  return {};
}

} // namespace

Result<void> RoundPlan::validate(const AdapterSpec& spec) const {
  if (protocol_version < limits::kOldestProtocolVersion ||
      protocol_version > limits::kProtocolVersion) {
    return refused("protocol_version", "is ", protocol_version, "; this program speaks ",
                   limits::kProtocolVersion);
  }
  if (round.value == 0) return refused("round", "is 0; rounds count from 1");
  COPPICE_TRY(check_sum_terms(sum));
  COPPICE_TRY(check_features(*this));
  COPPICE_TRY(check_slots(*this, spec));
  COPPICE_TRY(check_recipe(recipe));
  if (!positive(clip_norm)) return refused("clip_norm", "is ", clip_norm, "; it must be above 0");
  if (!not_negative(privacy.cumulative_epsilon)) {
    return refused("privacy.cumulative_epsilon", "is ", privacy.cumulative_epsilon);
  }
  if (deadline.count <= 0 || deadline.count > limits::kLongestRoundMs) {
    return refused("deadline", "is ", deadline, "; it must be from 1 to ", limits::kLongestRoundMs);
  }
  const std::size_t size = encode().size();
  if (size + kEnvelopeRoom > limits::kControlFrameBytes) {
    return refused("slots", "make it ", size, " bytes long, over the control socket's ",
                   limits::kControlFrameBytes, "; adapt fewer modules");
  }
  return {};
}

Result<std::vector<Slot>> make_slots(const AdapterSpec& spec, RingBits bits, double element_bound,
                                     const SumTerms& sum) {
  COPPICE_TRY(check_sum_terms(sum));
  if (!positive(element_bound)) {
    return refused("element bound", "is ", element_bound, "; it must be above 0");
  }
  std::vector<Slot> slots = COPPICE_TRY(slot_shapes(spec));
  for (Slot& slot : slots) {
    if (slot.kind == SlotKind::kDelta) {
      slot.bits = bits;
      slot.lowest = -element_bound;
      slot.highest = element_bound;
    } else if (slot.kind == SlotKind::kWeight) {
      slot.lowest = 1;
      slot.highest = sum.max_weight;
    }
    const double most = largest_scale(slot, sum);
    slot.scale = slot.kind == SlotKind::kWeight ? 1 : most;
    const double levels = most * bound_of(slot);
    if (slot.scale > most || (slot.kind == SlotKind::kDelta && levels < kFewestLevels)) {
      return refused("ring", "of ", slot.bits.value, " bits leaves '", slot.name, "' ",
                     fixed(levels, 1), " levels on each side of zero, for ", sum.cohort,
                     " devices with weights up to ", sum.max_weight, "; at least ", kFewestLevels,
                     " are needed: use more bits, a smaller cohort or a smaller max_weight");
    }
  }
  return slots;
}

} // namespace coppice
