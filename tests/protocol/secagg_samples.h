// SPDX-License-Identifier: Apache-2.0
// One message of secure aggregation of each kind, and states of both machines in every phase.
#pragma once

#include <utility>
#include <vector>

#include "protocol/secagg_client.h"
#include "protocol/secagg_server.h"

namespace coppice::samples {

// In the order of SecAggMessage's alternatives, with no field at its default.
std::vector<SecAggMessage> secagg_messages();

// What restores the states below.
SecAggClientContext secagg_device();
SecAggServerContext secagg_aggregator();
// As persisted or committed, one a phase, in the order of the phases' alternatives.
std::vector<Bytes> secagg_device_states();
std::vector<Bytes> secagg_server_states();

// `state` with the last 32 bytes made to be its checksum: for changes that only the reader catches.
Bytes with_checksum(Bytes state);

} // namespace coppice::samples
