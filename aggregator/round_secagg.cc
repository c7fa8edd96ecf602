// SPDX-License-Identifier: Apache-2.0
// The round's part with secure aggregation: when its phases close, and what its machine wants.
#include <algorithm>
#include <thread>

#include "aggregator/round.h"
#include "base/append.h"
#include "base/text.h"

namespace coppice {

SecAggServerContext AggregatorRound::secagg_context() const {
  return {.primitives = *primitives_,
          .plan_hash = plan_hash_,
          .assumptions = plan_.sum.graph(),
          .min_survivors = plan_.sum.min_survivors,
          .threads = std::thread::hardware_concurrency()};
}

// Until the roster is closed a device that comes back may begin; then only its members go on.
AggregatorRound::Actions AggregatorRound::member_back(const ClientId& client, MemberState& state) {
  if (state == MemberState::kDeclined || state == MemberState::kReported) return {};
  Actions actions;
  if (state == MemberState::kCounted) { // it may have missed the acknowledgement
    actions.emplace_back(AcknowledgeUpload{client, sum()->counted.at(client)});
  } else if (std::holds_alternative<SecAggGathering>(secagg_->phase())) {
    state = MemberState::kOffered;
    actions.emplace_back(OfferPlan{client});
  } else if (secagg_->in_roster(client)) {
    state = MemberState::kAccepted;
  } else {
    return {};
  }
  return and_then(std::move(actions), follow(secagg_->member_back(client)));
}

AggregatorRound::Actions AggregatorRound::on(const SecAggArrived& event, Millis now) {
  const auto member = members_.find(event.client);
  if (!secagg_ || member == members_.end() || over()) return {};
  if (member->second == MemberState::kDeclined || member->second == MemberState::kLost) return {};
  // In this order: whom advance() waits for depends on what the message did.
  Actions actions =
      follow(secagg_->handle(event.client, event.message, event.device, event.certificate));
  return and_then(std::move(actions), advance(now));
}

AggregatorRound::Actions AggregatorRound::on(SumUnmasked&& event, Millis) {
  auto* const unmasking = std::get_if<Unmasking>(&phase_);
  if (unmasking == nullptr) return {};
  RunningSum sum = std::move(unmasking->sum);
  sum.elements = std::move(event.elements);
  phase_ = Finalizing{std::move(sum)};
  return {MakeRelease{}};
}

// Members that can't come in any more.
void AggregatorRound::leave_behind() {
  if (std::holds_alternative<SecAggGathering>(secagg_->phase())) return;
  for (auto& [client, state] : members_) {
    if (is_awaited(state) && !secagg_->in_roster(client)) state = MemberState::kLost;
  }
}

AggregatorRound::Actions AggregatorRound::follow(SecAggServer::Actions wanted) {
  Actions actions;
  for (SecAggServerAction& action : wanted) {
    if (auto* const commit = std::get_if<CommitSecAgg>(&action)) {
      actions.emplace_back(CommitSecAggState{std::move(commit->state)});
    } else if (auto* const send = std::get_if<SendSecAggTo>(&action)) {
      actions.emplace_back(SendAgreement{send->client, std::move(send->draft)});
    } else if (const auto* const out = std::get_if<SecAggMemberOut>(&action)) {
      const auto member = members_.find(out->client);
      if (member != members_.end() && member->second != MemberState::kCounted) {
        member->second = MemberState::kLost;
      }
      actions.emplace_back(RefuseUpload{out->client, out->reason});
    } else if (const auto* const collect = std::get_if<CollectMasked>(&action)) {
      for (auto& [client, state] : members_) {
        if (is_awaited(state) && !std::ranges::binary_search(collect->clients, client)) {
          state = MemberState::kLost;
        }
      }
      Collecting collecting;
      collecting.sum.elements.assign(ring_elements_, 0);
      phase_ = std::move(collecting);
    } else if (auto* const unmask = std::get_if<Unmask>(&action)) {
      actions.emplace_back(
          UnmaskSum{std::make_shared<const std::vector<SignedSeed>>(std::move(unmask->seeds))});
    } else if (const auto* const lost = std::get_if<AbandonSecAgg>(&action)) {
      return and_then(std::move(actions), abandon(lost->reason));
    }
  }
  return actions;
}

// Closes the machine's phases by who is still awaited, and by the plan's schedule.
AggregatorRound::Actions AggregatorRound::advance(Millis now) {
  if (over()) return {};
  const RoundSchedule schedule = round_schedule(plan_);
  const Millis gone = now - (deadline_ - plan_.deadline); // since the plan was signed
  // A roster begun again at the end of the nonces' time has a third of what is left for each step.
  const Millis third{(schedule.shares - schedule.nonces).count / 3};
  const SecAggServerPhase& agreed = secagg_->phase();
  if (const auto* const lost = std::get_if<SecAggLost>(&agreed)) {
    return abandon(lost->reason); // killed between its commit and the round's
  }
  if (const auto* const gathering = std::get_if<SecAggGathering>(&agreed)) {
    const bool again = gathering->attempt > 0;
    const bool waiting = std::ranges::any_of(
        members_, [&](const auto& member) { return awaits(member.first, member.second); });
    if (waiting && gone < (again ? schedule.nonces + third : schedule.roster)) return {};
    Actions actions = follow(secagg_->close_roster());
    if (!over()) leave_behind();
    return actions;
  }
  if (const auto* const opening = std::get_if<SecAggOpening>(&agreed)) {
    const bool again = opening->roster.attempt > 0;
    if (gone < (again ? schedule.shares - third : schedule.nonces)) return {};
    return follow(secagg_->give_up_waiting());
  }
  if (std::holds_alternative<SecAggSharing>(agreed)) {
    if (!secagg_->awaited().empty() && gone < schedule.shares) return {};
    return follow(secagg_->close_sharing());
  }
  const bool unmasked = std::holds_alternative<SecAggFinished>(agreed);
  if (std::holds_alternative<Unmasking>(phase_) && !unmasked && now >= deadline_) {
    return abandon(cat("only ", sum()->counted.size() - secagg_->awaited().size(), " of ",
                       sum()->counted.size(),
                       " devices helped to unmask their sum before the deadline; nothing of it was "
                       "seen"));
  }
  return {};
}

} // namespace coppice
