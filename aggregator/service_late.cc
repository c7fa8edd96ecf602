// SPDX-License-Identifier: Apache-2.0
// Uploads that come after their round: aggregator/late_uploads.h with sockets, clock and disk.
#include <algorithm>

#include "aggregator/service.h"
#include "base/log.h"
#include "crypto/hash.h"

namespace coppice {

Result<void> AggregatorService::resume_late() {
  for (EarlierRound& earlier : COPPICE_TRY(store_.earlier_rounds())) {
    // The wall clock tells how much of the deadline is left, never more than all of it.
    const Millis left = std::min(earlier.deadline - clock_.wall(), earlier.plan.deadline);
    earlier.deadline = now() + left;
    late_.add(std::move(earlier));
  }
  return late_changed();
}

// What waits for the next release, and who is under way: the running round may close by it.
Result<void> AggregatorService::late_changed() {
  late_.advance(release_facts_.version, release_facts_.last_revert, now());
  return round_ ? feed(late_.counts()) : Result<void>{};
}

// A round of another strategy takes none: what waits counts nowhere.
Result<void> AggregatorService::forget_late() {
  if (late_.rounds().empty()) return {};
  COPPICE_TRY(store_.forget_late());
  late_.clear();
  return {};
}

void AggregatorService::offer_late(const ClientId& client) {
  const EarlierRound* const earlier = late_.connected(client);
  if (earlier == nullptr || earlier->deadline <= now()) return;
  send_control(
      client,
      PlanOffer{sign_plan(folder_.keys().signing, earlier->plan), earlier->deadline - now()},
      earlier->plan_hash);
}

Result<void> AggregatorService::on_late_upload(const ClientId& client, const Sha256& plan_hash,
                                               const Sha256& upload,
                                               std::span<const std::uint32_t> elements) {
  late_.advance(release_facts_.version, release_facts_.last_revert, now());
  const auto arrived = late_.arrived(plan_hash, client, upload, elements);
  if (!arrived.ok()) {
    send_control(
        client,
        Refusal{static_cast<std::uint32_t>(arrived.error().code), arrived.error().message, {0}},
        plan_hash);
  } else if (*arrived == LateUploads::Arrived::kCounted) {
    acknowledge(client, late_.find(plan_hash)->plan.round, plan_hash, upload);
  }
  return late_changed(); // turn() commits all its uploads together
}

Result<void> AggregatorService::commit_late() {
  for (const EarlierRound* const round : late_.uncommitted()) {
    COPPICE_TRY(store_.commit_late(round->plan.round, round->sum));
    for (const LateUploads::Acknowledged& done : late_.committed(round->plan_hash)) {
      acknowledge(done.client, round->plan.round, round->plan_hash, done.upload);
    }
  }
  return {};
}

void AggregatorService::acknowledge(const ClientId& client, RoundId round, const Sha256& plan_hash,
                                    const Sha256& upload) {
  const auto session = sessions_.find(client);
  if (session == sessions_.end()) return;
  const auto link = session->second.links.find(Channel::kBulk);
  if (link != session->second.links.end()) {
    send(link->second.address, UploadAck{round, upload}, plan_hash);
  }
}

} // namespace coppice
