// SPDX-License-Identifier: Apache-2.0
// What each message of a device does, and what it costs when one leaves.
#include "protocol/secagg_server.h"

#include <algorithm>
#include <array>

#include "base/append.h"
#include "base/text.h"
#include "protocol/secagg_server_parts.h"

namespace coppice {
namespace {

// What is wrong with an advert for this plan and attempt, if anything.
Result<KeyAdvert> open_advert(const SecAggServerContext& context, const ClientId& from,
                              const SignedAdvert& advert, const VerifyKey& device) {
  COPPICE_TRY(context.primitives.verify_advert(device, advert.bytes, advert.signature));
  KeyAdvert keys = COPPICE_TRY(decode_advert(advert.bytes));
  if (keys.client != from || keys.plan_hash != context.plan_hash) {
    return Error{ErrorCode::kUnauthenticated, "its keys are for another device or plan"};
  }
  return keys;
}

// A key that another device has too, or that no generator makes, would put its neighbours out.
Result<void> check_keys(const SecAggServerContext& context, const SecAggGathering& gathering,
                        const KeyAdvert& keys) {
  if (keys.box_key == keys.mask_key) {
    return Error{ErrorCode::kUnauthenticated, "its two keys are one"};
  }
  for (const auto& [client, other] : gathering.adverts) {
    for (const AgreementPublicKey& key : {other.keys.box_key, other.keys.mask_key}) {
      if (key == keys.box_key || key == keys.mask_key) {
        return Error{ErrorCode::kUnauthenticated, "another device has the same key"};
      }
    }
  }
  const AgreementKey throw_away =
      context.primitives.agreement_key(context.primitives.random_secret());
  for (const AgreementPublicKey& key : {keys.box_key, keys.mask_key}) {
    COPPICE_TRY(context.primitives.pairwise_seed(throw_away, key, {}));
  }
  return {};
}

} // namespace

SecAggServer::SecAggServer(SecAggServerContext context)
    : context_(context), phase_(SecAggGathering{}) {}

SecAggServer::SecAggServer(SecAggServerContext context, std::set<ClientId> out,
                           SecAggServerPhase phase)
    : context_(context), out_(std::move(out)), phase_(std::move(phase)) {}

const char* SecAggServer::phase_name() const {
  constexpr std::array kNames{"gathering", "opening",  "sharing", "collecting",
                              "unmasking", "finished", "lost"};
  static_assert(kNames.size() == std::variant_size_v<SecAggServerPhase>);
  return kNames[phase_.index()];
}

SecAggServer::Actions SecAggServer::handle(const ClientId& from, const SecAggMessage& message,
                                           const VerifyKey& device,
                                           const SignedCertificate& certificate) {
  if (out_.contains(from)) return {};
  gone_.erase(from);
  return std::visit(
      [&](const auto& value) -> Actions {
        if constexpr (requires { on(from, value, device, certificate); }) {
          return on(from, value, device, certificate);
        } else if constexpr (requires { on(from, value); }) {
          return on(from, value);
        } else {
          return put_out(from, cat("it sent a ", secagg_message_name(message),
                                   ", which is the aggregator's to send"));
        }
      },
      message);
}

SecAggServer::Actions SecAggServer::on(const ClientId& from, const SignedAdvert& advert,
                                       const VerifyKey& device,
                                       const SignedCertificate& certificate) {
  const auto keys = open_advert(context_, from, advert, device);
  if (!keys) return put_out(from, keys.error().message);
  auto* const gathering = std::get_if<SecAggGathering>(&phase_);
  if (gathering == nullptr) {
    if (members_of(phase_) == nullptr || in_roster(from)) return {};
    Actions late;
    leave_behind(late, from, "the roster was closed without it");
    return late;
  }
  if (gathering->attempt > 0 && !gathering->asked.contains(from)) {
    Actions late;
    leave_behind(late, from, "it was not in the roster that is begun again");
    return late;
  }
  if (keys->attempt < gathering->attempt) {
    return actions_of(send_to(from, Readvertise{context_.plan_hash, gathering->attempt}));
  }
  if (keys->attempt > gathering->attempt) {
    return put_out(from, "its keys are for an attempt that was not called for");
  }
  if (const auto known = gathering->adverts.find(from); known != gathering->adverts.end()) {
    if (known->second.advert == advert) return {};
    return put_out(from, "it advertised two sets of keys for one attempt");
  }
  if (const auto good = check_keys(context_, *gathering, *keys); !good) {
    return put_out(from, good.error().message);
  }
  if (gathering->adverts.size() >= limits::kRosterMembers) {
    Actions late;
    leave_behind(late, from, "the roster is full");
    return late;
  }
  gathering->adverts.emplace(
      from,
      SecAggMember{.client = from, .advert = advert, .keys = *keys, .certificate = certificate});
  return {};
}

SecAggServer::Actions SecAggServer::on(const ClientId& from, const NonceOpening& opening) {
  auto* const phase = std::get_if<SecAggOpening>(&phase_);
  if (phase == nullptr || opening.roster_hash != phase->roster_hash) return {};
  const auto number = find_member(phase->members, from);
  if (!number) return {};
  const SecAggMember& member = phase->members[*number];
  if (commit_nonce(opening.nonce, from, context_.plan_hash, phase->roster.attempt) !=
      member.keys.nonce_commitment) {
    return put_out(from, "its nonce is not the one that it committed to");
  }
  phase->nonces[*number] = opening.nonce;
  return phase->nonces.size() == phase->members.size() ? open_graph() : Actions{};
}

SecAggServer::Actions SecAggServer::on(const ClientId& from, const ShareBoxes& boxes) {
  auto* const sharing = std::get_if<SecAggSharing>(&phase_);
  if (sharing == nullptr || boxes.roster_hash != sharing->roster_hash) return {};
  const auto number = find_member(sharing->members, from);
  if (!number) return {};
  const auto known = sharing->boxes.find(*number);
  if (known != sharing->boxes.end()) {
    if (known->second == boxes) return {};
    return put_out(from, "it dealt shares twice");
  }
  if (!std::ranges::equal(sharing->graph.neighbours(*number), boxes.boxes, {}, {},
                          &ShareBox::member) ||
      !std::ranges::all_of(boxes.boxes,
                           [](const ShareBox& box) { return box.box.size() == kShareBoxBytes; })) {
    return put_out(from, "its share boxes are not one for each neighbour");
  }
  sharing->boxes.emplace(*number, boxes);
  return {};
}

SecAggServer::Actions SecAggServer::on(const ClientId& from, const UnmaskShares& shares) {
  auto* const unmasking = std::get_if<SecAggUnmasking>(&phase_);
  if (unmasking == nullptr || shares.roster_hash != unmasking->sharing.roster_hash) return {};
  const auto number = find_member(unmasking->sharing.members, from);
  if (!number || !bit_of(unmasking->survivors.survivors, *number)) return {};
  if (const auto known = unmasking->answers.find(*number); known != unmasking->answers.end()) {
    if (known->second == shares) return {};
    return put_out(from, "it answered one survivors' list twice");
  }
  if (shares.survivors_hash != unmasking->survivors.hash() ||
      !answers_list(unmasking->sharing, unmasking->survivors, *number, shares)) {
    return put_out(from, "its shares are not those that the survivors' list asks for");
  }
  for (const UnmaskShare& share : shares.shares) ++unmasking->recovery.held[share.member];
  unmasking->answers.emplace(*number, shares);
  return go_on_unmasking();
}

SecAggServer::Actions SecAggServer::member_gone(const ClientId& client) {
  if (out_.contains(client) || !gone_.insert(client).second) return {};
  return left(client);
}

SecAggServer::Actions SecAggServer::member_back(const ClientId& client) {
  gone_.erase(client);
  if (out_.contains(client)) return {};
  if (const auto* gathering = std::get_if<SecAggGathering>(&phase_)) {
    if (!gathering->asked.contains(client) || gathering->adverts.contains(client)) return {};
    return actions_of(send_to(client, Readvertise{context_.plan_hash, gathering->attempt}));
  }
  const std::vector<SecAggMember>* const members = members_of(phase_);
  const auto number = members == nullptr ? std::nullopt : find_member(*members, client);
  if (!number) return {};
  if (const auto* opening = std::get_if<SecAggOpening>(&phase_)) {
    if (opening->nonces.contains(*number)) return {};
    return actions_of(send_to(client, opening->roster));
  }
  if (const auto* sharing = std::get_if<SecAggSharing>(&phase_)) {
    if (sharing->boxes.contains(*number)) return {};
    return actions_of(send_to(client, opening_for(*sharing, *number)));
  }
  if (const auto* collecting = std::get_if<SecAggCollecting>(&phase_)) {
    if (!collecting->sharing.boxes.contains(*number)) return {};
    return actions_of(send_to(client, inbox_for(collecting->sharing, *number)));
  }
  const auto& unmasking = std::get<SecAggUnmasking>(phase_);
  if (!bit_of(unmasking.survivors.survivors, *number) || unmasking.answers.contains(*number)) {
    return {};
  }
  return actions_of(send_to(client, unmasking.survivors));
}

SecAggServer::Actions SecAggServer::give_up_waiting() {
  if (std::holds_alternative<SecAggCollecting>(phase_)) return {};
  const std::vector<ClientId> silent = awaited();
  gone_.insert(silent.begin(), silent.end());
  return silent.empty() ? Actions{} : left(silent.front());
}

SecAggServer::Actions SecAggServer::put_out(const ClientId& client, std::string reason) {
  out_.insert(client);
  Actions actions = actions_of(SecAggMemberOut{client, std::move(reason)});
  if (auto* const gathering = std::get_if<SecAggGathering>(&phase_)) {
    gathering->adverts.erase(client);
    gathering->asked.erase(client);
    return actions;
  }
  if (auto* const sharing = std::get_if<SecAggSharing>(&phase_)) {
    if (const auto number = find_member(sharing->members, client)) sharing->boxes.erase(*number);
  }
  append(actions, left(client));
  return actions;
}

// A member may leave wherever its part can be done without; where it can't, all that still matters
// is whether anybody else does.
SecAggServer::Actions SecAggServer::left(const ClientId& client) {
  if (const auto* opening = std::get_if<SecAggOpening>(&phase_)) {
    const auto number = find_member(opening->members, client);
    return number && !opening->nonces.contains(*number) ? restart() : Actions{};
  }
  if (const auto* unmasking = std::get_if<SecAggUnmasking>(&phase_)) {
    if (!find_member(unmasking->sharing.members, client)) return {};
    return go_on_unmasking();
  }
  return {};
}

SecAggServer::Actions SecAggServer::abandon(std::string reason) {
  phase_ = SecAggLost{reason};
  return actions_of(CommitSecAgg{serialize()}, AbandonSecAgg{std::move(reason)});
}

std::vector<ClientId> SecAggServer::awaited() const {
  std::vector<ClientId> waiting;
  const auto add = [&](const ClientId& client) {
    if (!gone_.contains(client) && !out_.contains(client)) waiting.push_back(client);
  };
  if (const auto* gathering = std::get_if<SecAggGathering>(&phase_)) {
    for (const ClientId& client : gathering->asked) {
      if (!gathering->adverts.contains(client)) add(client);
    }
    return waiting;
  }
  const std::vector<SecAggMember>* const members = members_of(phase_);
  if (members == nullptr) return waiting;
  const auto answers = [this](std::uint32_t number) {
    if (const auto* opening = std::get_if<SecAggOpening>(&phase_)) {
      return !opening->nonces.contains(number);
    }
    if (const auto* sharing = std::get_if<SecAggSharing>(&phase_)) {
      return !sharing->boxes.contains(number);
    }
    if (const auto* unmasking = std::get_if<SecAggUnmasking>(&phase_)) {
      return bit_of(unmasking->survivors.survivors, number) && !unmasking->answers.contains(number);
    }
    return std::get<SecAggCollecting>(phase_).sharing.boxes.contains(number);
  };
  for (std::uint32_t number = 0; number < members->size(); ++number) {
    if (answers(number)) add((*members)[number].client);
  }
  return waiting;
}

bool SecAggServer::in_roster(const ClientId& client) const {
  if (const auto* gathering = std::get_if<SecAggGathering>(&phase_)) {
    return gathering->adverts.contains(client);
  }
  const std::vector<SecAggMember>* const members = members_of(phase_);
  return members != nullptr && find_member(*members, client).has_value();
}

bool SecAggServer::may_upload(const ClientId& client) const {
  const auto* const collecting = std::get_if<SecAggCollecting>(&phase_);
  if (collecting == nullptr || out_.contains(client)) return false;
  const auto number = find_member(collecting->sharing.members, client);
  return number && collecting->sharing.boxes.contains(*number);
}

Sha256 SecAggServer::roster_hash() const {
  if (const auto* opening = std::get_if<SecAggOpening>(&phase_)) return opening->roster_hash;
  const SecAggSharing* const sharing = sharing_of(phase_);
  return sharing == nullptr ? Sha256{} : sharing->roster_hash;
}

std::optional<GraphParameters> SecAggServer::parameters() const {
  if (const auto* opening = std::get_if<SecAggOpening>(&phase_)) return opening->parameters;
  const SecAggSharing* const sharing = sharing_of(phase_);
  if (sharing == nullptr) return std::nullopt;
  return sharing->parameters;
}

} // namespace coppice
