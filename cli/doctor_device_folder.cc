// SPDX-License-Identifier: Apache-2.0
// Doctor's checks of a device's folder.
#include <poll.h>
#include <sys/socket.h>

#include "base/text.h"
#include "cli/doctor_checks.h"
#include "client/device_folder.h"
#include "client/settings_file.h"
#include "protocol/tcp_sockets.h"

namespace coppice {
namespace {

constexpr int kConnectMs = 2000;

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

} // namespace

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
