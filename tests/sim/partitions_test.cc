// SPDX-License-Identifier: Apache-2.0
// What partitions promise, against closed forms.
#include "sim/partitions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "sim/data_skew.h"

namespace coppice {
namespace {

constexpr std::uint64_t kDealSeed = 3;

constexpr Partition kAll[] = {Partition::kByUser,       Partition::kIid,    Partition::kDirichlet,
                              Partition::kPathological, Partition::kShards, Partition::kQuantity,
                              Partition::kDrift};

// `counts[l]` pieces of label l; labels come in turns, users in runs of ten pieces.
struct Pool {
  explicit Pool(std::vector<std::uint32_t> counts) : labels(counts.size()) {
    while (std::ranges::any_of(counts, [](std::uint32_t left) { return left > 0; })) {
      for (std::size_t l = 0; l < counts.size(); ++l) {
        if (counts[l] == 0) continue;
        --counts[l];
        user.push_back(static_cast<std::uint32_t>(user.size() / 10));
        label.push_back(static_cast<std::uint16_t>(l));
      }
    }
  }
  PoolShape shape() const {
    return {.user = user,
            .label = label,
            .users = user.back() + 1,
            .labels = static_cast<std::uint32_t>(labels)};
  }
  std::size_t size() const { return user.size(); }
  std::vector<std::uint32_t> labels_of(const std::vector<std::uint32_t>& share) const {
    std::vector<std::uint32_t> counts(labels);
    for (const std::uint32_t piece : share) ++counts[label[piece]];
    return counts;
  }
  std::vector<std::uint32_t> user;
  std::vector<std::uint16_t> label;
  std::size_t labels;
};

std::unique_ptr<const DealtPool> deal(const Pool& pool, const DataSettings& settings,
                                      std::uint64_t clients) {
  return deal_pool(settings, pool.shape(), clients, kDealSeed).value();
}

TEST(Partitions, GiveAPieceToAtMostOneClientAndAllOfThemButDirichletEveryPiece) {
  const Pool pool({700, 500, 300, 90});
  constexpr std::uint64_t kClients = 159; // as many as there are users
  for (const Partition partition : kAll) {
    const auto dealt = deal(pool, {.partition = partition}, kClients);
    std::vector<int> owners(pool.size());
    for (std::uint64_t client = 0; client < kClients; ++client) {
      const auto share = dealt->share(client);
      EXPECT_TRUE(std::ranges::is_sorted(share));
      for (const std::uint32_t piece : share) ++owners[piece];
    }
    EXPECT_LE(std::ranges::max(owners), 1) << static_cast<int>(partition);
    const auto dealt_pieces = std::accumulate(owners.begin(), owners.end(), 0);
    if (partition == Partition::kDirichlet) {
      EXPECT_GT(dealt_pieces, static_cast<int>(pool.size()) / 2);
    } else {
      EXPECT_EQ(dealt_pieces, static_cast<int>(pool.size())) << static_cast<int>(partition);
    }
  }
}

TEST(Partitions, GiveAClientTheSameInAnyOrderOfAsking) {
  const Pool pool({400, 400, 400});
  constexpr std::uint64_t kClients = 120;
  for (const Partition partition : kAll) {
    const auto forwards = deal(pool, {.partition = partition}, kClients);
    const auto backwards = deal(pool, {.partition = partition}, kClients);
    std::vector<std::vector<std::uint32_t>> shares;
    for (std::uint64_t client = 0; client < kClients; ++client) {
      shares.push_back(forwards->share(client));
    }
    for (std::uint64_t client = kClients; client-- > 0;) {
      EXPECT_EQ(backwards->share(client), shares[client]);
    }
  }
}

TEST(Partitions, DifferBySeed) {
  const Pool pool({400, 400, 400});
  for (const Partition partition :
       {Partition::kIid, Partition::kDirichlet, Partition::kPathological, Partition::kShards,
        Partition::kQuantity}) {
    const DataSettings settings{.partition = partition};
    const auto other = deal_pool(settings, pool.shape(), 60, kDealSeed + 1).value();
    EXPECT_NE(deal(pool, settings, 60)->share(7), other->share(7));
  }
}

// Client i's share of label l has mean p_l and variance p_l (1 - p_l) / (alpha L + 1). The standard
// error of the mean of n clients is the root of variance / n; that of the variance is below the
// root of variance / n too, as the fourth moment in [0, 1] is at most the second. Sizes are whole
// pieces: a share of about 100 pieces is off by at most L / 100 from rounding.
TEST(DirichletPartition, HasTheMeanAndVarianceOfLabelShares) {
  const Pool pool({200'000, 120'000, 80'000});
  constexpr std::uint64_t kClients = 3000;
  for (const double alpha : {0.1, 1.0, 10.0}) {
    const auto dealt = deal(pool, {.partition = Partition::kDirichlet, .alpha = alpha}, kClients);
    std::vector<double> sum(3);
    std::vector<double> squares(3);
    for (std::uint64_t client = 0; client < kClients; ++client) {
      const auto share = dealt->share(client);
      ASSERT_GT(share.size(), 80U);
      const auto counts = pool.labels_of(share);
      for (std::size_t l = 0; l < 3; ++l) {
        const double p = static_cast<double>(counts[l]) / static_cast<double>(share.size());
        sum[l] += p;
        squares[l] += p * p;
      }
    }
    const double common[] = {0.5, 0.3, 0.2};
    for (std::size_t l = 0; l < 3; ++l) {
      const double variance = common[l] * (1 - common[l]) / (alpha * 3 + 1);
      const double mean = sum[l] / kClients;
      const double tolerance = 4 * std::sqrt(variance / kClients);
      EXPECT_NEAR(mean, common[l], tolerance + 0.001) << alpha;
      EXPECT_NEAR(squares[l] / kClients - mean * mean, variance, tolerance + 0.001) << alpha;
    }
  }
}

TEST(DirichletPartition, HasEqualSizesWithinOnePieceALabel) {
  const Pool pool({4000, 3000, 2000});
  const auto dealt = deal(pool, {.partition = Partition::kDirichlet}, 200);
  std::size_t least = pool.size();
  std::size_t most = 0;
  for (std::uint64_t client = 0; client < 200; ++client) {
    const std::size_t size = dealt->share(client).size();
    least = std::min(least, size);
    most = std::max(most, size);
  }
  EXPECT_LE(most - least, 2 * 3U); // each of two bounds a label rounds down
}

TEST(IidPartition, HasEqualSizesWithinOnePiece) {
  const Pool pool({1000, 3});
  const auto dealt = deal(pool, {.partition = Partition::kIid}, 100);
  for (std::uint64_t client = 0; client < 100; ++client) {
    EXPECT_NEAR(static_cast<double>(dealt->share(client).size()), 10.03, 1);
  }
}

TEST(PathologicalPartition, GivesEachClientExactlyItsNumberOfLabels) {
  const Pool pool({600, 600, 600, 600, 600, 90});
  for (const std::uint32_t each : {1U, 2U, 5U, 6U}) {
    const auto dealt =
        deal(pool, {.partition = Partition::kPathological, .labels_per_client = each}, 40);
    for (std::uint64_t client = 0; client < 40; ++client) {
      const auto counts = pool.labels_of(dealt->share(client));
      EXPECT_EQ(std::ranges::count_if(counts, [](std::uint32_t n) { return n > 0; }), each);
    }
  }
}

TEST(ShardsPartition, GivesEachClientAtMostOneLabelMoreThanItsShards) {
  const Pool pool({500, 500, 500, 500});
  const auto dealt = deal(pool, {.partition = Partition::kShards, .shards_per_client = 2}, 50);
  for (std::uint64_t client = 0; client < 50; ++client) {
    const auto share = dealt->share(client);
    EXPECT_EQ(share.size(), 40U);
    const auto counts = pool.labels_of(share);
    EXPECT_LE(std::ranges::count_if(counts, [](std::uint32_t n) { return n > 0; }), 2);
  }
}

// The Gini coefficient of a log-normal is 2 Phi(sigma / sqrt 2) - 1 = erf(sigma / 2). `spread` is
// the standard deviation of that of 4,000 draws, by simulation with another generator; 4 of them.
TEST(QuantityPartition, HasTheGiniOfALogNormal) {
  const Pool pool({500'000});
  constexpr std::uint64_t kClients = 4000;
  struct Case {
    double sigma;
    double spread;
  };
  for (const auto [sigma, spread] :
       {Case{0.0, 0.001}, {0.5, 0.0033}, {1.0, 0.0075}, {1.5, 0.013}}) {
    const auto dealt = deal(pool, {.partition = Partition::kQuantity, .sigma = sigma}, kClients);
    std::vector<double> sizes;
    for (std::uint64_t client = 0; client < kClients; ++client) {
      sizes.push_back(static_cast<double>(dealt->share(client).size()));
    }
    EXPECT_NEAR(gini(sizes), std::erf(sigma / 2), 4 * spread) << sigma;
  }
}

TEST(DriftPartition, MovesThroughTheSourceInOrder) {
  const Pool pool({1000});
  const auto dealt = deal(pool, {.partition = Partition::kDrift}, 30);
  std::uint32_t next = 0;
  for (std::uint64_t client = 0; client < 30; ++client) {
    for (const std::uint32_t piece : dealt->share(client)) EXPECT_EQ(piece, next++);
  }
  EXPECT_EQ(next, 1000U);
}

TEST(ByUserPartition, DrawsUsersWhereThereAreMoreThanClients) {
  const Pool pool({1000}); // 100 users
  const auto dealt = deal(pool, {.partition = Partition::kByUser}, 30);
  std::set<std::uint32_t> users;
  for (std::uint64_t client = 0; client < 30; ++client) {
    const auto share = dealt->share(client);
    ASSERT_EQ(share.size(), 10U);
    const std::uint32_t user = pool.user[share.front()];
    for (const std::uint32_t piece : share) EXPECT_EQ(pool.user[piece], user);
    users.insert(user);
  }
  EXPECT_EQ(users.size(), 30U);
  EXPECT_GT(*users.rbegin(), 60U); // not the first thirty
}

TEST(Partitions, SayWhatTheyLack) {
  const Pool one({100});
  const auto code = [&](const DataSettings& settings, std::uint64_t clients) {
    const auto dealt = deal_pool(settings, one.shape(), clients, kDealSeed);
    return dealt.ok() ? ErrorCode::kInternal : dealt.error().code;
  };
  EXPECT_EQ(code({.partition = Partition::kByUser}, 11), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.partition = Partition::kIid}, 101), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.partition = Partition::kDirichlet}, 5), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.partition = Partition::kShards}, 5), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.partition = Partition::kQuantity, .sigma = -1}, 5), ErrorCode::kInvalidArgument);
  const Pool two({50, 50});
  const auto three = deal_pool({.partition = Partition::kPathological, .labels_per_client = 3},
                               two.shape(), 5, kDealSeed);
  EXPECT_EQ(three.error().code, ErrorCode::kInvalidArgument);
}

} // namespace
} // namespace coppice
