// SPDX-License-Identifier: Apache-2.0
// What a device says, and what it hears.
#include "base/log.h"
#include "client/agent.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

const char* channel_name(Channel channel) {
  return channel == Channel::kControl ? "control" : "bulk";
}

// The round a message belongs to, for the ledger.
RoundId round_of(const Message& message) {
  if (const auto* answer = std::get_if<PlanAnswer>(&message)) return answer->round;
  if (const auto* offer = std::get_if<UploadOffer>(&message)) return offer->round;
  return RoundId{};
}

} // namespace

// The only way off this device: the ledger first, then the socket.
Result<void> Agent::send(Channel channel, const Message& message, const Sha256& plan_hash) {
  // Nobody is there to hear it: nothing leaves, so nothing is written down. What matters is said
  // again after the reconnect.
  if (!transport_->connection().connected) return {};
  EnvelopeHeader header;
  header.type = type_of(message);
  header.sender = identity_.id;
  header.key_set = membership_.keys.number;
  header.sequence = ++sequence_;
  header.plan_hash = plan_hash;
  const Frame frame = make_envelope(identity_.signing, header, message);
  const bool upload = std::holds_alternative<UploadChunk>(message);
  const bool in_round = upload || std::holds_alternative<SecAggPiece>(message);
  COPPICE_TRY(ledger_.record({.wall = clock_.wall(),
                              .channel = channel_name(channel),
                              .kind = message_name(header.type),
                              .bytes = frame.bytes.size(),
                              .round = in_round ? marks_.round.highest_round : round_of(message),
                              .content = sha256(frame.bytes)}));
  crash_point(upload ? "client.chunk.before" : "client.send.before");
  last_sent_ = now();
  const auto sent = transport_->send(channel, frame.bytes);
  // A full queue or a dead connection: what matters is said again after the reconnect.
  if (!sent.ok()) log::info(message_name(header.type), " not sent: ", sent.error().message);
  return {};
}

std::vector<ConditionVerdict> Agent::eligibility() const {
  DeviceHistory history;
  history.train_bytes = train_bytes_;
  history.paused = folder_.paused();
  const Millis wall = clock_.wall();
  history.bytes_today = ledger_.bytes_since(wall - Millis{24 * 3600 * 1000});
  if (marks_.last_round_wall.count > 0) history.since_last_round = wall - marks_.last_round_wall;
  auto settings = settings_.eligibility;
  if (!workshop_) settings.min_train_bytes = 0; // another trainer brings its own
  return check_eligibility(settings, conditions_->read(), history);
}

Result<void> Agent::check_in() {
  ready_ = !not_eligible_because(eligibility()).has_value();
  CheckIn message;
  message.features = supported_features();
  message.ready = ready_;
  message.epoch = marks_.epoch;
  message.highest_round = marks_.round.highest_round;
  if (keeper_->held()) {
    message.version = keeper_->held()->release.version;
    message.adapter_hash = keeper_->held()->release.adapter_hash;
  }
  checked_in_ = true;
  return send(Channel::kControl, message);
}

// Verify before parse. A frame that doesn't verify is dropped: the sender is not our aggregator.
Result<void> Agent::receive(ClientArrival arrival) {
  const auto channel = static_cast<std::size_t>(arrival.channel);
  auto opened = open_envelope(Frame{std::move(arrival.frame)}, membership_.keys.verify, ClientId{});
  if (!opened.ok()) {
    log::warning("a frame was dropped: ", opened.error().message);
    return {};
  }
  if (opened->header().sequence <= received_[channel]) return {}; // a repeat
  received_[channel] = opened->header().sequence;
  const auto message = decode_message(opened.value());
  if (!message.ok()) {
    log::warning("a message was dropped: ", message.error().message);
    return {};
  }
  last_heard_ = now();
  if (const auto* m = std::get_if<Welcome>(&*message)) return on(*m);
  if (const auto* m = std::get_if<PlanOffer>(&*message)) return on(*m);
  if (const auto* m = std::get_if<ReleaseNotice>(&*message)) return on(*m);
  if (const auto* m = std::get_if<RoundOver>(&*message)) return on(*m);
  if (const auto* m = std::get_if<Refusal>(&*message)) {
    return on(*m, opened->header().plan_hash, arrival.channel);
  }
  if (const auto* m = std::get_if<ContentChunk>(&*message)) return on(*m);
  if (const auto* m = std::get_if<SecAggPiece>(&*message)) return on(*m);
  if (const auto* m = std::get_if<UploadCredit>(&*message)) return feed(CreditReceived{*m});
  if (const auto* m = std::get_if<UploadAck>(&*message)) {
    COPPICE_TRY(feed(AckReceived{*m}));
    crash_point("client.acknowledged");
  }
  return {}; // Pong
}

