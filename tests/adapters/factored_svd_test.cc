// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored_svd.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "adapters/factored_mean.h"
#include "base/random.h"
#include "tests/adapters/factored_svd_dense.h"
#include "tests/adapters/peak_growth.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

struct Layer {
  std::size_t out;
  std::size_t in;
  std::size_t clients;
  std::size_t rank;
};

// Tall, wide, square; ranks that sum to less than the layer's, to more than one side, to more than
// both.
const Layer kLayers[] = {{64, 48, 4, 8},  {48, 64, 4, 8}, {40, 12, 3, 6}, {12, 40, 3, 6},
                         {24, 24, 10, 4}, {9, 7, 1, 3},   {1, 5, 2, 1},   {5, 1, 2, 1}};

struct Round {
  std::vector<Product> clients;
  std::vector<ProductView> parts;
};

Round make_round(const Layer& layer, std::uint64_t seed) {
  Round round;
  std::vector<double> weights;
  for (std::size_t i = 0; i < layer.clients; ++i) {
    round.clients.push_back(random_product(layer.out, layer.in, layer.rank, 100 * seed + i));
    weights.push_back(1.0 / static_cast<double>(i + 2));
  }
  round.parts = views(round.clients, weights);
  return round;
}

double tail(const std::vector<double>& values, std::size_t kept) {
  double squared = 0;
  for (std::size_t k = kept; k < values.size(); ++k) squared += values[k] * values[k];
  return squared;
}

TEST(FactoredSvdTest, SingularValuesAreThoseOfTheDenseSum) {
  for (const Layer& layer : kLayers) {
    const Round round = make_round(layer, 1);
    const auto dense = dense_singular_values(dense_sum(round.parts), layer.out, layer.in);
    const Recompressed best = recompress(round.parts, 4, Balance::kSplit).value();
    ASSERT_EQ(best.singular_values.size(),
              std::min({layer.clients * layer.rank, layer.out, layer.in}));
    for (std::size_t k = 0; k < dense.size(); ++k) {
      const double ours = k < best.singular_values.size() ? best.singular_values[k] : 0.0;
      EXPECT_NEAR(ours, dense[k], 1e-13 * static_cast<double>(layer.out + layer.in) * dense[0]);
    }
    EXPECT_NEAR(best.energy, tail(dense, 0), 1e-12 * best.energy);
  }
}

TEST(FactoredSvdTest, TheErrorIsTheSingularTailAndTheDroppedEnergySaysSo) {
  for (const Layer& layer : kLayers) {
    const Round round = make_round(layer, 2);
    const DenseMatrix sum = dense_sum(round.parts);
    const auto values = dense_singular_values(sum, layer.out, layer.in);
    const double norm = dense_norm(sum);
    for (const std::size_t rank : {0U, 1U, 3U, 8U, 100U}) {
      const Recompressed best = recompress(round.parts, rank, Balance::kSplit).value();
      ASSERT_EQ(best.product.rank, std::min(rank, best.singular_values.size()));
      const double left = tail(values, std::min(rank, values.size()));
      // Rounding the factors moves the product within its own rows and columns, at right angles to
      // the tail: the error is sqrt(tail^2 + (3e-8 norm)^2), of which a whole tail shows nothing.
      const double error = dense_distance(dense_product(best.product.view()), sum) / norm;
      if (best.product.rank < best.singular_values.size()) {
        EXPECT_NEAR(error, std::sqrt(left) / norm, 1e-9) << layer.out << ", rank " << rank;
      } else {
        EXPECT_LE(error, 1e-7);
      }
      EXPECT_NEAR(best.dropped_energy, left / (norm * norm), 1e-12);
    }
  }
}

