// SPDX-License-Identifier: Apache-2.0
#include "aggregator/round.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/append.h"
#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {

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

AggregatorRound::AggregatorRound(RoundPlan plan, const std::vector<ClientId>& members,
                                 Millis deadline, const SecAggPrimitives& primitives, AddUpload add)
    : plan_(std::move(plan)),
      add_(std::move(add)),
      plan_hash_(plan_.hash()),
      ring_elements_(plan_.ring_elements()),
      deadline_(deadline),
      primitives_(&primitives) {
  for (const ClientId& member : members) members_.emplace(member, MemberState::kOffered);
  COPPICE_CHECK(members_.size() == members.size());
  assign_groups();
}

// Who is in which follows from the release that the round starts from, which nobody chose, its
// number and the members' names: a round that is played again has the same groups.
void AggregatorRound::assign_groups() {
  const std::uint32_t groups = plan_.sum.groups;
  if (groups == 1) return;
  std::vector<std::pair<Sha256, ClientId>> drawn;
  for (const auto& [client, state] : members_) {
    ByteWriter round;
    round.put(plan_.round.value);
    Sha256Hasher hasher;
    hasher.update(plan_.adapter_hash.span());
    hasher.update(round.bytes());
    hasher.update(client.span());
    drawn.emplace_back(hasher.finish(), client);
  }
  std::ranges::sort(drawn);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    group_of_[drawn[i].second] = static_cast<std::uint32_t>(i % groups);
  }
}

std::vector<std::uint32_t> AggregatorRound::counted_by_group() const {
  std::vector<std::uint32_t> counts(plan_.sum.groups);
  const RunningSum* const running = sum();
  if (running == nullptr) return counts;
  for (const auto& [client, upload] : running->counted) {
    const std::uint32_t group = group_in(group_of_, client);
    counts[group] += secagg_ && secagg_->lost(group) ? 0 : 1;
  }
  return counts;
}

Result<AggregatorRound> AggregatorRound::resume(StoredRound stored, Millis deadline,
                                                const SecAggPrimitives& primitives) {
  AggregatorRound round(std::move(stored.plan), std::move(stored.members), deadline, primitives);
  RunningSum sum{std::move(stored.sum), std::move(stored.counted), {}, {}, round.plan_.sum.groups};
  const std::size_t elements = round.plan_.sum.groups * round.ring_elements_;
  if (sum.elements.empty()) sum.elements.assign(elements, 0);
  COPPICE_CHECK(sum.elements.size() == elements);
  for (const auto& [client, upload] : sum.counted) round.members_[client] = MemberState::kCounted;
  if (round.plan_.sum.secure_aggregation) {
    const std::uint32_t groups = round.plan_.sum.groups;
    if (stored.secagg.empty()) {
      round.secagg_.emplace(round.secagg_context(), groups, round.group_of_);
    } else {
      round.secagg_.emplace(COPPICE_TRY(
          SecAggGroups::restore(round.secagg_context(), groups, round.group_of_, stored.secagg)));
      for (std::uint32_t group = 0; group < groups; ++group) round.leave_behind(group);
    }
    // Uploads come as soon as one group collects; all groups' sums are closed together.
    bool collecting = false;
    for (std::uint32_t group = 0; group < groups; ++group) {
      const SecAggServerPhase& agreed = round.secagg_->machine(group).phase();
      if (std::holds_alternative<SecAggUnmasking>(agreed)) {
        round.phase_ = Unmasking{std::move(sum)};
        return round;
      }
      collecting = collecting || std::holds_alternative<SecAggCollecting>(agreed);
    }
    if (!collecting) {
      round.phase_ = Agreeing{};
      return round;
    }
  }
  if (stored.closed) {
    round.phase_ = Closing{std::move(sum)};
  } else {
    round.phase_ = Collecting{std::move(sum)};
  }
  return round;
}

std::vector<RoundAction> AggregatorRound::start() { return {CommitPlan{}}; }

std::vector<RoundAction> AggregatorRound::handle(RoundEvent event, Millis now) {
  return std::visit([&](auto&& what) { return on(std::forward<decltype(what)>(what), now); },
                    std::move(event));
}

const char* AggregatorRound::phase_name() const {
  constexpr std::array<const char*, 8> kNames{"planned",   "agreeing",   "collecting", "closing",
                                              "unmasking", "finalizing", "released",   "abandoned"};
  return kNames[phase_.index()];
}

const RunningSum* AggregatorRound::sum() const {
  if (const auto* collecting = std::get_if<Collecting>(&phase_)) return &collecting->sum;
  if (const auto* closing = std::get_if<Closing>(&phase_)) return &closing->sum;
  if (const auto* unmasking = std::get_if<Unmasking>(&phase_)) return &unmasking->sum;
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
  if (plan_.sum.secure_aggregation) {
    secagg_.emplace(secagg_context(), plan_.sum.groups, group_of_);
    phase_ = Agreeing{};
  } else {
    Collecting collecting;
    collecting.sum.groups = plan_.sum.groups;
    collecting.sum.elements.assign(plan_.sum.groups * ring_elements_, 0);
    phase_ = std::move(collecting);
  }
  Actions actions;
  for (const auto& [client, state] : members_) actions.emplace_back(OfferPlan{client});
  return actions;
}

