// SPDX-License-Identifier: Apache-2.0
// The demo's fleet: one aggregator process, one process a device, and a recording proxy between
// them.
//
// Every process is this program, started as a user would start it. Each device's connections run
// through routes of its own, so what it sent is told apart on the wire.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/fleet_process.h"
#include "config/settings.h"
#include "protocol/recording_proxy.h"

namespace coppice {

struct DemoDevice {
  std::string name;
  fs::path data;
  std::vector<std::string> secrets; // texts that must never leave
  fs::path folder;                  // the device's own
  fs::path audit_log;               // what it sent, in plain, written by the device
  fs::path audit_deltas{};          // what it trained, which must be nowhere else
};

// A device that is killed (SIGKILL) in one round, and started again when that round is over.
struct DemoKill {
  std::size_t device = 0;
  std::string crash_at; // the commit point (base/file.h, crash_point()) and which passing of it
  std::string words;    // for people: "after masking, before its upload"
  bool counts = false;  // whether its update must be in the round's sum
};

struct DemoFleetOptions {
  fs::path program;
  fs::path root; // everything lies below
  fs::path model;
  std::uint32_t rounds = 3;
  std::vector<Override> aggregator;          // of aggregator.toml
  std::string engine = "native";             // of the devices, and of the sample text
  std::vector<std::string> device_arguments; // of `client run`, besides the folder
  std::vector<DemoKill> kills{};
  std::uint32_t kill_round = 0;
  std::uint32_t aggregator_rounds = 0; // that it is asked for; 0: as `rounds`
  int aggregator_status = 0;           // that it must end with
  bool audit_logs = true;              // devices write down what they send, in plain
  std::uint32_t client_threads = 1;
  Millis deadline{600'000};
  std::function<void(const std::string&)> on_line; // what happens, as it happens
};

class DemoFleet {
 public:
  // Makes the fleet, starts the aggregator and the proxy, enrols every device.
  static Result<std::unique_ptr<DemoFleet>> start(const DemoFleetOptions& options,
                                                  std::vector<DemoDevice> devices);
  // Runs the devices to their end, and the aggregator's. Errors name the process's log.
  Result<void> run();

  const std::vector<DemoDevice>& devices() const { return devices_; }
  // The same aggregator once more, on the state that it left.
  Result<FleetProcess> start_aggregator_again() const;
  const std::vector<DemoKill>& kills() const { return options_.kills; }
  std::uint32_t kill_round() const { return options_.kill_round; }
  // The aggregator's memory as it was at each release.
  const std::vector<fs::path>& memory_dumps() const { return memory_dumps_; }
  fs::path aggregator_folder() const { return options_.root / "aggregator"; }
  std::vector<TrafficRecord> traffic() const { return proxy_->records(); }
  // How many of traffic()'s first records are of the enrolments.
  std::size_t enrolment_records() const { return enrolment_records_; }
  bool traffic_complete() const { return !proxy_->overflowed(); }
  std::uint64_t resident_bytes_now() const; // of all processes
  std::uint64_t resident_bytes_most() const { return resident_most_; }

 private:
  DemoFleet(DemoFleetOptions options, std::vector<DemoDevice> devices)
      : options_(std::move(options)), devices_(std::move(devices)) {}
  Result<void> start_aggregator();
  Result<void> start_proxy();
  Result<void> enroll_devices();
  Result<FleetProcess> launch(const std::string& name, std::vector<std::string> arguments) const;
  Result<void> command(const std::string& name, std::vector<std::string> arguments) const;
  Result<FleetProcess> launch_device(const DemoDevice& device,
                                     std::map<std::string, std::string> environment) const;
  void tell(FleetProcess& running);
  void note_memory(const FleetProcess& running);
  Result<void> ended(FleetProcess& running, int status);
  Result<bool> step(); // true: all have ended

  DemoFleetOptions options_;
  std::vector<DemoDevice> devices_;
  ServerEndpoints endpoints_;
  std::unique_ptr<RecordingProxy> proxy_;
  std::vector<FleetProcess> running_;
  std::map<std::string, std::string> killed_; // name, words: waiting for the round's end
  bool kill_round_over_ = false;
  std::vector<fs::path> memory_dumps_;
  std::size_t enrolment_records_ = 0;
  std::uint64_t resident_most_ = 0;
};

} // namespace coppice
