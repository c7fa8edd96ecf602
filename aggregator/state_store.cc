// SPDX-License-Identifier: Apache-2.0
#include "aggregator/state_store.h"

#include <charconv>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::int64_t kSchemaVersion = 4;
constexpr const char* kSchema = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rounds (
  round INTEGER PRIMARY KEY, plan BLOB NOT NULL, signature BLOB NOT NULL, status INTEGER NOT NULL,
  closed INTEGER NOT NULL DEFAULT 0, started INTEGER NOT NULL, ended INTEGER, reason TEXT,
  version INTEGER, metrics TEXT);
CREATE TABLE members (
  round INTEGER NOT NULL REFERENCES rounds ON DELETE CASCADE, client BLOB NOT NULL,
  PRIMARY KEY (round, client)) WITHOUT ROWID;
CREATE TABLE uploads (
  round INTEGER NOT NULL REFERENCES rounds ON DELETE CASCADE, client BLOB NOT NULL,
  upload BLOB NOT NULL, epoch INTEGER NOT NULL, PRIMARY KEY (round, client)) WITHOUT ROWID;
CREATE TABLE sums (
  round INTEGER PRIMARY KEY REFERENCES rounds ON DELETE CASCADE, sum BLOB NOT NULL,
  epoch INTEGER NOT NULL);
CREATE TABLE contents (hash BLOB PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE releases (
  version INTEGER PRIMARY KEY, bytes BLOB NOT NULL, signature BLOB NOT NULL, adapter BLOB NOT NULL,
  step BLOB);
CREATE TABLE tokens (
  hash BLOB PRIMARY KEY, expires INTEGER NOT NULL, burnt_by BLOB) WITHOUT ROWID;
CREATE TABLE clients (
  client BLOB PRIMARY KEY, verify BLOB NOT NULL, curve BLOB NOT NULL UNIQUE,
  certificate BLOB NOT NULL, signature BLOB NOT NULL, enrolled INTEGER NOT NULL,
  revoked INTEGER, last_seen INTEGER) WITHOUT ROWID;
)sql";
// Version 2: secure aggregation of the running round; what privacy budget is spent, by round and
// never pruned; the state of noise that is correlated over rounds.
constexpr const char* kSchema2 = R"sql(
CREATE TABLE secagg (round INTEGER PRIMARY KEY REFERENCES rounds ON DELETE CASCADE,
  state BLOB NOT NULL);
CREATE TABLE spends (
  round INTEGER PRIMARY KEY, mechanism TEXT NOT NULL, series INTEGER NOT NULL,
  times INTEGER NOT NULL, base BLOB NOT NULL, epsilon TEXT NOT NULL, proven INTEGER NOT NULL,
  spent INTEGER NOT NULL);
CREATE TABLE noise (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL);
)sql";
// Version 3: a sum for each group of the running round's devices; what the strategy keeps.
constexpr const char* kSchema3 = R"sql(
ALTER TABLE sums RENAME TO sums_2;
CREATE TABLE sums (
  round INTEGER NOT NULL REFERENCES rounds ON DELETE CASCADE, part INTEGER NOT NULL,
  sum BLOB NOT NULL, epoch INTEGER NOT NULL, PRIMARY KEY (round, part)) WITHOUT ROWID;
INSERT INTO sums SELECT round, 0, sum, epoch FROM sums_2;
DROP TABLE sums_2;
CREATE TABLE strategy (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL);
)sql";
// Version 4: uploads that came after their round. `counted_in` is the round whose release they are
// in, 0 while they wait for one; null: their own round's.
constexpr const char* kSchema4 = R"sql(
ALTER TABLE uploads ADD COLUMN counted_in INTEGER;
CREATE INDEX late_uploads ON uploads (counted_in) WHERE counted_in IS NOT NULL;
CREATE TABLE late_sums (
  round INTEGER PRIMARY KEY REFERENCES rounds ON DELETE CASCADE, sum BLOB NOT NULL,
  epoch INTEGER NOT NULL);
)sql";

Result<std::uint64_t> parse_number(std::string_view text, std::string_view what) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error{ErrorCode::kCorrupt, cat("the state's ", what, " is no number")};
  }
  return number;
}

} // namespace

const char* round_status_name(RoundStatus status) {
  switch (status) {
    case RoundStatus::kRunning: return "running";
    case RoundStatus::kReleased: return "released";
    case RoundStatus::kAbandoned: return "abandoned";
  }
  return "unknown";
}

