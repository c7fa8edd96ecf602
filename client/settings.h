// SPDX-License-Identifier: Apache-2.0
// client.toml: the owner's settings and floors. No plan can lower a floor.
#pragma once

#include <span>
#include <string>

#include "client/eligibility.h"
#include "client/example_store.h"
#include "config/settings.h"
#include "model/engine_precision.h"
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
  EnginePrecision precision = EnginePrecision::kBfloat16;
  int nice = 10;
  std::uint32_t max_rank = 0;      // of a target, trained in a round: the first ones; 0: the plan's
  Millis checkpoint_every{60'000}; // of training under way; 0: only when it pauses
};

// How the personal adapter stands to the shared one.
enum class PersonalMethod : std::uint8_t {
  kDual,     // an adapter of its own on top of it (FedDPA, Yang et al. 2024)
  kFinetune, // its copy, trained further, in its place
  kDitto,    // a copy that is pulled back to it (Ditto, Li et al. 2021), in its place
};

struct PersonalSettings {
  bool enabled = true;
  PersonalMethod method = PersonalMethod::kDual;
  std::uint32_t rank = 8; // rank and alpha of kDual; copies have the shared adapter's
  float alpha = 16;
  Recipe recipe;        // its proximal_mu is Ditto's lambda
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
