// SPDX-License-Identifier: Apache-2.0
// SQLite behind two small classes: a database opened for durability, and prepared statements.
//
// WAL, synchronous FULL, foreign keys on, busy timeout 5 s. Errors carry SQLite's words; a full
// disk, quota or file-size limit is kResourceExhausted. The only file of ours that includes
// sqlite3.h is the .cc. For one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/file.h"

struct sqlite3;
struct sqlite3_stmt;

namespace coppice {

class SqliteStatement {
 public:
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  // Parameters are numbered from 1. Spans must live until the statement has run.
  SqliteStatement& bind(int index, std::int64_t value);
  SqliteStatement& bind(int index, std::uint64_t value); // at most 2^63 - 1
  SqliteStatement& bind(int index, ByteSpan blob);
  SqliteStatement& bind(int index, std::string_view text);
  SqliteStatement& bind_null(int index);

  // True: a row is there. False: done.
  Result<bool> step();
  // For statements without rows.
  Result<void> run();

  // Columns of the present row, numbered from 0. Views are valid until the next step().
  std::int64_t integer(int column) const;
  std::uint64_t number(int column) const;
  ByteSpan blob(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  friend class SqliteDatabase;
  SqliteStatement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  sqlite3* database_;
  sqlite3_stmt* statement_;
};

class SqliteDatabase {
 public:
  static Result<SqliteDatabase> open(const fs::path& path);
  SqliteDatabase(SqliteDatabase&& other) noexcept;
  SqliteDatabase& operator=(SqliteDatabase&&) = delete;
  ~SqliteDatabase();

  Result<void> execute(const char* sql); // one or more statements without parameters
  Result<SqliteStatement> prepare(const char* sql);
  // Everything between is one commit; dropped without commit() it is rolled back.
  class Transaction {
   public:
    Transaction(Transaction&& other) noexcept
        : database_(std::exchange(other.database_, nullptr)) {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();
    Result<void> commit();

   private:
    friend class SqliteDatabase;
    explicit Transaction(SqliteDatabase* database) : database_(database) {}
    SqliteDatabase* database_;
  };
  Result<Transaction> begin();
  Result<void> backup_to(const fs::path& path); // a consistent copy, durable on return

 private:
  explicit SqliteDatabase(sqlite3* database) : database_(database) {}
  sqlite3* database_;
};

} // namespace coppice
