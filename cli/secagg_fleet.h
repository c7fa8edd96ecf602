// SPDX-License-Identifier: Apache-2.0
// A round of secure aggregation in this process: the real machines of both sides and the real
// cryptography, without sockets, disks or training. Behind `coppice bench secagg`.
//
// Messages are handed over as they are; what they would take on the wire is counted. Everything
// runs on the caller's thread, so that its processor time can be told apart by phase; the masks
// that come off the sum at the end run on all cores, as in the service.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/secagg_client.h"
#include "protocol/secagg_server.h"

namespace coppice {

struct SecAggFleetOptions {
  std::uint32_t devices = 1000;
  std::uint32_t elements = 1U << 16U;
  std::uint32_t bits = 16;
  // The assumptions of plan and owner. So many of the devices leave after they have shared their
  // secrets and before they upload: what costs the aggregator most.
  GraphAssumptions assumptions;
};

// Processor seconds, in the order of a round, under the names that a person reads.
using PhaseSeconds = std::vector<std::pair<std::string, double>>;
inline constexpr const char* kMasksOfVector = "masks";                 // of `devices` and `device`
inline constexpr const char* kSecretsOfTheSum = "answers and secrets"; // of `server`
double seconds_of_phase(const PhaseSeconds& phases, std::string_view name); // there (checked)
double total_seconds(const PhaseSeconds& phases);

struct SecAggFleetRound {
  GraphParameters graph;
  std::uint32_t uploads = 0;
  PhaseSeconds devices;                 // all of them together
  PhaseSeconds device;                  // of those that stay: each phase's median
  PhaseSeconds server;                  // with all threads' time
  double recovery = 0;                  // of `kSecretsOfTheSum` on the thread that does most
  std::vector<SignedSeed> device_masks; // of one that stays, in the middle of the roster
  std::vector<SignedSeed> sum_masks;    // that came off the sum
  std::uint64_t bytes_up = 0;           // of that device beside its masked vector: with envelopes
                                        // and CURVE
  std::uint64_t bytes_down = 0;
};

// kInternal if the round doesn't end with the exact sum of the devices that stayed.
Result<SecAggFleetRound> run_secagg_fleet(const SecAggFleetOptions& options);

} // namespace coppice
