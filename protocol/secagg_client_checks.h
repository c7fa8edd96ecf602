// SPDX-License-Identifier: Apache-2.0
// What a device checks of each message of secure aggregation, before it acts. Internal to
// protocol/.
//
// Each function looks at one message, whose plan, attempt and roster hash are those that the device
// is in. An error's sentence is why the device stops. Pure; thread-safe.
#pragma once

#include <vector>

#include "protocol/secagg_client.h"

namespace coppice {

struct RosterPlace {
  std::uint32_t me = 0;
  GraphParameters parameters;
};
// Enough members, sorted, each once; I am in it with my own keys and commitment; a graph of that
// size keeps the owner's assumptions.
Result<RosterPlace> check_roster(const SecAggClientContext& context, const SecAggAdvertised& keys,
                                 const Roster& roster);

// Every nonce is the one committed to, the neighbours are those that follow from them, and each
// is an enrolled device that signed its keys for this plan and attempt.
Result<std::vector<SecAggNeighbour>> check_graph(const SecAggClientContext& context,
                                                 const SecAggOpened& opened,
                                                 const GraphOpening& opening);

// One agreement with each neighbour. Fails for a key that no honest device has.
Result<std::vector<ShareBoxKeys>> agree_on_boxes(const SecAggPrimitives& primitives,
                                                 const AgreementKey& mine,
                                                 const std::vector<SecAggNeighbour>& neighbours,
                                                 const Sha256& roster_hash);

// Boxes of enough neighbours, by member, each sealed by its sender for me.
Result<void> check_inbox(const SecAggClientContext& context, const SecAggShared& shared,
                         const ShareInbox& inbox);

// I am alive in it, enough others are, and it shares with my inbox what it says of my neighbours.
Result<void> check_survivors(const SecAggClientContext& context, const SecAggMasked& masked,
                             const SurvivorList& list);

} // namespace coppice
