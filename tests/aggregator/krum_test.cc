// SPDX-License-Identifier: Apache-2.0
#include "aggregator/krum.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "tests/aggregator/update_samples.h"

namespace coppice {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

// Krum's paper read aloud, without a thought to speed.
double plain_score(const UpdateValues& values, const std::set<std::size_t>& among,
                   std::size_t candidate, std::size_t neighbours) {
  std::multiset<double> distances;
  for (const std::size_t other : among) {
    if (other == candidate) continue;
    double sum = 0;
    for (std::size_t i = 0; i < values[candidate].size(); ++i) {
      sum += std::pow(static_cast<double>(values[candidate][i]) - values[other][i], 2);
    }
    distances.insert(sum);
  }
  double score = 0;
  std::size_t counted = 0;
  for (const double distance : distances) {
    if (counted++ < neighbours) score += distance;
  }
  return score;
}

// The best of the updates in `among`.
std::size_t plain_krum(const UpdateValues& values, const std::set<std::size_t>& among,
                       std::size_t neighbours) {
  std::size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const std::size_t candidate : among) {
    const double score = plain_score(values, among, candidate, neighbours);
    const std::size_t size = values[candidate].size() * sizeof(float);
    if (score < least ||
        (score == least && std::memcmp(values[candidate].data(), values[best].data(), size) < 0)) {
      best = candidate;
      least = score;
    }
  }
  return best;
}

std::set<std::size_t> all_of(const UpdateValues& values) {
  std::set<std::size_t> all;
  for (std::size_t row = 0; row < values.size(); ++row) all.insert(row);
  return all;
}

TEST(Krum, TakesTheBestOfEveryFiveNumbers) {
  // 1024 lists with K = 5 and one fault: two neighbours count, and many scores tie.
  const UpdateValues lists = every_list(5, {0.0F, 1.0F, 2.0F, 5.0F});
  for (std::size_t list = 0; list < lists.front().size(); ++list) {
    UpdateValues values;
    for (const float value : column_of(lists, list)) values.push_back({value});
    const auto result = krum(rows_of(values), 1).value();
    const auto expected = static_cast<double>(values[plain_krum(values, all_of(values), 2)][0]);
    ASSERT_EQ(result.update, std::vector<double>{expected}) << "list " << list;
    ASSERT_EQ(static_cast<double>(values[result.chosen.at(0)][0]), expected);
  }
}

TEST(Krum, TakesTheBestForAnyNumberOfUpdatesAndFaults) {
  for (std::size_t clients = 3; clients <= 14; ++clients) {
    for (std::size_t faulty = 0; 2 * faulty + 3 <= clients; ++faulty) {
      const UpdateValues values = random_updates(clients, 21, 100 * clients + faulty);
      const auto result = krum(rows_of(values), faulty).value();
      const std::size_t best = plain_krum(values, all_of(values), clients - faulty - 2);
      EXPECT_THAT(result.chosen, ElementsAre(best));
      EXPECT_EQ(result.update, std::vector<double>(values[best].begin(), values[best].end()));
    }
  }
}

TEST(Krum, TheTwoNearestTieAndTheirBytesDecide) {
  // One neighbour counts: 1 and 1.5 have the same score, whoever comes first.
  const UpdateValues values = {{1.5F}, {9.0F}, {1.0F}};
  const UpdateValues turned = {{1.0F}, {9.0F}, {1.5F}};
  EXPECT_EQ(krum(rows_of(values), 0)->update, krum(rows_of(turned), 0)->update);
}

TEST(MultiKrum, AveragesTheBestByTheirWeights) {
  const UpdateValues values = random_updates(9, 17, 20);
  const std::vector<double> weights = {9, 8, 7, 6, 5, 4, 3, 2, 1};
  const auto result = multi_krum(rows_of(values), 2, 4, weights).value();
  std::vector<std::pair<double, std::size_t>> scores;
  for (std::size_t row = 0; row < 9; ++row) {
    scores.emplace_back(plain_score(values, all_of(values), row, 5), row);
  }
  std::sort(scores.begin(), scores.end());
  EXPECT_THAT(result.chosen,
              ElementsAre(scores[0].second, scores[1].second, scores[2].second, scores[3].second));
  std::vector<double> expected(17, 0.0);
  double total = 0;
  for (const std::size_t client : result.chosen) total += weights[client];
  for (const std::size_t client : result.chosen) {
    for (std::size_t i = 0; i < 17; ++i) expected[i] += weights[client] / total * values[client][i];
  }
  EXPECT_THAT(result.update, Pointwise(DoubleNear(1e-12), expected));
}

