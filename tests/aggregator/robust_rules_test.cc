// SPDX-License-Identifier: Apache-2.0
#include "aggregator/robust_rules.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "aggregator/krum.h"
#include "tests/aggregator/update_samples.h"

namespace coppice {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

using Weights = std::vector<double>;
using Rule = std::function<Result<RobustResult>(UpdateRows, const Weights&)>;
struct NamedRule {
  const char* name;
  Rule run;
};

// Every rule, for 11 clients of whom 2 may be faulty.
const std::vector<NamedRule> kRules = {
    {"median", [](UpdateRows x, const Weights&) { return coordinate_median(x); }},
    {"trimmed mean", [](UpdateRows x, const Weights&) { return trimmed_mean(x, {.count = 2}); }},
    {"krum", [](UpdateRows x, const Weights&) { return krum(x, 2); }},
    {"multi-krum", [](UpdateRows x, const Weights& w) { return multi_krum(x, 2, 6, w); }},
    {"bulyan", [](UpdateRows x, const Weights&) { return bulyan(x, 2); }},
    {"bulyan, best scores",
     [](UpdateRows x, const Weights&) { return bulyan(x, 2, BulyanSelection::kBestScores); }},
    {"norm bound", [](UpdateRows x, const Weights& w) { return norm_bound(x, 5, w); }},
    {"rfa", [](UpdateRows x, const Weights& w) { return rfa(x, {}, w); }},
    {"centered clipping",
     [](UpdateRows x, const Weights& w) {
       return centered_clip(x, {.radius = 5, .passes = 3}, w);
     }},
};

double norm_of(const std::vector<double>& values) {
  return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

std::vector<double> mean_of(const UpdateValues& values, std::size_t clients) {
  std::vector<double> mean(values.front().size(), 0.0);
  for (std::size_t row = 0; row < clients; ++row) {
    for (std::size_t i = 0; i < mean.size(); ++i) {
      mean[i] += static_cast<double>(values[row][i]) / static_cast<double>(clients);
    }
  }
  return mean;
}

// --- What all rules have in common ---------------------------------------------------------------

TEST(RobustRules, TheOrderOfClientsDoesNotChangeOneBit) {
  // Clients 9 and 10 sent what 0 and 1 did; two coordinates have few values, so scores and ranks
  // tie.
  UpdateValues values = random_updates(11, 150, 1);
  for (std::size_t row = 0; row < 11; ++row) {
    values[row][0] = row % 2 == 0 ? 0.0F : -0.0F;
    values[row][1] = static_cast<float>(row % 3);
  }
  values[9] = values[0];
  values[10] = values[1];
  std::vector<std::size_t> order(11);
  std::iota(order.begin(), order.end(), std::size_t{0});
  KeyedRandom random({.experiment = 2});
  for (const NamedRule& rule : kRules) {
    const auto in_order = rule.run(rows_of(values), Weights{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    ASSERT_TRUE(in_order.ok()) << rule.name << ": " << in_order.error().message;
    for (int trial = 0; trial < 20; ++trial) {
      random.shuffle(std::span(order));
      UpdateValues shuffled;
      Weights weights;
      for (const std::size_t client : order) {
        shuffled.push_back(values[client]);
        weights.push_back(static_cast<double>(client + 1));
      }
      EXPECT_EQ(bits_of(rule.run(rows_of(shuffled), weights)->update), bits_of(in_order->update))
          << rule.name;
    }
  }
}

TEST(RobustRules, UpdatesThatAreNotFiniteAreLeftOutAndNamed) {
  const UpdateValues finite = random_updates(11, 40, 3);
  UpdateValues with_others = finite;
  with_others.insert(with_others.begin() + 4, finite[0]);
  with_others[4][39] = std::numeric_limits<float>::infinity();
  with_others.push_back(finite[5]);
  with_others.back()[0] = std::numeric_limits<float>::quiet_NaN();
  for (const NamedRule& rule : kRules) {
    const auto expected = rule.run(rows_of(finite), Weights(11, 1.0)).value();
    const auto result = rule.run(rows_of(with_others), Weights(13, 1.0)).value();
    EXPECT_THAT(result.left_out, ElementsAre(4, 12)) << rule.name;
    EXPECT_EQ(bits_of(result.update), bits_of(expected.update)) << rule.name;
    for (std::size_t i = 0; i < result.chosen.size(); ++i) {
      EXPECT_EQ(with_others[result.chosen[i]], finite[expected.chosen[i]]) << rule.name;
    }
  }
}

TEST(RobustRules, UpdatesThatAgreeAreTheResult) {
  const UpdateValues same(11, std::vector<float>{0.5F, -0.25F, 2.0F});
  for (const NamedRule& rule : kRules) {
    EXPECT_THAT(rule.run(rows_of(same), Weights(11, 1.0))->update,
                Pointwise(DoubleNear(1e-12), Weights{0.5, -0.25, 2.0}))
        << rule.name;
  }
}

TEST(RobustRules, TwoFarOutliersOfElevenKeepTheResultAmongTheHonest) {
  constexpr std::size_t kParameters = 60;
  for (const float far : {1e6F, -1e6F, 1e30F}) {
    UpdateValues values = random_updates(11, kParameters, 4, 0.25F, 0.5F);
    const std::vector<double> honest_mean = mean_of(values, 9);
    double honest_radius = 0;
    for (std::size_t row = 0; row < 9; ++row) {
      std::vector<double> difference = honest_mean;
      for (std::size_t i = 0; i < kParameters; ++i) difference[i] -= values[row][i];
      honest_radius = std::max(honest_radius, norm_of(difference));
    }
    values[9].assign(kParameters, far);
    values[10].assign(kParameters, far * 0.5F);
    for (const NamedRule& rule : kRules) {
      const auto result = rule.run(rows_of(values), Weights(11, 1.0)).value();
      std::vector<double> difference = honest_mean;
      for (std::size_t i = 0; i < kParameters; ++i) difference[i] -= result.update[i];
      EXPECT_LE(norm_of(difference), honest_radius) << rule.name;
    }
    // The mean shows what would have been: it follows the outliers.
    EXPECT_GT(std::abs(mean_of(values, 11)[0]), 1e4);
  }
}

// --- Median and trimmed mean, by counting --------------------------------------------------------

// The value of a list with `rank` values before it, found without sorting.
double value_of_rank(const std::vector<float>& list, std::size_t rank) {
  for (const float value : list) {
    const auto less = std::ranges::count_if(list, [&](float other) { return other < value; });
    const auto equal = std::ranges::count(list, value);
    if (static_cast<std::size_t>(less) <= rank && rank < static_cast<std::size_t>(less + equal)) {
      return static_cast<double>(value);
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

TEST(CoordinateMedian, IsTheMiddleOfEveryListOfUpToSixValues) {
  for (std::size_t clients = 1; clients <= 6; ++clients) {
    const UpdateValues values = every_list(clients, {-2.0F, -0.5F, 0.0F, 3.0F});
    const auto median = coordinate_median(rows_of(values)).value();
    for (std::size_t i = 0; i < median.update.size(); ++i) {
      const auto list = column_of(values, i);
      EXPECT_EQ(median.update[i],
                (value_of_rank(list, (clients - 1) / 2) + value_of_rank(list, clients / 2)) / 2);
    }
  }
}

TEST(TrimmedMean, IsTheMeanWithoutTheEndsForEveryListOfUpToSixValues) {
  for (std::size_t clients = 1; clients <= 6; ++clients) {
    const UpdateValues values = every_list(clients, {-2.0F, -0.5F, 0.0F, 3.0F});
    for (std::size_t cut = 0; 2 * cut < clients; ++cut) {
      const auto mean = trimmed_mean(rows_of(values), {.count = cut}).value();
      for (std::size_t i = 0; i < mean.update.size(); ++i) {
        const auto list = column_of(values, i);
        double sum = 0;
        for (std::size_t rank = cut; rank < clients - cut; ++rank) sum += value_of_rank(list, rank);
        EXPECT_NEAR(mean.update[i], sum / static_cast<double>(clients - 2 * cut), 1e-15);
      }
    }
  }
}

TEST(TrimmedMean, AFractionIsOfTheUpdatesThatAreFinite) {
  UpdateValues values = {{0}, {1}, {2}, {3}, {100}};
  EXPECT_EQ(trimmed_mean(rows_of(values))->update[0], 2.0); // 0.2 of 5: one from each end
  values.back()[0] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(trimmed_mean(rows_of(values))->update[0], 1.5); // 0.2 of 4: none
}

TEST(TrimmedMean, CuttingEverythingIsRefused) {
  const UpdateValues values(4, std::vector<float>{1.0F});
  EXPECT_THAT(trimmed_mean(rows_of(values), {.count = 2}).error().message,
              HasSubstr("leaves nothing of 4 updates"));
  EXPECT_THAT(trimmed_mean(rows_of(values), {.fraction = 0.5}).error().message,
              HasSubstr("below 0.5"));
  EXPECT_FALSE(trimmed_mean(rows_of(values), {.fraction = std::nan("")}).ok());
}

// --- Bounds on norms -----------------------------------------------------------------------------

TEST(NormBound, ScalesTheWholeUpdateAndNotItsParts) {
  // |(3, 4)| = 5 is scaled to 2.5, |(0.6, 0.8)| = 1 stays.
  const UpdateValues values = {{3, 4}, {0.6F, 0.8F}};
  EXPECT_THAT(norm_bound(rows_of(values), 2.5)->update,
              Pointwise(DoubleNear(1e-7), Weights{(1.5 + 0.6) / 2, (2.0 + 0.8) / 2}));
  EXPECT_THAT(norm_bound(rows_of(values), 2.5, Weights{3, 1})->update,
              Pointwise(DoubleNear(1e-7), Weights{(4.5 + 0.6) / 4, (6.0 + 0.8) / 4}));
}

TEST(NormBound, AnyUpdateMovesTheResultByItsShareOfTheBoundAtMost) {
  UpdateValues values = random_updates(10, 30, 6);
  const auto without = norm_bound(rows_of(values), 1.0).value();
  for (float& value : values[7]) value = -1e20F;
  const auto with = norm_bound(rows_of(values), 1.0).value();
  std::vector<double> moved = with.update;
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= without.update[i];
  EXPECT_LE(norm_of(moved), 2 * 1.0 / 10 + 1e-12);
}

// The definition of both loops, in the plainest form.
std::vector<double> plain_centered_clip(const UpdateValues& values, double radius,
                                        std::size_t passes, const Weights& shares,
                                        std::vector<double> v) {
  for (std::size_t pass = 0; pass < passes; ++pass) {
    std::vector<double> next = v;
    for (std::size_t row = 0; row < values.size(); ++row) {
      std::vector<double> difference(v.size());
      for (std::size_t i = 0; i < v.size(); ++i) difference[i] = values[row][i] - v[i];
      const double factor = std::min(1.0, radius / norm_of(difference));
      for (std::size_t i = 0; i < v.size(); ++i) next[i] += shares[row] * factor * difference[i];
    }
    v = next;
  }
  return v;
}

TEST(CenteredClip, IsTheDefinitionPassByPass) {
  const UpdateValues values = random_updates(7, 20, 8, 1.0F, 2.0F);
  const Weights weights = {1, 2, 3, 4, 5, 6, 7};
  Weights shares;
  for (const double weight : weights) shares.push_back(weight / 28);
  const std::vector<double> centre(20, 0.75);
  for (std::size_t passes = 1; passes <= 4; ++passes) {
    EXPECT_THAT(
        centered_clip(rows_of(values), {.radius = 6, .passes = passes}, weights, centre)->update,
        Pointwise(DoubleNear(1e-12), plain_centered_clip(values, 6, passes, shares, centre)));
  }
}

TEST(CenteredClip, WithinTheRadiusItIsTheMeanAndOnePassNeverLeavesTheRadius) {
  const UpdateValues values = random_updates(9, 30, 9);
  EXPECT_THAT(centered_clip(rows_of(values), {.radius = 100})->update,
              Pointwise(DoubleNear(1e-12), mean_of(values, 9)));
  const UpdateValues far(9, std::vector<float>(30, 1e10F));
  EXPECT_NEAR(norm_of(centered_clip(rows_of(far), {.radius = 0.5})->update), 0.5, 1e-12);
}

// --- RFA -----------------------------------------------------------------------------------------

double sum_of_distances(const UpdateValues& values, const std::vector<double>& v) {
  double sum = 0;
  for (const auto& row : values) {
    std::vector<double> difference = v;
    for (std::size_t i = 0; i < v.size(); ++i) difference[i] -= row[i];
    sum += norm_of(difference);
  }
  return sum;
}

TEST(Rfa, IsTheDefinitionPassByPass) {
  const UpdateValues values = random_updates(6, 15, 10, 0.5F);
  const Weights weights = {1, 2, 3, 4, 5, 6};
  std::vector<double> v(15, 0.0);
  for (std::size_t passes = 1; passes <= 5; ++passes) {
    std::vector<double> next(15, 0.0);
    double total = 0;
    for (std::size_t row = 0; row < 6; ++row) {
      std::vector<double> difference = v;
      for (std::size_t i = 0; i < 15; ++i) difference[i] -= values[row][i];
      const double pull = weights[row] / 21 / std::max(1e-6, norm_of(difference));
      total += pull;
      for (std::size_t i = 0; i < 15; ++i) next[i] += pull * values[row][i];
    }
    for (std::size_t i = 0; i < 15; ++i) v[i] = next[i] / total;
    EXPECT_THAT(rfa(rows_of(values), {.passes = passes}, weights)->update,
                Pointwise(DoubleNear(1e-12), v));
  }
}

TEST(Rfa, EachPassComesNoFurtherFromAllUpdatesTogether) {
  const UpdateValues values = random_updates(9, 12, 11, 2.0F);
  double before = sum_of_distances(values, std::vector<double>(12, 0.0));
  for (std::size_t passes = 1; passes <= 30; ++passes) {
    const double now = sum_of_distances(values, rfa(rows_of(values), {.passes = passes})->update);
    EXPECT_LE(now, before + 1e-9);
    before = now;
  }
}

TEST(Rfa, OnALineItEndsAtTheMedian) {
  const UpdateValues values = {{1}, {2}, {4}, {9}, {1000}};
  EXPECT_NEAR(rfa(rows_of(values), {.passes = 2000})->update[0], 4.0, 1e-3);
}

TEST(Rfa, AMajorityOfTheWeightIsWhereItEnds) {
  const UpdateValues values = {{1, 0}, {5, 5}, {-7, 2}};
  EXPECT_THAT(rfa(rows_of(values), {.passes = 500}, Weights{1, 3, 1})->update,
              Pointwise(DoubleNear(1e-4), Weights{5, 5}));
}

TEST(Rfa, AnUpdateThatIsWhereItBeginsIsNoDivisionByZero) {
  const UpdateValues values = {{0, 0}, {1, 0}, {0, 1}};
  const auto result = rfa(rows_of(values)).value();
  for (const double value : result.update) EXPECT_TRUE(std::isfinite(value));
}

// --- Settings ------------------------------------------------------------------------------------

TEST(RobustRules, SettingsOutOfRangeAreRefusedInWords) {
  const UpdateValues values(3, std::vector<float>{1.0F, 2.0F});
  const auto rows = rows_of(values);
  const auto message = [](const auto& result) { return result.error().message; };
  EXPECT_THAT(message(norm_bound(rows, 0)), HasSubstr("norm bound: the bound is 0"));
  EXPECT_THAT(message(centered_clip(rows, {})), HasSubstr("the radius is 0"));
  EXPECT_THAT(message(centered_clip(rows, {.radius = 1, .passes = 0})), HasSubstr("one pass"));
  EXPECT_THAT(message(centered_clip(rows, {.radius = 1}, {}, Weights{1})),
              HasSubstr("the centre has 1 values and the updates have 2"));
  EXPECT_THAT(message(centered_clip(rows, {.radius = 1}, {}, Weights{1, std::nan("")})),
              HasSubstr("not finite"));
  EXPECT_THAT(message(rfa(rows, {.passes = 0})), HasSubstr("one pass"));
  EXPECT_THAT(message(rfa(rows, {.nu = -1})), HasSubstr("nu is -1"));
  EXPECT_THAT(message(rfa(rows, {}, Weights{1})), HasSubstr("1 weights for 3 updates"));
}

} // namespace
} // namespace coppice
