// SPDX-License-Identifier: Apache-2.0
// What the phases of SecAggServer know, and the messages that follow from it. Internal to
// protocol/. Pure; thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "protocol/secagg_server.h"

namespace coppice {

// Actions hold secrets, which an initializer list would copy.
template <typename... Each>
std::vector<SecAggServerAction> actions_of(Each&&... each) {
  std::vector<SecAggServerAction> all;
  all.reserve(sizeof...(each));
  (all.emplace_back(std::forward<Each>(each)), ...);
  return all;
}

// The same message for whoever gets the draft or a copy of it.
SecAggDraft draft_of(SecAggMessage message);
template <typename Sent>
SendSecAggTo send_to(const ClientId& client, Sent message) {
  return {client, draft_of(std::move(message))};
}

// Null before there is a roster, and at the end.
const std::vector<SecAggMember>* members_of(const SecAggServerPhase& phase);
// The running phase's, from Sharing to Unmasking; null otherwise.
const SecAggSharing* sharing_of(const SecAggServerPhase& phase);
// A client's number in `members`, which are sorted.
std::optional<std::uint32_t> find_member(const std::vector<SecAggMember>& members,
                                         const ClientId& client);
Roster make_roster(const std::vector<SecAggMember>& members, const Sha256& plan_hash,
                   std::uint8_t attempt);

GraphOpening opening_for(const SecAggSharing& sharing, std::uint32_t member);
ShareInbox inbox_for(const SecAggSharing& sharing, std::uint32_t member);

// Drops the boxes of those with fewer sharing neighbours than the threshold, until none is left:
// such a device would refuse its inbox, and nobody has seen its boxes yet.
void drop_unprotected(SecAggSharing& sharing);

// How many secrets the sum of `survivors` wants. kFailedPrecondition, with numbers, where one of
// them can't be recovered, because too few of its owner's neighbours survive.
Result<std::uint32_t> count_wanted(const SecAggSharing& sharing,
                                   const std::vector<std::uint8_t>& survivors);

// Whether `shares` are of all those secrets that `survivors` asks `member` for, and of no others.
bool answers_list(const SecAggSharing& sharing, const SurvivorList& list, std::uint32_t member,
                  const UnmaskShares& shares);

} // namespace coppice
