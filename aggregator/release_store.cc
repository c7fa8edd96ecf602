// SPDX-License-Identifier: Apache-2.0
// StateStore's releases: rows, contents by hash, and what is kept of them.
#include "aggregator/state_store.h"
#include "base/text.h"

namespace coppice {

Result<void> StateStore::insert_release(const ReleaseContent& content) {
  COPPICE_TRY(check_epoch());
  constexpr const char* kInsertContent =
      "INSERT OR IGNORE INTO contents (hash, bytes) VALUES (?, ?)";
  auto adapter = COPPICE_TRY(database_.prepare(kInsertContent));
  adapter.bind(1, content.release.adapter_hash.span()).bind(2, ByteSpan(content.adapter));
  COPPICE_TRY(adapter.run());
  auto row = COPPICE_TRY(database_.prepare("INSERT INTO releases VALUES (?, ?, ?, ?, ?)"));
  row.bind(1, content.release.version.value)
      .bind(2, ByteSpan(content.signed_release.bytes))
      .bind(3, content.signed_release.signature.span())
      .bind(4, content.release.adapter_hash.span());
  if (content.step.empty()) {
    row.bind_null(5);
    return row.run();
  }
  auto step = COPPICE_TRY(database_.prepare(kInsertContent));
  step.bind(1, content.release.step_hash.span()).bind(2, ByteSpan(content.step));
  COPPICE_TRY(step.run());
  row.bind(5, content.release.step_hash.span());
  return row.run();
}

Result<void> StateStore::commit_initial(const ReleaseContent& release) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(insert_release(release));
  return transaction.commit();
}

Result<void> StateStore::commit_revert(const ReleaseContent& release) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(insert_release(release));
  COPPICE_TRY(database_.execute("DELETE FROM strategy")); // it was about releases that are no more
  COPPICE_TRY(drop_late());                               // likewise
  crash_point("aggregator.revert.before");
  return transaction.commit();
}

Result<void> StateStore::commit_release(const ReleaseContent& release, const RoundEnd& end) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(insert_release(release));
  auto write = COPPICE_TRY(database_.prepare(
      "UPDATE rounds SET status = 1, version = ?, ended = ?, metrics = ? WHERE round = ?"));
  COPPICE_TRY(write.bind(1, release.release.version.value)
                  .bind(2, end.wall.count)
                  .bind(3, end.metrics)
                  .bind(4, end.round.value)
                  .run());
  COPPICE_TRY(drop_working_state(end.round));
  auto late =
      COPPICE_TRY(database_.prepare("UPDATE uploads SET counted_in = ? WHERE counted_in = 0"));
  COPPICE_TRY(late.bind(1, end.round.value).run());
  COPPICE_TRY(database_.execute("DELETE FROM late_sums"));
  if (end.spend) COPPICE_TRY(insert_spend(*end.spend));
  if (!end.noise_state.empty()) {
    auto noise = COPPICE_TRY(database_.prepare("INSERT OR REPLACE INTO noise VALUES (1, ?)"));
    COPPICE_TRY(noise.bind(1, ByteSpan(end.noise_state)).run());
  }
  if (!end.strategy_state.empty()) {
    auto kept = COPPICE_TRY(database_.prepare("INSERT OR REPLACE INTO strategy VALUES (1, ?)"));
    COPPICE_TRY(kept.bind(1, ByteSpan(end.strategy_state)).run());
  }
  crash_point("aggregator.release.before");
  COPPICE_TRY(transaction.commit());
  crash_point("aggregator.release.after");
  return {};
}

Result<std::optional<AdapterVersion>> StateStore::newest_version() {
  auto read = COPPICE_TRY(database_.prepare("SELECT max(version) FROM releases"));
  if (!COPPICE_TRY(read.step()) || read.is_null(0)) return std::optional<AdapterVersion>{};
  return std::optional<AdapterVersion>{AdapterVersion{read.number(0)}};
}

Result<StateStore::StoredRelease> StateStore::release(AdapterVersion version) {
  auto read = COPPICE_TRY(
      database_.prepare("SELECT bytes, signature, adapter FROM releases WHERE version = ?"));
  read.bind(1, version.value);
  if (!COPPICE_TRY(read.step())) {
    return Error{ErrorCode::kNotFound,
                 cat("there is no release ", version, "; see 'coppice aggregator release list'")};
  }
  StoredRelease stored;
  stored.signed_release.bytes.assign(read.blob(0).begin(), read.blob(0).end());
  stored.signed_release.signature = COPPICE_TRY(Signature::from_span(read.blob(1), "signature"));
  auto adapter = content(COPPICE_TRY(Sha256::from_span(read.blob(2), "adapter hash")));
  if (!adapter) {
    return std::move(adapter).error().with_context(cat("the contents of release ", version));
  }
  stored.adapter = std::move(adapter).value();
  return stored;
}

Result<std::vector<SignedRelease>> StateStore::releases(std::size_t newest) {
  auto read = COPPICE_TRY(
      database_.prepare("SELECT bytes, signature FROM releases ORDER BY version DESC LIMIT ?"));
  read.bind(1, static_cast<std::uint64_t>(newest));
  std::vector<SignedRelease> found;
  while (COPPICE_TRY(read.step())) {
    SignedRelease release;
    release.bytes.assign(read.blob(0).begin(), read.blob(0).end());
    release.signature = COPPICE_TRY(Signature::from_span(read.blob(1), "signature"));
    found.push_back(std::move(release));
  }
  return found;
}

Result<Bytes> StateStore::content(const Sha256& hash) {
  auto read = COPPICE_TRY(database_.prepare("SELECT bytes FROM contents WHERE hash = ?"));
  read.bind(1, hash.span());
  if (!COPPICE_TRY(read.step())) {
    return Error{ErrorCode::kNotFound, cat("content ", hash, " is not kept (any more)")};
  }
  return Bytes(read.blob(0).begin(), read.blob(0).end());
}

Result<void> StateStore::prune(std::size_t keep_releases, std::size_t keep_rounds) {
  auto transaction = COPPICE_TRY(database_.begin());
  auto contents = COPPICE_TRY(
      database_.prepare("DELETE FROM contents WHERE hash NOT IN ("
                        " SELECT adapter FROM releases WHERE version = 0 OR version > "
                        "   (SELECT max(version) FROM releases) - ?1"
                        " UNION SELECT step FROM releases WHERE step IS NOT NULL AND version > "
                        "   (SELECT max(version) FROM releases) - ?1)"));
  COPPICE_TRY(contents.bind(1, static_cast<std::uint64_t>(keep_releases)).run());
  auto rounds = COPPICE_TRY(database_.prepare(
      "DELETE FROM rounds WHERE status != 0 AND round <= (SELECT max(round) FROM rounds) - ?"));
  COPPICE_TRY(rounds.bind(1, static_cast<std::uint64_t>(keep_rounds)).run());
  COPPICE_TRY(transaction.commit());
  return database_.execute("PRAGMA incremental_vacuum");
}

} // namespace coppice
