// SPDX-License-Identifier: Apache-2.0
// Doctor's checks of an aggregator's folder.
#include "aggregator/fleet_folder.h"
#include "aggregator/settings.h"
#include "base/text.h"
#include "cli/doctor_checks.h"
#include "cli/fleet_setup.h"
#include "protocol/descriptors.h"
#include "protocol/tcp_sockets.h"

namespace coppice {
namespace {

// Whether a port can be bound now.
Finding check_port(const char* name, const std::string& endpoint) {
  const std::string check = cat("port, ", name);
  const auto listener = tcp_listen(endpoint);
  if (listener) return {check, Health::kGood, cat(endpoint, " is free")};
  return {check, Health::kFault, cat(endpoint, " can't be listened at: it is in use, or not ours"),
          cat("end what uses it, or set network.", name, " in aggregator.toml")};
}

std::vector<Finding> check_service(const fs::path& directory, const AggregatorSettings& settings) {
  std::vector<Finding> findings;
  const std::uint64_t needed = descriptors_for_clients(settings.max_clients);
  const auto raised = ensure_descriptors(needed);
  findings.push_back(raised ? Finding{"descriptors for clients", Health::kGood,
                                      cat(needed, " for ", settings.max_clients, " devices")}
                            : fault("descriptors for clients", raised.error(),
                                    "raise the hard limit, or lower network.max_clients"));
  if (!FileLock::take(directory / "lock")) {
    findings.push_back({"service", Health::kGood, "running: its ports are its own"});
    return findings;
  }
  findings.push_back({"service", Health::kGood, "not running"});
  findings.push_back(check_port("control", settings.endpoints.control));
  findings.push_back(check_port("bulk", settings.endpoints.bulk));
  findings.push_back(check_port("enroll", settings.endpoints.enroll));
  return findings;
}

} // namespace

std::vector<Finding> check_aggregator(const fs::path& directory, const Environment& environment) {
  std::vector<Finding> findings{check_disk(directory)};
  append(findings, check_key_permissions(directory / "keys"));
  const auto fleet = FleetFolder::open(directory);
  if (!fleet) {
    findings.push_back(fault("fleet", fleet.error(), "make one with 'coppice aggregator init'"));
    return findings;
  }
  findings.push_back(
      {"fleet", Health::kGood,
       cat(fleet->spec()->parameters(), " parameters over ", fleet->facts().base_name)});
  findings.push_back(check_expiry(fleet->keys().set, "run 'coppice aggregator keys rotate'"));
  if (fleet->fleet_signing_key()) {
    findings.push_back({"fleet key", Health::kWarning, "on this machine",
                        "move keys/fleet.key offline while you enrol nobody and rotate nothing"});
  } else {
    findings.push_back({"fleet key", Health::kGood, "offline"});
  }
  const auto settings = load_aggregator_settings(directory, environment, {});
  const auto checked = settings ? aggregator_settings(*settings) : settings.error();
  if (!checked) {
    findings.push_back(fault("settings", checked.error(), "correct aggregator.toml"));
    return findings;
  }
  findings.push_back({"settings", Health::kGood, "aggregator.toml is in order"});
  append(findings, check_service(directory, *checked));
  return findings;
}

} // namespace coppice
