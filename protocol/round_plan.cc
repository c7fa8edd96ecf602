// SPDX-License-Identifier: Apache-2.0
#include "protocol/round_plan.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "protocol/archive.h"

namespace coppice {

namespace {
constexpr std::size_t kSmallestSlot = 4 + 1 + 4 + 3 * 8 + 1; // docs/formats.md, "Plan"

// A u8 on the wire.
struct RingBitsField {
  RingBits& bits;
};
void save(WriteArchive& archive, const RingBitsField& field) {
  const auto number = static_cast<std::uint8_t>(field.bits.value);
  archive.put(&number, sizeof(number));
}
void load(ReadArchive& archive, RingBitsField& field) {
  std::uint8_t number = 0;
  archive.get(&number, sizeof(number));
  auto made = RingBits::of_plan(number);
  if (!made) throw ArchiveRefusal(made.error().message);
  field.bits = *made;
}

// The one field that decides whether the rest can be read.
struct ProtocolVersionField {
  std::uint16_t& version;
};
void save(WriteArchive& archive, const ProtocolVersionField& field) {
  archive.put(&field.version, sizeof(field.version));
}
void load(ReadArchive& archive, ProtocolVersionField& field) {
  archive.get(&field.version, sizeof(field.version));
  if (field.version < limits::kOldestProtocolVersion || field.version > limits::kProtocolVersion) {
    throw ArchiveRefusal(cat("it is of protocol version ", field.version,
                             ", and this program speaks ", limits::kOldestProtocolVersion, " to ",
                             limits::kProtocolVersion, "; update the older of the two"),
                         ErrorCode::kUnsupported);
  }
}

} // namespace

template <typename Archive>
void serialize(Archive& archive, Slot& slot) {
  archive(text_field(slot.name, limits::kSlotName), enum_field(slot.kind, SlotKind::kMetric),
          slot.elements, slot.lowest, slot.highest, slot.scale, RingBitsField{slot.bits});
}

template <typename Archive>
void serialize(Archive& archive, Recipe& recipe) {
  archive(recipe.learning_rate, enum_field(recipe.schedule, Schedule::kCosine), recipe.warmup_steps,
          recipe.max_steps, recipe.max_tokens, recipe.max_seconds, recipe.batch_tokens,
          recipe.window, recipe.weight_decay, recipe.max_gradient_norm, recipe.proximal_mu,
          recipe.train_a, recipe.train_b, recipe.early_stop_patience, recipe.evaluate_every,
          enum_field(recipe.weight_by, WeightBy::kExamples), recipe.examples_per_weight,
          recipe.seed);
}

template <typename Archive>
void serialize(Archive& archive, SumTerms& sum) {
  archive(sum.goal, sum.min_survivors, sum.cohort, sum.max_weight, sum.secure_aggregation);
}

// What version 2 adds to a plan, after its last field of version 1.
template <typename Archive>
void serialize_version_2(Archive& archive, RoundPlan& plan) {
  archive(plan.sum.corrupt_fraction, plan.sum.dropout_fraction,
          enum_field(plan.sum.server, ServerModel::kSemiMalicious), plan.encoding.rotate,
          plan.encoding.rotation_seed, plan.encoding.norm_bound_squared,
          plan.encoding.count_clipped, plan.encoding.wrap_bits, plan.privacy.noise_multiplier,
          plan.privacy.delta, plan.privacy.sampling_rate, plan.privacy.expected_cohort,
          plan.privacy.min_separation, plan.privacy.max_participations);
  for (Slot& slot : plan.slots) archive(slot.noise_variance);
}

// What version 3 adds, after that.
template <typename Archive>
void serialize_version_3(Archive& archive, RoundPlan& plan) {
  archive(enum_field(plan.recipe.optimizer, LocalOptimizer::kSgd), plan.recipe.momentum,
          plan.recipe.normalize_by_steps, plan.recipe.share_a, plan.recipe.share_b, plan.sum.groups,
          plan.recipe.trained_rank, enum_field(plan.recipe.correction, DriftCorrection::kDynamic),
          plan.recipe.loss_power, plan.encoding.turn.turns, plan.encoding.turn.turn,
          plan.encoding.error_feedback);
}

// And version 4, after that.
template <typename Archive>
void serialize_version_4(Archive& archive, RoundPlan& plan) {
  archive(plan.recipe.core, plan.recipe.clusters, plan.sum.max_staleness);
}

template <typename Archive>
void serialize(Archive& archive, RoundPlan& plan) {
  archive(ProtocolVersionField{plan.protocol_version}, plan.fleet, plan.key_set, plan.epoch,
          plan.round, plan.base_hash, plan.adapter_hash, plan.parent, plan.test,
          NamesField{plan.required_features}, list_field(plan.slots, limits::kSlots, kSmallestSlot),
          plan.recipe, plan.clip_norm, plan.sum);
  // Which kinds there are follows from the version, which is read by now.
  const NoiseKind highest = plan.protocol_version >= 2 ? NoiseKind::kBanded : NoiseKind::kNone;
  archive(enum_field(plan.privacy.noise, highest), plan.privacy.cumulative_epsilon, plan.deadline);
  if (plan.protocol_version >= 2) serialize_version_2(archive, plan);
  if (plan.protocol_version >= 3) serialize_version_3(archive, plan);
  if (plan.protocol_version >= 4) serialize_version_4(archive, plan);
}

std::string cluster_metric(std::uint32_t cluster) { return cat("cluster_weight_", cluster); }

std::uint64_t planned_steps(const Recipe& recipe) {
  if (recipe.max_steps > 0) return recipe.max_steps;
  if (recipe.max_tokens == 0 || recipe.batch_tokens == 0) return 0;
  return std::max<std::uint64_t>(1, recipe.max_tokens / recipe.batch_tokens);
}

std::size_t RoundPlan::delta_elements() const {
  std::size_t total = 0;
  for (const Slot& slot : slots) total += slot.kind == SlotKind::kDelta ? slot.elements : 0;
  return total;
}

std::size_t RoundPlan::ring_elements() const {
  std::size_t total = 0;
  for (const Slot& slot : slots) total += slot.elements;
  return total;
}

std::uint16_t RoundPlan::needed_version() const {
  const RoundPlan fresh;
  if (recipe.core || recipe.clusters != fresh.recipe.clusters || sum.max_staleness != 0) return 4;
  if (recipe.optimizer != fresh.recipe.optimizer || recipe.momentum != fresh.recipe.momentum ||
      recipe.normalize_by_steps || sum.groups != fresh.sum.groups || !recipe.share_a ||
      !recipe.share_b || recipe.trained_rank != 0 || recipe.correction != fresh.recipe.correction ||
      recipe.loss_power != 0 || encoding.turn != fresh.encoding.turn || encoding.error_feedback ||
      !std::ranges::all_of(slots, [](const Slot& slot) { return slot.bits.offered(); })) {
    return 3;
  }
  RoundPlan plain = *this; // with version 2's fields as a decoded plan of version 1 has them
  plain.sum.corrupt_fraction = fresh.sum.corrupt_fraction;
  plain.sum.dropout_fraction = fresh.sum.dropout_fraction;
  plain.sum.server = fresh.sum.server;
  plain.encoding = fresh.encoding;
  plain.privacy = {.noise = NoiseKind::kNone, .cumulative_epsilon = privacy.cumulative_epsilon};
  for (Slot& slot : plain.slots) slot.noise_variance = 0;
  return !sum.secure_aggregation && plain == *this ? 1 : 2;
}

Bytes RoundPlan::encode() const { return encode_value(*this); }

Result<RoundPlan> RoundPlan::decode(ByteSpan bytes) {
  return decode_value<RoundPlan>(bytes, "the plan");
}

Sha256 RoundPlan::hash() const { return sha256(with_domain(Domain::kPlan, encode())); }

} // namespace coppice
