// SPDX-License-Identifier: Apache-2.0
// This program's own commands as processes of a fleet: started, watched, and asked where they
// serve.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/fleet_setup.h"
#include "cli/subprocess.h"
#include "formats/json.h"
#include "protocol/transport.h"

namespace coppice {

struct FleetProcess {
  std::string name;
  ChildProcess process;
  FileFollower output;
  fs::path log;
  bool ended = false;
};

// `program ARGUMENTS...`, with its output in `logs`/NAME.log.
Result<FleetProcess> launch_process(const fs::path& program, const fs::path& logs,
                                    const std::string& name, std::vector<std::string> arguments,
                                    std::map<std::string, std::string> environment = {});

void nap(); // between two looks at a process

// The end of a log: what a message about a process's death quotes.
std::string last_lines(const fs::path& log);

struct FleetServerOptions {
  fs::path program;
  fs::path root; // the fleet's folder is root/aggregator, logs are in root/logs
  fs::path model;
  std::vector<Override> settings; // of aggregator.toml
  std::uint32_t rounds = 1;
  Millis deadline{600'000}; // gives up after this long without a round's end
  bool paused = false;      // no round starts before "paused" is cleared in the state
};

struct FleetServer {
  FleetProcess process;
  ServerEndpoints endpoints; // on free ports of the loopback
};

// Makes the fleet's folder and starts its aggregator; returns when it serves. It ends by itself
// after the rounds, once every connected device holds the last release.
Result<FleetServer> start_fleet_server(const FleetServerOptions& options);

// What the running aggregator last wrote of itself; kNotFound before it did.
Result<Json> fleet_server_status(const fs::path& root);

} // namespace coppice