Result<StateStore> StateStore::open(const fs::path& directory) {
  StateStore store(COPPICE_TRY(SqliteDatabase::open(directory / "state.sqlite")));
  COPPICE_TRY(store.migrate(directory));
  COPPICE_TRY(store.take_epoch());
  return store;
}

Result<StateStore> StateStore::observe(const fs::path& directory) {
  if (!fs::exists(directory / "state.sqlite")) {
    return Error{ErrorCode::kNotFound, cat(directory.string(),
                                           " holds no aggregator's state; make one "
                                           "with 'coppice aggregator init'")};
  }
  StateStore store(COPPICE_TRY(SqliteDatabase::open(directory / "state.sqlite")));
  COPPICE_TRY(store.migrate(directory));
  const auto epoch = COPPICE_TRY(store.get("epoch"));
  if (epoch) store.epoch_ = Epoch{COPPICE_TRY(parse_number(*epoch, "epoch"))};
  return store;
}

// SQLite's own user_version holds the schema's number: 0 is a fresh file.
Result<void> StateStore::migrate(const fs::path& directory) {
  std::int64_t version = 0;
  {
    auto read = COPPICE_TRY(database_.prepare("PRAGMA user_version"));
    if (COPPICE_TRY(read.step())) version = read.integer(0);
  }
  if (version == kSchemaVersion) return {};
  if (version > kSchemaVersion) {
    return Error{
        ErrorCode::kUnsupported,
        cat("the state in ", directory.string(), " was written by a newer coppice (schema ",
            version, ", this one knows ", kSchemaVersion, "); update coppice")};
  }
  if (version > 0) { // an older state: keep a copy as it was
    COPPICE_TRY(database_.backup_to(directory / cat("state.schema-", version, ".sqlite")));
  }
  auto transaction = COPPICE_TRY(database_.begin());
  if (version < 1) COPPICE_TRY(database_.execute(kSchema));
  if (version < 2) COPPICE_TRY(database_.execute(kSchema2));
  if (version < 3) COPPICE_TRY(database_.execute(kSchema3));
  if (version < 4) COPPICE_TRY(database_.execute(kSchema4));
  COPPICE_TRY(database_.execute(cat("PRAGMA user_version = ", kSchemaVersion).c_str()));
  return transaction.commit();
}

Result<void> StateStore::take_epoch() {
  auto transaction = COPPICE_TRY(database_.begin());
  const auto stored = COPPICE_TRY(get("epoch"));
  const std::uint64_t last = stored ? COPPICE_TRY(parse_number(*stored, "epoch")) : 0;
  epoch_ = Epoch{last + 1};
  COPPICE_TRY(set("epoch", cat(epoch_)));
  return transaction.commit();
}

Result<void> StateStore::raise_epoch(Epoch seen) {
  if (seen <= epoch_) return {};
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(check_epoch());
  COPPICE_TRY(set("epoch", cat(seen.next())));
  COPPICE_TRY(transaction.commit());
  epoch_ = seen.next();
  return {};
}

Result<void> StateStore::check_epoch() {
  const auto stored = COPPICE_TRY(get("epoch"));
  if (stored && *stored == cat(epoch_)) return {};
  return Error{ErrorCode::kFailedPrecondition,
               "another coppice process has taken over this state folder; stop one of the two"};
}

Result<std::optional<std::string>> StateStore::get(std::string_view key) {
  auto read = COPPICE_TRY(database_.prepare("SELECT value FROM meta WHERE key = ?"));
  read.bind(1, key);
  if (!COPPICE_TRY(read.step())) return std::optional<std::string>{};
  return std::optional<std::string>{read.text(0)};
}

Result<std::optional<std::uint64_t>> StateStore::get_number(std::string_view key) {
  const auto text = COPPICE_TRY(get(key));
  if (!text || text->empty()) return std::optional<std::uint64_t>{};
  return std::optional<std::uint64_t>{COPPICE_TRY(parse_number(*text, key))};
}

Result<void> StateStore::set(std::string_view key, std::string_view value) {
  auto write = COPPICE_TRY(database_.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)"));
  return write.bind(1, key).bind(2, value).run();
}

// ---- rounds ----

Result<RoundId> StateStore::next_round() {
  std::uint64_t highest = 0;
  auto read = COPPICE_TRY(database_.prepare("SELECT max(round) FROM rounds"));
  if (COPPICE_TRY(read.step()) && !read.is_null(0)) highest = read.number(0);
  // Rounds that devices have seen and this state hasn't: it was restored from a backup.
  const auto seen = COPPICE_TRY(get("highest_round"));
  if (seen) highest = std::max(highest, COPPICE_TRY(parse_number(*seen, "highest round")));
  return RoundId{highest + 1};
}

