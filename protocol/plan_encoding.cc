// SPDX-License-Identifier: Apache-2.0
#include "protocol/plan_encoding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "privacy/banded_noise.h"
#include "protocol/learning_rates.h"
#include "protocol/slot_shapes.h"

namespace coppice {
namespace {

constexpr double kFewestLevels = 8; // on each side of zero: coarser steps teach nothing
constexpr double kGaussianTail = 4; // Note [Bound of levels]
constexpr std::size_t kUploadRoom = 1024;
// With noise a metric's range is this many ring units: its sensitivity, fine enough for a mean.
constexpr double kNoisedMetricUnits = 1024;
// Of the noise's strength, z^-2, the share that all scalar slots together take from the deltas.
constexpr double kScalarShare = 0.1;
// Of the largest scale that the ring allows: room for variances that are rounded up to integers.
constexpr double kScaleTaken = 0.995;

bool positive(double value) { return std::isfinite(value) && value > 0; }

// The largest magnitude that a slot's value has when it is scaled: metrics are shifted to start at
// 0.
double bound_of(const Slot& slot) {
  if (slot.kind == SlotKind::kMetric) return slot.highest - slot.lowest;
  return std::max(std::abs(slot.lowest), std::abs(slot.highest));
}

// Value by value. Deltas are multiplied by the device's weight; the weight itself and metrics
// aren't.
double largest_slot_scale(const Slot& slot, const SumTerms& sum) {
  const std::uint64_t weight = slot.kind == SlotKind::kDelta ? sum.max_weight : 1;
  return largest_safe_scale(slot.bits, sum.cohort, weight, bound_of(slot));
}

// Bounds and scales of slots that are encoded value by value.
Result<void> fill_slot(Slot& slot, const SumTerms& sum, RingBits bits, double element_bound) {
  if (slot.kind == SlotKind::kDelta) {
    slot.bits = bits;
    slot.lowest = -element_bound;
    slot.highest = element_bound;
  } else if (slot.kind == SlotKind::kWeight) {
    slot.lowest = 1;
    slot.highest = sum.max_weight;
  }
  const double most = largest_slot_scale(slot, sum);
  slot.scale = slot.kind == SlotKind::kWeight ? 1 : most;
  const double levels = most * bound_of(slot);
  if (slot.scale > most || (slot.kind == SlotKind::kDelta && levels < kFewestLevels)) {
    return plan_refusal(
        "ring", "of ", slot.bits.value, " bits leaves '", slot.name, "' ", fixed(levels, 1),
        " levels on each side of zero, for ", sum.cohort, " devices with weights up to ",
        sum.max_weight, "; at least ", kFewestLevels,
        " are needed: use more bits, a smaller cohort, a smaller max_weight, or rotate");
  }
  return {};
}

// Note [Bound of levels].
double level_bound(const RoundPlan& plan) {
  const double typical = plan.clip_norm / std::sqrt(static_cast<double>(plan.delta_elements()));
  const double bound = std::min(plan.clip_norm, kGaussianTail * typical);
  const double rates = planned_rate_sum(plan.recipe);
  if (plan.recipe.optimizer == LocalOptimizer::kSgd || !(rates > 0)) return bound;
  return std::min(bound, rates);
}

// The delta slots, by Note [Levels].
Result<void> fill_levels(RoundPlan& plan, std::uint32_t levels, double bound) {
  const RingBits bits = COPPICE_TRY(fewest_ring_bits(levels, plan.sum.cohort, plan.sum.max_weight));
  for (Slot& slot : plan.slots) {
    if (slot.kind != SlotKind::kDelta) continue;
    slot.bits = bits;
    slot.lowest = -bound;
    slot.highest = bound;
    slot.scale = level_scale(levels, bound);
  }
  return {};
}

// What the ring must have room for; `noise_multiplier` is the delta slots' own.
HeadroomTerms headroom_terms(const RoundPlan& plan, std::uint64_t elements,
                             double noise_multiplier) {
  HeadroomTerms terms{.elements = elements,
                      .clients = plan.sum.cohort,
                      .max_weight = plan.sum.max_weight,
                      .clip = plan.clip_norm,
                      .rotated = plan.encoding.rotate};
  terms.noise_multiplier = noise_multiplier;
  return terms;
}

// Devices whose noise is in every sum that is released: of the fewest survivors, the honest ones.
double honest_survivors(const SumTerms& sum) {
  return sum.min_survivors - std::floor(sum.corrupt_fraction * sum.cohort);
}

// Each device's share, or the whole, for noise of variance `total` in the sum. Rounded up.
std::uint64_t slot_variance(const RoundPlan& plan, double total) {
  const double shares =
      noise_is_distributed(plan.privacy.noise) ? std::max(1.0, honest_survivors(plan.sum)) : 1;
  return static_cast<std::uint64_t>(std::ceil(total / shares));
}

// The most noise there can be in the sum, over what can be counted on: all devices survive.
double noise_excess(const RoundPlan& plan) {
  if (!noise_is_distributed(plan.privacy.noise)) return 1;
  return plan.sum.cohort / std::max(1.0, honest_survivors(plan.sum));
}

Result<void> fill_whole_vector(RoundPlan& plan, const EncodingWish& wish) {
  const std::size_t elements = plan.delta_elements();
  const double delta_noise = wish.noise_multiplier / std::sqrt(1 - kScalarShare);
  const ScaleChoice choice = largest_scale(
      wish.bits, headroom_terms(plan, elements, delta_noise * std::sqrt(noise_excess(plan))));
  const double scale = kScaleTaken * choice.scale;
  // One unit must be less than the rounding's own share of the norm, or it drowns the delta.
  const double least = least_norm_for_inflation(elements, 0.5) / plan.clip_norm;
  if (scale < least) {
    return plan_refusal("ring", "of ", wish.bits.value, " bits leaves a delta of ", elements,
                        " elements a scale of ", fixed(scale, 3), " for ", plan.sum.cohort,
                        " devices with weights up to ", plan.sum.max_weight, " and noise of ",
                        fixed(delta_noise, 2), "; at least ", fixed(least, 3),
                        " is needed: use more bits, a smaller cohort, or rotate");
  }
  const double norm = scale * plan.clip_norm * static_cast<double>(plan.sum.max_weight);
  plan.encoding.norm_bound_squared =
      static_cast<std::uint64_t>(std::floor(rounded_norm_squared(norm, elements)));
  for (Slot& slot : plan.slots) {
    if (slot.kind != SlotKind::kDelta) continue;
    slot.bits = wish.bits;
    slot.lowest = -plan.clip_norm;
    slot.highest = plan.clip_norm;
    slot.scale = scale;
  }
  return {};
}

Result<void> check_turn(Turn turn) {
  if (turn.turns == 0 || turn.turns > limits::kTurns || turn.turn >= turn.turns) {
    return plan_refusal("encoding.turn", "is ", turn.turn, " of ", turn.turns,
                        "; there are from 1 to ", limits::kTurns, " turns, counted from 0");
  }
  return {};
}

// What is sent in parts, or late, can't carry what these need.
Result<void> check_feedback(const RoundPlan& plan) {
  if (plan.encoding.turn.turns == 1 && !plan.encoding.error_feedback) return {};
  if (plan.delta_elements() == 0) {
    return plan_refusal("encoding.turn", "leaves no value to be sent: ", plan.encoding.turn.turns,
                        " turns are more than the adapter has values");
  }
  if (plan.privacy.noise != NoiseKind::kNone) {
    return plan_refusal("encoding",
                        "sends parts of a delta, or what earlier ones lost, and noise is "
                        "accounted for rounds that send all of it");
  }
  if (plan.recipe.correction != DriftCorrection::kNone) {
    return plan_refusal("encoding",
                        "sends parts of a delta, or what earlier ones lost, and corrections "
                        "of drift must move by the deltas that training made");
  }
  return {};
}

// What holds for the plan's delta slots as they are, noise included.
HeadroomStatement headroom_of(const RoundPlan& plan) {
  const Slot& first = plan.slots.front();
  HeadroomTerms terms = headroom_terms(plan, plan.delta_elements(), 0);
  terms.noise_deviation =
      std::sqrt(static_cast<double>(first.noise_variance) *
                (noise_is_distributed(plan.privacy.noise) ? plan.sum.cohort : 1));
  return headroom(first.bits, terms, first.scale);
}

// Note [Noise and slots].
void fill_noise(RoundPlan& plan, double noise_multiplier) {
  const auto scalars = std::ranges::count_if(
      plan.slots, [](const Slot& slot) { return slot.kind != SlotKind::kDelta; });
  const double strength = std::pow(noise_multiplier, -2);
  for (Slot& slot : plan.slots) {
    if (slot.kind == SlotKind::kMetric) slot.scale = kNoisedMetricUnits / bound_of(slot);
    const double share = slot.kind == SlotKind::kDelta
                             ? 1 - kScalarShare
                             : kScalarShare / static_cast<double>(scalars);
    slot.noise_variance =
        slot_variance(plan, slot_sensitivity_squared(plan, slot) / (strength * share));
  }
  plan.privacy.noise_multiplier = noise_multiplier;
}

// Shape as the adapter has it, range as its kind has it, and a scale with which no sum can wrap.
Result<void> check_slot(const RoundPlan& plan, const Slot& slot, const Slot& shape) {
  if (slot.name != shape.name || slot.kind != shape.kind || slot.elements != shape.elements) {
    return plan_refusal("slots", "hold '", slot.name, "' (", slot.elements, " elements) where '",
                        shape.name, "' (", shape.elements,
                        ") stands in the adapter's order; it is a plan for another adapter");
  }
  bool range_fits = std::isfinite(slot.lowest) && std::isfinite(slot.highest);
  switch (slot.kind) {
    case SlotKind::kDelta:
      range_fits = range_fits && slot.highest > 0 && slot.lowest == -slot.highest;
      break;
    case SlotKind::kWeight:
      range_fits = slot.lowest == 1 && slot.highest == plan.sum.max_weight && slot.scale == 1;
      break;
    case SlotKind::kMetric:
      range_fits = slot.lowest == shape.lowest && slot.highest == shape.highest;
      break;
  }
  if (!range_fits) {
    return plan_refusal("slots", "give '", slot.name,
                        "' a range that its kind doesn't have: ", slot.lowest, " to ",
                        slot.highest);
  }
  if (slot.kind == SlotKind::kDelta && encodes_whole_vector(plan)) return {};
  const double most = largest_slot_scale(slot, plan.sum);
  if (!positive(slot.scale) || slot.scale > most) {
    return plan_refusal("slots", "give '", slot.name, "' the scale ", slot.scale, "; a sum of ",
                        plan.sum.cohort, " devices in ", slot.bits.value, " bits can't wrap up to ",
                        most);
  }
  return {};
}

Result<void> check_whole_vector(const RoundPlan& plan) {
  const Slot& first = plan.slots.front();
  for (const Slot& slot : plan.slots) {
    if (slot.kind != SlotKind::kDelta) continue;
    if (slot.scale != first.scale || slot.bits != first.bits || slot.highest != plan.clip_norm ||
        slot.noise_variance != first.noise_variance) {
      return plan_refusal("slots", "give '", slot.name, "' another encoding than '", first.name,
                          "'; all deltas are one vector here");
    }
  }
  const std::size_t elements = plan.delta_elements();
  const double bound = static_cast<double>(plan.encoding.norm_bound_squared);
  const double norm = first.scale * plan.clip_norm * static_cast<double>(plan.sum.max_weight);
  if (!positive(first.scale) || norm > kLargestScaledNorm ||
      bound < std::floor(rounded_norm_squared(norm, elements))) {
    return plan_refusal("encoding.norm_bound_squared", "is ", plan.encoding.norm_bound_squared,
                        ", below what rounding a delta of ", fixed(norm, 1), " units needs");
  }
  const HeadroomStatement holds = headroom_of(plan);
  const bool as_stated = plan.encoding.wrap_bits == 0
                             ? holds.certain
                             : plan.encoding.wrap_bits >= limits::kWrapBits &&
                                   holds.log2_wrap_probability <= -plan.encoding.wrap_bits;
  if (as_stated) return {};
  return plan_refusal(
      "encoding.wrap_bits", "promises ", plan.encoding.wrap_bits, " (0: certain), and a sum of ",
      plan.sum.cohort, " devices in ", first.bits.value, " bits wraps with up to 2^",
      fixed(holds.log2_wrap_probability, 1), "; at least ", limits::kWrapBits, " are asked for");
}

} // namespace

bool encodes_whole_vector(const RoundPlan& plan) { return plan.encoding.norm_bound_squared > 0; }

DeltaEncoding delta_encoding_of(const RoundPlan& plan, std::uint64_t weight) {
  const Slot& first = plan.slots.front();
  DeltaEncoding encoding{.clip = plan.clip_norm,
                         .scale = first.scale,
                         .bits = first.bits,
                         .weight = weight,
                         .norm_bound_squared = plan.encoding.norm_bound_squared,
                         .rotation_seed = std::nullopt};
  if (plan.encoding.rotate) encoding.rotation_seed = plan.encoding.rotation_seed;
  return encoding;
}

Result<std::vector<Slot>> make_slots(const AdapterSpec& spec, RingBits bits, double element_bound,
                                     const SumTerms& sum) {
  COPPICE_TRY(check_sum_terms(sum));
  if (!positive(element_bound)) {
    return plan_refusal("element bound", "is ", element_bound, "; it must be above 0");
  }
  std::vector<Slot> slots = COPPICE_TRY(slot_shapes(spec, Recipe{}, sum, {}));
  for (Slot& slot : slots) COPPICE_TRY(fill_slot(slot, sum, bits, element_bound));
  return slots;
}

Result<void> choose_encoding(RoundPlan& plan, const AdapterSpec& spec, const EncodingWish& wish) {
  COPPICE_TRY(check_sum_terms(plan.sum));
  plan.encoding = {.rotate = wish.rotate,
                   .rotation_seed = wish.rotate ? wish.rotation_seed : 0,
                   .count_clipped = wish.count_clipped,
                   .turn = wish.turn,
                   .error_feedback = wish.error_feedback};
  COPPICE_TRY(check_turn(plan.encoding.turn));
  plan.slots = COPPICE_TRY(slot_shapes(spec, plan.recipe, plan.sum, plan.encoding));
  const bool by_value = !wish.whole_vector && wish.levels == 0;
  for (Slot& slot : plan.slots) {
    if (!by_value && slot.kind == SlotKind::kDelta) continue;
    COPPICE_TRY(fill_slot(slot, plan.sum, wish.bits, wish.element_bound));
  }
  if (!wish.whole_vector && !by_value) {
    return fill_levels(plan, wish.levels,
                       wish.element_bound > 0 ? wish.element_bound : level_bound(plan));
  }
  if (!wish.whole_vector) return {};
  COPPICE_TRY(fill_whole_vector(plan, wish));
  if (plan.privacy.noise != NoiseKind::kNone) fill_noise(plan, wish.noise_multiplier);
  const HeadroomStatement holds = headroom_of(plan);
  plan.encoding.wrap_bits = holds.certain ? 0 : std::floor(-holds.log2_wrap_probability);
  return check_noise(plan);
}

Result<void> check_encoding(const RoundPlan& plan, const AdapterSpec& spec) {
  COPPICE_TRY(check_turn(plan.encoding.turn));
  COPPICE_TRY(check_feedback(plan));
  const std::vector<Slot> shapes =
      COPPICE_TRY(slot_shapes(spec, plan.recipe, plan.sum, plan.encoding));
  if (plan.slots.size() != shapes.size()) {
    return plan_refusal("slots", "number ", plan.slots.size(), "; the adapter's are ",
                        shapes.size());
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    COPPICE_TRY(check_slot(plan, plan.slots[i], shapes[i]));
    bytes += packed_size(plan.slots[i].elements, plan.slots[i].bits);
  }
  if (bytes + kUploadRoom > limits::kUploadBytes) {
    return plan_refusal("slots", "take ", human_bytes(static_cast<double>(bytes)),
                        " an upload; at most ",
                        human_bytes(static_cast<double>(limits::kUploadBytes)), " are taken");
  }
  if (encodes_whole_vector(plan)) return check_whole_vector(plan);
  if (plan.encoding.rotate || plan.encoding.wrap_bits != 0) {
    return plan_refusal("encoding", "rotates deltas, or lets a sum wrap, without a norm bound");
  }
  return {};
}

std::vector<double> decode_deltas(const RoundPlan& plan, std::span<const std::uint32_t> elements) {
  if (encodes_whole_vector(plan)) {
    return decode_delta_sum(elements.first(plan.delta_elements()), delta_encoding_of(plan, 1));
  }
  std::vector<double> deltas;
  deltas.reserve(plan.delta_elements());
  for (const Slot& slot : plan.slots) {
    if (slot.kind == SlotKind::kDelta) {
      const auto decoded = ring_decode(elements.first(slot.elements), slot.bits, slot.scale);
      deltas.insert(deltas.end(), decoded.begin(), decoded.end());
    }
    elements = elements.subspan(slot.elements);
  }
  return deltas;
}

double slot_sensitivity_squared(const RoundPlan& plan, const Slot& slot) {
  if (slot.kind == SlotKind::kDelta) {
    return static_cast<double>(plan.encoding.norm_bound_squared);
  }
  const double units = slot.kind == SlotKind::kWeight ? 1 : std::ceil(bound_of(slot) * slot.scale);
  return units * units;
}

double sure_noise_variance(const RoundPlan& plan, const Slot& slot) {
  const auto variance = static_cast<double>(slot.noise_variance);
  if (!noise_is_distributed(plan.privacy.noise)) return variance;
  return variance * std::max(0.0, honest_survivors(plan.sum));
}

double sure_noise_multiplier(const RoundPlan& plan) {
  double strength = 0;
  bool deltas_counted = false;
  for (const Slot& slot : plan.slots) {
    if (slot.kind == SlotKind::kDelta && std::exchange(deltas_counted, true)) continue;
    strength += slot_sensitivity_squared(plan, slot) / sure_noise_variance(plan, slot);
  }
  return 1 / std::sqrt(strength);
}

Result<void> check_noise(const RoundPlan& plan) {
  const PrivacyTerms& privacy = plan.privacy;
  const bool noised =
      std::ranges::any_of(plan.slots, [](const Slot& slot) { return slot.noise_variance > 0; });
  if (privacy.noise == NoiseKind::kNone) {
    if (noised || privacy.noise_multiplier != 0) {
      return plan_refusal("privacy.noise", "is none, and noise is in its slots");
    }
    return {};
  }
  if (!plan.sum.secure_aggregation || !encodes_whole_vector(plan) || plan.sum.max_weight != 1) {
    return plan_refusal("privacy.noise",
                        "needs secure aggregation, a norm bound and uniform weights");
  }
  if (plan.sum.groups > 1) {
    return plan_refusal("sum.groups", "is ", plan.sum.groups,
                        ", and with noise the accounting is of one sum over all devices");
  }
  if (!positive(privacy.noise_multiplier) || !(privacy.delta > 0 && privacy.delta < 1) ||
      !(privacy.sampling_rate > 0 && privacy.sampling_rate <= 1) || privacy.expected_cohort == 0) {
    return plan_refusal("privacy",
                        "has a noise_multiplier, delta, sampling_rate or expected_cohort "
                        "that makes no sense");
  }
  if (noise_is_distributed(privacy.noise) && honest_survivors(plan.sum) < 1) {
    return plan_refusal("sum.min_survivors", "is ", plan.sum.min_survivors, " of ", plan.sum.cohort,
                        ", of which the corrupt may be all: nobody's noise can be counted on");
  }
  if (privacy.noise == NoiseKind::kBanded &&
      (privacy.min_separation == 0 || privacy.min_separation > kMaxBands ||
       privacy.max_participations == 0 || privacy.sampling_rate != 1)) {
    return plan_refusal(
        "privacy", "has banded noise without a separation of 1 to ", kMaxBands,
        " rounds and a number of participations, or claims a sampling rate beside it");
  }
  // A part in a million: the claim is a rounded number.
  const double sure = sure_noise_multiplier(plan);
  if (!(sure >= privacy.noise_multiplier * (1 - 1e-6))) {
    return plan_refusal("privacy.noise_multiplier", "is ", fixed(privacy.noise_multiplier, 4),
                        ", and its slots' noise gives ", fixed(sure, 4));
  }
  return {};
}

} // namespace coppice
