// SPDX-License-Identifier: Apache-2.0
// What arrives on the enroll and control sockets, and requests of the command line.
#include <algorithm>

#include "aggregator/service.h"
#include "base/log.h"

namespace coppice {
namespace {

// Rounds, releases or epochs that a restored backup may have missed. SQLite's numbers are not used
// up in a lifetime of check-ins that each claim so many.
constexpr std::uint64_t kMostUnseenNumbers = 1'000'000;

// Reasons a device is told; the rest of an error stays in our log.
Refusal make_refusal(const Error& error) {
  return {static_cast<std::uint32_t>(error.code), error.message.substr(0, limits::kText), {0}};
}

} // namespace

Result<void> AggregatorService::handle_enroll(const Arrival& arrival) {
  EnrollReply reply;
  const auto answer = [&]() -> Result<SignedCertificate> {
    // The token first: a stranger learns nothing, and costs no signature check.
    const Token token = COPPICE_TRY(peek_enroll_token(arrival.frame));
    COPPICE_TRY(registry_->knows_token(token.hash()));
    const EnrollRequest request = COPPICE_TRY(decode_enroll_request(arrival.frame));
    if (request.base_hash != folder_.facts().base_hash) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat("this fleet's base model is ", folder_.facts().base_name, " with SHA-256 ",
                       folder_.facts().base_hash, "; use that file")};
    }
    const FleetSigningKey fleet = COPPICE_TRY(folder_.fleet_signing_key());
    const Certificate certificate{.client = client_id_of(request.verify),
                                  .fleet = folder_.facts().fleet,
                                  .verify = request.verify,
                                  .curve = request.curve,
                                  .expires = {0}};
    return registry_->enroll(request, fleet, certificate, clock_.wall());
  }();
  if (answer.ok()) {
    reply.accepted = true;
    reply.certificate = answer.value();
    say("a device enrolled");
  } else {
    if (answer.error().code == ErrorCode::kResourceExhausted) {
      COPPICE_TRY(pause_if_full(answer.error()));
    }
    log::warning("enrolment refused: ", answer.error().message);
    reply.reason = answer.error().message.substr(0, limits::kText);
  }
  const Bytes frame = encode_enroll_reply(reply, folder_.keys().signing);
  const auto sent = transport_->send(arrival.from, frame);
  if (!sent.ok()) log::info("enrolment reply: ", sent.error().message);
  return {};
}

// Limit, signature, state, shape, in this order. Whatever is wrong with a frame closes nothing but
// its sender's wish.
Result<void> AggregatorService::handle_arrival(Arrival arrival) {
  const PeerAddress from = arrival.from;
  const ClientId client = arrival.sender;
  const auto key = registry_->allows(client); // again at every message: revoking works at once
  if (!key.ok()) {
    refuse(from, key.error());
    return device_gone(client);
  }
  auto opened = open_envelope(Frame{std::move(arrival.frame)}, key.value(), client);
  if (!opened.ok()) {
    log::warning("device ", client, ": ", opened.error().message);
    refuse(from, opened.error());
    return {};
  }
  Link& link = sessions_[client].links[from.channel];
  const bool fresh = link.address != from;
  if (fresh) link = Link{from, 0};
  if (opened->header().sequence <= link.last_sequence) {
    refuse(from, {ErrorCode::kUnauthenticated, "a message came twice or out of order"});
    return {};
  }
  link.last_sequence = opened->header().sequence;
  auto message = decode_message(opened.value());
  if (!message.ok()) {
    log::warning("device ", client, ": ", message.error().message);
    refuse(from, message.error());
    return {};
  }
  cohort_.heard(client, now());
  // What secure aggregation wants of it went nowhere while this socket was away.
  const bool awaited = round_ && round_->secagg() != nullptr &&
                       round_->secagg()->machine_of(client).in_roster(client);
  if (fresh && from.channel == Channel::kBulk && awaited) {
    COPPICE_TRY(feed(MemberConnected{client}));
  }
  return dispatch(client, from, opened->header(), std::move(message).value());
}

