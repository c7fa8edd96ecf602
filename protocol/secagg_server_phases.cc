// SPDX-License-Identifier: Apache-2.0
// From one phase to the next: what was decided is committed, then everybody is told.
#include <algorithm>
#include <memory>

#include "base/text.h"
#include "protocol/secagg_server.h"
#include "protocol/secagg_server_parts.h"

namespace coppice {

std::uint32_t SecAggServer::least_members() const {
  return std::max(context_.min_survivors, kMinMembers);
}

void SecAggServer::leave_behind(Actions& actions, const ClientId& client, const char* reason) {
  if (!out_.insert(client).second) return;
  actions.emplace_back(SecAggMemberOut{client, reason});
}

SecAggServer::Actions SecAggServer::close_roster() {
  auto* const gathering = std::get_if<SecAggGathering>(&phase_);
  if (gathering == nullptr) return {};
  Actions told;
  for (const ClientId& client : gone_) { // it would cost an attempt
    if (gathering->adverts.erase(client) > 0) {
      leave_behind(told, client, "it left before the roster was closed");
    }
  }
  const auto count = static_cast<std::uint32_t>(gathering->adverts.size());
  if (count < least_members()) {
    return abandon(cat(count, " devices advertised keys, and ", least_members(), " are needed"));
  }
  const auto parameters = find_graph_parameters(count, context_.assumptions);
  if (!parameters) return abandon(parameters.error().message);
  if (parameters->degree > limits::kGraphDegree) {
    return abandon(cat("a graph of degree ", parameters->degree, " is above the limit of ",
                       limits::kGraphDegree, "; gather fewer devices"));
  }
  for (const ClientId& client : gathering->asked) {
    if (!gathering->adverts.contains(client)) {
      leave_behind(told, client, "the roster was closed without it");
    }
  }
  SecAggOpening opening{
      .members = {}, .roster = {}, .roster_hash = {}, .parameters = *parameters, .nonces = {}};
  for (auto& [client, member] : gathering->adverts) opening.members.push_back(std::move(member));
  opening.roster = make_roster(opening.members, context_.plan_hash, gathering->attempt);
  opening.roster_hash = opening.roster.hash();
  const SecAggDraft roster = draft_of(opening.roster);
  for (const RosterEntry& entry : opening.roster.entries) {
    told.emplace_back(SendSecAggTo{entry.client, roster});
  }
  phase_ = std::move(opening);
  told.insert(told.begin(), CommitSecAgg{serialize()});
  return told;
}

// Without those whose nonces are missing, and with fresh keys for all others.
SecAggServer::Actions SecAggServer::restart() {
  const auto& opening = std::get<SecAggOpening>(phase_);
  SecAggGathering again{
      .attempt = static_cast<std::uint8_t>(opening.roster.attempt + 1), .asked = {}, .adverts = {}};
  Actions told;
  for (std::uint32_t number = 0; number < opening.members.size(); ++number) {
    const ClientId& client = opening.members[number].client;
    if (out_.contains(client)) continue;
    if (gone_.contains(client) && !opening.nonces.contains(number)) {
      leave_behind(told, client, "it left before it opened its nonce");
    } else {
      again.asked.insert(client);
      told.emplace_back(send_to(client, Readvertise{context_.plan_hash, again.attempt}));
    }
  }
  if (again.attempt >= kMaxAttempts) {
    return abandon(cat("in each of ", kMaxAttempts,
                       " attempts a device left between the roster and its nonce"));
  }
  if (again.asked.size() < least_members()) {
    return abandon(
        cat(again.asked.size(), " devices are left, and ", least_members(), " are needed"));
  }
  phase_ = std::move(again);
  told.insert(told.begin(), CommitSecAgg{serialize()});
  return told;
}

SecAggServer::Actions SecAggServer::open_graph() {
  auto& opening = std::get<SecAggOpening>(phase_);
  std::vector<GraphNonce> nonces;
  nonces.reserve(opening.nonces.size());
  for (const auto& [number, nonce] : opening.nonces) nonces.push_back(nonce);
  SecAggGraph graph(opening.roster_hash, nonces, opening.parameters.degree);
  phase_ = SecAggSharing{.members = std::move(opening.members),
                         .roster = std::move(opening.roster),
                         .roster_hash = opening.roster_hash,
                         .parameters = opening.parameters,
                         .nonces = std::move(nonces),
                         .graph = std::move(graph),
                         .boxes = {}};
  const auto& sharing = std::get<SecAggSharing>(phase_);
  Actions told = actions_of(CommitSecAgg{serialize()});
  const auto opened = std::make_shared<const SecAggSharing>(sharing); // without boxes as yet
  for (std::uint32_t number = 0; number < sharing.members.size(); ++number) {
    const ClientId& client = sharing.members[number].client;
    if (!out_.contains(client)) {
      told.emplace_back(SendSecAggTo{
          client, [opened, number] { return SecAggMessage{opening_for(*opened, number)}; }});
    }
  }
  return told;
}

SecAggServer::Actions SecAggServer::close_sharing() {
  auto* const sharing = std::get_if<SecAggSharing>(&phase_);
  if (sharing == nullptr) return {};
  drop_unprotected(*sharing);
  if (sharing->boxes.size() < least_members()) {
    return abandon(cat(sharing->boxes.size(), " devices shared their secrets with enough others, ",
                       "and ", least_members(), " are needed"));
  }
  Actions told;
  CollectMasked collect;
  for (std::uint32_t number = 0; number < sharing->members.size(); ++number) {
    const ClientId& client = sharing->members[number].client;
    if (!sharing->boxes.contains(number)) {
      leave_behind(told, client, "its secrets were not shared in time");
      continue;
    }
    told.emplace_back(send_to(client, inbox_for(*sharing, number)));
    collect.clients.push_back(client);
  }
  told.emplace_back(std::move(collect));
  phase_ = SecAggCollecting{std::move(*sharing)};
  told.insert(told.begin(), CommitSecAgg{serialize()});
  return told;
}

SecAggServer::Actions SecAggServer::close_sum(const std::vector<ClientId>& survivors) {
  auto* const collecting = std::get_if<SecAggCollecting>(&phase_);
  if (collecting == nullptr) return {};
  SecAggSharing& sharing = collecting->sharing;
  const auto members = static_cast<std::uint32_t>(sharing.members.size());
  std::vector<std::uint32_t> shared;
  for (const auto& [number, dealt] : sharing.boxes) shared.push_back(number);
  std::set<std::uint32_t> alive;
  for (const ClientId& client : survivors) {
    const auto number = find_member(sharing.members, client);
    COPPICE_CHECK(number && sharing.boxes.contains(*number), "a vector that nobody may have sent");
    alive.insert(*number);
  }
  if (alive.size() < std::max(context_.min_survivors, 1U)) {
    return abandon(cat(alive.size(), " masked vectors came, and ",
                       std::max(context_.min_survivors, 1U), " are needed"));
  }
  SurvivorList list{
      .roster_hash = sharing.roster_hash,
      .shared = bits_of(shared, members),
      .survivors = bits_of(std::vector<std::uint32_t>(alive.begin(), alive.end()), members)};
  const auto wanted = count_wanted(sharing, list.survivors);
  if (!wanted) return abandon(wanted.error().message);
  Actions told;
  const SecAggDraft to_survivors = draft_of(list);
  for (const std::uint32_t number : shared) {
    const ClientId& client = sharing.members[number].client;
    if (!alive.contains(number)) {
      leave_behind(told, client, "its masked vector did not come in time");
    } else if (!out_.contains(client)) {
      told.emplace_back(SendSecAggTo{client, to_survivors});
    }
  }
  for (auto& [number, dealt] : sharing.boxes) dealt.boxes = {}; // delivered: all survivors masked
  phase_ = SecAggUnmasking{.sharing = std::move(sharing),
                           .survivors = std::move(list),
                           .answers = {},
                           .wanted = *wanted,
                           .recovery = {}};
  told.insert(told.begin(), CommitSecAgg{serialize()});
  return told;
}

} // namespace coppice
