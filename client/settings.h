// SPDX-License-Identifier: Apache-2.0
// client.toml: the owner's settings and floors. No plan can lower a floor.
#pragma once

#include <span>
#include <string>

#include "client/eligibility.h"
#include "client/example_store.h"
#include "config/settings.h"
#include "protocol/round_plan.h"

namespace coppice {

// What the owner insists on; a plan that offers less is declined.
struct OwnerFloors {
  bool require_secure_aggregation = true;
  std::uint32_t min_survivors = 3;
  GraphAssumptions graph; // of the other devices, with secure aggregation
  double max_epsilon = 0; // cumulative; this and the next only where privacy is promised
  double min_noise_multiplier = 0;
  std::uint32_t max_minutes = 0; // of training a round; 0: no limit
};

struct ResourceSettings {
  unsigned threads = 1;
  std::uint64_t memory_bytes = 256'000'000; // of a training step, beside weights and adapter
  std::string engine = "native";
  bool exact = false; // float32 throughout, instead of bfloat16 inputs of products
  int nice = 10;
  std::uint32_t max_rank = 0;      // of a target, trained in a round: the first ones; 0: the plan's
  Millis checkpoint_every{60'000}; // of training under way; 0: only when it pauses
};

struct PersonalSettings {
  bool enabled = true;
  std::uint32_t rank = 8;
  float alpha = 16;
  Recipe recipe;
  Millis after_idle{0}; // trained when no round came for this long after a release
};

struct ClientSettings {
  fs::path model;
  fs::path data;
  OwnerFloors floors;
  EligibilitySettings eligibility;
  ResourceSettings resources;
  PersonalSettings personal;
  ExampleStoreLimits store;
};

std::span<const KeySpec> client_keys();
Result<ClientSettings> client_settings(const Settings& settings);
// Of a table that holds client_keys()'s [personal].
PersonalSettings personal_settings(const Settings& settings);

} // namespace coppice