Result<void> AggregatorService::dispatch(const ClientId& client, const PeerAddress& from,
                                         const EnvelopeHeader& header, Message message) {
  const bool bulk = from.channel == Channel::kBulk;
  if (auto* offer = std::get_if<UploadOffer>(&message); offer != nullptr && bulk) {
    return on_upload_offer(client, from, *offer);
  }
  if (auto* chunk = std::get_if<UploadChunk>(&message); chunk != nullptr && bulk) {
    return on_upload_chunk(client, from, header.plan_hash, *chunk);
  }
  if (auto* piece = std::get_if<SecAggPiece>(&message); piece != nullptr && bulk) {
    return on_secagg(client, *piece);
  }
  if (auto* fetch = std::get_if<Fetch>(&message); fetch != nullptr && bulk) {
    serve(fetches_.ask(client, *fetch, now()));
    return {};
  }
  if (!bulk) {
    if (auto* check_in = std::get_if<CheckIn>(&message)) {
      return on_check_in(client, from, header.key_set, std::move(*check_in));
    }
    if (auto* answer = std::get_if<PlanAnswer>(&message)) {
      if (round_ && answer->plan_hash == round_->plan_hash()) {
        return feed(MemberAnswered{client, answer->accepted});
      }
      late_.answered(answer->plan_hash, client, answer->accepted);
      return late_changed();
    }
    if (auto* ping = std::get_if<Ping>(&message)) {
      if (cohort_.find(client) == nullptr) {
        refuse(from, {ErrorCode::kUnavailable, "this device's lease ran out; check in again"});
      } else {
        send(from, Pong{ping->nonce});
      }
      return {};
    }
    if (std::holds_alternative<Leave>(message)) return on_leave(client);
  }
  refuse(from, {ErrorCode::kInvalidArgument, "this message doesn't belong on this socket"});
  return {};
}

Result<void> AggregatorService::on_check_in(const ClientId& client, const PeerAddress& from,
                                            KeySetNumber known, CheckIn message) {
  if (message.protocol_version < limits::kOldestProtocolVersion) {
    refuse(from, {ErrorCode::kUnsupported, cat("protocol version ", message.protocol_version,
                                               " is too old; update coppice")});
    return {};
  }
  if (const std::string fault = COPPICE_TRY(fault_of_claim(client, message)); !fault.empty()) {
    log::warning("device ", client, ": ", fault);
    refuse(from, {ErrorCode::kInvalidArgument, fault});
    return {};
  }
  COPPICE_TRY(learn_from(client, message));
  cohort_.checked_in(client, Presence{.control = from,
                                      .ready = message.ready,
                                      .features = std::move(message.features),
                                      .last_heard = now(),
                                      .version = message.version,
                                      .key_set = known});
  // It says so when it has fetched, and asks again after a reconnect.
  serve(fetches_.done(client, now()));
  welcome(from, known);
  if (round_) COPPICE_TRY(feed(MemberConnected{client}));
  offer_late(client);
  return late_changed();
}

// Nothing proves what a device says it has seen. Numbers go up from there, so that one device must
// not be able to use them up, nor what the accountant can add up.
Result<std::string> AggregatorService::fault_of_claim(const ClientId& client,
                                                      const CheckIn& message) {
  const std::uint64_t last_round = COPPICE_TRY(store_.next_round()).value - 1;
  const std::uint64_t last_version = std::max(release_facts_.version, highest_seen_version_).value;
  const auto too_far = [](std::uint64_t claimed, std::uint64_t known) {
    return claimed > known && claimed - known > kMostUnseenNumbers;
  };
  if (too_far(message.highest_round.value, last_round) ||
      too_far(message.version.value, last_version) ||
      too_far(message.epoch.value, store_.epoch().value)) {
    return cat("it claims to have seen round ", message.highest_round, ", release ",
               message.version, " and epoch ", message.epoch, ", more than ", kMostUnseenNumbers,
               " after all that is known here (", last_round, ", ", last_version, ", ",
               store_.epoch(), "); revoke it, or restore a later backup");
  }
  if (message.highest_round.value <= last_round) return std::string{};
  return fault_of_charge(client, message.highest_round.value - last_round, message.highest_round);
}

// What devices have seen and this state hasn't: it was restored from a backup. Numbers only go up.
Result<void> AggregatorService::learn_from(const ClientId& client, const CheckIn& message) {
  const RoundId next = COPPICE_TRY(store_.next_round());
  if (message.highest_round >= next) {
    log::warning("device ", client, " has seen round ", message.highest_round,
                 "; going on after it");
    COPPICE_TRY(charge_unproven(RoundId{next.value - 1}, message.highest_round));
    COPPICE_TRY(store_.set("highest_round", cat(message.highest_round)));
  }
  if (message.epoch > store_.epoch()) {
    COPPICE_TRY(store_.raise_epoch(message.epoch));
    log::warning("device ", client, " has seen epoch ", message.epoch, "; this is ", store_.epoch(),
                 " now");
  }
  highest_seen_version_ = std::max(highest_seen_version_, message.version);
  return {};
}

