// SPDX-License-Identifier: Apache-2.0
// aggregator.toml: every setting of the service, its default and its meaning, in one table.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "aggregator/cohort.h"
#include "aggregator/strategy.h"
#include "config/settings.h"
#include "protocol/round_plan.h"
#include "protocol/transport.h"

namespace coppice {

struct LoraSettings { // PEFT's names; fixed at `aggregator init`
  std::uint32_t r = 8;
  float lora_alpha = 16;
  std::vector<std::string> target_modules;
  bool use_rslora = false;
};

struct RoundSettings {
  std::uint32_t min_survivors = 2;
  double goal_fraction = 1.0; // of the cohort: reports after which the round closes early
  Millis deadline{0};
  Millis pause{0}; // between rounds
  bool secure_aggregation = false;
  double clip_norm = 0;
  double element_bound = 0; // 0: Note [Bound of levels], for a codec of levels alone
  std::uint32_t ring_bits = 16;
  std::uint32_t max_weight = 8;
  GraphAssumptions graph; // with secure aggregation
  bool rotate = false;
  UploadCodec codec = UploadCodec::kNone;
  double top_k = 0.1; // share of the values that a round sends, with kTopK
  bool error_feedback = true;

  // Whether devices add to their deltas what their earlier uploads lost.
  bool keeps_feedback() const { return error_feedback && codec != UploadCodec::kNone; }
};

// [privacy]: noise, its budget, and what the accountant may assume.
struct PrivacySettings {
  NoiseKind noise = NoiseKind::kNone;
  double noise_multiplier = 0; // 0: what `epsilon` allows over `rounds`
  double epsilon = 0;          // the budget: no round starts that would exceed it
  double delta = 0;
  std::uint64_t rounds = 0;
  std::uint64_t population = 0; // devices that the promise is for; 0: those enrolled
  std::uint32_t bands = 0;      // of banded noise: rounds between two participations
  std::uint32_t max_participations = 0;
  double clip_quantile = 0; // adaptive clipping towards it; 0: clip_norm stays
};

struct RetentionSettings {
  std::uint32_t releases = 10; // whose contents are kept
  std::uint32_t rounds = 1000; // whose rows are kept
  std::uint64_t min_free = 0;  // bytes on the state's disk, below which no round starts
};

struct AggregatorSettings {
  LoraSettings lora;
  Recipe training;
  RoundSettings round;
  StrategySettings strategy;
  PrivacySettings privacy;
  CohortSettings cohort;
  RetentionSettings retention;
  ServerEndpoints endpoints;
  std::string public_host; // what invites name, if it isn't where the sockets are bound
  std::uint64_t max_clients = 1000;
  Millis heartbeat{0};
  Millis reconnect_after{0};
  Millis reconnect_window{0};
  std::uint32_t uploads_at_once = 16;
};

std::span<const KeySpec> aggregator_keys();
// Checks what no single key can: contradictions, and sizes against limits.h.
Result<AggregatorSettings> aggregator_settings(const Settings& settings);

} // namespace coppice
