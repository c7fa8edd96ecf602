// SPDX-License-Identifier: Apache-2.0
#include "protocol/zmtp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/protocol/allocation_watch.h"

namespace coppice {
namespace {

Bytes greeting() {
  Bytes bytes(64, 0);
  bytes[0] = 0xFF;
  bytes[9] = 0x7F;
  bytes[10] = 3;
  bytes[11] = 1;
  const std::string_view mechanism = "CURVE";
  std::copy(mechanism.begin(), mechanism.end(), bytes.begin() + 12);
  return bytes;
}

void append_frame(Bytes& bytes, std::uint8_t flags, std::string_view body) {
  const bool is_long = body.size() > 255;
  bytes.push_back(static_cast<std::uint8_t>(flags | (is_long ? 2 : 0)));
  for (int shift = is_long ? 56 : 0; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(body.size() >> static_cast<unsigned>(shift)));
  }
  bytes.insert(bytes.end(), body.begin(), body.end());
}

std::string message_body(std::size_t plaintext) {
  return "\x07MESSAGE" + std::string(kCurveOverhead - 8 + plaintext, 'x');
}

// A connection's whole upward half: greeting, two commands, a short message and a long one.
Bytes connection() {
  Bytes bytes = greeting();
  append_frame(bytes, 4, "\x05HELLO" + std::string(194, 'h'));
  append_frame(bytes, 4, "\x08INITIATE" + std::string(280, 'i'));
  append_frame(bytes, 0, message_body(5));
  append_frame(bytes, 0, message_body(70'000));
  return bytes;
}

std::vector<ZmtpFrame> parse(ByteSpan bytes, std::size_t piece) {
  ZmtpParser parser;
  std::vector<ZmtpFrame> frames;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size()))) {
    parser.feed(bytes.first(std::min(piece, bytes.size())), frames);
  }
  parser.finish(frames);
  return frames;
}

std::uint64_t wire_bytes(const std::vector<ZmtpFrame>& frames) {
  std::uint64_t total = 0;
  for (const ZmtpFrame& frame : frames) total += frame.wire_bytes;
  return total;
}

TEST(Zmtp, AConnectionIsReadFrameByFrameInPiecesOfAnySize) {
  const Bytes bytes = connection();
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
    const auto frames = parse(bytes, piece);
    ASSERT_EQ(frames.size(), 5U) << "in pieces of " << piece;
    EXPECT_EQ(frames[0].kind, ZmtpKind::kGreeting);
    EXPECT_EQ(frames[0].wire_bytes, 64U);
    EXPECT_EQ(frames[1].command, "HELLO");
    EXPECT_EQ(frames[1].wire_bytes, 202U);
    EXPECT_EQ(frames[2].command, "INITIATE");
    EXPECT_EQ(frames[3].kind, ZmtpKind::kMessage);
    EXPECT_EQ(frames[3].plaintext_bytes, 5U);
    EXPECT_EQ(frames[3].wire_bytes, 2 + 33 + 5U);
    EXPECT_EQ(frames[4].plaintext_bytes, 70'000U);
    EXPECT_EQ(frames[4].wire_bytes, 9 + 33 + 70'000U);
    EXPECT_EQ(wire_bytes(frames), bytes.size());
  }
}

TEST(Zmtp, AConnectionCutAnywhereStillCountsEveryByte) {
  const Bytes bytes = connection();
  for (std::size_t cut = 0; cut <= bytes.size(); cut += cut < 700 ? 1 : 997) {
    EXPECT_EQ(wire_bytes(parse(ByteSpan(bytes).first(cut), 64)), cut);
  }
}

TEST(Zmtp, AMessageCutShortKeepsTheLengthThatItAnnounced) {
  Bytes bytes = greeting();
  append_frame(bytes, 0, message_body(1000));
  bytes.resize(bytes.size() - 600);
  const auto frames = parse(bytes, 100);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[1].kind, ZmtpKind::kMessage);
  EXPECT_FALSE(frames[1].whole);
  EXPECT_EQ(frames[1].plaintext_bytes, 1000U);
}

TEST(Zmtp, WhatIsNotZmtpUnderCurveIsMalformedToItsEnd) {
  Bytes plain = greeting();
  plain[12] = 'N';
  plain[13] = 'U';
  plain[14] = 'L';
  plain[15] = 'L';
  plain[16] = 0;
  Bytes reserved = greeting();
  append_frame(reserved, 0x40, "bits");
  Bytes endless = greeting();
  for (const int byte : {2, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3}) {
    endless.push_back(static_cast<std::uint8_t>(byte));
  }
  for (const Bytes& bytes : {plain, reserved, endless, Bytes(200, 'G')}) {
    const auto frames = parse(bytes, 50);
    EXPECT_EQ(frames.back().kind, ZmtpKind::kMalformed);
    EXPECT_EQ(wire_bytes(frames), bytes.size());
  }
}

TEST(Zmtp, AFrameThatIsNoCurveMessageIsMalformedByItself) {
  Bytes bytes = greeting();
  append_frame(bytes, 0, "in the clear");
  append_frame(bytes, 4, "\x04LEAK");
  append_frame(bytes, 0, message_body(3));
  const auto frames = parse(bytes, 1000);
  ASSERT_EQ(frames.size(), 4U);
  EXPECT_EQ(frames[1].kind, ZmtpKind::kMalformed);
  EXPECT_EQ(frames[2].kind, ZmtpKind::kMalformed);
  EXPECT_EQ(frames[3].kind, ZmtpKind::kMessage);
}

TEST(Zmtp, MutatedConnectionsLoseNoByteAndTakeNoMemory) {
  const Bytes original = connection();
  KeyedRandom random({.purpose = RandomPurpose::kTest});
  for (int round = 0; round < 2000; ++round) {
    Bytes bytes = original;
    for (int flips = 0; flips < 3; ++flips) {
      bytes[static_cast<std::size_t>(random.below(700))] ^=
          static_cast<std::uint8_t>(1 + random.below(255));
    }
    std::vector<ZmtpFrame> frames;
    frames.reserve(1000);
    ZmtpParser parser;
    const AllocationWatch watch;
    parser.feed(bytes, frames);
    parser.finish(frames);
    EXPECT_LT(watch.largest(), 200'000U); // of the frames' list alone
    EXPECT_EQ(wire_bytes(frames), bytes.size());
  }
}

} // namespace
} // namespace coppice