Result<void> AggregatorService::on_leave(const ClientId& client) {
  COPPICE_TRY(registry_->revoke(client, clock_.wall()));
  say(cat("device ", client.hex().substr(0, 8), " left the fleet"));
  return device_gone(client);
}

Result<void> AggregatorService::device_gone(const ClientId& client) {
  cohort_.left(client);
  sessions_.erase(client);
  grant(intake_.drop(client, now()));
  serve(fetches_.drop(client, now()));
  late_.lost(client);
  if (round_) COPPICE_TRY(feed(MemberLost{client}));
  return late_changed();
}

Welcome AggregatorService::make_welcome() const {
  return {.epoch = store_.epoch(),
          .keys = folder_.keys().signed_set,
          .release = release_,
          .heartbeat = settings_.heartbeat,
          .reconnect_after = settings_.reconnect_after,
          .reconnect_window = settings_.reconnect_window};
}

void AggregatorService::welcome(const PeerAddress& to, KeySetNumber known) {
  const AggregatorKeys* const keys = folder_.keys(known);
  send_as(keys == nullptr ? folder_.keys() : *keys, to, make_welcome());
}

void AggregatorService::send(const PeerAddress& to, const Message& message,
                             const Sha256& plan_hash) {
  send_as(folder_.keys(), to, message, plan_hash);
}

void AggregatorService::send_as(const AggregatorKeys& keys, const PeerAddress& to,
                                const Message& message, const Sha256& plan_hash) {
  EnvelopeHeader header;
  header.type = type_of(message);
  header.key_set = keys.set.number;
  header.sequence = ++sequence_;
  header.plan_hash = plan_hash;
  const Frame frame = make_envelope(keys.signing, header, message);
  const auto sent = transport_->send(to, frame.bytes);
  // A peer that is gone comes back with a check-in; a full queue means that it doesn't read.
  if (!sent.ok()) log::info(message_name(header.type), " not sent: ", sent.error().message);
}

void AggregatorService::send_control(const ClientId& client, const Message& message,
                                     const Sha256& plan_hash) {
  const Presence* const presence = cohort_.find(client);
  if (presence != nullptr && presence->control) send(*presence->control, message, plan_hash);
}

void AggregatorService::refuse(const PeerAddress& to, const Error& error, const Sha256& plan_hash) {
  send(to, make_refusal(error), plan_hash);
}

// pause, resume, abort, revert, revoke and rotate are written into the state or the folder by the
// command line; they are carried out here.
Result<void> AggregatorService::apply_requests() {
  COPPICE_TRY(registry_->refresh());
  const bool paused = COPPICE_TRY(store_.get("paused")).value_or("0") == "1";
  if (paused != paused_) {
    paused_ = paused;
    say(paused ? "paused: no new round starts until 'coppice aggregator resume'" : "resumed");
  }
  const auto keys_before = folder_.keys().set.number;
  COPPICE_TRY(folder_.reload_keys());
  if (folder_.keys().set.number != keys_before) {
    say(cat("key set ", folder_.keys().set.number, " is in use"));
    release_ = sign_release(folder_.keys().signing, release_facts_);
    if (round_) signed_plan_ = sign_plan(folder_.keys().signing, round_->plan());
    for (const auto& [client, presence] : cohort_.present()) {
      if (presence.control) welcome(*presence.control, presence.key_set);
    }
  }
  if (const auto abort = COPPICE_TRY(store_.get("request.abort")); abort && !abort->empty()) {
    COPPICE_TRY(store_.set("request.abort", ""));
    if (round_) COPPICE_TRY(feed(AbortRequested{*abort}));
  }
  if (round_) return {}; // a revert waits until the round's end
  const auto revert = store_.get_number("request.revert");
  if (revert.ok() && !revert.value()) return {};
  COPPICE_TRY(store_.set("request.revert", ""));
  const auto done =
      revert.ok() ? revert_to(AdapterVersion{**revert}) : Result<void>(revert.error());
  if (!done.ok()) say(cat("revert refused: ", done.error().message));
  return {};
}

} // namespace coppice
