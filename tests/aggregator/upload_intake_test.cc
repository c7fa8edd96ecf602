// SPDX-License-Identifier: Apache-2.0
#include "aggregator/upload_intake.h"

#include "tests/aggregator/round_fixture.h"

namespace coppice {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class UploadIntakeTest : public ::testing::Test {
 protected:
  // `chunks` whole ones and a last of one byte.
  static Bytes bytes_of(std::uint8_t fill, std::size_t chunks) {
    return Bytes(chunks * limits::kChunkBytes + 1, fill);
  }
  static UploadOffer offer_of(const Bytes& bytes) {
    return {RoundId{1}, {}, sha256(bytes), bytes.size()};
  }
  static UploadChunk chunk_of(const Bytes& bytes, std::uint32_t index) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(index * limits::kChunkBytes);
    const auto end = std::min(begin + limits::kChunkBytes, bytes.end());
    return {sha256(bytes), index, Bytes(begin, end)};
  }
  Result<UploadIntake::Progress> send(std::uint8_t client, const Bytes& bytes,
                                      std::uint32_t index) {
    return intake_.chunk(client_number(client), chunk_of(bytes, index), now_);
  }
  std::vector<UploadIntake::Grant> offer(std::uint8_t client, const Bytes& bytes) {
    return intake_.offer(client_number(client), offer_of(bytes), now_);
  }

  UploadIntake intake_{2, Millis{1'000}};
  Millis now_{0};
  const Bytes small_ = bytes_of(1, 2);
};

TEST_F(UploadIntakeTest, ChunksInOrderGiveTheBytesBack) {
  const auto grants = offer(1, small_);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].credit.next, 0U);
  EXPECT_EQ(grants[0].credit.credit, 3U); // no more than is left
  EXPECT_FALSE(send(1, small_, 0)->finished);
  EXPECT_FALSE(send(1, small_, 1)->finished);
  const auto last = send(1, small_, 2);
  ASSERT_TRUE(last->finished);
  EXPECT_EQ(*last->finished, small_);
  EXPECT_EQ(intake_.active(), 0U);
}

TEST_F(UploadIntakeTest, CreditNeverExceedsItsBoundAndIsRenewedHalfway) {
  const Bytes large = bytes_of(2, 11); // 12 chunks
  EXPECT_EQ(offer(1, large).at(0).credit.credit, limits::kCreditChunks);
  std::uint32_t allowed = limits::kCreditChunks;
  for (std::uint32_t i = 0; i < 12; ++i) {
    ASSERT_LT(i, allowed) << "the device would wait for ever";
    const auto progress = send(1, large, i);
    ASSERT_TRUE(progress.ok());
    for (const auto& grant : progress->grants) {
      EXPECT_LE(grant.credit.credit, limits::kCreditChunks);
      allowed = grant.credit.next + grant.credit.credit;
    }
  }
}

TEST_F(UploadIntakeTest, AChunkThatComesTwiceIsNoErrorAndCountsOnce) {
  offer(1, small_);
  ASSERT_TRUE(send(1, small_, 0).ok());
  EXPECT_TRUE(send(1, small_, 0).ok());
  ASSERT_TRUE(send(1, small_, 1).ok());
  EXPECT_EQ(*send(1, small_, 2)->finished, small_);
}

TEST_F(UploadIntakeTest, AChunkTooEarlyIsRefusedForNowAndTheNextOfferGoesOnWhereItStopped) {
  offer(1, small_);
  ASSERT_TRUE(send(1, small_, 0).ok());
  const auto early = send(1, small_, 2);
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(offer(1, small_).at(0).credit.next, 1U);
  ASSERT_TRUE(send(1, small_, 1).ok());
  EXPECT_TRUE(send(1, small_, 2)->finished);
}

TEST_F(UploadIntakeTest, AChunkWithoutAnOfferIsRefusedForNow) {
  EXPECT_EQ(send(1, small_, 0).error().code, ErrorCode::kUnavailable);
}

TEST_F(UploadIntakeTest, AChunkOfAnotherSizeIsCorrupt) {
  offer(1, small_);
  UploadChunk chunk = chunk_of(small_, 0);
  chunk.data.push_back(0);
  EXPECT_EQ(intake_.chunk(client_number(1), chunk, now_).error().code, ErrorCode::kCorrupt);
  chunk.data.resize(10);
  EXPECT_EQ(intake_.chunk(client_number(1), chunk, now_).error().code, ErrorCode::kCorrupt);
}

