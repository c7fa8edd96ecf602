// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "tests/adapters/factored_svd_dense.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

// Clients of the ranks 3, 0, 1, 4 and 2.
std::vector<Product> mixed_clients(Product (*make)(std::size_t, std::size_t, std::size_t,
                                                   std::uint64_t)) {
  std::vector<Product> clients;
  for (const std::size_t rank : {3U, 0U, 1U, 4U, 2U}) {
    clients.push_back(make(14, 10, rank, 40 + clients.size()));
  }
  return clients;
}

TEST(FactoredTest, AStackIsTheWeightedSumToOneFloatRounding) {
  const auto clients = mixed_clients(random_product);
  const auto parts = views(clients, std::vector{0.3, 0.2, 0.1, 0.15, 0.25});
  const Product sum = stacked(parts).value();
  EXPECT_EQ(sum.rank, 10U);
  const DenseMatrix dense = dense_sum(parts);
  // Each product is off by 2^-24 of itself at most: 6e-8, times what little cancels in the sum.
  EXPECT_LE(dense_distance(dense_product(sum.view()), dense), 5e-7 * dense_norm(dense));
}

TEST(FactoredTest, AStackIsExactWhereTheWeightsRoundNothing) {
  const auto clients = mixed_clients(random_product);
  const auto parts = views(clients, std::vector{0.5, 0.125, -0.25, 1.0, 2.0});
  const DenseMatrix dense = dense_sum(parts);
  const DenseMatrix sum = dense_product(stacked(parts).value().view());
  EXPECT_LE(dense_distance(sum, dense), 1e-14 * dense_norm(dense));
}

TEST(FactoredTest, OneClientsStackIsItsUpdate) {
  const std::vector<Product> clients = {random_product(5, 7, 2, 1)};
  const Product sum = stacked(views(clients, std::vector{1.0})).value();
  EXPECT_EQ(sum.b, clients[0].b);
  EXPECT_EQ(sum.a, clients[0].a);
}

TEST(FactoredTest, TheOrderOfClientsDoesNotMatterToTheSum) {
  const auto clients = mixed_clients(random_product);
  auto parts = views(clients, std::vector{0.5, 0.5, 0.25, 0.125, 2.0});
  const DenseMatrix first = dense_product(stacked(parts).value().view());
  std::ranges::reverse(parts);
  const DenseMatrix second = dense_product(stacked(parts).value().view());
  EXPECT_LE(dense_distance(first, second), 1e-14 * dense_norm(first));
}

TEST(FactoredTest, AnAdaptersScaleIsFoldedIn) {
  AdapterSpec spec = small_spec(4, 6);
  spec.scaling = LoraScaling::kRankStabilized;
  const Adapter adapter = random_adapter(spec, 3);
  const ProductView view = product_of(adapter, 1, 0.5);
  EXPECT_EQ(view.out, 4U);
  EXPECT_EQ(view.in, 12U);
  EXPECT_DOUBLE_EQ(view.scale, 0.5 * 6.0 / 2.0); // alpha / sqrt(4)
  EXPECT_TRUE(same_bits(view.a, adapter.a(1)));
  EXPECT_TRUE(same_bits(view.b, adapter.b(1)));
}

TEST(FactoredTest, AnInnerProductIsTheDenseOne) {
  const Product x = random_product(14, 10, 3, 1);
  const Product y = random_product(14, 10, 5, 2);
  const DenseMatrix left = dense_product(x.view(0.7));
  const DenseMatrix right = dense_product(y.view(-1.3));
  double dense = 0;
  for (std::size_t i = 0; i < left.size(); ++i) dense += left[i] * right[i];
  EXPECT_NEAR(inner_product(x.view(0.7), y.view(-1.3)), dense,
              1e-13 * dense_norm(left) * dense_norm(right));
  EXPECT_EQ(inner_product(x.view(), random_product(14, 10, 0, 1).view()), 0.0);
}

TEST(FactoredTest, ResizingCutsAndPadsWithZeros) {
  const Product product = random_product(5, 7, 3, 1);
  const Product wide = resized(product, 5);
  EXPECT_EQ(dense_product(wide.view()), dense_product(product.view()));
  EXPECT_EQ(resized(wide, 3).b, product.b);
  const Product cut = resized(product, 2);
  EXPECT_EQ(cut.b[2 * 2 + 1], product.b[2 * 3 + 1]);
  EXPECT_TRUE(same_bits(cut.a, std::span(product.a).first(14)));
  EXPECT_EQ(resized(product, 0).rank, 0U);
}

TEST(FactoredTest, WhatHasNoSumIsRefused) {
  EXPECT_FALSE(stacked({}).ok());
  const Product product = random_product(5, 7, 2, 1);
  const Product other = random_product(5, 8, 2, 1);
  const auto shapes = stacked(std::vector{product.view(), other.view()});
  ASSERT_FALSE(shapes.ok());
  EXPECT_THAT(shapes.error().message, HasSubstr("product 1 is 5 x 8"));
  ProductView wrong = product.view();
  wrong.rank = 3;
  EXPECT_THAT(stacked(std::vector{wrong}).error().message, HasSubstr("isn't rank 3"));
  Product poisoned = product;
  poisoned.a[3] = std::numeric_limits<float>::quiet_NaN();
  const auto values = stacked(std::vector{product.view(), poisoned.view()});
  EXPECT_THAT(values.error().message, HasSubstr("product 1 holds a value that isn't finite"));
  EXPECT_FALSE(stacked(std::vector{product.view(1.0 / 0.0)}).ok());
}

} // namespace
} // namespace coppice
