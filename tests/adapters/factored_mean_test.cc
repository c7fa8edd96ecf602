// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored_mean.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "adapters/factored_svd.h"
#include "tests/adapters/factored_svd_dense.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

std::vector<Product> random_clients(std::size_t count, std::size_t rank, std::uint64_t seed) {
  std::vector<Product> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(random_product(20, 16, rank, 100 * seed + i));
  }
  return clients;
}

std::vector<ProductView> scaled(const std::vector<Product>& clients, double scale) {
  return views(clients, std::vector<double>(clients.size(), scale));
}

DenseMatrix weighted_sum(std::vector<ProductView> parts, std::span<const double> weights) {
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i].scale *= weights[i];
  return dense_sum(parts);
}

TEST(FactoredMeanTest, WhatTheMeanOfFactorsMissesIsTheirCovariance) {
  std::vector<Product> clients;
  for (std::uint64_t i = 0; i < 8; ++i) clients.push_back(dyadic_product(20, 16, 4, i));
  const auto equal = std::vector<double>(8, 1.0);
  const Product mean = padded_mean(scaled(clients, 1), equal, 4, 1).value(); // exact: see dyadic
  std::vector<ProductView> gap = scaled(clients, 0.125);
  gap.push_back(mean.view(-1));
  const double norm = sum_norm(gap).value();
  ASSERT_GT(norm, 1.0);
  std::vector<Product> centred = clients;
  for (Product& client : centred) {
    for (std::size_t i = 0; i < client.b.size(); ++i) client.b[i] -= mean.b[i];
    for (std::size_t i = 0; i < client.a.size(); ++i) client.a[i] -= mean.a[i];
  }
  std::vector<ProductView> both = gap;
  for (const Product& client : centred) both.push_back(client.view(-0.125));
  EXPECT_LE(sum_norm(both).value(), 1e-12 * norm);
}

TEST(FactoredMeanTest, TheMeanOfEqualRanksIsTheMeanOfTheFactors) {
  const auto clients = random_clients(3, 4, 1);
  const std::vector<double> weights = {2, 1, 5}; // not yet divided by their sum
  const Product mean = padded_mean(scaled(clients, 2), weights, 4, 2).value();
  for (std::size_t i = 0; i < mean.b.size(); ++i) {
    const double b =
        (2.0 * static_cast<double>(clients[0].b[i]) + static_cast<double>(clients[1].b[i]) +
         5.0 * static_cast<double>(clients[2].b[i])) /
        8.0;
    EXPECT_NEAR(mean.b[i], b, 1e-7);
  }
  for (std::size_t i = 0; i < mean.a.size(); ++i) {
    const double a =
        (2.0 * static_cast<double>(clients[0].a[i]) + static_cast<double>(clients[1].a[i]) +
         5.0 * static_cast<double>(clients[2].a[i])) /
        8.0;
    EXPECT_NEAR(mean.a[i], a, 1e-7);
  }
}

TEST(FactoredMeanTest, BasePatchAndMeanAreTheMeanOfTheProducts) {
  for (const std::size_t count : {1U, 2U, 10U}) {
    const auto clients = random_clients(count, 4, 2);
    std::vector<double> weights;
    for (std::size_t i = 0; i < count; ++i) weights.push_back(static_cast<double>(i + 1));
    const auto parts = scaled(clients, 0.5);
    const FedexUpdate update = fedex_update(parts, weights, 100).value();
    EXPECT_EQ(update.mean.rank, 4U);
    std::vector<double> share = weights;
    const double sum = std::accumulate(share.begin(), share.end(), 0.0);
    for (double& weight : share) weight /= sum;
    const DenseMatrix dense = weighted_sum(parts, share);
    const DenseMatrix ours = dense_sum(std::vector{update.patch.view(), update.mean.view(0.5)});
    EXPECT_LE(dense_distance(ours, dense), 5e-7 * dense_norm(dense));
    EXPECT_EQ(update.dropped_energy, 0.0);
    EXPECT_NEAR(update.mean_energy, dense_norm(dense) * dense_norm(dense),
                1e-12 * update.mean_energy);
    const double residual = dense_distance(dense, dense_product(update.mean.view(0.5)));
    EXPECT_NEAR(update.residual_energy, residual * residual, 1e-12 * update.mean_energy);
  }
}

TEST(FactoredMeanTest, OneClientOrEqualClientsLeaveNoPatch) {
  const auto one = random_clients(1, 4, 3);
  EXPECT_EQ(fedex_update(scaled(one, 1), std::vector{3.0}, 8)->patch.rank, 0U);
  const std::vector<Product> same = {one[0], one[0], one[0], one[0]};
  const FedexUpdate update = fedex_update(scaled(same, 2), std::vector(4, 1.0), 8).value();
  EXPECT_EQ(update.patch.rank, 0U);
  EXPECT_EQ(update.residual_energy, 0.0);
  EXPECT_TRUE(same_bits(update.mean.b, one[0].b));
}

TEST(FactoredMeanTest, ACommonFactorLeavesNothingButRounding) { // FFA, RoLoRA, FedSA
  auto clients = random_clients(6, 4, 4);
  for (Product& client : clients) client.a = clients[0].a;
  const FedexUpdate update = fedex_update(scaled(clients, 1), std::vector(6, 1.0), 8).value();
  EXPECT_LE(update.residual_energy, 1e-14 * update.mean_energy);
}