Result<void> Agent::on(const Welcome& welcome) {
  if (welcome.epoch < marks_.epoch) {
    say("the aggregator's state is older than what this device has seen; waiting for it to mend");
    return {};
  }
  auto keys =
      verify_key_set(membership_.fleet_key, welcome.keys, membership_.keys.number, clock_.wall());
  if (!keys.ok()) {
    say(cat("key set refused: ", keys.error().message));
    return {};
  }
  if (keys->number > membership_.keys.number) {
    membership_.keys = *keys;
    membership_.signed_keys = welcome.keys;
    COPPICE_TRY(folder_.store_membership(membership_));
    keeper_->set_membership(membership_);
    say(cat("the aggregator's key set is ", keys->number, " now"));
    COPPICE_TRY(check_in()); // what it signs from here on is signed by the new key
  }
  if (welcome.epoch > marks_.epoch) {
    marks_.epoch = welcome.epoch;
    COPPICE_TRY(folder_.store_marks(marks_));
  }
  if (welcome.heartbeat.count > 0) heartbeat_ = welcome.heartbeat;
  reconnect_after_ = welcome.reconnect_after;
  reconnect_window_ = welcome.reconnect_window;
  return consider_release(welcome.release);
}

Result<void> Agent::on(const ReleaseNotice& notice) { return consider_release(notice.release); }

Result<void> Agent::consider_release(const SignedRelease& signed_release) {
  const auto release = verify_release(membership_.keys.verify, signed_release);
  if (!release.ok()) {
    say(cat("release refused: ", release.error().message));
    return {};
  }
  // The round's end, where its notice was missed: keys and shares of it are of no more use.
  if (release->round.value > 0 && release->round >= marks_.round.highest_round) {
    COPPICE_TRY(count_kept(release->round));
    COPPICE_TRY(feed(RoundOverReceived{{release->round, true, ""}}));
  }
  const auto fetch = keeper_->notice(signed_release, *release);
  if (!fetch.ok()) {
    say(fetch.error().message);
    return {};
  }
  if (*fetch) COPPICE_TRY(send(Channel::kBulk, **fetch));
  return consider_plan();
}

Result<void> Agent::on(const ContentChunk& chunk) {
  auto arrived = keeper_->chunk(chunk);
  if (!arrived.ok()) {
    say(arrived.error().message);
    return {};
  }
  if (arrived->more) COPPICE_TRY(send(Channel::kBulk, *arrived->more));
  if (arrived->installed) COPPICE_TRY(installed(*arrived->installed));
  return {};
}

Result<void> Agent::on(const SecAggPiece& piece) {
  auto whole = secagg_pieces_.take(piece);
  if (!whole.ok()) {
    log::warning("secure aggregation: ", whole.error().message);
    return {};
  }
  if (!*whole) return {};
  return feed(SecAggReceived{piece.plan_hash, std::move(**whole)});
}

Result<void> Agent::on(const PlanOffer& offer) {
  offer_ = offer;
  offer_deadline_ = now() + offer.time_left;
  last_round_seen_ = now();
  return consider_plan();
}

// A plan waits until the release that it starts from is installed, or can't come any more.
Result<void> Agent::consider_plan() {
  if (!offer_) return {};
  auto plan = verify_plan(membership_.keys.verify, offer_->plan);
  if (!plan.ok()) {
    say(cat("plan refused: ", plan.error().message));
    offer_.reset();
    return {};
  }
  const auto& held = keeper_->held();
  if (!held || (plan->adapter_hash != held->release.adapter_hash && keeper_->fetching())) return {};
  offer_.reset();
  PlanVerified event{.plan = std::make_shared<const RoundPlan>(*plan),
                     .plan_hash = plan->hash(),
                     .time_left = offer_deadline_ - now(),
                     .decline = plan_refusal(*plan, membership_, *held, settings_.floors, marks_)};
  if (!event.decline && plan->round > marks_.round.highest_round) {
    event.decline = not_eligible_because(eligibility());
  }
  // Remembered with the marks of an accepted plan.
  offered_epsilon_ = event.decline ? 0 : event.plan->privacy.cumulative_epsilon;
  return feed(std::move(event));
}

Result<void> Agent::on(const RoundOver& over) {
  last_round_seen_ = now();
  offer_.reset();
  if (over.released) COPPICE_TRY(count_kept(over.round));
  return feed(RoundOverReceived{over});
}

Result<void> Agent::on(const Refusal& refusal, const Sha256& plan_hash, Channel channel) {
  say(cat("the aggregator refused: ", refusal.reason));
  if (ends_upload(refusal)) return feed(UploadRefused{plan_hash, refusal.reason});
  // Its lease ran out while the connection stayed: a device that slept.
  const bool unknown = static_cast<ErrorCode>(refusal.code) == ErrorCode::kUnavailable;
  if (unknown && channel == Channel::kControl) return check_in();
  return {};
}

} // namespace coppice
