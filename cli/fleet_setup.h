// SPDX-License-Identifier: Apache-2.0
// What `aggregator init`, `aggregator invite` and the demo share: making a fleet, and letting
// devices in.
#pragma once

#include <string>
#include <vector>

#include "aggregator/client_registry.h"
#include "aggregator/fleet_folder.h"
#include "aggregator/settings.h"
#include "config/settings.h"

namespace coppice {

struct FleetInit {
  fs::path directory;
  fs::path model;
  std::optional<fs::path> adapter; // PEFT folder that becomes version 0
  std::vector<Override> overrides; // of aggregator.toml's defaults
};

struct FleetInitResult {
  AdapterSpec spec;
  FleetFacts facts;
  AdapterVersion version;
};

// Keys, adapter spec, version 0 and a commented aggregator.toml. Nothing is left half-made that a
// second try would stumble over: the folder counts as a fleet once version 0 is committed.
Result<FleetInitResult> init_fleet(const FleetInit& init);

// Settings of a fleet's folder: aggregator.toml, environment, flags.
Result<Settings> load_aggregator_settings(const fs::path& directory, const Environment& environment,
                                          std::span<const Override> flags);

struct InviteRequest {
  std::uint32_t count = 1;
  Millis expires_after{7 * 24 * 3600 * 1000};
  ServerEndpoints endpoints; // what devices are told
};
Result<std::vector<std::string>> make_invites(const FleetFolder& folder, ClientRegistry& registry,
                                              const InviteRequest& request, Millis now_wall);

} // namespace coppice
