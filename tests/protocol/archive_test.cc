// SPDX-License-Identifier: Apache-2.0
// The bounded archive by itself. Only tests and protocol/ include it.
#include "protocol/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/allocation_watch.h"

namespace coppice {

struct Blob {
  Bytes data;
};
template <typename Archive>
void serialize(Archive& archive, Blob& blob) {
  archive(bytes_field(blob.data, std::size_t{1} << 31U));
}
struct Pairs {
  std::vector<StrongNumber<struct PairTag>> items;
};
template <typename Archive>
void serialize(Archive& archive, Pairs& pairs) {
  archive(list_field(pairs.items, std::size_t{1} << 31U, 8));
}
struct Scalars {
  bool flag = false;
  float number = 0;
};
template <typename Archive>
void serialize(Archive& archive, Scalars& scalars) {
  archive(scalars.flag, scalars.number);
}
struct Reason {
  std::string words;
};
template <typename Archive>
void serialize(Archive& archive, Reason& reason) {
  archive(sentence_field(reason.words));
}

namespace {

// The 12 bytes with which stock Cereal takes 4 GB: a count of 2^31, and eight more.
const Bytes kTwelve = {0, 0, 0, 0x80, 1, 2, 3, 4, 5, 6, 7, 8};

TEST(Archive, TwelveBytesCantAllocateWhatTheyClaim) {
  const AllocationWatch watch;
  EXPECT_FALSE(decode_value<Blob>(kTwelve, "a blob"));
  EXPECT_FALSE(decode_value<Pairs>(kTwelve, "pairs"));
  EXPECT_LT(watch.largest(), 1024U); // an exception's words, and no data
}

TEST(Archive, ACountIsCheckedByItsElementsSize) {
  const Bytes two_of_eight = {2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  EXPECT_FALSE(decode_value<Pairs>(two_of_eight, "pairs")); // 15 bytes can't be two of eight
  Bytes whole = two_of_eight;
  whole.push_back(16);
  const auto pairs = decode_value<Pairs>(whole, "pairs");
  ASSERT_TRUE(pairs);
  EXPECT_EQ(pairs->items.size(), 2U);
  EXPECT_EQ(encode_value(*pairs), whole);
}

TEST(Archive, TrailingBytesAreRefused) {
  const auto read = decode_value<Blob>(Bytes{1, 0, 0, 0, 7, 9}, "a blob");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(read.error().message, ::testing::HasSubstr("a blob"));
}

TEST(Archive, ATruthValueIsZeroOrOneAndANumberFinite) {
  EXPECT_TRUE(decode_value<Scalars>(Bytes{1, 0, 0, 0x80, 0x3F}, "scalars"));
  EXPECT_FALSE(decode_value<Scalars>(Bytes{2, 0, 0, 0x80, 0x3F}, "scalars"));
  EXPECT_FALSE(decode_value<Scalars>(Bytes{1, 0, 0, 0x80, 0x7F}, "scalars")); // infinity
  EXPECT_FALSE(decode_value<Scalars>(Bytes{1, 0, 0, 0xC0, 0x7F}, "scalars")); // NaN
}

TEST(Archive, ALongSentenceIsCutAtACharactersBorder) {
  std::string words(limits::kText - 1, 'a');
  words += "\xC3\xA9 and more"; // e with acute accent: two bytes across the limit
  const auto read = decode_value<Reason>(encode_value(Reason{words}), "a reason");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->words, std::string(limits::kText - 1, 'a'));
}

} // namespace
} // namespace coppice
