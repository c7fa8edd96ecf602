// SPDX-License-Identifier: Apache-2.0
#include "aggregator/late_uploads.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {
namespace {

// It may still send: one that declined may have been asked again and accept, one that was lost may
// be back.
bool may_send(const std::pair<const ClientId, MemberState>& member) {
  return member.second != MemberState::kReported && member.second != MemberState::kCounted;
}

bool gives_more(const EarlierRound& round) {
  return !round.sum.elements.empty() || std::ranges::any_of(round.members, may_send);
}

} // namespace

void LateUploads::add(const AggregatorRound& round) {
  if (round.plan().sum.max_staleness == 0 || !std::holds_alternative<Released>(round.phase())) {
    return;
  }
  add({.plan = round.plan(),
       .plan_hash = round.plan_hash(),
       .deadline = round.deadline(),
       .members = round.members(),
       .sum = {}});
}

void LateUploads::add(EarlierRound earlier) {
  if (gives_more(earlier)) rounds_.push_back(std::move(earlier));
}

void LateUploads::advance(AdapterVersion newest, AdapterVersion oldest, Millis now) {
  for (EarlierRound& round : rounds_) {
    const bool reverted = round.plan.parent < oldest;
    const bool stale = newest.value > round.plan.parent.value + round.plan.sum.max_staleness;
    if (reverted) round.sum = {};
    if (!reverted && !stale && now < round.deadline) continue;
    // What is counted stays so, and what came and isn't committed yet came in time.
    std::erase_if(round.members, may_send);
  }
  std::erase_if(rounds_, [](const EarlierRound& round) { return !gives_more(round); });
}

const EarlierRound* LateUploads::find(const Sha256& plan_hash) const {
  const auto found = std::ranges::find(rounds_, plan_hash, &EarlierRound::plan_hash);
  return found == rounds_.end() ? nullptr : &*found;
}

EarlierRound* LateUploads::of(const Sha256& plan_hash) {
  const auto found = std::ranges::find(rounds_, plan_hash, &EarlierRound::plan_hash);
  return found == rounds_.end() ? nullptr : &*found;
}

const EarlierRound* LateUploads::connected(const ClientId& client) {
  for (EarlierRound& round : rounds_) {
    const auto member = round.members.find(client);
    if (member == round.members.end()) continue;
    if (member->second == MemberState::kLost) member->second = MemberState::kOffered;
    if (is_awaited(member->second)) return &round;
  }
  return nullptr;
}

void LateUploads::answered(const Sha256& plan_hash, const ClientId& client, bool accepted) {
  EarlierRound* const round = of(plan_hash);
  if (round == nullptr) return;
  const auto member = round->members.find(client);
  if (member == round->members.end() || !is_awaited(member->second)) return;
  member->second = accepted ? MemberState::kAccepted : MemberState::kDeclined;
}

void LateUploads::lost(const ClientId& client) {
  for (EarlierRound& round : rounds_) {
    const auto member = round.members.find(client);
    if (member != round.members.end() && is_awaited(member->second)) {
      member->second = MemberState::kLost;
    }
  }
}

Result<LateUploads::Arrived> LateUploads::arrived(const Sha256& plan_hash, const ClientId& client,
                                                  const Sha256& upload,
                                                  std::span<const std::uint32_t> elements) {
  EarlierRound* const round = of(plan_hash);
  if (round == nullptr) return Error{ErrorCode::kFailedPrecondition, "that round is over"};
  RunningSum& sum = round->sum;
  if (const auto counted = sum.counted.find(client); counted != sum.counted.end()) {
    if (counted->second == upload) return Arrived::kCounted;
    return Error{ErrorCode::kInvalidArgument, "another upload of this device is already counted"};
  }
  if (sum.uncommitted.contains(client)) return Arrived::kPending;
  const auto member = round->members.find(client);
  if (member == round->members.end() || member->second == MemberState::kCounted) {
    return Error{ErrorCode::kFailedPrecondition,
                 "this device's time to upload in that round is over"};
  }
  const std::size_t wanted = round->plan.ring_elements();
  if (elements.size() != wanted) {
    member->second = MemberState::kDeclined;
    return Error{ErrorCode::kInvalidArgument, "the upload has another shape than the plan"};
  }
  if (sum.elements.empty()) sum.elements.assign(wanted, 0);
  add_upload(round->plan.slots, sum.elements, elements);
  sum.uncommitted.emplace(client, upload);
  sum.touched.insert(0);
  member->second = MemberState::kReported;
  return Arrived::kAdded;
}

void LateUploads::rejected(const Sha256& plan_hash, const ClientId& client) {
  answered(plan_hash, client, false);
}

std::vector<const EarlierRound*> LateUploads::uncommitted() const {
  std::vector<const EarlierRound*> due;
  for (const EarlierRound& round : rounds_) {
    if (!round.sum.uncommitted.empty()) due.push_back(&round);
  }
  return due;
}

std::vector<LateUploads::Acknowledged> LateUploads::committed(const Sha256& plan_hash) {
  std::vector<Acknowledged> done;
  EarlierRound* const round = of(plan_hash);
  if (round == nullptr) return done;
  for (const auto& [client, upload] : round->sum.uncommitted) {
    done.push_back({client, upload});
    round->sum.counted.emplace(client, upload);
    round->members[client] = MemberState::kCounted;
  }
  round->sum.uncommitted.clear();
  round->sum.touched.clear();
  return done;
}

std::vector<LateSum> LateUploads::sums() const {
  std::vector<LateSum> sums;
  for (const EarlierRound& round : rounds_) {
    COPPICE_CHECK(round.sum.uncommitted.empty());
    if (round.sum.elements.empty()) continue;
    sums.push_back(
        {&round.plan, round.sum.elements, static_cast<std::uint32_t>(round.sum.counted.size())});
  }
  return sums;
}

void LateUploads::released() {
  for (EarlierRound& round : rounds_) round.sum = {};
  std::erase_if(rounds_, [](const EarlierRound& round) { return !gives_more(round); });
}

LateUploadsChanged LateUploads::counts() const {
  LateUploadsChanged counts;
  for (const EarlierRound& round : rounds_) {
    counts.counted += static_cast<std::uint32_t>(round.sum.counted.size());
    counts.under_way +=
        static_cast<std::uint32_t>(std::ranges::count_if(round.members, [](const auto& member) {
          return is_awaited(member.second) || member.second == MemberState::kReported;
        }));
  }
  return counts;
}

std::vector<ClientId> LateUploads::under_way() const {
  std::vector<ClientId> clients;
  for (const EarlierRound& round : rounds_) {
    for (const auto& [client, state] : round.members) {
      if (is_awaited(state)) clients.push_back(client);
    }
  }
  std::ranges::sort(clients);
  const auto repeated = std::ranges::unique(clients);
  clients.erase(repeated.begin(), repeated.end());
  return clients;
}

} // namespace coppice
