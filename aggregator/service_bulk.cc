// SPDX-License-Identifier: Apache-2.0
// What arrives on the bulk socket: uploads in, releases out.
#include <algorithm>

#include "aggregator/service.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "protocol/secagg_pieces.h"
#include "protocol/slot_packing.h"

namespace coppice {
namespace {

// The largest finished upload that `plan` allows: its slots packed, and room for envelope and seal.
std::uint64_t largest_upload(const RoundPlan& plan) { return 1024 + packed_slots_size(plan.slots); }

} // namespace

// The running round's, or that of an earlier one whose uploads still come; null: neither.
const RoundPlan* AggregatorService::plan_of(const Sha256& plan_hash) const {
  if (round_ && plan_hash == round_->plan_hash()) return &round_->plan();
  const EarlierRound* const earlier = late_.find(plan_hash);
  return earlier == nullptr ? nullptr : &earlier->plan;
}

Result<void> AggregatorService::on_upload_offer(const ClientId& client, const PeerAddress& from,
                                                const UploadOffer& offer) {
  const bool running = round_ && offer.plan_hash == round_->plan_hash();
  const EarlierRound* const earlier = running ? nullptr : late_.find(offer.plan_hash);
  if (!running) {
    // Perhaps counted in a round that has ended since: then the acknowledgement was lost.
    const auto counted = COPPICE_TRY(store_.counted(offer.round));
    const auto mine = counted.find(client);
    if (mine != counted.end() && mine->second == offer.upload) {
      send(from, UploadAck{offer.round, offer.upload}, offer.plan_hash);
      return {};
    }
    if (earlier == nullptr) {
      refuse(from, {ErrorCode::kFailedPrecondition, "that round is over"}, offer.plan_hash);
      return {};
    }
  }
  const RunningSum* const sum = running ? round_->sum() : &earlier->sum;
  if (sum != nullptr) {
    const auto counted = sum->counted.find(client);
    if (counted != sum->counted.end() && counted->second == offer.upload) {
      send(from, UploadAck{offer.round, offer.upload}, offer.plan_hash);
      return {};
    }
    const auto added = sum->uncommitted.find(client); // its commit waits for space on the disk
    if (added != sum->uncommitted.end() && added->second == offer.upload) return {};
  }
  if (!(running ? round_->members() : earlier->members).contains(client)) {
    refuse(from,
           {ErrorCode::kPermissionDenied,
            running ? "this device was not asked in this round" : "that round is over"},
           offer.plan_hash);
    return {};
  }
  const std::uint64_t most = largest_upload(running ? round_->plan() : earlier->plan);
  if (offer.size == 0 || offer.size > most) {
    refuse(from, {ErrorCode::kTooLarge, cat("an upload of this plan has at most ", most, " bytes")},
           offer.plan_hash);
    return {};
  }
  grant(intake_.offer(client, offer, now()));
  return {};
}

Result<void> AggregatorService::on_upload_chunk(const ClientId& client, const PeerAddress& from,
                                                const Sha256& plan_hash, const UploadChunk& chunk) {
  auto progress = intake_.chunk(client, chunk, now());
  if (!progress.ok()) {
    refuse(from, progress.error(), plan_hash);
    if (progress.error().code == ErrorCode::kCorrupt) grant(intake_.drop(client, now()));
    return {};
  }
  grant(progress->grants);
  if (!progress->finished) return {};
  return on_upload_finished(client, progress->plan_hash, *progress->finished);
}

Result<void> AggregatorService::on_upload_finished(const ClientId& client, const Sha256& plan_hash,
                                                   const Bytes& bytes) {
  const RoundPlan* const plan = plan_of(plan_hash);
  if (plan == nullptr) return {};
  const bool running = round_ && plan == &round_->plan();
  auto elements = [&]() -> Result<std::vector<std::uint32_t>> {
    const EnvelopeHeader header = COPPICE_TRY(peek_header(bytes));
    const AggregatorKeys* const keys = folder_.keys(header.key_set); // it may have rotated since
    if (keys == nullptr) {
      return Error{ErrorCode::kUnauthenticated, "the upload is sealed to an unknown key set"};
    }
    const VerifyKey key = COPPICE_TRY(registry_->allows(client));
    const Upload upload = COPPICE_TRY(open_upload(bytes, key, client, keys->seal, plan_hash));
    if (upload.round != plan->round) {
      return Error{ErrorCode::kCorrupt, "the upload is for another round"};
    }
    return unpack_slots(plan->slots, upload.packed);
  }();
  if (!elements.ok()) {
    const std::string& fault = elements.error().message;
    log::warning("device ", client, ": upload refused: ", fault);
    if (running) return feed(UploadRejected{client, fault});
    late_.rejected(plan_hash, client);
    send_control(client,
                 Refusal{static_cast<std::uint32_t>(ErrorCode::kInvalidArgument), fault, {0}},
                 plan_hash);
    return late_changed();
  }
  upload_bytes_max_ = std::max<std::uint64_t>(upload_bytes_max_, bytes.size());
  const Sha256 name = sha256(bytes);
  if (!running) return on_late_upload(client, plan_hash, name, *elements);
  return feed(UploadArrived{client, name, std::move(elements).value()});
}

// A device's messages are one piece each: nothing is kept for senders that never end.
Result<void> AggregatorService::on_secagg(const ClientId& client, const SecAggPiece& piece) {
  if (!round_ || piece.plan_hash != round_->plan_hash() || piece.pieces != 1) return {};
  auto message = decode_secagg(piece.data);
  if (!message.ok()) {
    log::warning("device ", client, ": ", message.error().message);
    return {};
  }
  auto certificate = registry_->certificate(client);
  // Revoked a moment ago by the command line: the allow-list learns of it at the next refresh.
  if (!certificate.ok() && certificate.error().code == ErrorCode::kUnauthenticated) return {};
  return feed(SecAggArrived{client, std::move(message).value(),
                            COPPICE_TRY(registry_->allows(client)),
                            COPPICE_TRY(std::move(certificate))});
}

void AggregatorService::send_secagg(const ClientId& client, const SecAggMessage& message) {
  const std::vector<SecAggPiece> pieces = cut_secagg(round_->plan_hash(), message);
  const auto session = sessions_.find(client);
  if (session == sessions_.end()) return;
  auto link = session->second.links.find(Channel::kBulk);
  // A device that only waits has nothing to say on the bulk socket after a reconnect.
  const bool small = pieces.size() == 1 && pieces[0].data.size() < limits::kControlFrameBytes / 2;
  if (link == session->second.links.end() && small) {
    link = session->second.links.find(Channel::kControl);
  }
  if (link == session->second.links.end()) return;
  for (const SecAggPiece& piece : pieces) send(link->second.address, piece, round_->plan_hash());
}

void AggregatorService::grant(const std::vector<UploadIntake::Grant>& grants) {
  for (const auto& [client, credit] : grants) {
    const auto session = sessions_.find(client);
    if (session == sessions_.end()) continue;
    const auto link = session->second.links.find(Channel::kBulk);
    if (link != session->second.links.end()) send(link->second.address, credit);
  }
}

void AggregatorService::serve(const std::vector<FetchQueue::Turn>& turns) {
  for (const auto& [client, fetch] : turns) {
    const auto session = sessions_.find(client);
    if (session == sessions_.end()) continue;
    const auto link = session->second.links.find(Channel::kBulk);
    if (link != session->second.links.end()) serve_one(link->second.address, fetch);
  }
}

void AggregatorService::serve_one(const PeerAddress& to, const Fetch& fetch) {
  auto cached = content_cache_.find(fetch.content);
  std::shared_ptr<const Bytes> content;
  if (cached != content_cache_.end()) {
    content = cached->second;
  } else {
    auto stored = store_.content(fetch.content);
    if (!stored.ok()) {
      refuse(to, stored.error());
      return;
    }
    content = std::make_shared<const Bytes>(std::move(stored).value());
  }
  const std::uint32_t count = std::min(fetch.count, limits::kCreditChunks);
  for (std::uint32_t i = 0; i < count && fetch.first + i < limits::chunks_of(content->size());
       ++i) {
    const std::size_t begin = std::size_t{fetch.first + i} * limits::kChunkBytes;
    const std::size_t length = std::min(limits::kChunkBytes, content->size() - begin);
    ContentChunk chunk{fetch.content, fetch.first + i, content->size(), {}};
    const auto first = content->begin() + static_cast<std::ptrdiff_t>(begin);
    chunk.data.assign(first, first + static_cast<std::ptrdiff_t>(length));
    send(to, chunk);
  }
}

} // namespace coppice
