// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_fleet.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/text.h"
#include "cli/demo_contents.h"
#include "cli/fleet_setup.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr Millis kCommandTimeout{60'000};
constexpr std::size_t kRoutesPerDevice = 3; // control, bulk, enroll

} // namespace

Result<std::unique_ptr<DemoFleet>> DemoFleet::start(const DemoFleetOptions& options,
                                                    std::vector<DemoDevice> devices) {
  std::unique_ptr<DemoFleet> fleet(new DemoFleet(options, std::move(devices)));
  std::error_code code;
  fs::create_directories(options.root / "logs", code);
  fs::create_directories(options.root / "devices", code);
  if (code) {
    return Error{ErrorCode::kIo, cat("can't make ", options.root.string(), ": ", code.message())};
  }
  COPPICE_TRY(fleet->start_aggregator());
  COPPICE_TRY(fleet->start_proxy());
  COPPICE_TRY(fleet->enroll_devices());
  return fleet;
}

Result<FleetProcess> DemoFleet::launch(const std::string& name,
                                       std::vector<std::string> arguments) const {
  return launch_process(options_.program, options_.root / "logs", name, std::move(arguments));
}

Result<void> DemoFleet::command(const std::string& name, std::vector<std::string> arguments) const {
  const std::string words = join(arguments, " ").substr(0, 60);
  FleetProcess running = COPPICE_TRY(launch(name, std::move(arguments)));
  const int status = COPPICE_TRY(running.process.wait(kCommandTimeout));
  if (status == 0) return {};
  return Error{ErrorCode::kInternal, cat("'coppice ", words, "' ended with status ", status, ": ",
                                         last_lines(running.log))};
}

Result<void> DemoFleet::start_aggregator() {
  FleetServer server = COPPICE_TRY(
      start_fleet_server({.program = options_.program,
                          .root = options_.root,
                          .model = options_.model,
                          .settings = options_.aggregator,
                          .rounds = std::max(options_.rounds, options_.aggregator_rounds),
                          .deadline = options_.deadline}));
  endpoints_ = std::move(server.endpoints);
  running_.push_back(std::move(server.process));
  return {};
}

Result<FleetProcess> DemoFleet::start_aggregator_again() const {
  return launch("aggregator-again", {"aggregator", "run", aggregator_folder().string(), "--rounds",
                                     "1", "--timeout", "30s"});
}

Result<void> DemoFleet::start_proxy() {
  RecordingProxyOptions options;
  for (const DemoDevice& device : devices_) {
    for (const std::string& target : {endpoints_.control, endpoints_.bulk, endpoints_.enroll}) {
      options.routes.push_back({device.name, "tcp://127.0.0.1:0", target});
    }
  }
  proxy_ = COPPICE_TRY(RecordingProxy::open(options));
  return {};
}

Result<void> DemoFleet::enroll_devices() {
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(aggregator_folder()));
  StateStore store = COPPICE_TRY(StateStore::observe(aggregator_folder()));
  ClientRegistry registry = COPPICE_TRY(ClientRegistry::open(store.database()));
  const std::vector<std::string> routes = proxy_->endpoints();
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    DemoDevice& device = devices_[i];
    device.folder = options_.root / "devices" / device.name;
    device.audit_log = options_.root / "logs" / (device.name + ".sent");
    device.audit_deltas = options_.root / "logs" / (device.name + ".deltas");
    const std::size_t first = i * kRoutesPerDevice;
    const InviteRequest request{
        .endpoints = {routes.at(first), routes.at(first + 1), routes.at(first + 2)}};
    const auto invites = COPPICE_TRY(make_invites(folder, registry, request, SystemClock().wall()));
    // The fleet itself is this machine's load: no device shall wait for the others to be idle.
    COPPICE_TRY(command(
        device.name, {"client", "init", device.folder.string(), "--model", options_.model.string(),
                      "--data", device.data.string(), "--threads", cat(options_.client_threads),
                      "--set", "eligibility.max_load_per_core=1000"}));
    COPPICE_TRY(command(device.name, {"client", "enroll", device.folder.string(), invites.at(0)}));
  }
  enrolment_records_ = proxy_->records().size();
  return {};
}