TEST(FactoredSvdTest, NoOtherProductOfThatRankIsNearer) {
  for (const Layer& layer : {Layer{64, 48, 4, 8}, Layer{24, 24, 10, 4}}) {
    const Round round = make_round(layer, 3);
    const DenseMatrix sum = dense_sum(round.parts);
    const Recompressed best = recompress(round.parts, layer.rank, Balance::kSplit).value();
    const double floor = std::sqrt(best.dropped_energy * best.energy);
    const std::vector<double> equal(layer.clients, 1.0);
    std::vector<Product> others = {
        padded_mean(round.parts, equal, layer.rank, 1).value(),
        padded_mean(round.parts, norm_weights(round.parts).value(), layer.rank, 1).value(),
        resized(stacked(round.parts).value(), layer.rank), round.clients[0]};
    KeyedRandom random({.experiment = 9});
    for (int near = 0; near < 20; ++near) { // and neighbours of the best
      Product moved = best.product;
      const float step = near < 10 ? 1e-3F : 1e-1F;
      for (float& value : moved.b) value += step * (2 * random.uniform_float() - 1);
      for (float& value : moved.a) value += step * (2 * random.uniform_float() - 1);
      others.push_back(std::move(moved));
    }
    for (const Product& other : others) {
      EXPECT_GE(dense_distance(dense_product(other.view()), sum), floor);
    }
  }
}

TEST(FactoredSvdTest, BalanceMovesTheSingularValuesAndNotTheProduct) {
  const Round round = make_round({30, 20, 3, 4}, 4);
  const Product split = recompress(round.parts, 5, Balance::kSplit)->product;
  const Product left = recompress(round.parts, 5, Balance::kLeft)->product;
  const Product right = recompress(round.parts, 5, Balance::kRight)->product;
  const auto values = recompress(round.parts, 5, Balance::kSplit)->singular_values;
  const DenseMatrix product = dense_product(split.view());
  EXPECT_LE(dense_distance(dense_product(left.view()), product), 3e-7 * dense_norm(product));
  EXPECT_LE(dense_distance(dense_product(right.view()), product), 3e-7 * dense_norm(product));
  for (std::size_t k = 0; k < 5; ++k) {
    double split_b = 0;
    double left_b = 0;
    double right_b = 0;
    double split_a = 0;
    for (std::size_t row = 0; row < 30; ++row) {
      split_b += std::pow(static_cast<double>(split.b[row * 5 + k]), 2);
      left_b += std::pow(static_cast<double>(left.b[row * 5 + k]), 2);
      right_b += std::pow(static_cast<double>(right.b[row * 5 + k]), 2);
    }
    for (std::size_t column = 0; column < 20; ++column) {
      split_a += std::pow(static_cast<double>(split.a[k * 20 + column]), 2);
    }
    EXPECT_NEAR(split_b, values[k], 1e-6 * values[k]);
    EXPECT_NEAR(split_a, values[k], 1e-6 * values[k]);
    EXPECT_NEAR(std::sqrt(left_b), values[k], 1e-6 * values[k]);
    EXPECT_NEAR(right_b, 1.0, 1e-6);
  }
}

TEST(FactoredSvdTest, SignsAreFixedAndTheSameSumGivesTheSameBits) {
  const Round round = make_round({30, 20, 3, 4}, 5);
  const Product first = recompress(round.parts, 6, Balance::kSplit)->product;
  const Product again = recompress(round.parts, 6, Balance::kSplit)->product;
  EXPECT_TRUE(same_bits(first.b, again.b));
  EXPECT_TRUE(same_bits(first.a, again.a));
  for (std::size_t k = 0; k < 6; ++k) {
    float largest = 0;
    for (std::size_t row = 0; row < 30; ++row) {
      const float value = first.b[row * 6 + k];
      if (std::abs(value) > std::abs(largest)) largest = value;
    }
    EXPECT_GT(largest, 0.0F);
  }
  // Factors of the other sign, clients in another order: the same factors come back, to rounding.
  std::vector<Product> flipped(round.clients.rbegin(), round.clients.rend());
  for (Product& client : flipped) {
    for (float& value : client.b) value = -value;
    for (float& value : client.a) value = -value;
  }
  const auto parts = views(flipped, std::vector{1.0 / 4, 1.0 / 3, 1.0 / 2});
  const Product other = recompress(parts, 6, Balance::kSplit)->product;
  for (std::size_t i = 0; i < first.b.size(); ++i) EXPECT_NEAR(first.b[i], other.b[i], 1e-5);
  for (std::size_t i = 0; i < first.a.size(); ++i) EXPECT_NEAR(first.a[i], other.a[i], 1e-5);
}