AggregatorRound::Actions AggregatorRound::on(const MemberConnected& event, Millis) {
  const auto member = members_.find(event.client);
  if (member == members_.end() || over()) return {};
  if (secagg_) return member_back(event.client, member->second);
  if (!std::holds_alternative<Collecting>(phase_)) return {};
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
  const bool asks =
      std::holds_alternative<Agreeing>(phase_) || std::holds_alternative<Collecting>(phase_);
  if (member == members_.end() || !asks) return {};
  if (member->second != MemberState::kOffered && member->second != MemberState::kAccepted)
    return {};
  member->second = event.accepted ? MemberState::kAccepted : MemberState::kDeclined;
  Actions actions;
  if (secagg_ && !event.accepted) actions = member_gone(event.client);
  return and_then(std::move(actions), close_if_done(now));
}

AggregatorRound::Actions AggregatorRound::on(const MemberLost& event, Millis now) {
  const auto member = members_.find(event.client);
  if (member == members_.end() || over()) return {};
  const bool in_sum =
      member->second == MemberState::kReported || member->second == MemberState::kCounted;
  if (!in_sum) member->second = MemberState::kLost;
  Actions actions;
  if (secagg_) actions = member_gone(event.client); // counted: it won't unmask
  return and_then(std::move(actions), close_if_done(now));
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
  if (collecting == nullptr && plan_.sum.max_staleness > 0 && !over()) {
    return {}; // it is offered again, and counts in the next release
  }
  if (collecting == nullptr) return {RefuseUpload{event.client, "the round takes no more uploads"}};
  if (secagg_ && !secagg_->machine_of(event.client).may_upload(event.client)) {
    return {RefuseUpload{event.client, "this device has agreed on no masks in this round"}};
  }
  if (event.elements.size() != ring_elements_) {
    member->second = MemberState::kLost;
    return {RefuseUpload{event.client, "the upload has another shape than the plan"}};
  }
  const std::uint32_t group = group_in(group_of_, event.client);
  add_(plan_.slots,
       std::span(collecting->sum.elements).subspan(group * ring_elements_, ring_elements_),
       std::move(event.elements));
  collecting->sum.touched.insert(group);
  collecting->sum.uncommitted.emplace(event.client, event.upload);
  member->second = MemberState::kReported;
  return {CommitSum{}};
}

AggregatorRound::Actions AggregatorRound::on(const UploadRejected& event, Millis now) {
  return and_then({RefuseUpload{event.client, event.reason}}, on(MemberLost{event.client}, now));
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
  collecting->sum.touched.clear();
  return and_then(std::move(actions), close_if_done(now));
}

AggregatorRound::Actions AggregatorRound::on(const CloseCommitted&, Millis) {
  auto* const closing = std::get_if<Closing>(&phase_);
  if (closing == nullptr) return {};
  if (secagg_) {
    phase_ = Unmasking{std::move(closing->sum)};
    return end_sums();
  }
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
  // Resumed, or the disk was full: what was under way is asked for again.
  if (std::holds_alternative<Closing>(phase_)) return {CommitClose{}};
  if (std::holds_alternative<Finalizing>(phase_)) return {MakeRelease{}};
  if (const auto* abandoned = std::get_if<Abandoned>(&phase_)) {
    return {CommitAbandon{abandoned->reason}};
  }
  return close_if_done(now);
}

AggregatorRound::Actions AggregatorRound::on(const LateUploadsChanged& event, Millis now) {
  if (plan_.sum.max_staleness == 0) return {};
  late_ = event;
  return close_if_done(now);
}

// While a roster is gathered or uploads are collected; then secure aggregation's machine knows.
bool AggregatorRound::awaits(const ClientId& client, MemberState state) const {
  if (!is_awaited(state) || !secagg_) return is_awaited(state);
  const SecAggServer& machine = secagg_->machine_of(client);
  if (std::holds_alternative<SecAggGathering>(machine.phase())) return !machine.in_roster(client);
  return machine.may_upload(client);
}

std::vector<ClientId> AggregatorRound::awaited() const {
  if (std::holds_alternative<Unmasking>(phase_)) return secagg_->awaited();
  std::vector<ClientId> waiting;
  if (!std::holds_alternative<Agreeing>(phase_) && !std::holds_alternative<Collecting>(phase_)) {
    return waiting;
  }
  for (const auto& [client, state] : members_) {
    if (awaits(client, state)) waiting.push_back(client);
  }
  for (std::uint32_t group = 0; secagg_ && group < secagg_->size(); ++group) {
    const SecAggServerPhase& agreed = secagg_->machine(group).phase();
    if (std::holds_alternative<SecAggOpening>(agreed) ||
        std::holds_alternative<SecAggSharing>(agreed)) {
      append(waiting, secagg_->machine(group).awaited());
    }
  }
  return waiting;
}

// Closes at the goal, when nobody is left to wait for, or at the deadline. Uploads whose commit is
// under way are waited for: their bytes are here. With secure aggregation never at the goal: who is
// left out after sharing is a drop-out that must be recovered. Uploads of earlier rounds count like
// its own.
AggregatorRound::Actions AggregatorRound::close_if_done(Millis now) {
  if (secagg_ && (secagg_->agreeing() || !std::holds_alternative<Collecting>(phase_))) {
    return advance(now);
  }
  auto* const collecting = std::get_if<Collecting>(&phase_);
  if (collecting == nullptr || !collecting->sum.uncommitted.empty()) return {};
  const std::size_t counted = collecting->sum.counted.size() + late_.counted;
  const bool waiting =
      late_.under_way > 0 || std::ranges::any_of(members_, [&](const auto& member) {
        return awaits(member.first, member.second);
      });
  const bool late = now >= deadline_ - plan_.deadline + round_schedule(plan_).uploads;
  if (waiting && !late && (secagg_ || counted < plan_.sum.goal)) return {};
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
