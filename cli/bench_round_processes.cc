// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "aggregator/fleet_folder.h"
#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/bench_round.h"
#include "cli/demo_fleet.h"

namespace coppice {
namespace {

// A frame from a device of this size on can only be a chunk of its upload.
constexpr std::uint64_t kSurelyUpload = limits::kControlFrameBytes;

std::vector<Override> process_settings(const RoundBenchOptions& options) {
  const std::string count = cat(options.clients);
  std::vector<Override> made = secure_aggregation_settings(options.secure_aggregation);
  made.insert(made.end(), {{"round.min_available_nodes", count, "bench"},
                           {"round.min_train_nodes", count, "bench"},
                           {"network.lease", "2m", "bench"}});
  return made;
}

std::vector<std::string> device_arguments(bool secure_aggregation) {
  // Other work on this machine must not make a device decline.
  std::vector<std::string> made{"--constant-delta", "0.001", "--set",
                                "eligibility.max_load_per_core=1000"};
  if (!secure_aggregation) {
    made.insert(made.end(), {"--set", "floors.require_secure_aggregation=false", "--set",
                             "floors.min_survivors=2"});
  }
  return made;
}

struct WireBytes {
  std::uint64_t enrolment = 0;
  std::uint64_t first_adapter = 0;
  std::uint64_t rounds = 0;
};

// The first adapter is what comes down a connection before the first chunk goes up it: a device
// trains only from what it holds. Everything else but enrolment is the rounds': handshakes,
// check-ins and heartbeats too.
WireBytes split_traffic(const std::vector<TrafficRecord>& records, std::size_t enrolment_records) {
  struct Connection {
    std::uint64_t down_before_upload = 0;
    bool uploaded = false;
  };
  WireBytes bytes;
  std::map<std::uint64_t, Connection> connections;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const TrafficRecord& record = records[i];
    const std::uint64_t wire = record.frame.wire_bytes;
    if (i < enrolment_records) {
      bytes.enrolment += wire;
      continue;
    }
    bytes.rounds += wire;
    Connection& connection = connections[record.connection];
    if (record.direction == TrafficDirection::kUp) {
      connection.uploaded = connection.uploaded || wire > kSurelyUpload;
    } else if (!connection.uploaded && record.frame.kind == ZmtpKind::kMessage) {
      connection.down_before_upload += wire;
    }
  }
  for (const auto& [number, connection] : connections) {
    if (connection.uploaded) bytes.first_adapter += connection.down_before_upload;
  }
  bytes.rounds -= bytes.first_adapter;
  return bytes;
}

} // namespace

std::vector<Override> secure_aggregation_settings(bool on) {
  return {{"round.secure_aggregation", on ? "true" : "false", "bench"},
          {"round.min_survivors", on ? "3" : "2", "bench"}};
}

Result<RoundTimes> round_times(const fs::path& aggregator, std::uint32_t rounds,
                               std::uint32_t clients) {
  StateStore store = COPPICE_TRY(StateStore::observe(aggregator));
  auto records = COPPICE_TRY(store.rounds(std::size_t{rounds} + 1));
  std::ranges::reverse(records);
  RoundTimes times;
  for (const RoundRecord& record : records) {
    if (record.status != RoundStatus::kReleased || record.counted != clients) {
      return Error{ErrorCode::kInternal,
                   cat("round ", record.round, " counted ", record.counted, " of ", clients,
                       " uploads and is ", round_status_name(record.status),
                       "; a figure of it would be wrong. ", record.reason)};
    }
    times.seconds.push_back(static_cast<double>((record.ended_wall - record.started_wall).count) /
                            1000.0);
  }
  if (records.size() != rounds) {
    return Error{ErrorCode::kInternal,
                 cat(records.size(), " rounds of ", rounds, " were released")};
  }
  const Millis span = records.back().ended_wall - records.front().started_wall;
  times.seconds_per_round = static_cast<double>(span.count) / 1000.0 / rounds;
  return times;
}

Result<ProcessBench> bench_processes(const RoundBenchOptions& options) {
  const fs::path data = options.root / "data"; // empty: a constant delta needs no text
  std::error_code code;
  fs::create_directories(data, code);
  if (code) return Error{ErrorCode::kIo, cat("can't make ", data.string(), ": ", code.message())};
  std::vector<DemoDevice> devices;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    devices.push_back({cat("client", i + 1), data, {}, {}, {}});
  }
  const DemoFleetOptions fleet_options{
      .program = options.program,
      .root = options.root,
      .model = options.model,
      .rounds = options.rounds,
      .aggregator = process_settings(options),
      .device_arguments = device_arguments(options.secure_aggregation),
      .audit_logs = false,
      .on_line = options.on_line};
  const auto fleet = COPPICE_TRY(DemoFleet::start(fleet_options, std::move(devices)));
  COPPICE_TRY(fleet->run());
  const double clients = options.clients;
  ProcessBench bench;
  bench.times =
      COPPICE_TRY(round_times(fleet->aggregator_folder(), options.rounds, options.clients));
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(fleet->aggregator_folder()));
  bench.parameters = folder.spec()->parameters();
  if (!fleet->traffic_complete()) {
    return Error{ErrorCode::kInternal, "the proxy saw more frames than it can keep; ask for fewer"};
  }
  const WireBytes bytes = split_traffic(fleet->traffic(), fleet->enrolment_records());
  bench.enrolment_bytes = static_cast<double>(bytes.enrolment) / clients;
  bench.first_adapter_bytes = static_cast<double>(bytes.first_adapter) / clients;
  bench.bytes_per_client_round = static_cast<double>(bytes.rounds) / clients / options.rounds;
  bench.resident_mb = static_cast<double>(fleet->resident_bytes_most()) / 1e6;
  return bench;
}

} // namespace coppice
