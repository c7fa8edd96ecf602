// SPDX-License-Identifier: Apache-2.0
#include "protocol/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/protocol/allocation_watch.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

const VerifyKey& device() {
  static const VerifyKey key = samples::device_key().public_key();
  return key;
}

Result<Message> open_and_decode(Frame frame) {
  return decode_message(
      COPPICE_TRY(open_envelope(std::move(frame), device(), samples::device_id())));
}

// Every message but Upload, which has an envelope of its own.
std::vector<Message> plain_messages() {
  std::vector<Message> all = samples::messages();
  all.pop_back();
  return all;
}

TEST(Envelope, EveryMessageComesOutAsItWentIn) {
  for (const Message& message : plain_messages()) {
    const Frame frame = make_envelope(samples::device_key(), samples::header(), message);
    const auto decoded = open_and_decode(frame);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->index(), message.index());
    EXPECT_EQ(make_envelope(samples::device_key(), samples::header(), *decoded).bytes, frame.bytes)
        << message_name(type_of(message));
  }
}

TEST(Envelope, TheSamplesCoverEveryMessageOnce) {
  const std::vector<Message> all = samples::messages();
  ASSERT_EQ(all.size(), std::variant_size_v<Message>);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].index(), i);
}

TEST(Envelope, ItsHeaderIsReadBeforeAndAfterItsSignature) {
  const Frame frame = make_envelope(samples::device_key(), samples::header(), Ping{.nonce = 1});
  const auto peeked = peek_header(frame.bytes);
  ASSERT_TRUE(peeked);
  EXPECT_EQ(peeked->type, MessageType::kPing);
  EXPECT_EQ(peeked->sender, samples::device_id());
  EXPECT_EQ(peeked->key_set, KeySetNumber{3});
  EXPECT_EQ(peeked->sequence, 41U);
  EXPECT_EQ(peeked->plan_hash, samples::hash(0x30));
  const auto opened = open_envelope(frame, device(), samples::device_id());
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->header().sequence, 41U);
}

TEST(Envelope, AnyByteChangedIsRefused) {
  for (const Message& message : plain_messages()) {
    const Bytes bytes = make_envelope(samples::device_key(), samples::header(), message).bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      Bytes changed = bytes;
      changed[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
      EXPECT_FALSE(open_envelope({changed}, device(), samples::device_id()))
          << message_name(type_of(message)) << ", byte " << i;
    }
  }
}

TEST(Envelope, AnyByteMissingOrAddedIsRefused) {
  const Bytes bytes = make_envelope(samples::device_key(), samples::header(), Leave{}).bytes;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(open_envelope({Bytes(bytes.begin(), bytes.begin() + static_cast<long>(size))},
                               device(), samples::device_id()));
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(open_envelope({longer}, device(), samples::device_id()));
}

TEST(Envelope, AnotherKeyOrAnotherSenderIsUnauthenticated) {
  const Frame frame = make_envelope(samples::device_key(), samples::header(), Leave{});
  EXPECT_EQ(open_envelope(frame, samples::aggregator_key().public_key(), samples::device_id())
                .error()
                .code,
            ErrorCode::kUnauthenticated);
  EXPECT_EQ(open_envelope(frame, device(), ClientId{}).error().code, ErrorCode::kUnauthenticated);
}

TEST(Envelope, ErrorsComeInTheOrderOfTheirCost) {
  const auto code = [](Bytes bytes) {
    return open_envelope({std::move(bytes)}, device(), samples::device_id()).error().code;
  };
  Bytes bytes = make_envelope(samples::device_key(), samples::header(), Leave{}).bytes;
  EXPECT_EQ(code(Bytes(limits::kFrameBytes + 1)), ErrorCode::kTooLarge);
  EXPECT_EQ(code(Bytes(200)), ErrorCode::kCorrupt);
  bytes[4] = 77; // protocol version
  EXPECT_EQ(code(bytes), ErrorCode::kUnsupported);
}

TEST(Envelope, AFullChunkFitsAFrameAndAPlanOfferTheControlSocket) {
  const UploadChunk chunk{
      .upload = samples::hash(1), .index = 7, .data = Bytes(limits::kChunkBytes)};
  EXPECT_LE(make_envelope(samples::device_key(), samples::header(), chunk).bytes.size(),
            limits::kFrameBytes);
  const ContentChunk content{
      .content = samples::hash(1), .index = 7, .size = 1, .data = Bytes(limits::kChunkBytes)};
  EXPECT_LE(make_envelope(samples::device_key(), samples::header(), content).bytes.size(),
            limits::kFrameBytes);
}