TEST(FactoredMeanTest, ACapDropsTheResidualsTail) {
  const auto clients = random_clients(5, 4, 5);
  const auto parts = scaled(clients, 1);
  const std::vector<double> equal(5, 0.2);
  const FedexUpdate whole = fedex_update(parts, equal, 100).value();
  const FedexUpdate capped = fedex_update(parts, equal, 3).value();
  EXPECT_EQ(capped.patch.rank, 3U);
  DenseMatrix residual = weighted_sum(parts, equal);
  const DenseMatrix mean = dense_product(whole.mean.view());
  for (std::size_t i = 0; i < residual.size(); ++i) residual[i] -= mean[i];
  const auto values = dense_singular_values(residual, 20, 16);
  double tail = 0;
  for (std::size_t k = 3; k < values.size(); ++k) tail += values[k] * values[k];
  EXPECT_NEAR(capped.dropped_energy * capped.residual_energy, tail, 1e-12 * tail);
  EXPECT_NEAR(dense_distance(dense_product(capped.patch.view()), residual), std::sqrt(tail),
              1e-9 * dense_norm(residual));
}

TEST(FactoredMeanTest, MixedRanksHaveNoResidual) {
  const std::vector<Product> clients = {random_product(20, 16, 4, 1), random_product(20, 16, 2, 2)};
  const auto refused = fedex_update(scaled(clients, 1), std::vector{1.0, 1.0}, 8);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("rank 2"));
}

TEST(FactoredMeanTest, PaddingKeepsEachClientsUpdateWhateverItsRank) {
  // alpha 8 everywhere: scale 4 at rank 2, 2 at rank 4; a server of rank 4.
  const Product small = random_product(20, 16, 2, 1);
  const Product alone = padded_mean(std::vector{small.view(4)}, std::vector{1.0}, 4, 2).value();
  EXPECT_EQ(alone.rank, 4U);
  EXPECT_EQ(dense_product(alone.view(2)), dense_product(small.view(4))); // powers of two: exact
  // Clients whose factors sit in different columns: the padded sum is the sum of the products.
  Product large = random_product(20, 16, 4, 2);
  std::fill(large.a.begin(), large.a.begin() + 32, 0.0F);
  for (std::size_t row = 0; row < 20; ++row) large.b[row * 4] = large.b[row * 4 + 1] = 0.0F;
  const Product mean =
      padded_mean(std::vector{small.view(4), large.view(2)}, std::vector{1.0, 1.0}, 4, 2).value();
  const DenseMatrix sum = dense_sum(std::vector{small.view(1), large.view(0.5)}); // 1/2 of each
  EXPECT_LE(dense_distance(dense_product(mean.view(2)), sum), 1e-14 * dense_norm(sum));
}

TEST(FactoredMeanTest, RanksPastTheServersAreCut) {
  const Product large = random_product(20, 16, 6, 1);
  const Product cut = padded_mean(std::vector{large.view()}, std::vector{1.0}, 4, 1).value();
  EXPECT_EQ(cut.b, resized(large, 4).b);
  EXPECT_EQ(cut.a, resized(large, 4).a);
}

TEST(FactoredMeanTest, NormWeightsAreSharesOfTheDenseNorms) {
  const std::vector<Product> clients = {random_product(20, 16, 1, 1), random_product(20, 16, 4, 2),
                                        random_product(20, 16, 0, 3)};
  const auto parts = views(clients, std::vector{2.0, 0.5, 1.0});
  const auto weights = norm_weights(parts).value();
  const double first = dense_norm(dense_product(parts[0]));
  const double second = dense_norm(dense_product(parts[1]));
  EXPECT_NEAR(weights[0], first / (first + second), 1e-13);
  EXPECT_NEAR(weights[1], second / (first + second), 1e-13);
  EXPECT_EQ(weights[2], 0.0);
  const std::vector<Product> nothing(4, random_product(20, 16, 0, 1));
  EXPECT_EQ(norm_weights(scaled(nothing, 1)).value(), std::vector(4, 0.25));
}

TEST(FactoredMeanTest, WeightsThatCannotBeAveragedAreRefused) {
  const auto clients = random_clients(2, 4, 6);
  const auto parts = scaled(clients, 1);
  EXPECT_FALSE(padded_mean(parts, std::vector{1.0}, 4, 1).ok());
  EXPECT_FALSE(padded_mean(parts, std::vector{1.0, -0.5}, 4, 1).ok());
  EXPECT_FALSE(padded_mean(parts, std::vector{0.0, 0.0}, 4, 1).ok());
  EXPECT_FALSE(padded_mean(parts, std::vector{1.0, 1.0}, 4, 0).ok());
  EXPECT_FALSE(padded_mean({}, {}, 4, 1).ok());
}

TEST(FactoredMeanTest, TheTailIsWhatShrinkingWouldCut) {
  const Product product = random_product(20, 16, 4, 7);
  double b = 0;
  for (std::size_t row = 0; row < 20; ++row) {
    b += std::pow(static_cast<double>(product.b[row * 4 + 3]), 2);
  }
  double a = 0;
  for (std::size_t column = 0; column < 16; ++column) {
    a += std::pow(static_cast<double>(product.a[3 * 16 + column]), 2);
  }
  // Of one column and one row the product of the norms is the norm of the product.
  const double cut =
      dense_distance(dense_product(product.view()), dense_product(resized(product, 3).view()));
  EXPECT_NEAR(tail_norm(product.view(), 3), std::sqrt(a * b), 1e-12);
  EXPECT_NEAR(tail_norm(product.view(), 3), cut, 1e-12);
  EXPECT_EQ(tail_norm(product.view(), 4), 0.0);
}

} // namespace
} // namespace coppice
