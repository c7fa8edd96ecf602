// SPDX-License-Identifier: Apache-2.0
#include "client/upload_builder.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "privacy/clip.h"
#include "protocol/plan_encoding.h"
#include "protocol/slot_packing.h"

namespace coppice {
namespace {

std::uint64_t weight_of(const RoundPlan& plan, std::uint64_t examples) {
  if (plan.recipe.weight_by == WeightBy::kUniform) return 1;
  const std::uint64_t per = std::max<std::uint64_t>(1, plan.recipe.examples_per_weight);
  return std::clamp<std::uint64_t>(examples / per, 1, plan.sum.max_weight);
}

Result<double> metric_value(const std::string& name, const RoundMetrics& metrics,
                            const EncodedDelta& encoded) {
  if (name == kMetricLossBefore) return metrics.loss_before;
  if (name == kMetricLossAfter) return metrics.loss_after;
  if (name == kMetricReleaseKept) return metrics.release_kept ? 1.0 : 0.0;
  if (name == kMetricExamples) return static_cast<double>(metrics.examples);
  if (name == kMetricClipped) return encoded.clip_factor < 1 ? 1.0 : 0.0;
  if (name == kMetricSteps) return static_cast<double>(metrics.steps * encoded.weight);
  if (name == kMetricCurvature) return metrics.curvature * static_cast<double>(encoded.weight);
  for (std::uint32_t c = 0; c < limits::kClusters; ++c) {
    if (name != cluster_metric(c)) continue;
    return metrics.cluster == c ? static_cast<double>(encoded.weight) : 0.0;
  }
  return Error{ErrorCode::kUnsupported, cat("the plan asks for the unknown metric '", name, "'")};
}

// Note [Error feedback]: what of `wanted` the aggregator won't read off these elements.
Result<std::vector<float>> lost_of(const RoundPlan& plan, std::vector<float> wanted,
                                   const EncodedDelta& encoded) {
  const Turn turn = plan.encoding.turn;
  const auto sent = spread_in_turn(decode_deltas(plan, encoded.elements), turn, wanted.size());
  const auto weight = static_cast<double>(encoded.weight);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = static_cast<float>(static_cast<double>(wanted[i]) - sent[i] / weight);
  }
  COPPICE_TRY(clip_l2(wanted, turn.turns * plan.clip_norm));
  return wanted;
}

} // namespace

std::uint64_t random_client(const ClientId& client) {
  std::uint64_t number = 0;
  std::memcpy(&number, client.bytes.data(), sizeof(number));
  return number;
}

Result<EncodedDelta> encode_delta(const RoundPlan& plan, const ClientId& client,
                                  std::vector<float> delta, const RoundMetrics& metrics) {
  const Turn turn = plan.encoding.turn;
  if (turn.count(0, delta.size()) != plan.delta_elements()) {
    return Error{ErrorCode::kInvalidArgument, "the delta has another size than the plan's slots"};
  }
  EncodedDelta encoded;
  const bool keeps_lost = plan.encoding.error_feedback;
  std::vector<float> wanted;
  if (keeps_lost) wanted = delta;
  if (turn.turns > 1) COPPICE_TRY(l2_norm(delta)); // what isn't sent in this turn is finite too
  delta = values_in_turn(std::move(delta), turn);
  encoded.clip_factor = COPPICE_TRY(clip_l2(delta, plan.clip_norm));
  encoded.weight = weight_of(plan, metrics.examples);
  const RandomKey key{.experiment = plan.recipe.seed,
                      .round = plan.round.value,
                      .client = random_client(client),
                      .purpose = RandomPurpose::kStochasticRounding};
  KeyedRandom random(key);
  const bool whole = encodes_whole_vector(plan);
  if (whole) {
    auto vector =
        COPPICE_TRY(encode_delta_vector(delta, delta_encoding_of(plan, encoded.weight), key));
    encoded.zeroed = vector.zeroed;
    encoded.elements = std::move(vector.elements);
  }
  encoded.elements.resize(plan.ring_elements());
  std::size_t at = 0; // in the delta
  auto left = std::span(encoded.elements);
  for (const Slot& slot : plan.slots) {
    const auto elements = left.first(slot.elements);
    left = left.subspan(slot.elements);
    RingEncoding encoding{.bound = slot.highest, .scale = slot.scale, .bits = slot.bits};
    float number = static_cast<float>(encoded.weight);
    std::span<const float> values(&number, 1);
    if (slot.kind == SlotKind::kDelta) {
      encoding.weight = encoded.weight;
      values = std::span(delta).subspan(at, slot.elements);
      at += slot.elements;
      if (whole) continue;
    } else if (slot.kind == SlotKind::kMetric) { // shifted to start at 0: the bound is on one side
      const double value = COPPICE_TRY(metric_value(slot.name, metrics, encoded));
      encoding.bound = slot.highest - slot.lowest;
      number = static_cast<float>(std::clamp(value, slot.lowest, slot.highest) - slot.lowest);
    }
    encoded.clamped += COPPICE_TRY(ring_encode(values, encoding, random, elements));
  }
  if (keeps_lost) encoded.lost = COPPICE_TRY(lost_of(plan, std::move(wanted), encoded));
  return encoded;
}

Result<Bytes> build_upload(const RoundPlan& plan, const Sha256& plan_hash, const ClientId& client,
                           const SigningKey& key, const KeySet& aggregator,
                           const EncodedDelta& encoded) {
  EnvelopeHeader header;
  header.type = MessageType::kUpload;
  header.sender = client;
  header.key_set = aggregator.number;
  header.sequence = plan.round.value;
  header.plan_hash = plan_hash;
  return seal_upload(key, header, aggregator.seal,
                     Upload{plan.round, plan_hash, pack_slots(plan.slots, encoded.elements)});
}

} // namespace coppice
