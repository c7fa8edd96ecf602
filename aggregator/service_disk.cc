// SPDX-License-Identifier: Apache-2.0
// A full disk: rounds wait, the service stays.
//
// Nothing is acknowledged or sent before its commit, and a commit that failed left the state as it
// was. So what a full disk stopped is tried again, whole, until there is space: the plan before
// anybody has seen it, a sum with all uploads that came meanwhile, the survivors, the release.
#include <algorithm>

#include "aggregator/service.h"
#include "base/log.h"

namespace coppice {
namespace {

constexpr Millis kFirstRetry{1'000};
constexpr std::uint32_t kMostRetryDoublings = 5; // 32 s
// A round commits its sum, the adapter and the step, of which the adapter is the largest; each is
// written twice, to SQLite's log and from there into the database.
constexpr std::uint64_t kAdaptersWritten = 6;
constexpr std::uint64_t kLogBytes = std::uint64_t{8} << 20U; // the log before it is emptied, rows

} // namespace

// Errors of the state and its folder only: a full disk becomes a time to wait until.
Result<void> AggregatorService::pause_if_full(Result<void> done) {
  if (done.ok() || done.error().code != ErrorCode::kResourceExhausted) return done;
  if (now() >= disk_retry_at_) { // else this wait was told of already
    const std::uint32_t doublings = std::min(disk_full_in_a_row_, kMostRetryDoublings);
    disk_retry_at_ = now() + Millis{kFirstRetry.count << doublings};
    disk_full_in_a_row_ += 1;
    log::warning(done.error().message);
  }
  disk_full_ = true;
  wait_because(cat("the disk of ", folder_.directory().string(),
                   " is full: rounds pause, and go on by themselves once there is space; free some "
                   "there, or lower retention.releases"));
  return {};
}

// What the full disk stopped. Without a round: a commit that makes space, if there is any to make.
Result<void> AggregatorService::retry_commits() {
  if (!disk_full_ || now() < disk_retry_at_) return {};
  disk_full_ = false; // for what follows; whatever fails says so again
  COPPICE_TRY(commit_uploads());
  if (!disk_full_ && secagg_unsaved_) COPPICE_TRY(pause_if_full(resume_agreement()));
  if (!disk_full_ && round_) COPPICE_TRY(pause_if_full(feed(Tick{})));
  if (!disk_full_ && !round_) {
    COPPICE_TRY(
        pause_if_full(store_.prune(settings_.retention.releases, settings_.retention.rounds)));
  }
  if (!disk_full_) say("the disk has space again: rounds go on");
  return {};
}

// What secure aggregation decided while its state could not be kept was said to nobody.
Result<void> AggregatorService::resume_agreement() {
  if (round_ && round_->secagg() != nullptr) {
    COPPICE_TRY(store_.commit_secagg(round_->plan().round, round_->secagg()->serialize()));
    std::vector<ClientId> members;
    for (const auto& [client, state] : round_->members()) members.push_back(client);
    secagg_unsaved_ = false;
    for (const ClientId& client : members) COPPICE_TRY(feed(MemberConnected{client}));
  }
  secagg_unsaved_ = false;
  return {};
}

// All uploads since the last commit are in one.
Result<void> AggregatorService::commit_uploads() {
  if (disk_full_) return {};
  if (!late_.uncommitted().empty()) {
    auto committed = commit_late();
    if (committed.ok()) committed = late_changed();
    COPPICE_TRY(pause_if_full(std::move(committed)));
  }
  const RunningSum* const sum = round_ ? round_->sum() : nullptr;
  if (disk_full_ || sum == nullptr || sum->uncommitted.empty()) return {};
  auto committed = store_.commit_sum(round_->plan().round, *sum);
  if (committed.ok()) committed = feed(SumCommitted{});
  return pause_if_full(std::move(committed));
}

// Why a round would rather not begin; empty if there is space for all of it.
std::string AggregatorService::disk_shortage() const {
  const std::uint64_t round_bytes = kAdaptersWritten * release_facts_.adapter_bytes + kLogBytes;
  const std::uint64_t wanted = std::max(settings_.retention.min_free, round_bytes);
  std::error_code code;
  const fs::space_info space = fs::space(folder_.directory(), code);
  if (code || space.available >= wanted) return {};
  return cat("waiting for disk space: less than ", human_bytes(static_cast<double>(wanted)),
             " are free in ", folder_.directory().string(),
             "; free some there, or lower retention.min_free");
}

} // namespace coppice
