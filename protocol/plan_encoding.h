// SPDX-License-Identifier: Apache-2.0
// How the slots of a plan become integers: bounds, scales, ring room, and the noise in them.
//
// Two ways. Value by value: each element clamped, scaled and rounded by itself, with certain room
// for the worst sum (adapters/ring_codec.h). As one vector: all delta slots together, rotated or
// not, rounded within a norm bound that the accountant can use, and room with certainty or but for
// 2^-40 (adapters/delta_encoding.h, ring_headroom.h). Noise needs the second.
//
// Note [Bound of levels]
// Values that are rounded to few levels need a bound that most of them nearly reach: a level too
// wide drowns them, and what is clamped only waits, in the error feedback. Two things are known of
// all devices before a round. No delta is longer than the clip C, so that the root of its mean
// square over d values is at most C / sqrt(d); were they Gaussian, one in 16,000 would be above
// four times that. And AdamW moves a value by about its learning rate a step at most, in all by the
// sum of the rates if all steps agree. So the bound is
//   b = 4 C / sqrt(d),   and under AdamW   b = min(4 C / sqrt(d), sum of rates),
// never more than C.
//
// Note [Noise and slots]
// With noise every slot is noised, so that whatever the aggregator publishes is a function of
// noised numbers: the delta slots as one vector of sensitivity norm_bound, the weight (1 each, a
// count) with sensitivity 1, each metric with its range in ring units. Slots with multipliers z_i
// (noise over sensitivity) together are one mechanism of multiplier (sum z_i^-2)^(-1/2), and that
// is the plan's noise_multiplier.
//
// Pure functions; thread-safe.
#pragma once

#include "adapters/delta_encoding.h"
#include "adapters/factor_choice.h"
#include "adapters/ring_headroom.h"
#include "adapters/rounded_norm.h"
#include "base/text.h"
#include "protocol/round_plan.h"

namespace coppice {

struct EncodingWish {
  RingBits bits;
  double element_bound = 0;  // value by value only; 0 with levels: Note [Bound of levels]
  bool whole_vector = false; // else value by value
  bool rotate = false;       // whole vectors only
  std::uint64_t rotation_seed = 0;
  bool count_clipped = false;  // a metric slot for whether the clip shortened the delta
  double noise_multiplier = 0; // in all; shared out over the slots. 0: no noise
  // Value by value: levels on each side of zero, and no more bits than they need. 0: as many levels
  // as `bits` have room for.
  std::uint32_t levels = 0;
  Turn turn{};
  bool error_feedback = false;
};

// Fills slots, encoding, and the slots' noise from the plan's clip_norm, sum and privacy.noise.
// kInvalidArgument, with the numbers, where the ring is too small, or noise can't be had (see
// check_noise()).
Result<void> choose_encoding(RoundPlan& plan, const AdapterSpec& spec, const EncodingWish& wish);

// What the checks below say of a field.
Error plan_refusal(std::string_view field, const auto&... words) {
  return invalid_argument(cat("the plan's ", field, " ", words...));
}

Result<void> check_sum_terms(const SumTerms& sum); // round_plan_validate.cc
// The parts of RoundPlan::validate() about slots and noise. kInvalidArgument names the field.
Result<void> check_encoding(const RoundPlan& plan, const AdapterSpec& spec);
Result<void> check_noise(const RoundPlan& plan);

// Which of an adapter's values have slots.
inline FactorChoice shared_factors(const Recipe& recipe) {
  return {.a = recipe.share_a, .b = recipe.share_b, .rank = recipe.trained_rank};
}

// Those that devices train and don't share: each keeps its own.
inline FactorChoice own_factors(const Recipe& recipe) {
  return {.a = recipe.train_a && !recipe.share_a, .b = recipe.train_b && !recipe.share_b};
}

bool encodes_whole_vector(const RoundPlan& plan);
// Of a plan that encodes whole vectors, for a client of this weight.
DeltaEncoding delta_encoding_of(const RoundPlan& plan, std::uint64_t weight);

// The sum of weighted deltas that `elements`, a ring sum or one device's elements, stand for: of
// what has slots, in their order. `elements` has those of the delta slots at least.
std::vector<double> decode_deltas(const RoundPlan& plan, std::span<const std::uint32_t> elements);

// What one device can move the sum's slot by, squared, in ring units; of the delta slots together.
double slot_sensitivity_squared(const RoundPlan& plan, const Slot& slot);
// Noise that can be counted on in the sum's slot, as a variance in ring units: with distributed
// noise, that of the honest among the fewest survivors.
double sure_noise_variance(const RoundPlan& plan, const Slot& slot);
// Noise over sensitivity of all slots together; infinity for no slots, 0 without noise.
double sure_noise_multiplier(const RoundPlan& plan);

} // namespace coppice