TEST(MultiKrum, OneIsKrumAndAllIsTheMean) {
  const UpdateValues values = random_updates(8, 10, 21);
  EXPECT_EQ(multi_krum(rows_of(values), 1, 1)->update, krum(rows_of(values), 1)->update);
  const auto all = multi_krum(rows_of(values), 0, 8).value();
  for (std::size_t i = 0; i < 10; ++i) {
    double sum = 0;
    for (const auto& row : values) sum += static_cast<double>(row[i]);
    EXPECT_NEAR(all.update[i], sum / 8, 1e-12);
  }
}

TEST(MultiKrum, AMeanThatMustHoldAFaultyUpdateIsRefused) {
  const UpdateValues values = random_updates(9, 4, 22);
  EXPECT_TRUE(multi_krum(rows_of(values), 2, 7).ok());
  EXPECT_THAT(multi_krum(rows_of(values), 2, 8).error().message, HasSubstr("keep 7 at most"));
  EXPECT_EQ(multi_krum(rows_of(values), 2, 0).error().code, ErrorCode::kInvalidArgument);
}

TEST(Krum, TooFewUpdatesForItsPromiseAreRefused) {
  UpdateValues values = random_updates(7, 4, 23);
  EXPECT_TRUE(krum(rows_of(values), 2).ok());
  EXPECT_THAT(krum(rows_of(values), 3).error().message, HasSubstr("at least 2 * 3 + 3"));
  EXPECT_FALSE(krum(rows_of(values), std::numeric_limits<std::size_t>::max()).ok());
  EXPECT_TRUE(bulyan(rows_of(values), 1).ok());
  EXPECT_THAT(bulyan(rows_of(values), 2).error().message, HasSubstr("at least 4 * 2 + 3"));
  values[3][0] = std::numeric_limits<float>::quiet_NaN(); // six are left
  EXPECT_THAT(krum(rows_of(values), 2).error().message, HasSubstr("got 6"));
  EXPECT_FALSE(bulyan(rows_of(values), 1).ok());
}

// --- Bulyan --------------------------------------------------------------------------------------

std::vector<std::size_t> plain_selection(const UpdateValues& values, std::size_t faulty) {
  auto left = all_of(values);
  std::vector<std::size_t> chosen;
  while (chosen.size() < values.size() - 2 * faulty) {
    const std::size_t neighbours = left.size() > faulty + 2 ? left.size() - faulty - 2 : 1;
    chosen.push_back(plain_krum(values, left, neighbours));
    left.erase(chosen.back());
  }
  return chosen;
}

double plain_mean_around_median(std::vector<double> list, std::size_t keep) {
  std::sort(list.begin(), list.end());
  const double median = (list[(list.size() - 1) / 2] + list[list.size() / 2]) / 2;
  std::stable_sort(list.begin(), list.end(), [&](double a, double b) { // the lesser first in a tie
    return std::abs(a - median) < std::abs(b - median);
  });
  double sum = 0;
  for (std::size_t i = 0; i < keep; ++i) sum += list[i];
  return sum / static_cast<double>(keep);
}

TEST(Bulyan, IsThePaperForAnyNumberOfUpdatesAndFaults) {
  for (std::size_t clients = 3; clients <= 16; ++clients) {
    for (std::size_t faulty = 0; 4 * faulty + 3 <= clients; ++faulty) {
      const UpdateValues values = random_updates(clients, 70, 100 * clients + faulty);
      const auto result = bulyan(rows_of(values), faulty).value();
      const auto chosen = plain_selection(values, faulty);
      EXPECT_EQ(result.chosen, chosen);
      for (std::size_t i = 0; i < 70; ++i) {
        std::vector<double> list;
        list.reserve(chosen.size());
        for (const std::size_t client : chosen) list.push_back(values[client][i]);
        EXPECT_NEAR(result.update[i], plain_mean_around_median(list, clients - 4 * faulty), 1e-12);
      }
    }
  }
}

TEST(Bulyan, TakesTheMeanAroundTheMedianOfEveryListOfFiveValues) {
  // Of K = 7 with one fault five are chosen, by a far coordinate of its own; three of each list are
  // kept. Many lists have two values as close to the median: 0 and 2 around 1, -2 and 2 around 0.
  UpdateValues values = every_list(5, {-2.0F, 0.0F, 1.0F, 2.0F, 4.0F});
  values.push_back(values[0]);
  values.push_back(values[1]);
  for (std::size_t row = 0; row < 7; ++row) values[row].push_back(row < 5 ? 0.0F : 1e6F);
  const auto result = bulyan(rows_of(values), 1, BulyanSelection::kBestScores).value();
  EXPECT_EQ(std::set<std::size_t>(result.chosen.begin(), result.chosen.end()),
            (std::set<std::size_t>{0, 1, 2, 3, 4}));
  for (std::size_t i = 0; i + 1 < values.front().size(); ++i) {
    const auto list = column_of(values, i);
    EXPECT_NEAR(result.update[i], plain_mean_around_median({list.begin(), list.begin() + 5}, 3),
                1e-12)
        << "list " << i;
  }
}

} // namespace
} // namespace coppice
