// SPDX-License-Identifier: Apache-2.0
#include "aggregator/round.h"

#include <array>
#include <utility>

#include "base/text.h"

namespace coppice {
namespace {

std::size_t total_elements(const std::vector<Slot>& slots) {
  std::size_t total = 0;
  for (const Slot& slot : slots) total += slot.elements;
  return total;
}

} // namespace

void add_upload(const std::vector<Slot>& slots, std::span<std::uint32_t> sum,
                std::span<const std::uint32_t> upload) {
  COPPICE_CHECK(sum.size() == upload.size());
  std::size_t at = 0;
  for (const Slot& slot : slots) {
    ring_add(sum.subspan(at, slot.elements), upload.subspan(at, slot.elements), slot.bits);
    at += slot.elements;
  }
  COPPICE_CHECK(at == sum.size());
}

AggregatorRound::AggregatorRound(RoundPlan plan, std::vector<ClientId> members, Millis deadline)
    : plan_(std::move(plan)),
      plan_hash_(plan_.hash()),
      ring_elements_(total_elements(plan_.slots)),
      deadline_(deadline) {
  for (const ClientId& member : members) members_.emplace(member, MemberState::kOffered);
  COPPICE_CHECK(members_.size() == members.size());
}

AggregatorRound AggregatorRound::resume(StoredRound stored, Millis deadline) {
  AggregatorRound round(std::move(stored.plan), std::move(stored.members), deadline);
  RunningSum sum{std::move(stored.sum), std::move(stored.counted), {}};
  if (sum.elements.empty()) sum.elements.assign(round.ring_elements_, 0);
  COPPICE_CHECK(sum.elements.size() == round.ring_elements_);
  for (const auto& [client, upload] : sum.counted) round.members_[client] = MemberState::kCounted;
  if (stored.closed) {
    round.phase_ = Closing{std::move(sum)};
  } else {
    round.phase_ = Collecting{std::move(sum)};
  }
  return round;
}

std::vector<RoundAction> AggregatorRound::start() { return {CommitPlan{}}; }

std::vector<RoundAction> AggregatorRound::handle(RoundEvent event, Millis now) {
  return std::visit([&](auto&& what) { return on(std::move(what), now); }, std::move(event));
}

const char* AggregatorRound::phase_name() const {
  constexpr std::array<const char*, 6> kNames{"planned",    "collecting", "closing",
                                              "finalizing", "released",   "abandoned"};
  return kNames[phase_.index()];
}

const RunningSum* AggregatorRound::sum() const {
  if (const auto* collecting = std::get_if<Collecting>(&phase_)) return &collecting->sum;
  if (const auto* closing = std::get_if<Closing>(&phase_)) return &closing->sum;
  if (const auto* finalizing = std::get_if<Finalizing>(&phase_)) return &finalizing->sum;
  return nullptr;
}

std::size_t AggregatorRound::count(MemberState state) const {
  std::size_t matching = 0;
  for (const auto& [client, member] : members_) matching += member == state ? 1 : 0;
  return matching;
}

bool AggregatorRound::over() const {
  return std::holds_alternative<Released>(phase_) || std::holds_alternative<Abandoned>(phase_);
}

AggregatorRound::Actions AggregatorRound::on(const PlanCommitted&, Millis) {
  if (!std::holds_alternative<Planned>(phase_)) return {};
  Collecting collecting;
  collecting.sum.elements.assign(ring_elements_, 0);
  phase_ = std::move(collecting);
  Actions actions;
  for (const auto& [client, state] : members_) actions.emplace_back(OfferPlan{client});
  return actions;
}

AggregatorRound::Actions AggregatorRound::on(const MemberConnected& event, Millis) {
  const auto member = members_.find(event.client);
  if (member == members_.end() || !std::holds_alternative<Collecting>(phase_)) return {};
  switch (member->second) {
    case MemberState::kOffered:
    case MemberState::kAccepted: return {OfferPlan{event.client}};
    case MemberState::kLost: // its lease ran out, and it is back in time
      member->second = MemberState::kOffered;
      return {OfferPlan{event.client}};
    case MemberState::kCounted: // it may have missed the acknowledgement
      return {AcknowledgeUpload{event.client, sum()->counted.at(event.client)}};
    case MemberState::kDeclined:
    case MemberState::kReported: return {};
  }
  return {};
}

AggregatorRound::Actions AggregatorRound::on(const MemberAnswered& event, Millis now) {
  const auto member = members_.find(event.client);
  if (member == members_.end() || !std::holds_alternative<Collecting>(phase_)) return {};
  if (member->second != MemberState::kOffered && member->second != MemberState::kAccepted)
    return {};
  member->second = event.accepted ? MemberState::kAccepted : MemberState::kDeclined;
  return close_if_done(now);
}

AggregatorRound::Actions AggregatorRound::on(const MemberLost& event, Millis now) {
  const auto member = members_.find(event.client);
  if (member == members_.end()) return {};
  if (member->second == MemberState::kReported || member->second == MemberState::kCounted)
    return {};
  member->second = MemberState::kLost;
  return close_if_done(now);
}

AggregatorRound::Actions AggregatorRound::on(UploadArrived&& event, Millis) {
  const auto member = members_.find(event.client);
  if (member == members_.end()) return {RefuseUpload{event.client, "not a member of this round"}};
  if (const RunningSum* running = sum()) {
    if (const auto counted = running->counted.find(event.client);
        counted != running->counted.end()) {
      if (counted->second == event.upload) return {AcknowledgeUpload{event.client, event.upload}};
      return {RefuseUpload{event.client, "another upload of this device is already counted"}};
    }
    if (running->uncommitted.contains(event.client)) return {}; // its commit is under way
  }
  auto* const collecting = std::get_if<Collecting>(&phase_);
  if (collecting == nullptr) return {RefuseUpload{event.client, "the round takes no more uploads"}};
  if (event.elements.size() != ring_elements_) {
    member->second = MemberState::kLost;
    return {RefuseUpload{event.client, "the upload has another shape than the plan"}};
  }
  add_upload(plan_.slots, collecting->sum.elements, event.elements);
  collecting->sum.uncommitted.emplace(event.client, event.upload);
  member->second = MemberState::kReported;
  return {CommitSum{}};
}

AggregatorRound::Actions AggregatorRound::on(const UploadRejected& event, Millis now) {
  Actions actions{RefuseUpload{event.client, event.reason}};
  for (RoundAction& action : on(MemberLost{event.client}, now))
    actions.push_back(std::move(action));
  return actions;
}

AggregatorRound::Actions AggregatorRound::on(const SumCommitted&, Millis now) {
  auto* const collecting = std::get_if<Collecting>(&phase_);
  if (collecting == nullptr) return {};
  Actions actions;
  for (auto& [client, upload] : collecting->sum.uncommitted) {
    actions.emplace_back(AcknowledgeUpload{client, upload});
    collecting->sum.counted.emplace(client, upload);
    members_[client] = MemberState::kCounted;
  }
  collecting->sum.uncommitted.clear();
  for (RoundAction& action : close_if_done(now)) actions.push_back(std::move(action));
  return actions;
}

AggregatorRound::Actions AggregatorRound::on(const CloseCommitted&, Millis) {
  auto* const closing = std::get_if<Closing>(&phase_);
  if (closing == nullptr) return {};
  phase_ = Finalizing{std::move(closing->sum)};
  return {MakeRelease{}};
}

AggregatorRound::Actions AggregatorRound::on(const ReleaseCommitted& event, Millis) {
  if (!std::holds_alternative<Finalizing>(phase_)) return {};
  phase_ = Released{event.version};
  return {AnnounceRelease{event.version}};
}

AggregatorRound::Actions AggregatorRound::on(const FinalizeFailed& event, Millis) {
  if (!std::holds_alternative<Finalizing>(phase_)) return {};
  return abandon(event.reason);
}

AggregatorRound::Actions AggregatorRound::on(const AbortRequested& event, Millis) {
  if (over()) return {};
  return abandon(event.reason);
}

AggregatorRound::Actions AggregatorRound::on(const Tick&, Millis now) {
  if (std::holds_alternative<Closing>(phase_)) return {CommitClose{}}; // resumed: idempotent
  return close_if_done(now);
}

// Closes at the goal, when nobody is left to wait for, or at the deadline. Uploads whose commit is
// under way are waited for: their bytes are here.
AggregatorRound::Actions AggregatorRound::close_if_done(Millis now) {
  auto* const collecting = std::get_if<Collecting>(&phase_);
  if (collecting == nullptr || !collecting->sum.uncommitted.empty()) return {};
  const std::size_t counted = collecting->sum.counted.size();
  const std::size_t waiting = count(MemberState::kOffered) + count(MemberState::kAccepted);
  const bool late = now >= deadline_;
  if (counted < plan_.sum.goal && waiting > 0 && !late) return {};
  if (counted < plan_.sum.min_survivors) {
    return abandon(
        cat(counted, " of at least ", plan_.sum.min_survivors, " needed uploads came",
            late ? " before the deadline" : ", and no other device is left to wait for"));
  }
  phase_ = Closing{std::move(collecting->sum)};
  return {CommitClose{}};
}

AggregatorRound::Actions AggregatorRound::abandon(std::string reason) {
  phase_ = Abandoned{reason};
  return {CommitAbandon{std::move(reason)}};
}

} // namespace coppice
