// SPDX-License-Identifier: Apache-2.0
// The demo's fleet: one aggregator process, one process a device, and a recording proxy between
// them.
//
// Every process is this program, started as a user would start it. Each device's connections run
// through routes of its own, so what it sent is told apart on the wire.
#pragma once

#include <functional>
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
};

struct DemoFleetOptions {
  fs::path program;
  fs::path root; // everything lies below
  fs::path model;
  std::uint32_t rounds = 3;
  std::vector<Override> aggregator;          // of aggregator.toml
  std::vector<std::string> device_arguments; // of `client run`, besides the folder
  bool audit_logs = true;                    // devices write down what they send, in plain
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
  void tell(FleetProcess& running) const;
  Result<bool> step(); // true: all have ended

  DemoFleetOptions options_;
  std::vector<DemoDevice> devices_;
  ServerEndpoints endpoints_;
  std::unique_ptr<RecordingProxy> proxy_;
  std::vector<FleetProcess> running_;
  std::size_t enrolment_records_ = 0;
  std::uint64_t resident_most_ = 0;
};

} // namespace coppice
