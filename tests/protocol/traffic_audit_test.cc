// SPDX-License-Identifier: Apache-2.0
#include "protocol/traffic_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice {
namespace {

TrafficRecord message(std::uint64_t plaintext, std::string route = "devices") {
  TrafficRecord record{.connection = 1, .route = std::move(route)};
  record.frame = {.kind = ZmtpKind::kMessage,
                  .command = {},
                  .wire_bytes = plaintext + kCurveOverhead + 9,
                  .plaintext_bytes = plaintext};
  return record;
}
TrafficRecord command(std::string name, std::uint64_t bytes, std::uint64_t connection = 1) {
  TrafficRecord record{.connection = connection, .route = "devices"};
  record.frame = {.kind = ZmtpKind::kCommand, .command = std::move(name), .wire_bytes = bytes};
  return record;
}

TEST(TrafficAudit, TrafficThatTheLedgersHaveLeavesNothingUnaccounted) {
  const std::vector<TrafficRecord> records = {command("HELLO", 202), command("INITIATE", 301),
                                              message(300), message(300), message(1000)};
  const std::vector<LedgerLine> ledger = {{"devices", 300}, {"devices", 1000}, {"devices", 300}};
  const TrafficAudit audit = audit_traffic(records, ledger);
  EXPECT_EQ(audit.frames, 3U);
  EXPECT_EQ(audit.bytes, 1600U);
  EXPECT_EQ(audit.transport_bytes, 202 + 301 + 3 * 42U);
  EXPECT_EQ(audit.unaccounted_bytes, 0U);
  EXPECT_EQ(audit.missing_frames, 0U);
  EXPECT_TRUE(audit.findings.empty());
}

TEST(TrafficAudit, AnUnledgeredSendIsFound) {
  const std::vector<LedgerLine> ledger = {{"devices", 300}};
  const TrafficAudit audit = audit_traffic(std::vector{message(300), message(300)}, ledger);
  EXPECT_EQ(audit.unaccounted_frames, 1U);
  EXPECT_EQ(audit.unaccounted_bytes, 342U);
  ASSERT_EQ(audit.findings.size(), 1U);
  EXPECT_THAT(audit.findings[0], ::testing::HasSubstr("no ledger"));
}

TEST(TrafficAudit, AFrameOfAnotherLengthThanItsLineIsBothUnaccountedAndMissing) {
  const std::vector<LedgerLine> ledger = {{"devices", 300}};
  const TrafficAudit audit = audit_traffic(std::vector{message(301)}, ledger);
  EXPECT_EQ(audit.unaccounted_bytes, 343U);
  EXPECT_EQ(audit.missing_bytes, 300U);
}

TEST(TrafficAudit, OneDevicesLedgerDoesntExcuseAnothers) {
  const std::vector<LedgerLine> ledger = {{"device 1", 300}};
  const TrafficAudit audit = audit_traffic(std::vector{message(300, "device 2")}, ledger);
  EXPECT_EQ(audit.unaccounted_frames, 1U);
  EXPECT_EQ(audit.missing_frames, 1U);
}

TEST(TrafficAudit, ALeakInsideHandshakesIsFound) {
  EXPECT_GT(audit_traffic(std::vector{command("INITIATE", 5000)}, {}).unaccounted_bytes, 0U);
  EXPECT_GT(audit_traffic(std::vector{command("HELLO", 202), command("HELLO", 202)}, {})
                .unaccounted_bytes,
            0U);
  EXPECT_GT(audit_traffic(std::vector{command("PING", 200)}, {}).unaccounted_bytes, 0U);
  EXPECT_EQ(audit_traffic(std::vector{command("HELLO", 202), command("HELLO", 202, 2)}, {})
                .unaccounted_bytes,
            0U); // two connections may each say hello
}

TEST(TrafficAudit, MalformedBytesAreUnaccounted) {
  TrafficRecord broken{.connection = 1, .route = "devices"};
  broken.frame = {.kind = ZmtpKind::kMalformed, .command = {}, .wire_bytes = 77};
  EXPECT_EQ(audit_traffic(std::vector{broken}, {}).unaccounted_bytes, 77U);
}

TEST(TrafficAudit, WhatTheAggregatorSendsIsNotTheDevicesToAccountFor) {
  TrafficRecord down = message(5000);
  down.direction = TrafficDirection::kDown;
  EXPECT_EQ(audit_traffic(std::vector{down}, {}).unaccounted_bytes, 0U);
}

TEST(TrafficAudit, AKilledDevicesLedgerMayBeAheadAndIsReported) {
  const std::vector<LedgerLine> ledger = {{"devices", 300}, {"devices", 500}};
  const TrafficAudit audit = audit_traffic(std::vector{message(300)}, ledger);
  EXPECT_EQ(audit.unaccounted_bytes, 0U);
  EXPECT_EQ(audit.missing_frames, 1U);
  EXPECT_EQ(audit.missing_bytes, 500U);
}

TEST(TrafficAudit, TotalsAreOfEachConnection) {
  TrafficRecord down = message(1000);
  down.direction = TrafficDirection::kDown;
  const auto totals = traffic_totals(std::vector{command("HELLO", 202), message(10), down});
  ASSERT_EQ(totals.size(), 1U);
  EXPECT_EQ(totals[0].frames_up, 1U);
  EXPECT_EQ(totals[0].bytes_up, 202 + 52U);
  EXPECT_EQ(totals[0].frames_down, 1U);
  EXPECT_EQ(totals[0].bytes_down, 1042U);
}

TEST(TrafficAudit, NeedlesAreFoundWhereTheyStand) {
  const Bytes hay = {9, 9, 1, 2, 3, 9, 4};
  const std::vector<Bytes> needles = {{1, 2, 3}, {7}, {}, {9, 4}, {3, 9, 5}};
  EXPECT_THAT(contains_any(hay, needles),
              ::testing::ElementsAre(NeedleFound{0, 2}, NeedleFound{3, 5}));
}

} // namespace
} // namespace coppice
