// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_server_parts.h"

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {

SecAggDraft draft_of(SecAggMessage message) {
  const auto shared = std::make_shared<const SecAggMessage>(std::move(message));
  return [shared] { return *shared; };
}

const SecAggSharing* sharing_of(const SecAggServerPhase& phase) {
  if (const auto* sharing = std::get_if<SecAggSharing>(&phase)) return sharing;
  if (const auto* collecting = std::get_if<SecAggCollecting>(&phase)) return &collecting->sharing;
  if (const auto* unmasking = std::get_if<SecAggUnmasking>(&phase)) return &unmasking->sharing;
  return nullptr;
}

const std::vector<SecAggMember>* members_of(const SecAggServerPhase& phase) {
  if (const auto* opening = std::get_if<SecAggOpening>(&phase)) return &opening->members;
  const SecAggSharing* const sharing = sharing_of(phase);
  return sharing == nullptr ? nullptr : &sharing->members;
}

std::optional<std::uint32_t> find_member(const std::vector<SecAggMember>& members,
                                         const ClientId& client) {
  const auto at = std::ranges::lower_bound(members, client, {}, &SecAggMember::client);
  if (at == members.end() || at->client != client) return std::nullopt;
  return static_cast<std::uint32_t>(at - members.begin());
}

Roster make_roster(const std::vector<SecAggMember>& members, const Sha256& plan_hash,
                   std::uint8_t attempt) {
  Roster roster{.plan_hash = plan_hash, .attempt = attempt, .entries = {}};
  roster.entries.reserve(members.size());
  for (const SecAggMember& member : members) {
    roster.entries.push_back({.client = member.client,
                              .advert_hash = sha256(member.advert.bytes),
                              .nonce_commitment = member.keys.nonce_commitment});
  }
  return roster;
}

GraphOpening opening_for(const SecAggSharing& sharing, std::uint32_t member) {
  GraphOpening opening{
      .roster_hash = sharing.roster_hash, .nonces = sharing.nonces, .neighbours = {}};
  for (const std::uint32_t other : sharing.graph.neighbours(member)) {
    opening.neighbours.push_back({.member = other,
                                  .advert = sharing.members[other].advert,
                                  .certificate = sharing.members[other].certificate});
  }
  return opening;
}

ShareInbox inbox_for(const SecAggSharing& sharing, std::uint32_t member) {
  ShareInbox inbox{.roster_hash = sharing.roster_hash, .boxes = {}};
  for (const std::uint32_t sender : sharing.graph.neighbours(member)) {
    const auto dealt = sharing.boxes.find(sender);
    if (dealt == sharing.boxes.end()) continue;
    const auto box = std::ranges::lower_bound(dealt->second.boxes, member, {}, &ShareBox::member);
    inbox.boxes.push_back({.member = sender, .box = box->box});
  }
  return inbox;
}

void drop_unprotected(SecAggSharing& sharing) {
  bool dropped = true;
  while (dropped) {
    dropped = std::erase_if(sharing.boxes, [&sharing](const auto& dealt) {
                const auto neighbours = sharing.graph.neighbours(dealt.first);
                const auto sharers = std::ranges::count_if(
                    neighbours, [&](std::uint32_t other) { return sharing.boxes.contains(other); });
                return sharers < std::ptrdiff_t{sharing.parameters.threshold};
              }) > 0;
  }
}

Result<std::uint32_t> count_wanted(const SecAggSharing& sharing,
                                   const std::vector<std::uint8_t>& survivors) {
  std::uint32_t wanted = 0;
  for (const auto& [owner, dealt] : sharing.boxes) {
    const auto neighbours = sharing.graph.neighbours(owner);
    const auto alive = std::ranges::count_if(
        neighbours, [&](std::uint32_t other) { return bit_of(survivors, other); });
    if (alive == 0 && !bit_of(survivors, owner)) continue; // nobody in the sum has a mask with it
    if (alive < std::ptrdiff_t{sharing.parameters.threshold}) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat("of a device's ", neighbours.size(), " neighbours ", alive, " survive, and ",
                       sharing.parameters.threshold, " must give shares of its secrets")};
    }
    ++wanted;
  }
  return wanted;
}

bool answers_list(const SecAggSharing& sharing, const SurvivorList& list, std::uint32_t member,
                  const UnmaskShares& shares) {
  auto share = shares.shares.begin();
  for (const std::uint32_t owner : sharing.graph.neighbours(member)) {
    if (!bit_of(list.shared, owner)) continue;
    const ShareOf of = bit_of(list.survivors, owner) ? ShareOf::kSelfMask : ShareOf::kMaskKey;
    if (share == shares.shares.end() || share->member != owner || share->of != of) return false;
    ++share;
  }
  return share == shares.shares.end();
}

} // namespace coppice
