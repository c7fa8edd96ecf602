// SPDX-License-Identifier: Apache-2.0
#include "aggregator/sqlite_database.h"

#include <sqlite3.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "base/text.h"

namespace coppice {
namespace {

// A full disk has its own code; a quota or a limit on files is a failed write like any other, and
// what the write said is still in errno: sqlite3_system_errno() doesn't keep it.
bool no_space_for_write(sqlite3* database, int system) {
  return sqlite3_extended_errcode(database) == SQLITE_IOERR_WRITE &&
         (system == ENOSPC || system == EDQUOT || system == EFBIG);
}

Error database_error(sqlite3* database, std::string_view doing) {
  const int system = errno;
  const int code = sqlite3_errcode(database);
  const char* const words = sqlite3_errmsg(database);
  if (code == SQLITE_FULL || no_space_for_write(database, system)) {
    return {ErrorCode::kResourceExhausted, cat("the disk of the state folder is full while ", doing,
                                               "; free some space, nothing was half-written")};
  }
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    return {ErrorCode::kCorrupt,
            cat("the state database is damaged (", words, "); restore the folder from a backup")};
  }
  return {ErrorCode::kIo, cat("the state database failed while ", doing, ": ", words)};
}

} // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

SqliteStatement& SqliteStatement::bind(int index, std::int64_t value) {
  COPPICE_CHECK(sqlite3_bind_int64(statement_, index, value) == SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, std::uint64_t value) {
  COPPICE_CHECK(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  return bind(index, static_cast<std::int64_t>(value));
}

SqliteStatement& SqliteStatement::bind(int index, ByteSpan blob) {
  // A null pointer would bind NULL; an empty blob is meant.
  const void* const data = blob.empty() ? static_cast<const void*>("") : blob.data();
  COPPICE_CHECK(sqlite3_bind_blob64(statement_, index, data, blob.size(), SQLITE_STATIC) ==
                SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, std::string_view text) {
  COPPICE_CHECK(sqlite3_bind_text64(statement_, index, text.data(), text.size(), SQLITE_TRANSIENT,
                                    SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::bind_null(int index) {
  COPPICE_CHECK(sqlite3_bind_null(statement_, index) == SQLITE_OK);
  return *this;
}

Result<bool> SqliteStatement::step() {
  const int outcome = sqlite3_step(statement_);
  if (outcome == SQLITE_ROW) return true;
  if (outcome == SQLITE_DONE) return false;
  return database_error(database_, "running a statement");
}

Result<void> SqliteStatement::run() {
  const bool row = COPPICE_TRY(step());
  COPPICE_CHECK(!row);
  return {};
}

std::int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::uint64_t SqliteStatement::number(int column) const {
  return static_cast<std::uint64_t>(integer(column));
}

ByteSpan SqliteStatement::blob(int column) const {
  const auto* const data =
      static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string SqliteStatement::text(int column) const { return std::string(as_text(blob(column))); }

bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<SqliteDatabase> SqliteDatabase::open(const fs::path& path) {
  sqlite3* raw = nullptr;
  const int outcome =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  SqliteDatabase database(raw);
  if (outcome != SQLITE_OK) {
    return database_error(raw, cat("opening ", path.string()));
  }
  sqlite3_busy_timeout(raw, 5000);
  COPPICE_TRY(
      // auto_vacuum first: once WAL has written the file's head it can't be changed any more.
      database.execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                       "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                       "PRAGMA trusted_schema = OFF;"));
  return database;
}

SqliteDatabase::SqliteDatabase(SqliteDatabase&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(database_); }

Result<void> SqliteDatabase::execute(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return database_error(database_, "running a statement");
  }
  return {};
}

Result<SqliteStatement> SqliteDatabase::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database_, sql, -1, &statement, nullptr) != SQLITE_OK) {
    return database_error(database_, cat("preparing: ", sql));
  }
  return SqliteStatement(database_, statement);
}

Result<SqliteDatabase::Transaction> SqliteDatabase::begin() {
  COPPICE_TRY(execute("BEGIN IMMEDIATE"));
  return Transaction(this);
}

Result<void> SqliteDatabase::Transaction::commit() {
  COPPICE_TRY(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

SqliteDatabase::Transaction::~Transaction() {
  // A failed rollback leaves the transaction to the database's close, which rolls it back as well.
  if (database_ != nullptr) static_cast<void>(database_->execute("ROLLBACK").ok());
}

Result<void> SqliteDatabase::backup_to(const fs::path& path) {
  sqlite3* raw = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  SqliteDatabase target(raw);
  if (opened != SQLITE_OK) return database_error(raw, cat("opening ", path.string()));
  sqlite3_backup* const backup = sqlite3_backup_init(raw, "main", database_, "main");
  if (backup == nullptr) return database_error(raw, "starting a copy of the state");
  sqlite3_backup_step(backup, -1);
  if (sqlite3_backup_finish(backup) != SQLITE_OK) {
    return database_error(raw, "copying the state");
  }
  return {};
}

} // namespace coppice