TEST(FactoredSvdTest, APrefixServesClientsOfSmallerRanks) {
  const Round round = make_round({30, 20, 4, 4}, 6);
  const DenseMatrix sum = dense_sum(round.parts);
  const Product large = recompress(round.parts, 8, Balance::kSplit)->product;
  for (const std::size_t rank : {1U, 2U, 5U}) {
    const Recompressed best = recompress(round.parts, rank, Balance::kSplit).value();
    EXPECT_NEAR(dense_distance(dense_product(resized(large, rank).view()), sum),
                std::sqrt(best.dropped_energy * best.energy), 1e-9 * dense_norm(sum));
  }
}

TEST(FactoredSvdTest, RanksThatAreNotThereAreZero) {
  const Product one = random_product(12, 10, 2, 1);
  // The same update from three clients has rank 2, not 6.
  const std::vector<ProductView> same = {one.view(0.5), one.view(0.25), one.view(0.25)};
  const Recompressed best = recompress(same, 4, Balance::kLeft).value();
  EXPECT_EQ(best.numerical_rank, 2U);
  EXPECT_EQ(best.dropped_energy, 0.0);
  ASSERT_EQ(best.product.rank, 4U);
  for (std::size_t k = 0; k < 4; ++k) { // rows of A can still learn
    double norm = 0;
    for (std::size_t column = 0; column < 10; ++column) {
      norm += std::pow(static_cast<double>(best.product.a[k * 10 + column]), 2);
    }
    EXPECT_NEAR(norm, 1.0, 1e-6);
    if (k >= 2) {
      EXPECT_EQ(best.product.b[5 * 4 + k], 0.0F);
    }
  }
  const Recompressed none =
      recompress(std::vector{one.view(), one.view(-1)}, 2, Balance::kSplit).value();
  EXPECT_EQ(none.numerical_rank, 0U);
  EXPECT_EQ(none.energy, 0.0);
  EXPECT_EQ(none.dropped_energy, 0.0);
  const Product empty = random_product(12, 10, 0, 1);
  const Recompressed nothing = recompress(std::vector{empty.view()}, 2, Balance::kSplit).value();
  EXPECT_EQ(nothing.product.rank, 0U);
  EXPECT_EQ(sum_norm(std::vector{empty.view()}).value(), 0.0);
  // A client without a rank beside others changes nothing.
  const Recompressed beside =
      recompress(std::vector{empty.view(), one.view()}, 2, Balance::kLeft).value();
  EXPECT_TRUE(same_bits(beside.product.b,
                        recompress(std::vector{one.view()}, 2, Balance::kLeft)->product.b));
}

TEST(FactoredSvdTest, NormsOfSumsThatCancelKeepTheirDigits) {
  const Round round = make_round({30, 20, 3, 4}, 7);
  const DenseMatrix dense = dense_sum(round.parts);
  EXPECT_NEAR(sum_norm(round.parts).value(), dense_norm(dense), 1e-13 * dense_norm(dense));
  // X - X' where X' has one entry of B moved by 2^-12: |X - X'| = 2^-12 |row of A|.
  Product moved = dyadic_product(30, 20, 3, 1);
  const Product still = moved;
  moved.b[7 * 3 + 1] += 0x1p-12F;
  double row = 0;
  for (std::size_t column = 0; column < 20; ++column) {
    row += std::pow(static_cast<double>(still.a[20 + column]), 2);
  }
  const double apart = sum_norm(std::vector{moved.view(), still.view(-1)}).value();
  EXPECT_NEAR(apart, 0x1p-12 * std::sqrt(row), 1e-12);
}

