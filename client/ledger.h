// SPDX-License-Identifier: Apache-2.0
// The device's ledger: every frame that leaves, written down before it leaves.
//
// DIR/ledger.jsonl, one object a line, each with the SHA-256 of the line before: a line can't be
// taken out or changed without breaking the chain. After a kill the ledger may be ahead of the wire
// by its last entries, never behind. One writer; reading is for anyone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/ids.h"

namespace coppice {

struct LedgerEntry {
  std::uint64_t number = 0;
  Millis wall;
  std::string channel;     // "control", "bulk", "enroll"
  std::string kind;        // the message's name: "upload_chunk"
  std::uint64_t bytes = 0; // of the frame, before CURVE
  RoundId round;           // 0: none
  Sha256 content;          // of the frame's bytes
};

class Ledger {
 public:
  // Checks the whole chain (kCorrupt, with the line), drops a torn last line, and appends from
  // there.
  static Result<Ledger> open(const fs::path& path);
  // Durable before it returns.
  Result<void> record(LedgerEntry entry);
  std::uint64_t bytes_since(Millis wall) const;
  std::uint64_t entries() const { return next_; }

 private:
  Ledger(AppendFile file, std::vector<LedgerEntry> past, Sha256 last);
  AppendFile file_;
  std::uint64_t next_ = 0;
  Sha256 last_;
  std::vector<std::pair<Millis, std::uint64_t>> recent_; // of the last day
};

Result<std::vector<LedgerEntry>> read_ledger(const fs::path& path);

} // namespace coppice
