// SPDX-License-Identifier: Apache-2.0
#include "cli/fleet_process.h"

#include <chrono>
#include <thread>

#include "aggregator/state_store.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr Millis kStartTimeout{20'000};

Result<ServerEndpoints> bound_endpoints(const fs::path& root) {
  const Json json = COPPICE_TRY(fleet_server_status(root));
  const Json& endpoints = *COPPICE_TRY(json_object(json, "endpoints"));
  return ServerEndpoints{COPPICE_TRY(json_string(endpoints, "control")),
                         COPPICE_TRY(json_string(endpoints, "bulk")),
                         COPPICE_TRY(json_string(endpoints, "enroll"))};
}

} // namespace

void nap() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

std::string last_lines(const fs::path& log) {
  const auto raw = read_file(log, std::size_t{16} << 20U);
  if (!raw.ok()) return {};
  const std::string_view text = as_text(*raw);
  constexpr std::size_t kTail = 600;
  return std::string(text.substr(text.size() > kTail ? text.size() - kTail : 0));
}

Result<FleetProcess> launch_process(const fs::path& program, const fs::path& logs,
                                    const std::string& name, std::vector<std::string> arguments,
                                    std::map<std::string, std::string> environment) {
  arguments.insert(arguments.begin(), program.string());
  const fs::path log = logs / (name + ".log");
  ChildProcess process =
      COPPICE_TRY(ChildProcess::start({std::move(arguments), log, std::move(environment)}));
  return FleetProcess{name, std::move(process), FileFollower(log), log};
}

Result<Json> fleet_server_status(const fs::path& root) {
  const Bytes raw = COPPICE_TRY(read_file(root / "aggregator" / "status.json", 1 << 24));
  return parse_json(as_text(raw));
}

Result<FleetServer> start_fleet_server(const FleetServerOptions& options) {
  const fs::path folder = options.root / "aggregator";
  std::error_code code;
  fs::create_directories(options.root / "logs", code);
  if (code) {
    return Error{ErrorCode::kIo, cat("can't make ", options.root.string(), ": ", code.message())};
  }
  FleetInit init{
      .directory = folder, .model = options.model, .adapter = {}, .overrides = options.settings};
  for (const char* channel : {"network.control", "network.bulk", "network.enroll"}) {
    init.overrides.push_back({channel, "tcp://127.0.0.1:0", "its own fleet"});
  }
  COPPICE_TRY(init_fleet(init));
  if (options.paused) {
    StateStore store = COPPICE_TRY(StateStore::observe(folder));
    COPPICE_TRY(store.set("paused", "1"));
  }
  FleetServer server{
      COPPICE_TRY(launch_process(
          options.program, options.root / "logs", "aggregator",
          {"aggregator", "run", folder.string(), "--rounds", cat(options.rounds),
           "--leave-when-fetched", "--timeout", cat(options.deadline.count / 1000, "s")})),
      {}};
  const SystemClock clock;
  const Millis give_up = clock.monotonic() + kStartTimeout;
  while (clock.monotonic() < give_up && !server.process.process.poll()) {
    auto endpoints = bound_endpoints(options.root);
    if (endpoints.ok()) {
      server.endpoints = std::move(endpoints).value();
      return server;
    }
    nap();
  }
  return Error{ErrorCode::kInternal,
               cat("the aggregator did not start: ", last_lines(server.process.log))};
}

} // namespace coppice
