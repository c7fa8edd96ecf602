// SPDX-License-Identifier: Apache-2.0
// What a round costs apart from training: real processes or real sockets, a constant delta in
// training's place. Behind `coppice bench round`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "config/settings.h"
#include "formats/json.h"

namespace coppice {

struct RoundBenchOptions {
  fs::path program;
  fs::path root; // everything lies below
  fs::path model;
  std::uint32_t clients = 8;
  std::uint32_t rounds = 5;
  bool secure_aggregation = false;                 // off means that both sides are told so
  std::function<void(const std::string&)> on_line; // what happens, as it happens
};

// From the start of the first plan's commit to the end of the last release's, over the rounds:
// the time between two rounds counts.
struct RoundTimes {
  double seconds_per_round = 0;
  std::vector<double> seconds; // of each round, from its plan's commit to its release's
};
// What a benchmark tells the aggregator of secure aggregation. Two devices are enough for a plain
// sum, and three for a masked one.
std::vector<Override> secure_aggregation_settings(bool on);

// kInternal unless `rounds` rounds were released, each with every client's upload.
Result<RoundTimes> round_times(const fs::path& aggregator, std::uint32_t rounds,
                               std::uint32_t clients);

struct ProcessBench {
  std::uint64_t parameters = 0; // of the delta
  RoundTimes times;
  double bytes_per_client_round = 0; // both directions, as on the wire; all that isn't joining
  double enrolment_bytes = 0;        // once a client: joining
  double first_adapter_bytes = 0;    // once a client: joining
  double resident_mb = 0;            // most at one time, summed over the processes
};
// One process for the aggregator and one for each client, through a recording proxy in this one,
// whose memory doesn't count.
Result<ProcessBench> bench_processes(const RoundBenchOptions& options);

// The aggregator's own process, at one number of connected clients.
//
// What it holds at most is three terms: what it is alone; a connection's cost, for each of them;
// and what rounds hold of adapters. See adapter_mb().
struct FleetMemory {
  std::uint32_t clients = 0;
  double alone_mb = 0;     // serving, before anybody connected
  double connected_mb = 0; // all connected, each holding the first adapter; no round yet
  double most_mb = 0;      // during the rounds
  double after_mb = 0;     // rounds over, all still connected, no message under way
  double fleet_mb = 0;     // this process with all its clients, at most
  double bytes_up_per_client_round = 0;
  RoundTimes times;
};
// Of one more connected client, once rounds have gone through its queues.
double connection_mb(const FleetMemory& small, const FleetMemory& large);
// All that isn't the process alone, nor connections: the sum, uploads under way, releases on their
// way out, what the database and the newest release keep in memory.
double adapter_mb(const FleetMemory& memory, double connection_mb);

// The clients are agents in this process, each with its own folder, keys and connections; one more
// device than `options` says is connected, and takes no part.
Result<FleetMemory> bench_in_process(const RoundBenchOptions& options);

} // namespace coppice
