// SPDX-License-Identifier: Apache-2.0
// Doctor's checks of an aggregator's folder and of a device's.
#include <poll.h>
#include <sys/socket.h>

#include "aggregator/fleet_folder.h"
#include "aggregator/settings.h"
#include "base/text.h"
#include "cli/client_settings_file.h"
#include "cli/doctor_checks.h"
#include "cli/fleet_setup.h"
#include "client/device_folder.h"
#include "protocol/descriptors.h"
#include "protocol/tcp_sockets.h"

namespace coppice {
namespace {

constexpr int kConnectMs = 2000;
constexpr Millis kExpirySoon{7LL * 24 * 3600 * 1000};

void append(std::vector<Finding>& into, std::vector<Finding> more) {
  for (Finding& finding : more) into.push_back(std::move(finding));
}

Finding fault(std::string check, const Error& error, std::string mend) {
  return {std::move(check), Health::kFault, error.message, std::move(mend)};
}

Finding check_expiry(const KeySet& keys, const std::string& mend) {
  const std::string name = cat("set ", keys.number);
  if (keys.expires.count == 0) return {"keys", Health::kGood, cat(name, ", doesn't expire")};
  const Millis left = keys.expires - SystemClock().wall();
  if (left <= Millis{0}) return {"keys", Health::kFault, cat(name, " has expired"), mend};
  const std::string reading = cat(name, ", expires in ", left.count / 86'400'000, " days");
  if (left < kExpirySoon) return {"keys", Health::kWarning, reading, mend};
  return {"keys", Health::kGood, reading};
}

// Whether a port can be bound now.
Finding check_port(const char* name, const std::string& endpoint) {
  const std::string check = cat("port, ", name);
  const auto listener = tcp_listen(endpoint);
  if (listener) return {check, Health::kGood, cat(endpoint, " is free")};
  return {check, Health::kFault, cat(endpoint, " can't be listened at: it is in use, or not ours"),
          cat("end what uses it, or set network.", name, " in aggregator.toml")};
}

bool answers(const std::string& endpoint) {
  const auto socket = tcp_connect(endpoint);
  if (!socket) return false;
  pollfd wait{.fd = socket->descriptor(), .events = POLLOUT, .revents = 0};
  if (::poll(&wait, 1, kConnectMs) != 1) return false;
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(socket->descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

Finding check_reach(const char* name, const std::string& endpoint) {
  const std::string check = cat("fleet's ", name, " port");
  if (answers(endpoint)) return {check, Health::kGood, cat(endpoint, " answers")};
  return {check, Health::kWarning, cat(endpoint, " doesn't answer within 2 s"),
          "see whether the aggregator runs, and whether a firewall lets this device through"};
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

std::vector<Finding> check_client(const fs::path& directory, const Environment& environment) {
  std::vector<Finding> findings{check_disk(directory)};
  append(findings, check_key_permissions(directory / "keys"));
  const auto settings = load_client_settings(directory, environment, {});
  if (!settings) {
    findings.push_back(fault("settings", settings.error(), "correct client.toml"));
    return findings;
  }
  findings.push_back({"settings", Health::kGood, "client.toml is in order"});
  const DeviceFolder folder(directory);
  const auto identity = folder.identity();
  findings.push_back(identity
                         ? Finding{"device", Health::kGood, identity->id.hex()}
                         : fault("device", identity.error(), "run 'coppice client init' again"));
  const auto pieces = read_pieces(settings->data, settings->store, nullptr);
  if (!pieces || pieces->empty()) {
    findings.push_back(
        {"text", Health::kFault,
         pieces ? cat("no text in ", settings->data.string()) : pieces.error().message,
         "name a folder of .txt, .md or .jsonl files as client.data in client.toml"});
  } else {
    findings.push_back({"text", Health::kGood, cat(pieces->size(), " pieces")});
  }
  const auto membership = folder.membership();
  if (!membership) {
    append(findings, check_model(settings->model, std::nullopt));
    const bool unenrolled = membership.error().code == ErrorCode::kNotFound;
    findings.push_back({"fleet", unenrolled ? Health::kWarning : Health::kFault,
                        unenrolled ? "enrolled in none yet" : membership.error().message,
                        cat("run 'coppice client enroll ", directory.string(), " INVITE'")});
    return findings;
  }
  append(findings, check_model(settings->model, membership->base_hash.hex()));
  findings.push_back(
      check_expiry(membership->keys, "start 'coppice client run': it fetches newer ones"));
  findings.push_back(check_reach("control", membership->control_endpoint));
  findings.push_back(check_reach("bulk", membership->bulk_endpoint));
  return findings;
}

} // namespace coppice
