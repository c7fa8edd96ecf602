// SPDX-License-Identifier: Apache-2.0
#include "client/round.h"

#include <algorithm>
#include <array>

#include "base/append.h"
#include "base/text.h"
#include "protocol/round_schedule.h"

namespace coppice {
namespace {

// An offer without an answer is repeated; the aggregator answers repeats with the same.
constexpr Millis kOfferAgainAfter{5'000};

// The plan's share of its time, but no more than that share of what is left of it.
Millis training_deadline(const RoundPlan& plan, Millis now, Millis time_left) {
  const Millis share = round_schedule(plan).training;
  const Millis late = std::max(Millis{0}, plan.deadline - time_left); // since the plan was signed
  return now + std::max(Millis{0}, share - late);
}

SecAggClientContext context_of(const SecAggIdentity& identity, const Sha256& plan_hash,
                               const GraphAssumptions& plan, std::uint32_t min_survivors) {
  return {.primitives = identity.primitives,
          .signing = identity.signing,
          .id = identity.id,
          .fleet_key = identity.fleet_key,
          .plan_hash = plan_hash,
          .plan = plan,
          .owner = identity.owner,
          .min_survivors = min_survivors};
}

} // namespace

bool ends_upload(const Refusal& refusal) {
  const auto code = static_cast<ErrorCode>(refusal.code);
  return code == ErrorCode::kFailedPrecondition || code == ErrorCode::kInvalidArgument ||
         code == ErrorCode::kPermissionDenied || code == ErrorCode::kTooLarge ||
         code == ErrorCode::kCorrupt;
}

DeviceRound::DeviceRound(SecAggIdentity identity, RoundMarks marks, bool upload_on_disk,
                         ByteSpan secagg_state)
    : identity_(identity), marks_(marks) {
  if (marks_.upload.is_zero()) {
    // Keys were advertised under this plan, and what was trained is lost: no second ones.
    if (!secagg_state.empty()) marks_.seal_used = true;
    return;
  }
  if (!secagg_state.empty()) {
    // The masks are in the upload already, so what the plan assumed is of no more use.
    auto restored = SecAggClient::restore(
        context_of(identity_, marks_.plan_hash, identity_.owner, marks_.min_survivors),
        secagg_state);
    if (restored.ok()) secagg_.emplace(std::move(restored).value());
  }
  if (marks_.min_survivors > 0 && !secagg_) return; // can't help to unmask: sits the round out
  if (marks_.acknowledged) {
    if (secagg_) phase_ = AwaitingRelease{marks_.highest_round};
    return;
  }
  if (upload_on_disk) {
    phase_ = Uploading{marks_.highest_round,
                       marks_.plan_hash,
                       marks_.upload,
                       marks_.upload_bytes,
                       0,
                       0,
                       false,
                       Millis{0}};
  }
}

std::vector<DeviceAction> DeviceRound::handle(DeviceEvent event, Millis now) {
  return std::visit([&](auto&& what) { return on(std::move(what), now); }, std::move(event));
}

const char* DeviceRound::phase_name() const {
  if (paused_ && std::holds_alternative<Training>(phase_)) return "training, paused";
  constexpr std::array<const char*, 6> kNames{"resting", "training",  "agreeing on masks",
                                              "sealing", "uploading", "awaiting release"};
  return kNames[phase_.index()];
}

DeviceRound::Actions DeviceRound::rest() {
  Actions actions;
  if (std::holds_alternative<Training>(phase_)) actions.emplace_back(StopTraining{});
  actions.emplace_back(ForgetTraining{});
  phase_ = Resting{};
  if (secagg_) actions.emplace_back(ForgetSecAggState{});
  secagg_.reset();
  if (!marks_.upload.is_zero()) actions.emplace_back(ForgetUpload{marks_.upload});
  return actions;
}

DeviceRound::Actions DeviceRound::on(PlanVerified&& event, Millis now) {
  const RoundId round = event.plan->round;
  const auto decline = [&](const std::string& why) -> Actions {
    return {Note{cat("round ", round, ": not now (", why, ")")},
            SendAnswer{{round, event.plan_hash, false}}};
  };
  if (round < marks_.highest_round) return decline("a round that is past");
  if (round == marks_.highest_round) {
    if (event.plan_hash != marks_.plan_hash) return decline("another plan for a known round");
    if (busy())
      return {SendAnswer{{round, event.plan_hash, true}}}; // asked again after a reconnect
    if (marks_.seal_used) return decline("this plan was answered already");
  }
  if (event.decline) return decline(*event.decline);
  Actions actions;
  if (busy()) actions = rest(); // a newer round: what is under way belongs to one that is over
  const Millis deadline = training_deadline(*event.plan, now, event.time_left);
  marks_ = RoundMarks{.highest_round = round,
                      .plan_hash = event.plan_hash,
                      .upload = {},
                      .may_be_late = event.plan->sum.max_staleness > 0};
  phase_ = Training{event.plan, event.plan_hash, now + event.time_left, deadline};
  actions.emplace_back(PersistMarks{marks_});
  actions.emplace_back(SendAnswer{{round, event.plan_hash, true}});
  if (!paused_)
    actions.emplace_back(StartTraining{std::move(event.plan), event.plan_hash, deadline});
  return actions;
}

DeviceRound::Actions DeviceRound::on(const Trained& event, Millis) {
  auto* const training = std::get_if<Training>(&phase_);
  if (training == nullptr || training->plan_hash != event.plan_hash) return {};
  MaskAgreement preparing{std::move(training->plan), training->plan_hash, training->deadline};
  const SumTerms sum = preparing.plan->sum;
  phase_ = std::move(preparing);
  if (!sum.secure_aggregation) return seal();
  marks_.min_survivors = std::max(sum.group_survivors(), identity_.min_survivors);
  secagg_.emplace(context_of(identity_, event.plan_hash, sum.graph(), marks_.min_survivors));
  return follow(secagg_->start());
}

// From MaskAgreement. The used-once mark first: nothing is sealed or masked twice under one plan.
DeviceRound::Actions DeviceRound::seal() {
  auto& preparing = std::get<MaskAgreement>(phase_);
  Sealing sealing{std::move(preparing.plan), preparing.plan_hash, preparing.deadline};
  marks_.seal_used = true;
  Actions actions{PersistMarks{marks_}, ForgetTraining{},
                  SealAndStore{sealing.plan, sealing.plan_hash}};
  phase_ = std::move(sealing);
  return actions;
}

Result<std::vector<SignedSeed>> DeviceRound::masks() const {
  COPPICE_CHECK(std::holds_alternative<Sealing>(phase_));
  if (!secagg_) return std::vector<SignedSeed>{};
  return secagg_->masks();
}

// What the machine of secure aggregation wants, as this round's actions.
DeviceRound::Actions DeviceRound::follow(std::vector<SecAggClientAction> wanted) {
  Actions actions;
  for (SecAggClientAction& action : wanted) {
    if (auto* const persist = std::get_if<PersistSecAgg>(&action)) {
      actions.emplace_back(PersistSecAggState{std::move(persist->state)});
    } else if (auto* const send = std::get_if<SendSecAgg>(&action)) {
      actions.emplace_back(SendSecAggMessage{marks_.plan_hash, std::move(send->message)});
    } else if (std::holds_alternative<MasksReady>(action)) {
      if (!std::holds_alternative<MaskAgreement>(phase_)) continue;
      append(actions, seal());
    } else if (const auto* const refused = std::get_if<SecAggRefused>(&action)) {
      actions.emplace_back(Note{cat("secure aggregation: ", refused->reason)});
      actions.emplace_back(SendAnswer{{marks_.highest_round, marks_.plan_hash, false}});
      return and_then(std::move(actions), rest());
    }
  }
  return actions;
}

DeviceRound::Actions DeviceRound::on(const SecAggReceived& event, Millis) {
  if (!secagg_ || event.plan_hash != marks_.plan_hash) return {};
  return follow(secagg_->handle(event.message));
}

DeviceRound::Actions DeviceRound::on(const TrainingFailed& event, Millis) {
  const auto* const training = std::get_if<Training>(&phase_);
  const auto* const sealing = std::get_if<Sealing>(&phase_);
  const bool ours = (training != nullptr && training->plan_hash == event.plan_hash) ||
                    (sealing != nullptr && sealing->plan_hash == event.plan_hash);
  if (!ours) return {};
  const RoundId round = marks_.highest_round;
  Actions actions{Note{cat("round ", round, ": ", event.reason)},
                  SendAnswer{{round, event.plan_hash, false}}};
  return and_then(std::move(actions), rest());
}

DeviceRound::Actions DeviceRound::on(const UploadStored& event, Millis now) {
  const auto* const sealing = std::get_if<Sealing>(&phase_);
  if (sealing == nullptr || sealing->plan_hash != event.plan_hash) {
    return {ForgetUpload{event.upload}};
  }
  marks_.upload = event.upload;
  marks_.upload_bytes = event.size;
  phase_ =
      Uploading{marks_.highest_round, event.plan_hash, event.upload, event.size, 0, 0, false, now};
  return and_then(Actions{PersistMarks{marks_}}, offer(std::get<Uploading>(phase_), now));
}

DeviceRound::Actions DeviceRound::offer(Uploading& uploading, Millis now) {
  uploading.last_offer = now;
  uploading.offered = true;
  return {SendOffer{{uploading.round, uploading.plan_hash, uploading.upload, uploading.size}}};
}

DeviceRound::Actions DeviceRound::on(const CreditReceived& event, Millis now) {
  auto* const uploading = std::get_if<Uploading>(&phase_);
  if (uploading == nullptr || uploading->upload != event.credit.upload) return {};
  const std::uint32_t chunks = limits::chunks_of(uploading->size);
  uploading->last_offer = now;
  if (event.credit.next > chunks) return {};
  if (uploading->offered) uploading->next = event.credit.next; // 0 if it was restarted
  uploading->offered = false;
  const std::uint32_t credit = std::min(event.credit.credit, limits::kCreditChunks);
  uploading->allowed = std::min(chunks, event.credit.next + credit);
  if (uploading->next >= uploading->allowed) return {};
  SendChunks send{uploading->upload, uploading->plan_hash, uploading->next,
                  uploading->allowed - uploading->next};
  uploading->next = uploading->allowed;
  return {send};
}

DeviceRound::Actions DeviceRound::on(const AckReceived& event, Millis) {
  const auto* const uploading = std::get_if<Uploading>(&phase_);
  if (uploading == nullptr || uploading->upload != event.ack.upload) return {};
  marks_.acknowledged = true;
  const RoundId round = uploading->round;
  phase_ = AwaitingRelease{round};
  return {PersistMarks{marks_}, ForgetUpload{marks_.upload}};
}

DeviceRound::Actions DeviceRound::on(const RoundOverReceived& event, Millis) {
  if (event.over.round < marks_.highest_round) return {};
  if (!busy()) return {ForgetTraining{}}; // of a process that was killed in the round
  const bool counted = std::holds_alternative<AwaitingRelease>(phase_);
  if (event.over.released && marks_.may_be_late && !counted) return {}; // counts in a later one
  Actions actions = rest();
  if (!event.over.released) {
    actions.emplace_back(Note{cat("round ", event.over.round, " was abandoned")});
  }
  return actions;
}

DeviceRound::Actions DeviceRound::on(const UploadRefused& event, Millis) {
  const auto* const uploading = std::get_if<Uploading>(&phase_);
  if (uploading == nullptr || uploading->plan_hash != event.plan_hash) return {};
  Actions actions = rest();
  actions.emplace_back(Note{cat("the upload was refused: ", event.reason)});
  return actions;
}

DeviceRound::Actions DeviceRound::on(const Conditions& event, Millis) {
  const bool pause = event.not_now.has_value();
  if (pause == paused_) return {};
  paused_ = pause;
  const auto* const training = std::get_if<Training>(&phase_);
  if (training == nullptr) return {};
  const std::string round = cat("round ", marks_.highest_round, ": ");
  if (pause) return {StopTraining{}, Note{cat(round, "paused (", *event.not_now, ")")}};
  return {Note{cat(round, "goes on")},
          StartTraining{training->plan, training->plan_hash, training->train_until}};
}

DeviceRound::Actions DeviceRound::on(const Reconnected&, Millis now) {
  Actions actions;
  const bool waits = std::holds_alternative<MaskAgreement>(phase_) ||
                     std::holds_alternative<AwaitingRelease>(phase_);
  if (secagg_ && waits) actions = follow(secagg_->say_again());
  if (auto* const uploading = std::get_if<Uploading>(&phase_)) {
    append(actions, offer(*uploading, now));
  }
  return actions;
}

DeviceRound::Actions DeviceRound::on(const DeviceTick&, Millis now) {
  if (auto* const uploading = std::get_if<Uploading>(&phase_)) {
    if (now - uploading->last_offer < kOfferAgainAfter) return {};
    return offer(*uploading, now);
  }
  const auto* const training = std::get_if<Training>(&phase_);
  if (training != nullptr && now > training->deadline) {
    Actions actions = rest();
    actions.emplace_back(Note{"the round's deadline passed while training"});
    return actions;
  }
  const auto* const preparing = std::get_if<MaskAgreement>(&phase_);
  if (preparing != nullptr && now > preparing->deadline) {
    Actions actions = rest();
    actions.emplace_back(Note{"the round's deadline passed while agreeing on masks"});
    return actions;
  }
  return {};
}

} // namespace coppice