// Bodies with a valid signature and hostile contents: what an enrolled device could send.
TEST(Envelope, SignedNonsenseDecodesToItselfOrIsRefusedAndTakesNoMemory) {
  KeyedRandom random({.purpose = RandomPurpose::kTest});
  for (const Message& message : plain_messages()) {
    const Bytes original = make_envelope(samples::device_key(), samples::header(), message).bytes;
    constexpr std::size_t kHeader = 76;
    const std::size_t body = original.size() - kHeader - Signature::kSize;
    for (int round = 0; round < 100 && body > 0; ++round) {
      Bytes bytes(original.begin(), original.end() - Signature::kSize);
      bytes[kHeader + static_cast<std::size_t>(random.below(body))] =
          static_cast<std::uint8_t>(random.below(256));
      const Signature signature = sign(samples::device_key(), Domain::kEnvelope, bytes);
      bytes.insert(bytes.end(), signature.bytes.begin(), signature.bytes.end());
      const auto opened = open_envelope({bytes}, device(), samples::device_id());
      ASSERT_TRUE(opened);
      const AllocationWatch watch;
      const auto decoded = decode_message(*opened);
      EXPECT_LE(watch.largest(), 2 * bytes.size() + 1024);
      if (!decoded) continue;
      EXPECT_EQ(make_envelope(samples::device_key(), samples::header(), *decoded).bytes, bytes);
    }
  }
}

TEST(Upload, OnlyTheAggregatorOpensIt) {
  const Bytes bytes = samples::sealed_upload();
  const Sha256 plan = samples::hash(0x30);
  const auto opened = open_upload(bytes, device(), samples::device_id(), samples::seal_key(), plan);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->packed, std::get<Upload>(samples::messages().back()).packed);
  EXPECT_EQ(opened->round, RoundId{17});
  EXPECT_FALSE(open_upload(bytes, device(), samples::device_id(), SealKey::generate(), plan));
  EXPECT_FALSE(open_upload(bytes, device(), ClientId{}, samples::seal_key(), plan));
  EXPECT_FALSE(
      open_upload(bytes, device(), samples::device_id(), samples::seal_key(), samples::hash(0x31)));
}

TEST(Upload, AnyByteChangedIsRefused) {
  const Bytes bytes = samples::sealed_upload();
  const SealKey key = samples::seal_key();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= 0x10;
    EXPECT_FALSE(open_upload(changed, device(), samples::device_id(), key, samples::hash(0x30)))
        << i;
  }
}

TEST(Upload, ItCostsAtMostTwoHundredAndFiftyBytesMoreThanItsPackedSlots) {
  const Upload upload{.round = {17}, .plan_hash = samples::hash(0x30), .packed = Bytes(311'316)};
  const auto bytes = seal_upload(samples::device_key(), samples::header(),
                                 samples::seal_key().public_key(), upload);
  ASSERT_TRUE(bytes);
  EXPECT_LE(bytes->size(), upload.packed.size() + 250);
}

TEST(Upload, AMismatchedPlanOrAnImpossibleKeyIsAnErrorAndNotACrash) {
  Upload upload = std::get<Upload>(samples::messages().back());
  const auto impossible =
      seal_upload(samples::device_key(), samples::header(), SealPublicKey{}, upload);
  ASSERT_FALSE(impossible);
  EXPECT_EQ(impossible.error().code, ErrorCode::kUnauthenticated);
  upload.plan_hash = samples::hash(0x99);
  EXPECT_EQ(seal_upload(samples::device_key(), samples::header(), samples::seal_key().public_key(),
                        upload)
                .error()
                .code,
            ErrorCode::kInvalidArgument);
}

TEST(Upload, ItIsNoMessageAndAMessageIsNoUpload) {
  const auto opened = open_envelope({samples::sealed_upload()}, device(), samples::device_id());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  const Frame ping = make_envelope(samples::device_key(), samples::header(), Ping{});
  EXPECT_EQ(open_upload(ping.bytes, device(), samples::device_id(), samples::seal_key(),
                        samples::hash(0x30))
                .error()
                .code,
            ErrorCode::kCorrupt);
}

} // namespace
} // namespace coppice
