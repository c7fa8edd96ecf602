// SPDX-License-Identifier: Apache-2.0
// The signed order for one round: what to train, what may leave the device, and how it is encoded.
//
// Fixed by the aggregator before any device is asked, and immutable after: seals, signatures and
// (with secure aggregation) masks of the round are all bound to its hash, so two devices that saw
// different plans can't be summed. Plain data. Thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "adapters/adapter_spec.h"
#include "adapters/ring_codec.h"
#include "adapters/upload_codec.h"
#include "base/clock.h"
#include "base/ids.h"
#include "protocol/limits.h"
#include "protocol/secagg_parameters.h"

namespace coppice {

enum class SlotKind : std::uint8_t {
  kDelta = 0,  // a tensor of the adapter's delta, inside the clip
  kWeight = 1, // the device's weight, alone
  kMetric = 2, // a number about the round; its own bounds, outside the clip
};

// One declared tensor that may leave a device; what is no slot has no path out.
struct Slot {
  std::string name; // "blk.0.attn_q.lora_a", "weight", "loss_before"
  SlotKind kind = SlotKind::kDelta;
  std::uint32_t elements = 0;
  double lowest = 0; // values are clamped to [lowest, highest], then shifted by -lowest if metric
  double highest = 0;
  double scale = 0; // ring units per unit
  RingBits bits;
  // Of what is added to it, in ring units squared: to the sum, or by each device to its own share
  // (PrivacyTerms::noise). 0 without noise.
  std::uint64_t noise_variance = 0;
  bool operator==(const Slot&) const = default;
};

// The metric slots of every plan, in this order, after the weight slot.
inline constexpr const char* kMetricLossBefore = "loss_before";   // nats a token on gate text
inline constexpr const char* kMetricLossAfter = "loss_after";     // after local training
inline constexpr const char* kMetricReleaseKept = "release_kept"; // 1 if the last release serves
inline constexpr const char* kMetricExamples = "examples";        // training windows
inline constexpr const char* kMetricClipped =
    "clipped"; // 1 if the clip shortened the delta; optional
inline constexpr const char* kMetricSteps =
    "weighted_steps"; // optimizer steps times weight, with Recipe::normalize_by_steps

inline constexpr const char* kMetricCurvature =
    "weighted_curvature"; // RoundDelta::curvature times weight, with Recipe::loss_power

// With Recipe::clusters, one each: the device's weight in that of its cluster, 0 in the others.
std::string cluster_metric(std::uint32_t cluster);

// In required_features of every plan with `sum.secure_aggregation`.
inline constexpr const char* kFeatureSecureAggregation = "secure-aggregation";

enum class Schedule : std::uint8_t { kConstant = 0, kCosine = 1 };
enum class WeightBy : std::uint8_t { kUniform = 0, kExamples = 1 };
enum class LocalOptimizer : std::uint8_t { kAdamW = 0, kSgd = 1 };
// What devices add to their gradient, from what they keep of the rounds before: SCAFFOLD's control
// variates (Karimireddy et al. 2020), or FedDyn's linear term (Acar et al. 2021), whose quadratic
// one is proximal_mu.
enum class DriftCorrection : std::uint8_t { kNone = 0, kControlVariate = 1, kDynamic = 2 };

// How to train. Strategies differ here; trainers know recipes and never strategies' names.
struct Recipe {
  float learning_rate = 1e-3F;
  Schedule schedule = Schedule::kCosine;
  std::uint32_t warmup_steps = 0;
  std::uint32_t max_steps = 0; // budgets; 0: no bound, but max_steps or max_tokens must be set
  std::uint64_t max_tokens = 0;
  std::uint32_t max_seconds = 0;
  std::uint32_t batch_tokens = 512; // tokens of one optimizer step
  std::uint32_t window = 128;       // tokens of one sequence at most
  float weight_decay = 0;
  float max_gradient_norm = 1.0F;
  float proximal_mu = 0;
  bool train_a = true;
  bool train_b = true;
  std::uint32_t early_stop_patience = 0; // gate evaluations without gain before stopping; 0: off
  std::uint32_t evaluate_every = 0;      // steps between gate evaluations; 0: only at the end
  WeightBy weight_by = WeightBy::kExamples;
  std::uint32_t examples_per_weight = 1; // weight = clamp(examples / this, 1, max_weight)
  std::uint64_t seed = 0;                // of batches and rounding, with round and client
  LocalOptimizer optimizer = LocalOptimizer::kAdamW;
  float momentum = 0; // of SGD
  // The delta goes out divided by the steps that made it, and times the most that there can be
  // (FedNova, Wang et al. 2020): devices of unequal speed pull equally.
  bool normalize_by_steps = false;
  // Factors that have slots. One that is trained without one stays on the device, which goes on
  // with its own in the next round.
  bool share_a = true;
  bool share_b = true;
  // Of each target's rank, how much is trained and has slots: the first rows of A and columns of B.
  // What lies above is the release's, frozen. 0: all.
  std::uint32_t trained_rank = 0;
  DriftCorrection correction = DriftCorrection::kNone;
  // The delta goes out times the power of the loss before training (q-FFL, Li et al. 2020).
  float loss_power = 0;
  // Of B, only what lies in the span of the release's B is trained: its square core, which alone
  // has slots (adapters/core_basis.h, Fed-SB). A and the span stay.
  bool core = false;
  // The ranks of each target, cut into so many adapters of which a device uses, trains and sends
  // the one that suits its text best (adapters/rank_slices.h, IFCA). 1: they are one.
  std::uint32_t clusters = 1;
  bool operator==(const Recipe&) const = default;
};

// Optimizer steps that the recipe asks for; 0: bounded by time alone. Early stopping may end
// sooner.
std::uint64_t planned_steps(const Recipe& recipe);

struct SumTerms {
  std::uint32_t goal = 0;          // reports after which the round may close
  std::uint32_t min_survivors = 1; // fewer: the round is abandoned, whole
  std::uint32_t cohort = 0;        // devices asked: what the ring's headroom is computed for
  std::uint32_t max_weight = 1;    // weights are integers 1..max_weight
  bool secure_aggregation = false;
  // With secure aggregation: what degree and threshold follow from, for the roster's size. The
  // security parameters are the program's own (secagg_parameters.h).
  double corrupt_fraction = 0.1;
  double dropout_fraction = 0.1; // of the roster, after it is closed
  ServerModel server = ServerModel::kSemiMalicious;
  // Sums that the aggregator makes apart, each over its share of the devices: as many as `cohort`
  // shows it each device's own delta. With secure aggregation each is masked and unmasked by
  // itself, and has kMinMembers devices at least.
  std::uint32_t groups = 1;
  // Uploads may come after their round is over, within the plan's deadline, and count in a later
  // round that starts from at most so many releases further (FedBuff). 0: they are lost.
  std::uint32_t max_staleness = 0;
  bool operator==(const SumTerms&) const = default;

