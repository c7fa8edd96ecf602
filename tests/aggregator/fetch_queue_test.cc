// SPDX-License-Identifier: Apache-2.0
#include "aggregator/fetch_queue.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

constexpr Millis kPatience{1000};

ClientId device(std::uint8_t number) {
  ClientId id;
  id.bytes[0] = number;
  return id;
}
Fetch chunks_from(std::uint32_t first) { return {{}, first, 8}; }

TEST(FetchQueue, ServesABoundedNumberOfDevicesAtOnceAndTheOthersInTheirOrder) {
  FetchQueue queue(2, kPatience);
  EXPECT_EQ(queue.ask(device(1), chunks_from(0), Millis{0}).size(), 1U);
  EXPECT_EQ(queue.ask(device(2), chunks_from(0), Millis{0}).size(), 1U);
  EXPECT_TRUE(queue.ask(device(3), chunks_from(0), Millis{0}).empty());
  EXPECT_TRUE(queue.ask(device(4), chunks_from(0), Millis{0}).empty());
  const auto next = queue.done(device(2), Millis{1});
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].client, device(3));
  EXPECT_EQ(queue.active(), 2U);
  EXPECT_EQ(queue.waiting(), 1U);
}

TEST(FetchQueue, WithFewerTurnsNobodyLosesOneAndNobodyGetsOneTooMany) {
  FetchQueue queue(2, kPatience);
  queue.ask(device(1), chunks_from(0), Millis{0});
  queue.ask(device(2), chunks_from(0), Millis{0});
  queue.allow(1);
  EXPECT_EQ(queue.ask(device(1), chunks_from(8), Millis{1}).size(), 1U);
  EXPECT_TRUE(queue.ask(device(3), chunks_from(0), Millis{1}).empty());
  EXPECT_TRUE(queue.done(device(1), Millis{2}).empty()); // device 2 still has one
  EXPECT_EQ(queue.done(device(2), Millis{3}).size(), 1U);
  queue.allow(2);
  EXPECT_EQ(queue.ask(device(4), chunks_from(0), Millis{4}).size(), 1U);
}

TEST(FetchQueue, LetsADeviceGoOnWithItsTurnAndReplacesWhatItWaitsFor) {
  FetchQueue queue(1, kPatience);
  queue.ask(device(1), chunks_from(0), Millis{0});
  queue.ask(device(2), chunks_from(0), Millis{0});
  const auto more = queue.ask(device(1), chunks_from(8), Millis{1});
  ASSERT_EQ(more.size(), 1U);
  EXPECT_EQ(more[0].fetch.first, 8U);
  EXPECT_TRUE(queue.ask(device(2), chunks_from(16), Millis{2}).empty());
  EXPECT_EQ(queue.waiting(), 1U);
  const auto next = queue.done(device(1), Millis{3});
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].fetch.first, 16U);
}

TEST(FetchQueue, TakesTheTurnOfASilentDeviceAndThePlaceOfOneThatIsGone) {
  FetchQueue queue(1, kPatience);
  queue.ask(device(1), chunks_from(0), Millis{0});
  queue.ask(device(2), chunks_from(0), Millis{0});
  queue.ask(device(3), chunks_from(0), Millis{0});
  EXPECT_TRUE(queue.done(device(2), Millis{1}).empty());
  EXPECT_EQ(queue.waiting(), 2U); // it only said something while it waits
  EXPECT_TRUE(queue.drop(device(2), Millis{1}).empty());
  EXPECT_EQ(queue.waiting(), 1U);
  EXPECT_TRUE(queue.expire(kPatience).empty());
  const auto next = queue.expire(kPatience + Millis{1});
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].client, device(3));
}

} // namespace
} // namespace coppice
