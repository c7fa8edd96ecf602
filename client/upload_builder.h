// SPDX-License-Identifier: Apache-2.0
// From a trained delta to the finished bytes of an upload: choose what is sent, clip, weight,
// encode, (mask), pack, seal, sign.
//
// Pure but for the seal's fresh key. The rounding is keyed by (plan's seed, round, client), so a
// simulated device and a real one encode the same integers. Refuses NaN and infinity
// (kInvalidArgument) before anything is encoded.
#pragma once

#include <optional>
#include <vector>

#include "client/trainer.h"
#include "crypto/keys.h"
#include "protocol/envelope.h"
#include "protocol/key_set.h"
#include "protocol/round_plan.h"

namespace coppice {

struct RoundMetrics {
  double loss_before = 0;
  double loss_after = 0;
  bool release_kept = false;
  std::uint64_t examples = 0;
  std::uint64_t steps = 0;
  double curvature = 0; // of RoundTrainer::RoundDelta, as the next
  std::optional<std::uint32_t> cluster{};
};

struct EncodedDelta {
  std::vector<std::uint32_t> elements; // of all slots in order; masked before they are packed
  double clip_factor = 1;              // what the clip multiplied by
  std::uint64_t clamped = 0;           // elements outside their slot's bound
  std::uint64_t weight = 1;
  bool zeroed = false; // no rounding was short enough: zeros are sent
  // With error feedback, what is not in `elements` of the delta, in its order: the next Note [Error
  // feedback]'s e of what the recipe shares. It stays here.
  std::vector<float> lost{};
};

// The first 8 bytes of the id: the client's number in RandomKey.
std::uint64_t random_client(const ClientId& client);

// `delta` is of what the plan's recipe shares, with what earlier uploads lost in it.
Result<EncodedDelta> encode_delta(const RoundPlan& plan, const ClientId& client,
                                  std::vector<float> delta, const RoundMetrics& metrics);

Result<Bytes> build_upload(const RoundPlan& plan, const Sha256& plan_hash, const ClientId& client,
                           const SigningKey& key, const KeySet& aggregator,
                           const EncodedDelta& encoded);

} // namespace coppice