  std::uint32_t smallest_group() const { return cohort / groups; }
  // A group's sum over fewer is left out: its share of min_survivors, and never one device alone.
  std::uint32_t group_survivors() const {
    return groups == 1 ? min_survivors : std::max(2U, (min_survivors + groups - 1) / groups);
  }
  GraphAssumptions graph() const {
    return {.corrupt = corrupt_fraction, .dropout = dropout_fraction, .server = server};
  }
};

// How the delta slots become integers. By default each value by itself, with room for the worst
// sum.
struct EncodingTerms {
  bool rotate = false;             // all delta slots together (adapters/rotation.h)
  std::uint64_t rotation_seed = 0; // public, the same for all devices of the round
  // Largest squared L2 norm of the rounded deltas, in ring units; 0: each value by itself.
  std::uint64_t norm_bound_squared = 0;
  bool count_clipped = false; // the metric slot "clipped" is there
  // A sum wraps with at most 2^-wrap_bits; 0: never. At least limits::kWrapBits otherwise.
  double wrap_bits = 0;
  Turn turn; // of the deltas' values, those that have slots in this round
  // Devices add to their delta what their earlier uploads lost (Note [Error feedback]).
  bool error_feedback = false;
  bool operator==(const EncodingTerms&) const = default;
};

enum class NoiseKind : std::uint8_t {
  kNone = 0,
  kCentral = 1,             // discrete Gaussian, by the aggregator, on the unmasked sum
  kSkellam = 2,             // a share by each device, before masking
  kDistributedGaussian = 3, // a share by each device: discrete Gaussian
  kBanded = 4,              // central, correlated over rounds (DP-FTRL)
};
// Whether devices add the noise, so that the aggregator is an adversary of the promise.
constexpr bool noise_is_distributed(NoiseKind kind) {
  return kind == NoiseKind::kSkellam || kind == NoiseKind::kDistributedGaussian;
}

// What is promised and to whom. Without noise nothing is promised, and it says so.
struct PrivacyTerms {
  NoiseKind noise = NoiseKind::kNone;
  double cumulative_epsilon =
      0; // spent by the population up to and with this round; 0 without noise
  // The rest with noise only. Noise over sensitivity, all slots together: what is accounted.
  double noise_multiplier = 0;
  double delta = 0;
  double sampling_rate = 1;             // 1: no amplification is claimed
  std::uint32_t expected_cohort = 0;    // the divisor, whoever comes
  std::uint32_t min_separation = 0;     // rounds between two participations of a device; 0: none
  std::uint32_t max_participations = 0; // of one device, as accounted; 0: any
  bool operator==(const PrivacyTerms&) const = default;
};

struct RoundPlan {
  std::uint16_t protocol_version = limits::kOldestProtocolVersion; // see needed_version()
  Sha256 fleet;                                                    // SHA-256 of the fleet key
  KeySetNumber key_set; // the aggregator's keys that sign and open this round
  Epoch epoch;          // of the aggregator's state when the plan was made
  RoundId round;
  Sha256 base_hash;      // of the base model's file
  Sha256 adapter_hash;   // of the shared adapter to start from (serialize_adapter's bytes)
  AdapterVersion parent; // the version that `adapter_hash` is
  bool test = false;     // made with test-only randomness: devices of a real fleet refuse it
  std::vector<std::string> required_features; // a device that lacks one declines, naming it
  std::vector<Slot> slots; // what may leave the device, in ring order: deltas, weight, metrics
  Recipe recipe;
  double clip_norm = 0; // L2 over the delta slots together, before weight and scale
  SumTerms sum;
  EncodingTerms encoding;
  PrivacyTerms privacy;
  Millis deadline; // after the plan was signed, on the aggregator's monotonic clock
  bool operator==(const RoundPlan&) const = default;

  // Refuses (kInvalidArgument), with the offending field named, a plan that could overflow the
  // ring, asks for more than limits.h allows, or whose slots aren't those of `spec` in order.
  Result<void> validate(const AdapterSpec& spec) const;
  std::size_t delta_elements() const; // of the delta slots: what is sent
  std::size_t ring_elements() const;  // of all slots
  // The lowest protocol version that can carry this plan: 1 where nothing of version 2 is used, so
  // that devices of version 1 can follow it.
  std::uint16_t needed_version() const;
  Bytes encode() const;                            // canonical bytes (protocol/archive.h)
  static Result<RoundPlan> decode(ByteSpan bytes); // refuses what encode() could not have written
  Sha256 hash() const;                             // SHA-256 of label and encode()
};

// The slots for `spec`, value by value: delta slots bounded by `element_bound`, then "weight", then
// the metrics, with the largest scales that can't wrap for `sum`. Refuses (kInvalidArgument, with
// the numbers) a ring too small to carry at least 8 levels on each side of zero. For all that plans
// can have: protocol/plan_encoding.h.
Result<std::vector<Slot>> make_slots(const AdapterSpec& spec, RingBits bits, double element_bound,
                                     const SumTerms& sum);

} // namespace coppice