Result<void> StateStore::commit_plan(const SignedPlan& plan, const RoundPlan& decoded,
                                     const std::vector<ClientId>& members, Millis wall) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(check_epoch());
  auto write = COPPICE_TRY(database_.prepare(
      "INSERT INTO rounds (round, plan, signature, status, started) VALUES (?, ?, ?, 0, ?)"));
  COPPICE_TRY(write.bind(1, decoded.round.value)
                  .bind(2, ByteSpan(plan.bytes))
                  .bind(3, plan.signature.span())
                  .bind(4, wall.count)
                  .run());
  for (const ClientId& member : members) {
    auto add = COPPICE_TRY(database_.prepare("INSERT INTO members VALUES (?, ?)"));
    COPPICE_TRY(add.bind(1, decoded.round.value).bind(2, member.span()).run());
  }
  COPPICE_TRY(set("highest_round", cat(decoded.round)));
  crash_point("aggregator.plan.before");
  COPPICE_TRY(transaction.commit());
  crash_point("aggregator.plan.after");
  return {};
}

Result<void> StateStore::write_sum(RoundId round, const RunningSum& sum) {
  COPPICE_TRY(check_epoch());
  for (const std::uint32_t group : sum.touched) {
    const auto part = sum.group(group);
    auto write = COPPICE_TRY(database_.prepare("INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?)"));
    COPPICE_TRY(write.bind(1, round.value)
                    .bind(2, std::uint64_t{group})
                    .bind(3, as_bytes(part))
                    .bind(4, epoch_.value)
                    .run());
  }
  return write_uploads(round, sum, false);
}

Result<void> StateStore::write_uploads(RoundId round, const RunningSum& sum, bool late) {
  for (const auto& [client, upload] : sum.uncommitted) {
    auto add = COPPICE_TRY(database_.prepare("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)"));
    add.bind(1, round.value).bind(2, client.span()).bind(3, upload.span()).bind(4, epoch_.value);
    if (late) {
      add.bind(5, std::uint64_t{0});
    } else {
      add.bind_null(5);
    }
    COPPICE_TRY(add.run());
  }
  return {};
}

Result<void> StateStore::commit_sum(RoundId round, const RunningSum& sum) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(write_sum(round, sum));
  crash_point("aggregator.sum.before");
  COPPICE_TRY(transaction.commit());
  crash_point("aggregator.sum.after");
  return {};
}

Result<void> StateStore::commit_close(RoundId round, const RunningSum& sum,
                                      const std::optional<SpendRecord>& spend) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(write_sum(round, sum));
  if (spend) COPPICE_TRY(insert_spend(*spend));
  auto close = COPPICE_TRY(database_.prepare("UPDATE rounds SET closed = 1 WHERE round = ?"));
  COPPICE_TRY(close.bind(1, round.value).run());
  crash_point("aggregator.close.before");
  COPPICE_TRY(transaction.commit());
  crash_point("aggregator.close.after");
  return {};
}

Result<void> StateStore::commit_abandon(RoundId round, std::string_view reason, Millis wall) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(check_epoch());
  auto write = COPPICE_TRY(database_.prepare(
      "UPDATE rounds SET status = 2, reason = ?, ended = ? WHERE round = ? AND status = 0"));
  COPPICE_TRY(write.bind(1, reason).bind(2, wall.count).bind(3, round.value).run());
  COPPICE_TRY(drop_working_state(round));
  return transaction.commit();
}

// What only a running round needs.
Result<void> StateStore::drop_working_state(RoundId round) {
  for (const char* sql :
       {"DELETE FROM sums WHERE round = ?", "DELETE FROM secagg WHERE round = ?"}) {
    auto drop = COPPICE_TRY(database_.prepare(sql));
    COPPICE_TRY(drop.bind(1, round.value).run());
  }
  return {};
}

Result<void> StateStore::commit_secagg(RoundId round, ByteSpan state) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(check_epoch());
  auto write = COPPICE_TRY(database_.prepare("INSERT OR REPLACE INTO secagg VALUES (?, ?)"));
  COPPICE_TRY(write.bind(1, round.value).bind(2, state).run());
  crash_point("aggregator.secagg.before");
  COPPICE_TRY(transaction.commit());
  crash_point("aggregator.secagg.after");
  return {};
}