TEST_F(UploadIntakeTest, BytesThatDoNotHashToTheirNameAreCorrupt) {
  const Bytes bytes = bytes_of(1, 0);
  offer(1, bytes);
  UploadChunk chunk = chunk_of(bytes, 0);
  chunk.data[0] ^= 1U;
  EXPECT_EQ(intake_.chunk(client_number(1), chunk, now_).error().code, ErrorCode::kCorrupt);
}

TEST_F(UploadIntakeTest, OthersWaitInOrderForASlot) {
  EXPECT_THAT(offer(1, small_), SizeIs(1));
  EXPECT_THAT(offer(2, small_), SizeIs(1));
  EXPECT_THAT(offer(3, small_), IsEmpty());
  EXPECT_THAT(offer(4, small_), IsEmpty());
  EXPECT_EQ(intake_.waiting(), 2U);
  const auto next = intake_.drop(client_number(1), now_);
  ASSERT_THAT(next, SizeIs(1));
  EXPECT_EQ(next[0].client, client_number(3));
}

TEST_F(UploadIntakeTest, AFinishedUploadsSlotGoesToTheNext) {
  const Bytes one = bytes_of(7, 0);
  offer(1, one);
  offer(2, one);
  offer(3, one);
  const auto progress = send(1, one, 0);
  ASSERT_THAT(progress->grants, SizeIs(1));
  EXPECT_EQ(progress->grants[0].client, client_number(3));
}

TEST_F(UploadIntakeTest, AWaitingDeviceThatOffersAgainKeepsItsPlaceAndIsListedOnce) {
  offer(1, small_);
  offer(2, small_);
  offer(3, small_);
  offer(4, small_);
  offer(3, small_);
  EXPECT_EQ(intake_.waiting(), 2U);
  EXPECT_EQ(intake_.drop(client_number(2), now_).at(0).client, client_number(3));
}

TEST_F(UploadIntakeTest, AStalledUploadGivesItsSlotBack) {
  offer(1, small_);
  offer(2, small_);
  offer(3, small_);
  now_ = Millis{900};
  ASSERT_TRUE(send(2, small_, 0).ok());
  now_ = Millis{1'001};
  const auto grants = intake_.expire(now_);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].client, client_number(3));
  EXPECT_EQ(intake_.active(), 2U);
}

TEST_F(UploadIntakeTest, AnotherUploadOfTheSameDeviceReplacesTheFirst) {
  const Bytes other = bytes_of(9, 1);
  offer(1, small_);
  ASSERT_TRUE(send(1, small_, 0).ok());
  EXPECT_EQ(offer(1, other).at(0).credit.next, 0U);
  EXPECT_EQ(send(1, small_, 1).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(send(1, other, 0).ok());
}

// However many devices offer, only the slots' bytes are held.
TEST_F(UploadIntakeTest, AThousandOffersHoldTwoUploads) {
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    ClientId client;
    client.bytes[0] = static_cast<std::uint8_t>(i);
    client.bytes[1] = static_cast<std::uint8_t>(i >> 8U);
    intake_.offer(client, offer_of(small_), now_);
  }
  EXPECT_EQ(intake_.active(), 2U);
  EXPECT_EQ(intake_.waiting(), 998U);
  intake_.clear();
  EXPECT_EQ(intake_.active() + intake_.waiting(), 0U);
}

TEST_F(UploadIntakeTest, UploadsOfARoundThatIsOverAreDroppedAndLateOnesGoOn) {
  const Bytes other = bytes_of(7, 2);
  UploadOffer late = offer_of(other);
  late.plan_hash = sha256(as_bytes("takes late uploads"));
  offer(1, small_);
  intake_.offer(client_number(2), late, now_);
  UploadOffer waits = offer_of(other);
  waits.plan_hash = late.plan_hash;
  EXPECT_THAT(intake_.offer(client_number(3), waits, now_), IsEmpty());
  EXPECT_TRUE(send(2, other, 0).ok());
  const auto grants =
      intake_.keep([&](const Sha256& plan) { return plan == late.plan_hash; }, now_);
  ASSERT_THAT(grants, SizeIs(1)); // the third has the first one's place
  EXPECT_EQ(grants[0].client, client_number(3));
  EXPECT_EQ(send(1, small_, 0).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(send(2, other, 1).ok());
  const auto last = send(2, other, 2);
  ASSERT_TRUE(last->finished);
  EXPECT_EQ(last->plan_hash, late.plan_hash);
}

} // namespace
} // namespace coppice
