// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored_rank.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/adapters/factored_svd_dense.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

TEST(FactoredRankTest, GrowingKeepsTheUpdateWhateverTheScaling) {
  for (const LoraScaling scaling : {LoraScaling::kStandard, LoraScaling::kRankStabilized}) {
    AdapterSpec spec = small_spec(2, 6);
    spec.scaling = scaling;
    const Adapter small = random_adapter(spec, 1);
    for (const std::optional<std::uint64_t> seed : {std::optional<std::uint64_t>(), {7}}) {
      const RankChange grown = with_rank(small, 3, RankCut::kPrefix, seed).value();
      EXPECT_EQ(grown.adapter.spec().targets[0].rank, 3U);
      EXPECT_EQ(grown.adapter.spec().targets[0].alpha, 6.0F);
      EXPECT_NE(grown.adapter.spec().scale(0), small.spec().scale(0));
      for (std::size_t t = 0; t < small.targets(); ++t) {
        const DenseMatrix before = dense_product(product_of(small, t));
        const DenseMatrix after = dense_product(product_of(grown.adapter, t));
        EXPECT_LE(dense_distance(before, after), 2e-7 * dense_norm(before));
        EXPECT_EQ(grown.lost_energy[t], 0.0);
        const std::size_t in = small.spec().targets[t].in;
        EXPECT_EQ(grown.adapter.a(t)[2 * in] != 0.0F, seed.has_value()); // can it learn?
        EXPECT_EQ(grown.adapter.b(t)[2], 0.0F);
      }
    }
  }
}

TEST(FactoredRankTest, ThereAndBackIsTheSameAdapter) {
  const Adapter adapter = random_adapter(small_spec(2, 6), 1);
  const Adapter wide = with_rank(adapter, 4, RankCut::kPrefix)->adapter;
  const RankChange back = with_rank(wide, 2, RankCut::kPrefix).value();
  EXPECT_TRUE(same_bits(back.adapter.values(), adapter.values()));   // scales 3 and 1.5: exact
  for (const double lost : back.lost_energy) EXPECT_LE(lost, 1e-28); // double's u, squared
}

TEST(FactoredRankTest, CuttingSaysWhatItLoses) {
  const Adapter adapter = random_adapter(small_spec(4, 6), 2);
  const RankChange prefix = with_rank(adapter, 2, RankCut::kPrefix).value();
  const RankChange best = with_rank(adapter, 2, RankCut::kBest).value();
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const AdapterTarget& target = adapter.spec().targets[t];
    const DenseMatrix before = dense_product(product_of(adapter, t));
    const double energy = dense_norm(before) * dense_norm(before);
    const auto lost = [&](const RankChange& change) {
      return std::pow(dense_distance(before, dense_product(product_of(change.adapter, t))), 2) /
             energy;
    };
    EXPECT_NEAR(prefix.lost_energy[t], lost(prefix), 1e-12);
    EXPECT_NEAR(best.lost_energy[t], lost(best), 1e-12);
    EXPECT_LT(best.lost_energy[t], prefix.lost_energy[t]);
    const auto values = dense_singular_values(before, target.out, target.in);
    EXPECT_NEAR(best.lost_energy[t], 1 - (values[0] * values[0] + values[1] * values[1]) / energy,
                1e-9);
    for (std::size_t k = 0; k < 2 * target.in; ++k) {
      EXPECT_EQ(prefix.adapter.a(t)[k], adapter.a(t)[k]);
    }
  }
}

TEST(FactoredRankTest, RanksThatALayerCannotHaveAreRefused) {
  const Adapter adapter = random_adapter(small_spec(2, 6), 1);
  EXPECT_FALSE(with_rank(adapter, 0, RankCut::kPrefix).ok());
  const auto refused = with_rank(adapter, 5, RankCut::kPrefix); // attn_k has 4 rows
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("blk.0.attn_k"));
  Adapter poisoned = adapter;
  poisoned.values()[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(with_rank(poisoned, 4, RankCut::kPrefix).ok());
}

} // namespace
} // namespace coppice