Result<std::optional<StoredRound>> StateStore::running_round(StoredPlan* signed_plan) {
  auto read = COPPICE_TRY(
      database_.prepare("SELECT plan, signature, closed, started FROM rounds WHERE status = 0 "
                        "ORDER BY round DESC LIMIT 1"));
  if (!COPPICE_TRY(read.step())) return std::optional<StoredRound>{};
  StoredRound stored;
  stored.plan = COPPICE_TRY(RoundPlan::decode(read.blob(0)));
  stored.closed = read.integer(2) != 0;
  signed_plan->plan.bytes.assign(read.blob(0).begin(), read.blob(0).end());
  signed_plan->plan.signature = COPPICE_TRY(Signature::from_span(read.blob(1), "plan signature"));
  signed_plan->started_wall = Millis{read.integer(3)};

  stored.members = COPPICE_TRY(members(stored.plan.round));
  auto sum = COPPICE_TRY(database_.prepare("SELECT part, sum FROM sums WHERE round = ?"));
  sum.bind(1, stored.plan.round.value);
  const std::uint32_t groups = stored.plan.sum.groups;
  while (COPPICE_TRY(sum.step())) {
    const std::uint64_t group = sum.number(0);
    const ByteSpan raw = sum.blob(1);
    const std::size_t elements = raw.size() / sizeof(std::uint32_t);
    if (stored.sum.empty()) stored.sum.resize(groups * elements); // groups without a row are zero
    if (group >= groups || stored.sum.size() != groups * elements) {
      return Error{ErrorCode::kCorrupt, "the state's running sum doesn't fit its plan"};
    }
    std::memcpy(stored.sum.data() + group * elements, raw.data(), raw.size());
  }
  auto secagg = COPPICE_TRY(database_.prepare("SELECT state FROM secagg WHERE round = ?"));
  secagg.bind(1, stored.plan.round.value);
  if (COPPICE_TRY(secagg.step())) {
    stored.secagg.assign(secagg.blob(0).begin(), secagg.blob(0).end());
  }
  stored.counted = COPPICE_TRY(counted(stored.plan.round));
  return std::optional<StoredRound>{std::move(stored)};
}

Result<std::vector<ClientId>> StateStore::members(RoundId round) {
  std::vector<ClientId> ids;
  auto read = COPPICE_TRY(database_.prepare("SELECT client FROM members WHERE round = ?"));
  read.bind(1, round.value);
  while (COPPICE_TRY(read.step())) {
    ids.push_back(COPPICE_TRY(ClientId::from_span(read.blob(0), "member")));
  }
  return ids;
}

Result<std::map<ClientId, Sha256>> StateStore::counted(RoundId round) {
  std::map<ClientId, Sha256> ids;
  auto read = COPPICE_TRY(database_.prepare("SELECT client, upload FROM uploads WHERE round = ?"));
  read.bind(1, round.value);
  while (COPPICE_TRY(read.step())) {
    ids.emplace(COPPICE_TRY(ClientId::from_span(read.blob(0), "client")),
                COPPICE_TRY(Sha256::from_span(read.blob(1), "upload")));
  }
  return ids;
}

Result<std::vector<RoundRecord>> StateStore::rounds(std::size_t newest) {
  auto read = COPPICE_TRY(
      database_.prepare("SELECT round, status, started, ended, reason, version, metrics,"
                        " (SELECT count(*) FROM members m WHERE m.round = r.round),"
                        " (SELECT count(*) FROM uploads u WHERE u.round = r.round AND"
                        "   u.counted_in IS NULL) +"
                        " (SELECT count(*) FROM uploads u WHERE u.counted_in = r.round)"
                        " FROM rounds r ORDER BY round DESC LIMIT ?"));
  read.bind(1, static_cast<std::uint64_t>(newest));
  std::vector<RoundRecord> records;
  while (COPPICE_TRY(read.step())) {
    RoundRecord record;
    record.round = RoundId{read.number(0)};
    record.status = static_cast<RoundStatus>(read.integer(1));
    record.started_wall = Millis{read.integer(2)};
    record.ended_wall = Millis{read.integer(3)};
    record.reason = read.text(4);
    if (!read.is_null(5)) record.version = AdapterVersion{read.number(5)};
    record.metrics = read.text(6);
    record.members = static_cast<std::uint32_t>(read.integer(7));
    record.counted = static_cast<std::uint32_t>(read.integer(8));
    records.push_back(std::move(record));
  }
  return records;
}

} // namespace coppice
