// SPDX-License-Identifier: Apache-2.0
#include "sim/thread_team.h"

#include <gmock/gmock.h>

#include <atomic>
#include <set>

namespace coppice {
namespace {

TEST(ThreadTeam, ForEachDoesEveryJobOnceWhileOthersWait) {
  ThreadTeam team(3);
  std::atomic<int> others{0};
  for (int i = 0; i < 50; ++i) team.add([&](unsigned) { ++others; });
  std::vector<std::atomic<int>> done(1000);
  team.for_each(done.size(), [&](std::size_t i) { ++done[i]; });
  for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
  team.for_each(0, [](std::size_t) { FAIL(); });
  while (others < 50) std::this_thread::yield();
}

TEST(ThreadTeam, TasksKnowTheirThreadAndTheFirstGoesFirst) {
  std::vector<int> order;
  std::set<unsigned> threads;
  std::atomic<bool> go{false};
  std::atomic<int> left{3};
  {
    ThreadTeam team(1);
    const auto task = [&](int number) {
      return [&, number](unsigned thread) {
        order.push_back(number);
        threads.insert(thread);
        --left;
      };
    };
    team.add([&](unsigned) { go.wait(false); });
    team.add(task(1));
    team.add(task(2));
    team.add_first(task(0));
    go = true;
    go.notify_one();
    while (left > 0) std::this_thread::yield();
  }
  EXPECT_THAT(order, testing::ElementsAre(0, 1, 2));
  EXPECT_THAT(threads, testing::ElementsAre(0U));
}

} // namespace
} // namespace coppice
