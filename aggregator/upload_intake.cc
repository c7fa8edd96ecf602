// SPDX-License-Identifier: Apache-2.0
#include "aggregator/upload_intake.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {

UploadIntake::Grant UploadIntake::grant_for(const ClientId& client, const Active& active) const {
  const std::uint32_t left = limits::chunks_of(active.offer.size) - active.next;
  return {client, {active.offer.upload, active.next, std::min(left, limits::kCreditChunks)}};
}

std::vector<UploadIntake::Grant> UploadIntake::fill(Millis now) {
  std::vector<Grant> grants;
  while (active_.size() < slots_ && !waiting_.empty()) {
    auto [client, offer] = waiting_.front();
    waiting_.pop_front();
    Active active{offer, {}, 0, now};
    active.bytes.reserve(offer.size);
    const auto placed = active_.insert_or_assign(client, std::move(active)).first;
    grants.push_back(grant_for(client, placed->second));
  }
  return grants;
}

std::vector<UploadIntake::Grant> UploadIntake::offer(const ClientId& client,
                                                     const UploadOffer& offer, Millis now) {
  const auto active = active_.find(client);
  if (active != active_.end()) {
    if (active->second.offer.upload == offer.upload) {
      active->second.last = now;
      return {grant_for(client, active->second)};
    }
    active_.erase(active);
  }
  const auto queued =
      std::ranges::find_if(waiting_, [&](const auto& waiting) { return waiting.first == client; });
  if (queued != waiting_.end()) {
    queued->second = offer;
  } else {
    waiting_.emplace_back(client, offer);
  }
  return fill(now);
}

Result<UploadIntake::Progress> UploadIntake::chunk(const ClientId& client, const UploadChunk& chunk,
                                                   Millis now) {
  const auto found = active_.find(client);
  if (found == active_.end() || found->second.offer.upload != chunk.upload) {
    return Error{ErrorCode::kUnavailable, "this upload has no credit; offer it again"};
  }
  Active& active = found->second;
  if (chunk.index < active.next) return Progress{}; // sent twice around a reconnect
  if (chunk.index > active.next) {                  // a reconnect lost those between
    return Error{ErrorCode::kUnavailable, cat("chunk ", chunk.index, " came where chunk ",
                                              active.next, " was due; offer the upload again")};
  }
  const std::uint64_t left = active.offer.size - active.bytes.size();
  const std::uint64_t expected = std::min<std::uint64_t>(left, limits::kChunkBytes);
  if (chunk.data.size() != expected) {
    return Error{ErrorCode::kCorrupt, cat("chunk ", chunk.index, " has ", chunk.data.size(),
                                          " bytes where ", expected, " were due")};
  }
  active.bytes.insert(active.bytes.end(), chunk.data.begin(), chunk.data.end());
  active.next += 1;
  active.last = now;
  Progress progress;
  if (active.bytes.size() < active.offer.size) {
    // The first grant covers kCreditChunks; each further chunk opens one more, one grant for half.
    if (active.next % (limits::kCreditChunks / 2) == 0) {
      progress.grants.push_back(grant_for(client, active));
    }
    return progress;
  }
  if (sha256(active.bytes) != active.offer.upload) {
    return Error{ErrorCode::kCorrupt, "the upload's bytes don't hash to its name"};
  }
  progress.finished = std::move(active.bytes);
  progress.plan_hash = active.offer.plan_hash;
  active_.erase(found);
  progress.grants = fill(now);
  return progress;
}

std::vector<UploadIntake::Grant> UploadIntake::drop(const ClientId& client, Millis now) {
  active_.erase(client);
  std::erase_if(waiting_, [&](const auto& waiting) { return waiting.first == client; });
  return fill(now);
}

std::vector<UploadIntake::Grant> UploadIntake::expire(Millis now) {
  std::erase_if(active_, [&](const auto& entry) { return now - entry.second.last > patience_; });
  return fill(now);
}

std::vector<UploadIntake::Grant> UploadIntake::keep(
    const std::function<bool(const Sha256&)>& goes_on, Millis now) {
  std::erase_if(active_, [&](const auto& entry) { return !goes_on(entry.second.offer.plan_hash); });
  std::erase_if(waiting_, [&](const auto& waiting) { return !goes_on(waiting.second.plan_hash); });
  return fill(now);
}

void UploadIntake::clear() {
  active_.clear();
  waiting_.clear();
}

} // namespace coppice
