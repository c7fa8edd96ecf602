// SPDX-License-Identifier: Apache-2.0
#include "sim/event_queue.h"

#include <gtest/gtest.h>

#include <span>

#include "base/random.h"

namespace coppice {
namespace {

using Queue = EventQueue<int>;

std::vector<Queue::Event> some_events() {
  KeyedRandom random({.experiment = 1});
  std::vector<Queue::Event> events;
  for (std::uint64_t device = 0; device < 40; ++device) {
    for (std::uint64_t sequence = 0; sequence < 25; ++sequence) {
      const Nanos at{static_cast<std::int64_t>(random.below(50))}; // many at the same time
      events.push_back({{at, device, sequence}, static_cast<int>(events.size())});
    }
  }
  return events;
}

std::vector<int> pops(std::span<const Queue::Event> events) {
  Queue queue;
  for (const Queue::Event& event : events) queue.push(event.key, event.payload);
  std::vector<int> order;
  while (!queue.empty()) order.push_back(queue.pop().payload);
  return order;
}

TEST(EventQueue, AnyOrderOfInsertionGivesTheSamePops) {
  std::vector<Queue::Event> events = some_events();
  std::vector<Queue::Event> sorted = events;
  std::ranges::sort(sorted, {}, &Queue::Event::key);
  std::vector<int> expected;
  for (const Queue::Event& event : sorted) expected.push_back(event.payload);
  KeyedRandom random({.experiment = 2});
  for (int times = 0; times < 20; ++times) {
    random.shuffle(std::span(events));
    ASSERT_EQ(pops(events), expected);
  }
}

// What an event leads to is pushed while others wait, in whichever order devices are served.
TEST(EventQueue, TimeNeverGoesBackWhileEventsBringForthOthers) {
  Queue queue;
  KeyedRandom random({.experiment = 3});
  for (std::uint64_t device = 0; device < 10; ++device) queue.push({{5}, device, 0}, 0);
  EXPECT_EQ(queue.now(), Nanos{});
  Nanos before;
  int popped = 0;
  while (!queue.empty()) {
    EXPECT_EQ(queue.next().at, std::max(queue.next().at, before));
    const Queue::Event event = queue.pop();
    EXPECT_GE(event.key.at, before);
    EXPECT_EQ(queue.now(), event.key.at);
    before = event.key.at;
    ++popped;
    if (event.key.sequence == 99) continue;
    const Nanos delay{static_cast<std::int64_t>(random.below(3))}; // none is allowed
    queue.push({event.key.at + delay, event.key.device, event.key.sequence + 1}, 0);
  }
  EXPECT_EQ(popped, 1'000);
}

TEST(EventQueueDeathTest, ThePastIsClosed) {
  Queue queue;
  queue.push({{10}, 1, 0}, 0);
  queue.pop();
  EXPECT_DEATH(queue.push({{9}, 2, 0}, 0), "pushed into the past");
}

TEST(EventQueueDeathTest, TwoEventsOfOneKeyAreABug) {
  Queue queue;
  queue.push({{10}, 1, 0}, 0);
  queue.push({{10}, 1, 0}, 1);
  EXPECT_DEATH(queue.pop(), "one key");
}

TEST(EventQueueDeathTest, AnEmptyQueueHasNoNextEvent) {
  Queue queue;
  EXPECT_DEATH(queue.next(), "empty");
  EXPECT_DEATH(queue.pop(), "empty");
}

} // namespace
} // namespace coppice
