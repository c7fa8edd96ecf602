// SPDX-License-Identifier: Apache-2.0
// The round's actions carried out: commits, offers, acknowledgements, the release.
#include <algorithm>
#include <deque>
#include <thread>

#include "adapters/adapter_file.h"
#include "aggregator/round_maker.h"
#include "aggregator/round_privacy.h"
#include "aggregator/service.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "crypto/secret_random.h"
#include "formats/json.h"
#include "protocol/slot_noise.h"

namespace coppice {
namespace {

constexpr std::uint32_t kMostDoublings = 7; // of the wait after an abandoned round: 64 s

std::string metrics_json(const std::vector<MetricMean>& metrics) {
  Json json = Json::object();
  for (const MetricMean& metric : metrics) json[metric.name] = metric.mean;
  return dump_json(json);
}

// Of a strategy with a patch, what its rank had no room for.
std::string patch_words(const std::vector<MetricMean>& metrics) {
  const auto found = std::ranges::find(metrics, kMetricPatchDropped, &MetricMean::name);
  if (found == metrics.end()) return {};
  return cat(", ", fixed(100 * found->mean, 2), " % of the patch's energy dropped");
}

} // namespace

Result<void> AggregatorService::load_current_release() {
  const auto newest = COPPICE_TRY(store_.newest_version());
  if (!newest) {
    return Error{ErrorCode::kCorrupt,
                 "the state has no release; run 'coppice aggregator init' again "
                 "in another folder, or restore a backup"};
  }
  auto stored = COPPICE_TRY(store_.release(*newest));
  // Rotated keys: older releases were signed by an earlier set.
  Result<Release> facts =
      Error{ErrorCode::kUnauthenticated, "no key set signed the newest release"};
  for (std::uint64_t number = folder_.keys().set.number.value; number > 0 && !facts.ok();
       --number) {
    const AggregatorKeys* const keys = folder_.keys(KeySetNumber{number});
    if (keys != nullptr) facts = verify_release(keys->set.verify, stored.signed_release);
  }
  release_facts_ = COPPICE_TRY(std::move(facts));
  release_ = std::move(stored.signed_release);
  // Devices know only the newest key set: what is sent is signed by it.
  release_ = sign_release(folder_.keys().signing, release_facts_);
  adapter_ = COPPICE_TRY(parse_adapter(stored.adapter));
  strategy_state_ = COPPICE_TRY(StrategyState::decode(COPPICE_TRY(store_.strategy_state())));
  content_cache_.clear();
  content_cache_[release_facts_.adapter_hash] =
      std::make_shared<const Bytes>(std::move(stored.adapter));
  if (release_facts_.control_bytes == 0) return {};
  Recipe recipe; // that made it
  recipe.correction = DriftCorrection::kControlVariate;
  Bytes control = control_content(recipe, *adapter_, strategy_state_);
  if (sha256(control) != release_facts_.control_hash) {
    return Error{ErrorCode::kCorrupt,
                 cat("what the strategy keeps doesn't belong to release ", release_facts_.version,
                     "; revert to a release, or restore a backup")};
  }
  content_cache_[release_facts_.control_hash] = std::make_shared<const Bytes>(std::move(control));
  return {};
}

Result<void> AggregatorService::resume_round() {
  COPPICE_TRY(resume_late());
  StoredPlan stored_plan;
  auto stored = COPPICE_TRY(store_.running_round(&stored_plan));
  if (!stored) return {};
  // The wall clock tells how much of the deadline went by, never more than all of it.
  const Millis limit = stored->plan.deadline;
  const Millis gone = std::clamp(clock_.wall() - stored_plan.started_wall, Millis{0}, limit);
  // Devices know only the newest key set, as with releases.
  signed_plan_ = sign_plan(folder_.keys().signing, stored->plan);
  say(cat("going on with round ", stored->plan.round, ": ", stored->counted.size(),
          " uploads are counted"));
  round_.emplace(COPPICE_TRY(AggregatorRound::resume(std::move(*stored), now() + (limit - gone))));
  round_started_ = now() - gone;
  COPPICE_TRY(late_changed());
  return feed(Tick{});
}

AdapterVersion AggregatorService::next_version() const {
  return std::max(release_facts_.version, highest_seen_version_).next();
}

Result<void> AggregatorService::maybe_start_round() {
  if (round_ || paused_ || disk_full_ || now() < next_round_at_) return {};
  std::string reason = cohort_.waiting_for();
  if (reason.empty()) reason = COPPICE_TRY(unknown_spends());
  wait_because(reason.empty() ? disk_shortage() : std::move(reason));
  if (!last_waiting_.empty()) return {};
  // Restored from a backup: devices hold later releases, and would start from no earlier one.
  if (highest_seen_version_ > release_facts_.version) {
    COPPICE_TRY(revert_to(release_facts_.version));
  }
  std::vector<ClientId> members = COPPICE_TRY(draw_members());
  const std::size_t under_way = late_.under_way().size(); // their uploads count too
  const bool enough = members.size() + under_way >= settings_.round.min_survivors;
  if (members.empty() || !enough) { // Poisson sampling, or many must rest
    next_round_at_ = now() + std::max(settings_.round.pause, Millis{1'000});
    wait_because(cat(members.size(), " devices were drawn, ",
                     under_way > 0 ? cat(under_way, " are under way from earlier rounds, ") : "",
                     "a round needs ", settings_.round.min_survivors, "; drawing again"));
    return {};
  }
  PlanInputs inputs{.round = COPPICE_TRY(store_.next_round()),
                    .epoch = store_.epoch(),
                    .key_set = folder_.keys().set.number,
                    .parent = release_facts_.version,
                    .adapter_hash = release_facts_.adapter_hash,
                    .cohort = static_cast<std::uint32_t>(members.size())};
  auto made = [&]() -> Result<RoundPlan> {
    inputs.privacy = COPPICE_TRY(next_privacy(inputs));
    return make_plan(folder_.facts(), settings_, *strategy_, adapter_->spec(), inputs);
  }();
  if (!made.ok()) { // a ring too small for so many devices: a reason to wait, not to end
    next_round_at_ = now() + std::max(settings_.round.pause, Millis{1'000});
    wait_because(
        cat("no plan can be made for ", members.size(), " devices: ", made.error().message));
    return {};
  }
  RoundPlan plan = std::move(made).value();
  if (!COPPICE_TRY(afford(plan))) return {};
  if (plan.sum.max_staleness == 0) COPPICE_TRY(forget_late());
  last_said_.clear();
  signed_plan_ = sign_plan(folder_.keys().signing, plan);
  say(cat("round ", plan.round, ": asking ", members.size(), " devices"));
  round_started_ = now();
  upload_bytes_max_ = 0;
  const Millis deadline = now() + plan.deadline;
  round_.emplace(std::move(plan), std::move(members), deadline);
  for (const RoundAction& action : round_->start()) {
    std::vector<RoundEvent> events;
    auto done = carry_out(action, events);
    if (!done.ok()) {
      round_.reset(); // nobody has seen the plan
      return done;
    }
    for (RoundEvent& event : events) COPPICE_TRY(feed(std::move(event)));
  }
  return late_changed();
}

// With banded noise a device rests for as many rounds as there are bands; one that is under way
// from an earlier round isn't asked, and counts among those that may be asked at once.
Result<std::vector<ClientId>> AggregatorService::draw_members() {
  const SecretRandom random;
  std::vector<ClientId> resting;
  if (settings_.privacy.noise == NoiseKind::kBanded) {
    const std::uint64_t next = COPPICE_TRY(store_.next_round()).value;
    const std::uint64_t rest = std::min<std::uint64_t>(next, settings_.privacy.bands);
    resting = COPPICE_TRY(store_.participants_after(RoundId{next - rest}));
  }
  late_.advance(release_facts_.version, release_facts_.last_revert, now());
  return cohort_.sample([&](std::uint64_t bound) { return random.below(bound); }, resting,
                        late_.under_way());
}

void AggregatorService::wait_because(std::string reason) {
  if (reason != last_said_ && !reason.empty()) {
    say(reason);
    last_said_ = reason;
  }
  last_waiting_ = std::move(reason);
}

// Feeds an event, carries out what follows, feeds what that brings, until nothing is left.
Result<void> AggregatorService::feed(RoundEvent event) {
  std::deque<RoundEvent> queue;
  queue.push_back(std::move(event));
  while (!queue.empty() && round_) {
    auto actions = round_->handle(std::move(queue.front()), now());
    queue.pop_front();
    std::vector<RoundEvent> events;
    for (const RoundAction& action : actions) {
      COPPICE_TRY(carry_out(action, events));
      if (!round_) return {}; // it ended
    }
    for (RoundEvent& follow : events) queue.push_back(std::move(follow));
  }
  return {};
}

Result<void> AggregatorService::carry_out(const RoundAction& action,
                                          std::vector<RoundEvent>& events) {
  const RoundPlan& plan = round_->plan();
  if (std::holds_alternative<CommitPlan>(action)) {
    std::vector<ClientId> members;
    for (const auto& [client, state] : round_->members()) members.push_back(client);
    COPPICE_TRY(store_.commit_plan(signed_plan_, plan, members, clock_.wall()));
    events.emplace_back(PlanCommitted{});
  } else if (const auto* offer = std::get_if<OfferPlan>(&action)) {
    send_control(offer->client, PlanOffer{signed_plan_, round_->deadline() - now()},
                 round_->plan_hash());
  } else if (std::holds_alternative<CommitSum>(action)) {
    // turn() commits all its uploads together.
  } else if (const auto* ack = std::get_if<AcknowledgeUpload>(&action)) {
    acknowledge(ack->client, plan.round, round_->plan_hash(), ack->upload);
  } else if (const auto* refusal = std::get_if<RefuseUpload>(&action)) {
    send_control(
        refusal->client,
        Refusal{static_cast<std::uint32_t>(ErrorCode::kInvalidArgument), refusal->reason, {0}},
        round_->plan_hash());
  } else if (const auto* agreed = std::get_if<CommitSecAggState>(&action)) {
    auto committed = store_.commit_secagg(plan.round, agreed->state);
    secagg_unsaved_ = secagg_unsaved_ || !committed.ok();
    return committed;
  } else if (const auto* secagg = std::get_if<SendAgreement>(&action)) {
    // Before its commit it is said to nobody; resume_agreement() says it then.
    if (!secagg_unsaved_) send_secagg(secagg->client, secagg->draft());
  } else if (const auto* unmask = std::get_if<UnmaskSum>(&action)) {
    std::vector<std::uint32_t> elements = round_->sum()->elements;
    unmask_groups(plan, *unmask, elements, std::thread::hardware_concurrency());
    events.emplace_back(SumUnmasked{std::move(elements)});
  } else if (std::holds_alternative<CommitClose>(action)) {
    std::optional<SpendRecord> spend;
    if (noise_is_distributed(plan.privacy.noise))
      spend = spend_of(ledger_, settings_.privacy, plan, clock_.wall());
    COPPICE_TRY(store_.commit_close(plan.round, *round_->sum(), spend));
    // Spent from here on, whether a release follows or not.
    if (spend) ledger_ = COPPICE_TRY(PrivacyLedger::of(COPPICE_TRY(store_.spends())));
    events.emplace_back(CloseCommitted{});
  } else if (std::holds_alternative<MakeRelease>(action)) {
    events.push_back(COPPICE_TRY(make_release_now()));
  } else if (std::holds_alternative<AnnounceRelease>(action)) {
    COPPICE_TRY(end_round(true, {}));
  } else if (const auto* abandon = std::get_if<CommitAbandon>(&action)) {
    COPPICE_TRY(store_.commit_abandon(plan.round, abandon->reason, clock_.wall()));
    COPPICE_TRY(end_round(false, abandon->reason));
  }
  return {};
}

Result<RoundEvent> AggregatorService::make_release_now() {
  COPPICE_TRY(commit_late()); // what is here, is in this release
  const RoundPlan& plan = round_->plan();
  const RunningSum& sum = *round_->sum();
  std::vector<std::uint32_t> elements = sum.elements;
  SystemBytes source;
  const Bytes stored =
      plan.privacy.noise == NoiseKind::kBanded ? COPPICE_TRY(store_.noise_state()) : Bytes{};
  Bytes noise_state =
      COPPICE_TRY(add_noise_to_sum(ledger_, settings_.privacy, plan, stored, source, elements));
  const auto participants = round_->counted_by_group();
  StrategyState kept = strategy_state_;
  const auto late = late_.sums();
  auto outcome = finish_round(plan, *strategy_, {elements, participants, late}, *adapter_, kept);
  if (!outcome.ok()) return RoundEvent{FinalizeFailed{outcome.error().message}};
  const ReleaseInputs inputs{.facts = folder_.facts(),
                             .epoch = store_.epoch(),
                             .version = next_version(),
                             .reason = ReleaseReason::kRound,
                             .parent_hash = release_facts_.adapter_hash,
                             .round = round_->plan().round,
                             .plan_hash = round_->plan_hash(),
                             .participants = plan.privacy.noise == NoiseKind::kNone
                                                 ? outcome->participants
                                                 : plan.privacy.expected_cohort,
                             .cumulative_epsilon = plan.privacy.cumulative_epsilon,
                             .reverted_to = {},
                             .created = clock_.wall(),
                             .last_revert = release_facts_.last_revert,
                             .control = outcome->control};
  ReleaseContent content =
      make_release(inputs, outcome->adapter, &outcome->step, folder_.keys().signing);
  StateStore::RoundEnd end{.round = plan.round,
                           .metrics = metrics_json(outcome->metrics),
                           .noise_state = std::move(noise_state),
                           .strategy_state = kept.encode(),
                           .wall = clock_.wall()};
  // By the plan, not by the settings: they may have changed since it began.
  if (plan.privacy.noise != NoiseKind::kNone) {
    end.spend = spend_of(ledger_, settings_.privacy, plan, clock_.wall());
  }
  COPPICE_TRY(store_.commit_release(content, end));
  late_.released();
  strategy_state_ = std::move(kept);
  if (end.spend) ledger_ = COPPICE_TRY(PrivacyLedger::of(COPPICE_TRY(store_.spends())));
  metrics_ = std::move(outcome->metrics);
  COPPICE_TRY(adapt_clip());
  release_ = content.signed_release;
  release_facts_ = content.release;
  adapter_ = std::move(outcome->adapter);
  content_cache_.clear();
  content_cache_[release_facts_.adapter_hash] =
      std::make_shared<const Bytes>(std::move(content.adapter));
  content_cache_[release_facts_.step_hash] = std::make_shared<const Bytes>(std::move(content.step));
  if (!content.control.empty()) {
    content_cache_[release_facts_.control_hash] =
        std::make_shared<const Bytes>(std::move(content.control));
  }
  return RoundEvent{ReleaseCommitted{release_facts_.version}};
}

Result<void> AggregatorService::end_round(bool released, const std::string& reason) {
  const RoundId id = round_->plan().round;
  for (const auto& [client, state] : round_->members()) {
    send_control(client, RoundOver{id, released, reason.substr(0, limits::kText)});
  }
  if (released) {
    releases_made_ += 1;
    abandoned_in_a_row_ = 0;
    disk_full_in_a_row_ = 0;
    last_progress_ = now();
    say(cat("round ", id, ": release ", release_facts_.version, " from ",
            release_facts_.participants, " devices", patch_words(metrics_)));
    for (const auto& [client, presence] : cohort_.present()) {
      send_control(client, ReleaseNotice{release_});
    }
  } else {
    say(cat("round ", id, " is abandoned: ", reason));
    abandoned_in_a_row_ = std::min(abandoned_in_a_row_ + 1, kMostDoublings);
  }
  if (observer_.on_round) {
    const auto records = COPPICE_TRY(store_.rounds(1));
    observer_.on_round({records.at(0), upload_bytes_max_,
                        static_cast<double>((now() - round_started_).count) / 1000.0, metrics_});
  }
  late_.add(*round_); // its devices may go on
  round_.reset();
  COPPICE_TRY(late_changed());
  grant(intake_.keep([&](const Sha256& plan) { return late_.find(plan) != nullptr; }, now()));
  // What made a round fail is seldom gone at once: wait 1 s, 2 s, 4 s, ... up to a minute or so.
  const Millis after_failure{released ? 0 : std::int64_t{500} << abandoned_in_a_row_};
  next_round_at_ = now() + std::max(settings_.round.pause, after_failure);
  write_status();
  COPPICE_TRY(apply_requests()); // a revert that waited
  std::uint64_t rounds = settings_.retention.rounds;
  if (!late_.rounds().empty()) {
    rounds = std::max(rounds, id.value - late_.rounds().front().plan.round.value + 1);
  }
  return store_.prune(settings_.retention.releases, rounds);
}

Result<void> AggregatorService::revert_to(AdapterVersion version) {
  if (round_) {
    return Error{ErrorCode::kFailedPrecondition,
                 "a round is running; abort it or wait for its end"};
  }
  COPPICE_TRY(revert_release(folder_, store_, version, clock_.wall(), highest_seen_version_));
  COPPICE_TRY(load_current_release());
  COPPICE_TRY(late_changed()); // what started from a release that is no more, counts nowhere
  say(cat("release ", release_facts_.version, " has the content of release ", version));
  for (const auto& [client, presence] : cohort_.present()) {
    send_control(client, ReleaseNotice{release_});
  }
  return {};
}

} // namespace coppice
