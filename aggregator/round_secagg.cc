// SPDX-License-Identifier: Apache-2.0
// The round's part with secure aggregation: when its phases close, and what its machines want.
#include <algorithm>
#include <numeric>
#include <thread>

#include "aggregator/round.h"
#include "base/append.h"
#include "base/text.h"
#include "protocol/secagg_masking.h"

namespace coppice {

SecAggServerContext AggregatorRound::secagg_context() const {
  return {.primitives = *primitives_,
          .plan_hash = plan_hash_,
          .assumptions = plan_.sum.graph(),
          .min_survivors = plan_.sum.group_survivors(),
          .threads = std::thread::hardware_concurrency()};
}

AggregatorRound::Actions AggregatorRound::member_gone(const ClientId& client) {
  const std::uint32_t group = secagg_->group_of(client);
  return follow(group, secagg_->machine(group).member_gone(client));
}

// Until the roster is closed a device that comes back may begin; then only its members go on.
AggregatorRound::Actions AggregatorRound::member_back(const ClientId& client, MemberState& state) {
  if (state == MemberState::kDeclined || state == MemberState::kReported) return {};
  const std::uint32_t group = secagg_->group_of(client);
  SecAggServer& machine = secagg_->machine(group);
  Actions actions;
  if (state == MemberState::kCounted) { // it may have missed the acknowledgement
    actions.emplace_back(AcknowledgeUpload{client, sum()->counted.at(client)});
  } else if (std::holds_alternative<SecAggGathering>(machine.phase())) {
    state = MemberState::kOffered;
    actions.emplace_back(OfferPlan{client});
  } else if (machine.in_roster(client)) {
    state = MemberState::kAccepted;
  } else {
    return {};
  }
  return and_then(std::move(actions), follow(group, machine.member_back(client)));
}

AggregatorRound::Actions AggregatorRound::on(const SecAggArrived& event, Millis now) {
  const auto member = members_.find(event.client);
  if (!secagg_ || member == members_.end() || over()) return {};
  if (member->second == MemberState::kDeclined || member->second == MemberState::kLost) return {};
  // In this order: whom advance() waits for depends on what the message did.
  const std::uint32_t group = secagg_->group_of(event.client);
  Actions actions = follow(group, secagg_->machine(group).handle(event.client, event.message,
                                                                 event.device, event.certificate));
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
void AggregatorRound::leave_behind(std::uint32_t group) {
  const SecAggServer& machine = secagg_->machine(group);
  if (std::holds_alternative<SecAggGathering>(machine.phase())) return;
  for (auto& [client, state] : members_) {
    const bool here = secagg_->group_of(client) == group;
    if (here && is_awaited(state) && !machine.in_roster(client)) state = MemberState::kLost;
  }
}

AggregatorRound::Actions AggregatorRound::follow(std::uint32_t group,
                                                 SecAggServer::Actions wanted) {
  Actions actions;
  for (SecAggServerAction& action : wanted) {
    if (auto* const commit = std::get_if<CommitSecAgg>(&action)) {
      secagg_->committed(group, std::move(commit->state));
      actions.emplace_back(CommitSecAggState{secagg_->serialize()});
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
        if (secagg_->group_of(client) == group && is_awaited(state) &&
            !std::ranges::binary_search(collect->clients, client)) {
          state = MemberState::kLost;
        }
      }
      if (!std::holds_alternative<Agreeing>(phase_)) continue; // another group was first
      Collecting collecting;
      collecting.sum.groups = plan_.sum.groups;
      collecting.sum.elements.assign(plan_.sum.groups * ring_elements_, 0);
      phase_ = std::move(collecting);
    } else if (auto* const unmask = std::get_if<Unmask>(&action)) {
      unmasked_.push_back({group, std::move(unmask->seeds)});
      append(actions, unmask_when_all_can());
    } else if (const auto* const lost = std::get_if<AbandonSecAgg>(&action)) {
      return and_then(std::move(actions), lose(group, lost->reason));
    }
  }
  return actions;
}

// The others go on without a group, unless it was the last.
AggregatorRound::Actions AggregatorRound::lose(std::uint32_t group, const std::string& reason) {
  if (std::holds_alternative<SecAggLost>(secagg_->slowest().phase())) return abandon(reason);
  for (auto& [client, state] : members_) {
    if (secagg_->group_of(client) == group && is_awaited(state)) state = MemberState::kLost;
  }
  return unmask_when_all_can();
}

// The sums of all groups are closed at once, each over who is in it.
AggregatorRound::Actions AggregatorRound::end_sums() {
  std::vector<std::vector<ClientId>> survivors(secagg_->size());
  for (const auto& [client, upload] : sum()->counted) {
    survivors[secagg_->group_of(client)].push_back(client);
  }
  Actions actions;
  for (std::uint32_t group = 0; group < secagg_->size() && !over(); ++group) {
    append(actions, follow(group, secagg_->machine(group).close_sum(survivors[group])));
  }
  return actions;
}

AggregatorRound::Actions AggregatorRound::unmask_when_all_can() {
  if (!std::holds_alternative<Unmasking>(phase_) ||
      !std::holds_alternative<SecAggFinished>(secagg_->slowest().phase())) {
    return {};
  }
  const std::vector<std::uint32_t> counts = counted_by_group();
  const std::uint32_t left = std::accumulate(counts.begin(), counts.end(), 0U);
  if (left < plan_.sum.min_survivors) {
    return abandon(cat("only ", left, " of ", sum()->counted.size(),
                       " devices are in groups whose sums can be unmasked"));
  }
  return {UnmaskSum{std::make_shared<const std::vector<GroupMasks>>(std::move(unmasked_))}};
}

void unmask_groups(const RoundPlan& plan, const UnmaskSum& order, std::span<std::uint32_t> elements,
                   unsigned threads) {
  const std::size_t size = elements.size() / plan.sum.groups;
  std::vector<bool> unmasked(plan.sum.groups);
  for (const GroupMasks& group : *order.masks) {
    apply_masks(plan.slots, group.seeds, elements.subspan(group.group * size, size), threads);
    unmasked[group.group] = true;
  }
  for (std::uint32_t group = 0; group < plan.sum.groups; ++group) {
    if (!unmasked[group]) std::ranges::fill(elements.subspan(group * size, size), 0U);
  }
}

// Closes the machines' phases by who is still awaited, and by the plan's schedule.
AggregatorRound::Actions AggregatorRound::advance(Millis now) {
  const Millis gone = now - (deadline_ - plan_.deadline); // since the plan was signed
  Actions actions;
  for (std::uint32_t group = 0; group < secagg_->size() && !over(); ++group) {
    append(actions, advance(group, gone));
  }
  const bool unmasking = std::holds_alternative<Unmasking>(phase_) &&
                         !std::holds_alternative<SecAggFinished>(secagg_->slowest().phase());
  if (unmasking && now >= deadline_) {
    return and_then(std::move(actions),
                    abandon(cat("only ", sum()->counted.size() - secagg_->awaited().size(), " of ",
                                sum()->counted.size(),
                                " devices helped to unmask their sum before the deadline; nothing "
                                "of it was seen")));
  }
  return actions;
}

AggregatorRound::Actions AggregatorRound::advance(std::uint32_t group, Millis gone) {
  const RoundSchedule schedule = round_schedule(plan_);
  // A roster begun again at the end of the nonces' time has a third of what is left for each step.
  const Millis third{(schedule.shares - schedule.nonces).count / 3};
  SecAggServer& machine = secagg_->machine(group);
  const SecAggServerPhase& agreed = machine.phase();
  if (const auto* const lost = std::get_if<SecAggLost>(&agreed)) {
    const bool all = std::holds_alternative<SecAggLost>(secagg_->slowest().phase());
    if (all) return abandon(lost->reason); // killed between its commit and the round's
    return {};
  }
  if (const auto* const gathering = std::get_if<SecAggGathering>(&agreed)) {
    const bool again = gathering->attempt > 0;
    const bool waiting = std::ranges::any_of(members_, [&](const auto& member) {
      return secagg_->group_of(member.first) == group && awaits(member.first, member.second);
    });
    if (waiting && gone < (again ? schedule.nonces + third : schedule.roster)) return {};
    Actions actions = follow(group, machine.close_roster());
    if (!over()) leave_behind(group);
    return actions;
  }
  if (const auto* const opening = std::get_if<SecAggOpening>(&agreed)) {
    const bool again = opening->roster.attempt > 0;
    if (gone < (again ? schedule.shares - third : schedule.nonces)) return {};
    return follow(group, machine.give_up_waiting());
  }
  if (std::holds_alternative<SecAggSharing>(agreed)) {
    if (!machine.awaited().empty() && gone < schedule.shares) return {};
    return follow(group, machine.close_sharing());
  }
  return {};
}

} // namespace coppice
