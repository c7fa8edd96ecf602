// SPDX-License-Identifier: Apache-2.0
#include "client/ledger.h"

#include <gmock/gmock.h>

#include "crypto/hash.h"
#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

class LedgerTest : public ::testing::Test {
 protected:
  static LedgerEntry entry(std::uint64_t bytes, std::int64_t wall) {
    return {.wall = {wall},
            .channel = "bulk",
            .kind = "upload_chunk",
            .bytes = bytes,
            .round = {3},
            .content = sha256(as_bytes("frame"))};
  }
  void write_three() {
    Ledger ledger = Ledger::open(path_).value();
    for (std::int64_t i = 1; i <= 3; ++i) {
      ASSERT_TRUE(ledger.record(entry(static_cast<std::uint64_t>(100 * i), i)).ok());
    }
  }
  std::string text() const { return std::string(as_text(read_file(path_, 1 << 20).value())); }
  void replace(const std::string& text) {
    ASSERT_TRUE(write_file_atomically(path_, as_bytes(text)).ok());
  }
  TemporaryFolder folder_;
  fs::path path_ = folder_ / "ledger.jsonl";
};

TEST_F(LedgerTest, WhatWasRecordedIsReadInOrder) {
  write_three();
  const auto entries = read_ledger(path_).value();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[2].number, 2U);
  EXPECT_EQ(entries[2].bytes, 300U);
  EXPECT_EQ(entries[2].channel, "bulk");
  EXPECT_EQ(entries[2].round, RoundId{3});
  EXPECT_EQ(entries[2].content, sha256(as_bytes("frame")));
}

TEST_F(LedgerTest, AReopenedLedgerGoesOnInTheSameChain) {
  write_three();
  ASSERT_TRUE(Ledger::open(path_)->record(entry(400, 4)).ok());
  EXPECT_EQ(read_ledger(path_)->back().number, 3U);
}

TEST_F(LedgerTest, ALastLineThatAKillToreIsDroppedAtEveryByte) {
  write_three();
  const std::string whole = text();
  const std::size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t size = last; size < whole.size(); size += 7) {
    replace(whole.substr(0, size));
    Ledger ledger = Ledger::open(path_).value();
    EXPECT_EQ(ledger.entries(), 2U);
    ASSERT_TRUE(ledger.record(entry(5, 5)).ok());
    EXPECT_EQ(read_ledger(path_)->size(), 3U);
  }
}

TEST_F(LedgerTest, AChangedLineAndAMissingLineAreFoundWithTheirPlace) {
  write_three();
  const std::string whole = text();
  std::string changed = whole;
  changed.replace(changed.find("\"bytes\":100"), 11, "\"bytes\":999");
  replace(changed);
  EXPECT_THAT(Ledger::open(path_).error().message, HasSubstr("line 2"));
  replace(whole.substr(whole.find('\n') + 1)); // the first is taken out
  EXPECT_EQ(Ledger::open(path_).error().code, ErrorCode::kCorrupt);
  replace("no ledger at all\n" + whole);
  EXPECT_FALSE(Ledger::open(path_).ok());
}

TEST_F(LedgerTest, BytesOfADayAreSummedAndSurviveARestart) {
  constexpr std::int64_t kHour = 3'600'000;
  Ledger ledger = Ledger::open(path_).value();
  ASSERT_TRUE(ledger.record(entry(1, 0)).ok());
  ASSERT_TRUE(ledger.record(entry(10, 2 * kHour)).ok());
  ASSERT_TRUE(ledger.record(entry(100, 25 * kHour)).ok());
  EXPECT_EQ(ledger.bytes_since(Millis{kHour}), 110U);
  EXPECT_EQ(Ledger::open(path_)->bytes_since(Millis{kHour}), 110U);
}

} // namespace
} // namespace coppice
