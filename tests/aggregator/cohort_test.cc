// SPDX-License-Identifier: Apache-2.0
#include "aggregator/cohort.h"

#include <set>

#include "base/random.h"
#include "tests/aggregator/round_fixture.h"

namespace coppice {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Cohort cohort_of(std::uint8_t ready, std::uint8_t others, const CohortSettings& settings) {
  Cohort cohort(settings);
  for (std::uint8_t i = 1; i <= ready + others; ++i) {
    cohort.checked_in(client_number(i), {.ready = i <= ready, .last_heard = {0}});
  }
  return cohort;
}

std::function<std::uint64_t(std::uint64_t)> draws(KeyedRandom& random) {
  return [&random](std::uint64_t bound) { return random.below(bound); };
}

TEST(CohortTest, BelowQuorumItSaysWhyWithCounts) {
  const Cohort cohort = cohort_of(2, 3, {.min_available = 4, .min_train = 2});
  EXPECT_THAT(cohort.waiting_for(), AllOf(HasSubstr("2 devices are ready"),
                                          HasSubstr("5 connected"), HasSubstr("needs 4")));
  EXPECT_THAT(cohort_of(4, 0, {.min_available = 4, .min_train = 2}).waiting_for(), IsEmpty());
}

TEST(CohortTest, ThoseAskedAreWaitedForToo) {
  EXPECT_THAT(cohort_of(4, 0, {.min_available = 1, .min_train = 5}).waiting_for(),
              HasSubstr("needs 5"));
}

TEST(CohortTest, OnlyReadyDevicesAreAskedEachOnce) {
  KeyedRandom random({.experiment = 1});
  const Cohort cohort = cohort_of(10, 10, {.fraction_train = 1.0});
  const auto asked = cohort.sample(draws(random));
  EXPECT_EQ(asked.size(), 10U);
  EXPECT_EQ(std::set<ClientId>(asked.begin(), asked.end()).size(), 10U);
  for (const ClientId& client : asked) EXPECT_LE(client.bytes[0], 10);
}

TEST(CohortTest, WhoIsUnderWayIsNotAskedAndCountsAmongThoseWhoAre) {
  KeyedRandom random({.experiment = 4});
  const Cohort cohort = cohort_of(10, 0, {.max_cohort = 6});
  const std::vector<ClientId> busy{client_number(2), client_number(5)};
  const auto asked = cohort.sample(draws(random), {}, busy);
  EXPECT_EQ(asked.size(), 4U);
  for (const ClientId& client : busy) {
    EXPECT_EQ(std::ranges::count(asked, client), 0);
  }
  std::vector<ClientId> six;
  for (std::uint8_t i = 1; i <= 6; ++i) six.push_back(client_number(i));
  EXPECT_THAT(cohort.sample(draws(random), {}, six), IsEmpty());
}

// For who draws from a population of its own, as the simulator does.
TEST(CohortTest, ItsSizesAreKnownWithoutIt) {
  KeyedRandom random({.experiment = 3});
  for (const double fraction : {0.01, 0.3, 1.0}) {
    for (std::uint8_t ready = 1; ready <= 40; ++ready) {
      const CohortSettings settings{
          .min_available = 7, .min_train = 3, .fraction_train = fraction, .max_cohort = 25};
      const Cohort cohort = cohort_of(ready, 2, settings);
      EXPECT_EQ(cohort.sample(draws(random)).size(), cohort_size(settings, ready));
      EXPECT_EQ(cohort.waiting_for().empty(), ready >= ready_needed(settings));
    }
  }
}

TEST(CohortTest, TheShareIsRoundedUpAndStaysWithinItsBounds) {
  KeyedRandom random({.experiment = 2});
  const auto asked = [&](const CohortSettings& settings) {
    return cohort_of(10, 0, settings).sample(draws(random)).size();
  };
  EXPECT_EQ(asked({.min_train = 1, .fraction_train = 0.25}), 3U);
  EXPECT_EQ(asked({.min_train = 5, .fraction_train = 0.25}), 5U);
  EXPECT_EQ(asked({.min_train = 1, .fraction_train = 1.0, .max_cohort = 4}), 4U);
  EXPECT_EQ(asked({.min_train = 50, .fraction_train = 1.0}), 10U);
}

// 3 of 6 devices, 6,000 draws: each is asked 3,000 times in the mean, with a standard deviation of
// sqrt(6000 / 4) = 39; six of them bound all six devices together to a failure in 10^8 runs.
TEST(CohortTest, EveryDeviceIsAskedEquallyOften) {
  KeyedRandom random({.experiment = 3});
  const Cohort cohort = cohort_of(6, 0, {.min_train = 1, .fraction_train = 0.5});
  std::map<ClientId, int> times;
  for (int i = 0; i < 6'000; ++i) {
    for (const ClientId& client : cohort.sample(draws(random))) times[client] += 1;
  }
  ASSERT_EQ(times.size(), 6U);
  for (const auto& [client, count] : times) EXPECT_NEAR(count, 3'000, 6 * 39);
}

TEST(CohortTest, WhoRestsIsNotAskedAndOthersAreInItsPlace) {
  KeyedRandom random({.experiment = 5});
  const Cohort cohort = cohort_of(5, 0, {.min_train = 3});
  const std::vector<ClientId> resting{client_number(2), client_number(4)};
  EXPECT_THAT(cohort.sample(draws(random), resting),
              ElementsAre(client_number(1), client_number(3), client_number(5)));
}

TEST(CohortTest, ASilentDevicesLeaseRunsOutAndAHeartbeatRenewsIt) {
  Cohort cohort = cohort_of(2, 0, {.lease = {1'000}});
  cohort.heard(client_number(2), Millis{500});
  EXPECT_THAT(cohort.expire(Millis{1'000}), IsEmpty());
  EXPECT_THAT(cohort.expire(Millis{1'001}), ElementsAre(client_number(1)));
  EXPECT_EQ(cohort.connected(), 1U);
  EXPECT_EQ(cohort.find(client_number(1)), nullptr);
  EXPECT_THAT(cohort.expire(Millis{1'501}), ElementsAre(client_number(2)));
}

TEST(CohortTest, AHeartbeatAloneDoesNotBringADeviceBack) {
  Cohort cohort({});
  cohort.heard(client_number(1), Millis{5});
  EXPECT_EQ(cohort.connected(), 0U);
}

TEST(CohortTest, WhoLeavesOrIsNoLongerReadyIsNotAsked) {
  KeyedRandom random({.experiment = 4});
  Cohort cohort = cohort_of(3, 0, {.min_train = 1});
  cohort.left(client_number(1));
  cohort.checked_in(client_number(2), {.ready = false});
  EXPECT_EQ(cohort.connected(), 2U);
  EXPECT_EQ(cohort.ready(), 1U);
  EXPECT_THAT(cohort.sample(draws(random)), ElementsAre(client_number(3)));
}

} // namespace
} // namespace coppice