TEST(FactoredSvdTest, ASquareCoreIsTheSumSeenFromItsBasis) {
  const Round round = make_round({30, 20, 3, 4}, 8);
  const Recompressed best = recompress(round.parts, 5, Balance::kSplit).value();
  const SquareCore square = square_core_of(round.parts, 5).value();
  ASSERT_EQ(square.core.size(), 25U);
  for (std::size_t k = 0; k < 5; ++k) {
    EXPECT_EQ(square.core[k * 5 + k], best.singular_values[k]);
    for (std::size_t l = 0; l < 5; ++l) {
      double b = 0;
      double a = 0;
      for (std::size_t row = 0; row < 30; ++row) {
        b += static_cast<double>(square.basis.b[row * 5 + k]) *
             static_cast<double>(square.basis.b[row * 5 + l]);
      }
      for (std::size_t column = 0; column < 20; ++column) {
        a += static_cast<double>(square.basis.a[k * 20 + column]) *
             static_cast<double>(square.basis.a[l * 20 + column]);
      }
      EXPECT_NEAR(b, k == l ? 1.0 : 0.0, 1e-6);
      EXPECT_NEAR(a, k == l ? 1.0 : 0.0, 1e-6);
    }
  }
  // Projecting the sum gives the core that it was made with.
  const auto projected = projected_core(square.basis, round.parts).value();
  for (std::size_t i = 0; i < 25; ++i) {
    EXPECT_NEAR(projected[i], square.core[i], 1e-6 * square.core[0]);
  }
  // Cores are linear: clients' cores sum to the core of the sum, so a server needs only their sum.
  std::vector<double> summed(25, 0.0);
  for (const ProductView& part : round.parts) {
    const auto one = projected_core(square.basis, std::vector{part}).value();
    for (std::size_t i = 0; i < 25; ++i) summed[i] += one[i];
  }
  for (std::size_t i = 0; i < 25; ++i) EXPECT_NEAR(summed[i], projected[i], 1e-12);
  const auto refused = square_core_of(std::vector{round.parts[0], round.parts[0]}, 5);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("rank 4"));
}

TEST(FactoredSvdTest, WhatFloat32CannotHoldIsRefused) {
  Product huge = random_product(4, 3, 1, 1);
  for (float& value : huge.b) value *= 1e30F;
  for (float& value : huge.a) value *= 1e30F;
  EXPECT_TRUE(recompress(std::vector{huge.view()}, 1, Balance::kSplit).ok());
  const auto left = recompress(std::vector{huge.view()}, 1, Balance::kLeft);
  ASSERT_FALSE(left.ok());
  EXPECT_EQ(left.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(recompress(std::vector{huge.view(1e300)}, 1, Balance::kSplit).ok());
  EXPECT_FALSE(sum_norm(std::vector{huge.view(1e300)}).ok());
  huge.b[0] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(recompress(std::vector{huge.view()}, 1, Balance::kSplit).ok());
  EXPECT_FALSE(sum_norm({}).ok());
}

// 20 clients' updates of rank 8 to a layer of 8192 x 8192, of which the dense sum has 512 MB.
TEST(FactoredSvdTest, ALargeLayerTakesTheStatedScratch) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory is not ours to count";
  const Round round = make_round({8192, 8192, 20, 8}, 9);
  Recompressed best;
  const std::size_t flexlora =
      peak_growth([&] { best = recompress(round.parts, 8, Balance::kSplit).value(); });
  if (flexlora == 0) GTEST_SKIP() << "/proc/self/clear_refs can't be written";
  FedexUpdate update;
  std::vector<ProductView> clients = round.parts;
  for (ProductView& client : clients) client.scale = 1;
  const std::size_t fedex =
      peak_growth([&] { update = fedex_update(clients, std::vector<double>(20, 1.0), 8).value(); });
  RecordProperty("flexlora_bytes", std::to_string(flexlora));
  RecordProperty("fedex_bytes", std::to_string(fedex));
  const std::size_t results = 4 * 2 * 8192 * 8;
  EXPECT_GT(flexlora, std::size_t{8} * 2 * 8192 * 160 / 2); // it was counted: half of the stacks
  EXPECT_LE(flexlora, svd_scratch_bytes(8192, 8192, 160, 8) + results);
  EXPECT_LE(fedex, svd_scratch_bytes(8192, 8192, 168, 8) + 2 * results);
  EXPECT_LE(svd_scratch_bytes(8192, 8192, 168, 8), std::size_t{40'000'000});
  EXPECT_EQ(best.product.rank, 8U);
  EXPECT_EQ(update.patch.rank, 8U);
}

} // namespace
} // namespace coppice
