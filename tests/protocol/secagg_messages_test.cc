// SPDX-License-Identifier: Apache-2.0
// The bytes of secure aggregation's messages: one encoding each, bounded, and small.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "protocol/secagg_parameters.h"
#include "tests/protocol/samples.h"
#include "tests/protocol/secagg_samples.h"

namespace coppice {
namespace {

ErrorCode code_of(const auto& result) {
  return result ? ErrorCode::kInternal : result.error().code;
}

TEST(SecAggMessages, EachComesBackFromItsBytes) {
  std::size_t index = 0;
  for (const SecAggMessage& message : samples::secagg_messages()) {
    EXPECT_EQ(message.index(), index++);
    const Bytes bytes = encode_secagg(message);
    const auto read = decode_secagg(bytes);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->index(), message.index());
    EXPECT_EQ(encode_secagg(*read), bytes) << secagg_message_name(message);
  }
  EXPECT_EQ(index, std::variant_size_v<SecAggMessage>);
}

TEST(SecAggMessages, CutOrLongerOnesAreRefused) {
  for (const SecAggMessage& message : samples::secagg_messages()) {
    Bytes bytes = encode_secagg(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(code_of(decode_secagg(ByteSpan(bytes).first(size))), ErrorCode::kCorrupt)
          << secagg_message_name(message) << " cut to " << size;
    }
    bytes.push_back(0);
    EXPECT_EQ(code_of(decode_secagg(bytes)), ErrorCode::kCorrupt) << secagg_message_name(message);
  }
}

TEST(SecAggMessages, AnUnknownKindOrOneAboveTheLimitIsRefused) {
  EXPECT_EQ(code_of(decode_secagg(Bytes{9})), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(decode_secagg({})), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(decode_secagg(Bytes(limits::kSecAggMessageBytes + 1))), ErrorCode::kTooLarge);
}

TEST(SecAggMessages, CountsAboveTheirLimitsAreRefused) {
  Roster roster{samples::hash(1), 0, {}};
  roster.entries.resize(limits::kRosterMembers);
  Bytes bytes = encode_secagg(roster);
  EXPECT_TRUE(decode_secagg(bytes));
  const auto count = static_cast<std::uint32_t>(limits::kRosterMembers + 1);
  std::memcpy(bytes.data() + 1 + 32 + 1, &count, sizeof(count)); // kind, plan, attempt
  bytes.resize(bytes.size() + 80);
  EXPECT_EQ(code_of(decode_secagg(bytes)), ErrorCode::kCorrupt);
  ShareInbox inbox{samples::hash(1), {}};
  inbox.boxes.assign(limits::kGraphDegree, {1, Bytes(kShareBoxBytes)});
  bytes = encode_secagg(inbox);
  EXPECT_TRUE(decode_secagg(bytes));
  const auto boxes = static_cast<std::uint32_t>(limits::kGraphDegree + 1);
  std::memcpy(bytes.data() + 1 + 32, &boxes, sizeof(boxes));
  bytes.resize(bytes.size() + 4 + kShareBoxBytes);
  EXPECT_EQ(code_of(decode_secagg(bytes)), ErrorCode::kCorrupt);
}

TEST(SecAggMessages, TheLargestGraphFitsTheLimit) {
  const auto sample = std::get<GraphOpening>(samples::secagg_messages()[6]);
  GraphOpening largest{samples::hash(1), std::vector<GraphNonce>(limits::kRosterMembers), {}};
  largest.neighbours.assign(limits::kGraphDegree, sample.neighbours[0]);
  EXPECT_LE(encode_secagg(largest).size(), limits::kSecAggMessageBytes);
}

TEST(SecAggMessages, AttemptsBeyondTheLastAndSharesOfNothingAreRefused) {
  Bytes bytes = encode_secagg(Readvertise{samples::hash(1), kMaxAttempts - 1});
  EXPECT_TRUE(decode_secagg(bytes));
  ++bytes.back();
  EXPECT_EQ(code_of(decode_secagg(bytes)), ErrorCode::kCorrupt);
  UnmaskShares shares{samples::hash(1), samples::hash(2), {{.member = 3, .share = {}}}};
  bytes = encode_secagg(shares);
  bytes[bytes.size() - sizeof(SecretShare) - 1] = 2;
  EXPECT_EQ(code_of(decode_secagg(bytes)), ErrorCode::kCorrupt);
}

TEST(SecAggMessages, ABoxTakes100BytesAndAShare45) {
  const auto size = [](std::uint32_t neighbours) {
    return std::pair{
        encode_secagg(ShareBoxes{{}, {}, std::vector<ShareBox>(neighbours, {0, Bytes(96)})}).size(),
        encode_secagg(UnmaskShares{{}, {}, std::vector<UnmaskShare>(neighbours)}).size()};
  };
  EXPECT_EQ(kShareBoxBytes, 96U);
  EXPECT_EQ(size(128).first - size(127).first, 100U);
  EXPECT_EQ(size(128).second - size(127).second, 45U);
}

// A vector of 2^20 elements of 16 bits; 1000 devices, 128 neighbours. secagg_thousand_test.cc
// measures the same in a whole round.
TEST(SecAggMessages, OfADeviceAmongAThousandAddTwoPercentAtMost) {
  constexpr std::uint32_t kNeighbours = 128;
  constexpr double kVectorBytes = 2.0 * (1U << 20U);
  const auto messages = samples::secagg_messages();
  const std::size_t up =
      encode_secagg(messages[0]).size() + encode_secagg(messages[1]).size() +
      encode_secagg(ShareBoxes{{}, {}, std::vector<ShareBox>(kNeighbours, {0, Bytes(96)})}).size() +
      encode_secagg(UnmaskShares{{}, {}, std::vector<UnmaskShare>(kNeighbours)}).size();
  EXPECT_LE(static_cast<double>(up), 0.02 * kVectorBytes);
  EXPECT_LE(up, 19'000U);
}

TEST(SecAggAdvert, ComesBackFromItsBytesAndOnlyWhole) {
  const KeyAdvert advert{.client = samples::device_id(),
                         .plan_hash = samples::hash(1),
                         .attempt = 7,
                         .box_key = {samples::hash(2).bytes},
                         .mask_key = {samples::hash(3).bytes},
                         .nonce_commitment = samples::hash(4)};
  Bytes bytes = encode_advert(advert);
  EXPECT_EQ(bytes.size(), 147U);
  EXPECT_EQ(decode_advert(bytes).value(), advert);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_advert(ByteSpan(bytes).first(size)));
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_EQ(code_of(decode_advert(longer)), ErrorCode::kCorrupt);
  bytes[0] = 2; // another format
  EXPECT_EQ(code_of(decode_advert(bytes)), ErrorCode::kUnsupported);
}

TEST(SecAggHashes, CoverEveryPart) {
  const auto messages = samples::secagg_messages();
  const auto roster = std::get<Roster>(messages[4]);
  std::set<Sha256> seen{roster.hash()};
  Roster other = roster;
  other.plan_hash = samples::hash(1);
  EXPECT_TRUE(seen.insert(other.hash()).second);
  other = roster;
  other.attempt = 1;
  EXPECT_TRUE(seen.insert(other.hash()).second);
  other = roster;
  other.entries[0].nonce_commitment = samples::hash(1);
  EXPECT_TRUE(seen.insert(other.hash()).second);
  const auto list = std::get<SurvivorList>(messages[8]);
  SurvivorList longer = list;
  longer.survivors = {0x1f};
  EXPECT_TRUE(seen.insert(list.hash()).second);
  EXPECT_TRUE(seen.insert(longer.hash()).second);
  const GraphNonce nonce{1};
  for (const ClientId& client : {samples::device_id(), ClientId{}}) {
    for (const std::uint8_t attempt : {std::uint8_t{0}, std::uint8_t{1}}) {
      for (const std::uint8_t plan : {std::uint8_t{0}, std::uint8_t{1}}) {
        EXPECT_TRUE(seen.insert(commit_nonce(nonce, client, samples::hash(plan), attempt)).second);
      }
    }
  }
}

TEST(SecAggBits, AreOneAMemberLeastSignificantFirst) {
  const std::vector<std::uint32_t> members{0, 3, 9};
  const auto bits = bits_of(members, 10);
  EXPECT_EQ(bits, (std::vector<std::uint8_t>{0x09, 0x02}));
  for (std::uint32_t member = 0; member < 40; ++member) {
    EXPECT_EQ(bit_of(bits, member), member == 0 || member == 3 || member == 9) << member;
  }
  EXPECT_EQ(bits_of({}, 8).size(), 1U);
  EXPECT_EQ(bits_of({}, 9).size(), 2U);
}

} // namespace
} // namespace coppice
