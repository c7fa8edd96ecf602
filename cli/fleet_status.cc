// SPDX-License-Identifier: Apache-2.0
#include "cli/fleet_status.h"

#include "base/text.h"

namespace coppice {

Result<FleetStatus> read_fleet_status(const fs::path& directory) {
  FleetStatus status;
  if (!fs::exists(directory / "fleet.json")) {
    return Error{ErrorCode::kNotFound, cat(directory.string(),
                                           " is not an aggregator's folder; make "
                                           "one with 'coppice aggregator init'")};
  }
  status.running = !FileLock::take(directory / "lock").ok();
  const fs::path path = directory / "status.json";
  if (!fs::exists(path)) return status;
  const Bytes raw = COPPICE_TRY(read_file(path, std::size_t{64} << 20U));
  status.snapshot = COPPICE_TRY(parse_json(as_text(raw)));
  return status;
}

Result<ServerEndpoints> fleet_endpoints(const fs::path& directory,
                                        const AggregatorSettings& settings) {
  const FleetStatus status = COPPICE_TRY(read_fleet_status(directory));
  if (status.running && status.snapshot) {
    const Json& bound = *COPPICE_TRY(json_object(*status.snapshot, "endpoints"));
    return ServerEndpoints{COPPICE_TRY(json_string(bound, "control")),
                           COPPICE_TRY(json_string(bound, "bulk")),
                           COPPICE_TRY(json_string(bound, "enroll"))};
  }
  for (const std::string& endpoint :
       {settings.endpoints.control, settings.endpoints.bulk, settings.endpoints.enroll}) {
    if (endpoint.ends_with(":0")) {
      return Error{ErrorCode::kFailedPrecondition,
                   "the service chooses its own ports (:0) and doesn't run; start it first, or set "
                   "ports in aggregator.toml"};
    }
  }
  return settings.endpoints;
}

} // namespace coppice
