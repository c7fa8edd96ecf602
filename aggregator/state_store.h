// SPDX-License-Identifier: Apache-2.0
// The aggregator's durable state: epoch, rounds, counted uploads, releases. One SQLite file.
//
// Each commit_*() is one transaction, durable on return, and fails (kFailedPrecondition) if another
// process has opened the state since (the epoch moved on). Nothing is written outside a
// transaction. Retention is bounded by prune(). Schema version 4; newer is refused, older is
// migrated after an automatic copy beside it. For one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/late_uploads.h"
#include "aggregator/privacy_ledger.h"
#include "aggregator/round.h"
#include "aggregator/sqlite_database.h"
#include "base/clock.h"
#include "protocol/messages.h"

namespace coppice {

enum class RoundStatus : std::uint8_t { kRunning = 0, kReleased = 1, kAbandoned = 2 };
const char* round_status_name(RoundStatus status);

struct RoundRecord {
  RoundId round;
  RoundStatus status = RoundStatus::kRunning;
  Millis started_wall;
  Millis ended_wall;
  std::uint32_t members = 0;
  std::uint32_t counted = 0;             // late ones of earlier rounds included
  std::string reason;                    // of an abandoned round
  std::optional<AdapterVersion> version; // of a released one
  std::string metrics;                   // JSON: means of the metric slots
};

struct StoredPlan {
  SignedPlan plan;
  Millis started_wall;
};

// A release with the bytes that devices fetch.
struct ReleaseContent {
  Release release;
  SignedRelease signed_release; // of the same
  Bytes adapter;                // serialize_adapter()
  Bytes step;                   // serialize_step(); empty for version 0
  Bytes control{}; // control_content(); not stored: it follows from the strategy's state
};

class StateStore {
 public:
  // Opens DIR/state.sqlite, migrates it, and takes the next epoch. The caller holds the folder's
  // lock.
  static Result<StateStore> open(const fs::path& directory);
  // Read-only questions while another process serves (status commands): no new epoch is taken.
  static Result<StateStore> observe(const fs::path& directory);

  SqliteDatabase& database() { return database_; }
  Epoch epoch() const { return epoch_; }
  // Takes the epoch after `seen`, if that isn't below this one: devices have seen more than this
  // state, which was restored from a backup.
  Result<void> raise_epoch(Epoch seen);
  // Fails if another process took a later epoch. Inside a transaction it holds until the commit.
  Result<void> check_epoch();

  // A counter or setting of ours: "highest_round", "paused", ...
  Result<std::optional<std::string>> get(std::string_view key);
  Result<void> set(std::string_view key, std::string_view value);
  // None if it is absent or empty; kCorrupt if it is no number.
  Result<std::optional<std::uint64_t>> get_number(std::string_view key);

  // ---- rounds ----
  Result<RoundId> next_round();
  Result<void> commit_plan(const SignedPlan& plan, const RoundPlan& decoded,
                           const std::vector<ClientId>& members, Millis wall);
  // The running sum and the ids in it, together.
  Result<void> commit_sum(RoundId round, const RunningSum& sum);
  // The same of uploads that came after their round (`round`): they wait for the next release.
  Result<void> commit_late(RoundId round, const RunningSum& sum);
  // Secure aggregation's state, for a restart: who is in, what was sent.
  Result<void> commit_secagg(RoundId round, ByteSpan state);
  // The survivors' list; with distributed noise the spend too, since the aggregator may see the sum
  // from here on.
  Result<void> commit_close(RoundId round, const RunningSum& sum,
                            const std::optional<SpendRecord>& spend = std::nullopt);
  Result<void> commit_abandon(RoundId round, std::string_view reason, Millis wall);
  // The release's row, contents, what it spends of the privacy budget, the state of correlated
  // noise, and the round's end together; the sum is dropped, and so are the late sums, which the
  // release took: their uploads are in it from here on.
  struct RoundEnd {
    RoundId round;
    std::string metrics; // JSON
    std::optional<SpendRecord> spend{};
    Bytes noise_state{};    // BandedNoise::serialize(); empty: unchanged
    Bytes strategy_state{}; // StrategyState::encode(); empty: unchanged
    Millis wall;
  };
  Result<void> commit_release(const ReleaseContent& release, const RoundEnd& end);
  // Rounds that a restored state can't prove unspent.
  Result<void> commit_charge(const SpendRecord& spend);
  Result<std::vector<SpendRecord>> spends();
  Result<Bytes> noise_state();    // empty if there is none
  Result<Bytes> strategy_state(); // likewise
  // Members of rounds after `round`: with banded noise they may not take part again yet.
  Result<std::vector<ClientId>> participants_after(RoundId round);
  // The round that was running when the process ended, if any.
  Result<std::optional<StoredRound>> running_round(StoredPlan* signed_plan);
  // The newest released rounds whose devices may go on, oldest first, and what of theirs waits for
  // a release. Deadlines are on the wall's clock.
  Result<std::vector<EarlierRound>> earlier_rounds();
  // Late uploads that wait for a release count in none: rounds have no use for them any more.
  Result<void> forget_late();
  Result<std::vector<RoundRecord>> rounds(std::size_t newest);
  // Uploads under that round's plan, in its own release or a later one.
  Result<std::map<ClientId, Sha256>> counted(RoundId round);
  // Devices whose uploads are in that round's release or running sum, late ones included.
  Result<std::vector<ClientId>> taking_part(RoundId round);

  // ---- releases ----
  Result<void> commit_initial(const ReleaseContent& release);
  Result<void> commit_revert(const ReleaseContent& release);
  Result<std::optional<AdapterVersion>> newest_version();
  struct StoredRelease {
    SignedRelease signed_release;
    Bytes adapter;
  };
  Result<StoredRelease> release(AdapterVersion version);
  Result<std::vector<SignedRelease>> releases(std::size_t newest);
  // The bytes of a step or adapter by its hash; kNotFound if it was never there or is pruned.
  Result<Bytes> content(const Sha256& hash);

  // Keeps the newest releases' contents and the newest rounds' rows; version 0's and the newest
  // adapter always stay.
  Result<void> prune(std::size_t keep_releases, std::size_t keep_rounds);

 private:
  explicit StateStore(SqliteDatabase database) : database_(std::move(database)) {}
  Result<void> migrate(const fs::path& directory);
  Result<void> take_epoch();
  Result<void> write_sum(RoundId round, const RunningSum& sum);
  Result<void> write_uploads(RoundId round, const RunningSum& sum, bool late);
  Result<void> drop_late();
  Result<std::vector<ClientId>> members(RoundId round);
  Result<void> read_late(EarlierRound& round);
  Result<void> drop_working_state(RoundId round);
  Result<void> insert_spend(const SpendRecord& spend);
  Result<void> insert_release(const ReleaseContent& content);

  SqliteDatabase database_;
  Epoch epoch_;
};

} // namespace coppice
