// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_client_checks.h"

#include <algorithm>
#include <bit>
#include <set>

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

template <typename... Parts>
Error refusal(const Parts&... parts) {
  return {ErrorCode::kUnauthenticated, cat(parts...)};
}

// Nobody else's keys in my place, or a device that I did not agree to be.
Result<std::uint32_t> find_me(const SecAggClientContext& context, const SecAggAdvertised& keys,
                              const Roster& roster) {
  const auto at = std::ranges::find(roster.entries, context.id, &RosterEntry::client);
  if (at == roster.entries.end()) return refusal("the roster leaves this device out");
  if (at->advert_hash != sha256(keys.advert.bytes)) {
    return refusal("the roster has other keys under this device's name");
  }
  if (at->nonce_commitment !=
      commit_nonce(keys.nonce, context.id, context.plan_hash, keys.attempt)) {
    return refusal("the roster has another nonce commitment under this device's name");
  }
  return static_cast<std::uint32_t>(at - roster.entries.begin());
}

Result<void> check_nonces(const SecAggClientContext& context, const SecAggOpened& opened,
                          const GraphOpening& opening) {
  const std::vector<RosterEntry>& entries = opened.roster.entries;
  if (opening.nonces.size() != entries.size()) {
    return refusal(opening.nonces.size(), " nonces for ", entries.size(), " members");
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (commit_nonce(opening.nonces[i], entries[i].client, context.plan_hash,
                     opened.roster.attempt) != entries[i].nonce_commitment) {
      return refusal("the nonce of member ", i, " is not the one that it committed to");
    }
  }
  return {};
}

// The keys of one neighbour, if its certificate, signature and the roster vouch for them.
Result<KeyAdvert> open_neighbour(const SecAggClientContext& context, const Roster& roster,
                                 const NeighbourKeys& neighbour) {
  const RosterEntry& entry = roster.entries[neighbour.member];
  if (sha256(neighbour.advert.bytes) != entry.advert_hash) {
    return refusal("the keys of member ", neighbour.member, " are not those of the roster");
  }
  const Certificate certificate =
      COPPICE_TRY(context.primitives.open_certificate(context.fleet_key, neighbour.certificate));
  if (certificate.client != entry.client) {
    return refusal("the certificate of member ", neighbour.member, " is another device's");
  }
  COPPICE_TRY(context.primitives.verify_advert(certificate.verify, neighbour.advert.bytes,
                                               neighbour.advert.signature));
  KeyAdvert keys = COPPICE_TRY(decode_advert(neighbour.advert.bytes));
  if (keys.client != entry.client || keys.plan_hash != context.plan_hash ||
      keys.attempt != roster.attempt || keys.nonce_commitment != entry.nonce_commitment) {
    return refusal("the keys of member ", neighbour.member,
                   " were made for another device, plan or attempt");
  }
  return keys;
}

std::uint32_t count_bits(std::span<const std::uint8_t> bits) {
  std::uint32_t count = 0;
  for (const std::uint8_t byte : bits) count += static_cast<std::uint32_t>(std::popcount(byte));
  return count;
}

// One bit a member and none beyond; survivors among those that shared.
Result<void> check_bits(const SurvivorList& list, std::uint32_t members) {
  const std::size_t bytes = (std::size_t{members} + 7) / 8;
  if (list.shared.size() != bytes || list.survivors.size() != bytes) {
    return refusal("the survivors' list is not of ", members, " members");
  }
  for (std::size_t i = 0; i < bytes; ++i) {
    if ((list.survivors[i] & ~list.shared[i]) != 0) {
      return refusal("the survivors' list has a survivor that never shared");
    }
  }
  for (std::uint32_t member = members; member < bytes * 8; ++member) {
    if (bit_of(list.shared, member)) {
      return refusal("the survivors' list names members beyond the roster");
    }
  }
  return {};
}

} // namespace

Result<RosterPlace> check_roster(const SecAggClientContext& context, const SecAggAdvertised& keys,
                                 const Roster& roster) {
  const auto members = static_cast<std::uint32_t>(roster.entries.size());
  if (members < context.min_survivors) {
    return refusal("the roster has ", members, " members, and the floor is ",
                   context.min_survivors);
  }
  for (std::size_t i = 1; i < roster.entries.size(); ++i) {
    if (roster.entries[i - 1].client >= roster.entries[i].client) {
      return refusal("the roster is out of order or names a device twice");
    }
  }
  RosterPlace place{.me = COPPICE_TRY(find_me(context, keys, roster)), .parameters = {}};
  place.parameters = COPPICE_TRY(find_graph_parameters(members, context.plan));
  if (place.parameters.degree > limits::kGraphDegree) {
    return refusal("a graph of degree ", place.parameters.degree, " is above the limit of ",
                   limits::kGraphDegree);
  }
  COPPICE_TRY(check_graph_security(members, place.parameters, context.owner));
  return place;
}

