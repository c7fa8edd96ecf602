// SPDX-License-Identifier: Apache-2.0
// What the command line knows of a fleet from outside its service: the status file and the state.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aggregator/settings.h"
#include "aggregator/state_store.h"
#include "config/settings.h"
#include "formats/json.h"

namespace coppice {

// The service's snapshot; none if it never ran. `running` says whether a process holds the folder
// now.
struct FleetStatus {
  std::optional<Json> snapshot;
  bool running = false;
};
Result<FleetStatus> read_fleet_status(const fs::path& directory);

// Where the sockets are: as bound by the running service, else as configured (ports of 0 are
// refused).
Result<ServerEndpoints> fleet_endpoints(const fs::path& directory,
                                        const AggregatorSettings& settings);

} // namespace coppice
