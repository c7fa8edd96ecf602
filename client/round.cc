// SPDX-License-Identifier: Apache-2.0
#include "client/round.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace coppice {
namespace {

// An offer without an answer is repeated; the aggregator answers repeats with the same.
constexpr Millis kOfferAgainAfter{5'000};
// Of the time left when the plan came, this much is kept for sealing and uploading.
constexpr std::int64_t kUploadShare = 10; // one tenth

Millis training_deadline(Millis now, Millis time_left) {
  return now + Millis{time_left.count - time_left.count / kUploadShare};
}

} // namespace

bool ends_upload(const Refusal& refusal) {
  const auto code = static_cast<ErrorCode>(refusal.code);
  return code == ErrorCode::kFailedPrecondition || code == ErrorCode::kInvalidArgument ||
         code == ErrorCode::kPermissionDenied || code == ErrorCode::kTooLarge ||
         code == ErrorCode::kCorrupt;
}

DeviceRound::DeviceRound(RoundMarks marks, bool upload_on_disk) : marks_(marks) {
  if (!marks_.upload.is_zero() && !marks_.acknowledged && upload_on_disk) {
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
  constexpr std::array<const char*, 5> kNames{"resting", "training", "sealing", "uploading",
                                              "awaiting release"};
  return kNames[phase_.index()];
}

DeviceRound::Actions DeviceRound::rest() {
  phase_ = Resting{};
  if (marks_.upload.is_zero()) return {};
  return {ForgetUpload{marks_.upload}};
}

DeviceRound::Actions DeviceRound::on(PlanVerified&& event, Millis now) {
  const RoundId round = event.plan.round;
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
  if (busy()) { // a newer round: what is under way belongs to one that is over
    if (std::holds_alternative<Training>(phase_)) actions.emplace_back(StopTraining{});
    for (DeviceAction& action : rest()) actions.push_back(std::move(action));
  }
  const Millis deadline = training_deadline(now, event.time_left);
  marks_ = RoundMarks{.highest_round = round, .plan_hash = event.plan_hash, .upload = {}};
  phase_ = Training{event.plan, event.plan_hash, now + event.time_left};
  actions.emplace_back(PersistMarks{marks_});
  actions.emplace_back(SendAnswer{{round, event.plan_hash, true}});
  actions.emplace_back(StartTraining{std::move(event.plan), event.plan_hash, deadline});
  return actions;
}

DeviceRound::Actions DeviceRound::on(const Trained& event, Millis) {
  auto* const training = std::get_if<Training>(&phase_);
  if (training == nullptr || training->plan_hash != event.plan_hash) return {};
  Sealing sealing{std::move(training->plan), training->plan_hash, training->deadline};
  marks_.seal_used = true;
  Actions actions{PersistMarks{marks_}, SealAndStore{sealing.plan, sealing.plan_hash}};
  phase_ = std::move(sealing);
  return actions;
}

DeviceRound::Actions DeviceRound::on(const TrainingFailed& event, Millis) {
  const auto* const training = std::get_if<Training>(&phase_);
  const auto* const sealing = std::get_if<Sealing>(&phase_);
  const bool ours = (training != nullptr && training->plan_hash == event.plan_hash) ||
                    (sealing != nullptr && sealing->plan_hash == event.plan_hash);
  if (!ours) return {};
  const RoundId round = marks_.highest_round;
  phase_ = Resting{};
  return {Note{cat("round ", round, ": ", event.reason)},
          SendAnswer{{round, event.plan_hash, false}}};
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
  Actions actions{PersistMarks{marks_}};
  for (DeviceAction& action : offer(std::get<Uploading>(phase_), now)) {
    actions.push_back(std::move(action));
  }
  return actions;
}

DeviceRound::Actions DeviceRound::offer(Uploading& uploading, Millis now) {
  uploading.last_offer = now;
  uploading.offered = true;
  return {SendOffer{{uploading.round, uploading.plan_hash, uploading.upload, uploading.size}}};
}

DeviceRound::Actions DeviceRound::on(const CreditReceived& event, Millis now) {
  auto* const uploading = std::get_if<Uploading>(&phase_);
  if (uploading == nullptr || uploading->upload != event.credit.upload) return {};
  const auto chunks =
      static_cast<std::uint32_t>((uploading->size + limits::kChunkBytes - 1) / limits::kChunkBytes);
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
  if (!busy() || event.over.round < marks_.highest_round) return {};
  Actions actions;
  if (std::holds_alternative<Training>(phase_)) actions.emplace_back(StopTraining{});
  for (DeviceAction& action : rest()) actions.push_back(std::move(action));
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

DeviceRound::Actions DeviceRound::on(const Reconnected&, Millis now) {
  auto* const uploading = std::get_if<Uploading>(&phase_);
  if (uploading == nullptr) return {};
  return offer(*uploading, now);
}

DeviceRound::Actions DeviceRound::on(const DeviceTick&, Millis now) {
  if (auto* const uploading = std::get_if<Uploading>(&phase_)) {
    if (now - uploading->last_offer < kOfferAgainAfter) return {};
    return offer(*uploading, now);
  }
  const auto* const training = std::get_if<Training>(&phase_);
  if (training != nullptr && now > training->deadline) {
    phase_ = Resting{};
    return {StopTraining{}, Note{"the round's deadline passed while training"}};
  }
  return {};
}

} // namespace coppice