Result<std::vector<SecAggNeighbour>> check_graph(const SecAggClientContext& context,
                                                 const SecAggOpened& opened,
                                                 const GraphOpening& opening) {
  COPPICE_TRY(check_nonces(context, opened, opening));
  const SecAggGraph graph(opened.roster_hash, opening.nonces, opened.parameters.degree);
  const std::vector<std::uint32_t> expected = graph.neighbours(opened.me);
  if (!std::ranges::equal(expected, opening.neighbours, {}, {}, &NeighbourKeys::member)) {
    return refusal("the neighbours are not those that follow from the nonces");
  }
  const KeyAdvert mine = COPPICE_TRY(decode_advert(opened.keys.advert.bytes));
  std::set<AgreementPublicKey> seen{mine.box_key, mine.mask_key};
  std::vector<SecAggNeighbour> neighbours;
  for (const NeighbourKeys& neighbour : opening.neighbours) {
    const KeyAdvert keys = COPPICE_TRY(open_neighbour(context, opened.roster, neighbour));
    for (const AgreementPublicKey& key : {keys.box_key, keys.mask_key}) {
      if (key == mine.box_key || key == mine.mask_key) {
        return refusal("member ", neighbour.member, " presents this device's own key");
      }
      if (!seen.insert(key).second) {
        return refusal("member ", neighbour.member, " has a duplicated key");
      }
    }
    neighbours.push_back({neighbour.member, keys.box_key, keys.mask_key});
  }
  return neighbours;
}

Result<std::vector<ShareBoxKeys>> agree_on_boxes(const SecAggPrimitives& primitives,
                                                 const AgreementKey& mine,
                                                 const std::vector<SecAggNeighbour>& neighbours,
                                                 const Sha256& roster_hash) {
  std::vector<ShareBoxKeys> keys;
  keys.reserve(neighbours.size());
  for (const SecAggNeighbour& neighbour : neighbours) {
    keys.push_back(COPPICE_TRY(primitives.box_keys(mine, neighbour.box_key, roster_hash)));
  }
  return keys;
}

Result<void> check_inbox(const SecAggClientContext& context, const SecAggShared& shared,
                         const ShareInbox& inbox) {
  auto neighbour = shared.neighbours.begin(); // both are sorted: one walk
  for (const ShareBox& box : inbox.boxes) {
    while (neighbour != shared.neighbours.end() && neighbour->member < box.member) ++neighbour;
    if (neighbour == shared.neighbours.end() || neighbour->member != box.member) {
      return refusal("a share box of member ", box.member,
                     ", which is no neighbour, comes twice or out of order");
    }
    const auto at = static_cast<std::size_t>(neighbour - shared.neighbours.begin());
    auto opened = context.primitives.open_box(shared.box_keys[at].opening,
                                              {.from = box.member, .to = shared.me}, box.box);
    if (!opened || opened->size() != 2 * sizeof(SecretShare)) {
      return refusal("the share box of member ", box.member, " was altered or is for another");
    }
    wipe(*opened);
    ++neighbour;
  }
  if (inbox.boxes.size() < shared.parameters.threshold) {
    return refusal(inbox.boxes.size(), " neighbours shared, and ", shared.parameters.threshold,
                   " are needed");
  }
  return {};
}

Result<void> check_survivors(const SecAggClientContext& context, const SecAggMasked& masked,
                             const SurvivorList& list) {
  const SecAggShared& shared = masked.shared;
  COPPICE_TRY(check_bits(list, shared.members));
  if (!bit_of(list.survivors, shared.me)) {
    return refusal("the survivors' list leaves this device out");
  }
  const std::uint32_t survivors = count_bits(list.survivors);
  if (survivors < context.min_survivors) {
    return refusal("the survivors' list has ", survivors, " members, and the floor is ",
                   context.min_survivors);
  }
  std::uint32_t alive = 0;
  auto box = masked.inbox.boxes.begin();
  for (const SecAggNeighbour& neighbour : shared.neighbours) {
    const bool boxed = box != masked.inbox.boxes.end() && box->member == neighbour.member;
    if (boxed) ++box;
    if (bit_of(list.shared, neighbour.member) != boxed) {
      return refusal("the survivors' list and this device's share boxes differ about member ",
                     neighbour.member);
    }
    alive += bit_of(list.survivors, neighbour.member) ? 1 : 0;
  }
  if (alive < shared.parameters.threshold) {
    return refusal(alive, " neighbours survive, and ", shared.parameters.threshold, " are needed");
  }
  return {};
}

} // namespace coppice