Result<FleetProcess> DemoFleet::launch_device(
    const DemoDevice& device, std::map<std::string, std::string> environment) const {
  std::vector<std::string> arguments{"client", "run", device.folder.string(), "--until-release",
                                     cat(options_.rounds)};
  if (options_.audit_logs) {
    arguments.insert(arguments.end(), {"--audit-log", device.audit_log.string(), "--audit-deltas",
                                       device.audit_deltas.string()});
  }
  arguments.insert(arguments.end(), options_.device_arguments.begin(),
                   options_.device_arguments.end());
  return launch_process(options_.program, options_.root / "logs", device.name, std::move(arguments),
                        std::move(environment));
}

Result<void> DemoFleet::run() {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const auto kill = std::ranges::find(options_.kills, i, &DemoKill::device);
    std::map<std::string, std::string> environment;
    if (kill != options_.kills.end()) environment["COPPICE_CRASH_AT"] = kill->crash_at;
    running_.push_back(COPPICE_TRY(launch_device(devices_[i], std::move(environment))));
    running_.back().output.new_lines(); // of `init` and `enroll`
  }
  const SystemClock clock;
  const Millis give_up = clock.monotonic() + options_.deadline;
  while (!COPPICE_TRY(step())) {
    if (clock.monotonic() >= give_up) {
      return Error{ErrorCode::kDeadlineExceeded,
                   cat("the fleet did not finish in ", options_.deadline.count / 1000,
                       " s; the logs are in ", (options_.root / "logs").string())};
    }
    nap();
  }
  return {};
}

Result<bool> DemoFleet::step() {
  bool all_ended = true;
  for (FleetProcess& running : running_) {
    tell(running);
    if (const auto killed = killed_.find(running.name); killed != killed_.end()) {
      all_ended = false;
      if (!kill_round_over_) continue;
      killed_.erase(killed);
      const auto device = std::ranges::find(devices_, running.name, &DemoDevice::name);
      FleetProcess again = COPPICE_TRY(launch_device(*device, {}));
      running.process = std::move(again.process); // the same log goes on
      running.ended = false;
      if (options_.on_line) options_.on_line(cat(running.name, ": started again"));
    }
    if (running.ended) continue;
    const auto status = running.process.poll();
    if (!status) {
      all_ended = false;
      continue;
    }
    COPPICE_TRY(ended(running, *status));
    all_ended = all_ended && !killed_.contains(running.name);
  }
  resident_most_ = std::max(resident_most_, resident_bytes_now());
  return all_ended;
}

Result<void> DemoFleet::ended(FleetProcess& running, int status) {
  constexpr int kKilled = 128 + 9;
  running.ended = true;
  tell(running);
  const bool aggregator = running.name == "aggregator";
  if (status == (aggregator ? options_.aggregator_status : 0)) return {};
  for (const DemoKill& kill : options_.kills) {
    if (status != kKilled || devices_[kill.device].name != running.name) continue;
    killed_[running.name] = kill.words;
    if (options_.on_line) options_.on_line(cat(running.name, ": killed ", kill.words));
    return {};
  }
  return Error{ErrorCode::kInternal,
               cat(running.name, " ended with status ", status, ": ", last_lines(running.log))};
}

// What the aggregator held when it had just released.
void DemoFleet::note_memory(const FleetProcess& running) {
  if (running.name != "aggregator" || running.ended) return;
  const fs::path file =
      options_.root / "logs" / cat("aggregator.memory-", memory_dumps_.size() + 1);
  const auto dumped = dump_memory(running.process.id(), file);
  if (dumped.ok()) {
    memory_dumps_.push_back(file);
  } else if (options_.on_line) {
    options_.on_line(cat("the aggregator's memory is not audited: ", dumped.error().message));
  }
}

void DemoFleet::tell(FleetProcess& running) {
  const std::string over = cat("round ", options_.kill_round, ": release");
  for (const std::string& line : running.output.new_lines()) {
    kill_round_over_ = kill_round_over_ || line.starts_with(over);
    if (options_.audit_logs && line.find(": release ") != std::string::npos) note_memory(running);
    if (options_.on_line) options_.on_line(cat(running.name, ": ", line));
  }
}

std::uint64_t DemoFleet::resident_bytes_now() const {
  std::uint64_t total = 0;
  for (const FleetProcess& running : running_) {
    if (!running.ended) total += resident_bytes(running.process.id());
  }
  return total;
}

} // namespace coppice
