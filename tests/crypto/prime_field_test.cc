// SPDX-License-Identifier: Apache-2.0
#include "crypto/prime_field.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/random.h"

namespace coppice {
namespace {

using Values = std::vector<std::uint64_t>;
using Row = std::array<std::uint64_t, 1>;
using Polynomial = std::vector<Row>; // coefficients from x^0 on
__extension__ using Wide = unsigned __int128;

// Every polynomial of `terms` coefficients.
template <typename Field, typename Visit>
void for_each_polynomial(std::size_t terms, Visit visit) {
  Polynomial polynomial(terms, Row{0});
  while (true) {
    visit(polynomial);
    std::size_t at = 0;
    while (at < terms && ++polynomial[at][0] == Field::kPrime) polynomial[at++][0] = 0;
    if (at == terms) return;
  }
}

// Every set of `size` of the points 1 ... count.
std::vector<Values> subsets(std::uint64_t count, std::size_t size) {
  std::vector<Values> all;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << count; ++bits) {
    Values set;
    for (std::uint64_t i = 0; i < count; ++i) {
      if ((bits >> i & 1U) != 0) set.push_back(i + 1);
    }
    if (set.size() == size) all.push_back(set);
  }
  return all;
}

template <typename Field>
Polynomial values_at(const Polynomial& polynomial, const Values& points) {
  Polynomial values;
  for (const std::uint64_t x : points) values.push_back(evaluate<Field, 1>(polynomial, x));
  return values;
}

template <typename Field>
class SmallFieldTest : public ::testing::Test {};
using SmallFields = ::testing::Types<MersenneField<3>, MersenneField<5>, MersenneField<7>>;
TYPED_TEST_SUITE(SmallFieldTest, SmallFields);

TYPED_TEST(SmallFieldTest, EveryPairAddsSubtractsAndMultipliesLikeIntegers) {
  constexpr std::uint64_t kPrime = TypeParam::kPrime;
  for (std::uint64_t a = 0; a < kPrime; ++a) {
    for (std::uint64_t b = 0; b < kPrime; ++b) {
      EXPECT_EQ(TypeParam::add(a, b), (a + b) % kPrime);
      EXPECT_EQ(TypeParam::subtract(a, b), (a + kPrime - b) % kPrime);
      EXPECT_EQ(TypeParam::multiply(a, b), a * b % kPrime);
    }
    EXPECT_EQ(TypeParam::multiply(a, TypeParam::invert(a)), a == 0 ? 0U : 1U);
    EXPECT_EQ(TypeParam::beyond(a), 0U);
  }
  for (std::uint64_t a = kPrime; a < 5 * kPrime; ++a) EXPECT_NE(TypeParam::beyond(a), 0U) << a;
}

TEST(LargeFieldTest, EdgesAndRandomElementsMultiplyLikeWideIntegers) {
  using Field = MersenneField<61>;
  constexpr std::uint64_t kPrime = Field::kPrime;
  Values elements = {0, 1, 2, 3, kPrime - 1, kPrime - 2, kPrime / 2, kPrime / 2 + 1, 1ULL << 60U};
  KeyedRandom random({.experiment = 61});
  for (int i = 0; i < 200; ++i) elements.push_back(random.below(kPrime));
  for (const std::uint64_t a : elements) {
    for (const std::uint64_t b : elements) {
      const Wide product = static_cast<Wide>(a) * b;
      EXPECT_EQ(Field::multiply(a, b), static_cast<std::uint64_t>(product % kPrime));
      EXPECT_EQ(Field::add(a, b), (a + b) % kPrime);
      EXPECT_EQ(Field::subtract(a, b), (a + kPrime - b) % kPrime);
    }
    EXPECT_EQ(Field::multiply(a, Field::invert(a)), a == 0 ? 0U : 1U);
    EXPECT_EQ(Field::beyond(a), 0U);
  }
  for (const std::uint64_t a : Values{kPrime, kPrime + 1, 1ULL << 62U, 1ULL << 63U, ~0ULL}) {
    EXPECT_NE(Field::beyond(a), 0U) << a;
  }
}

template <typename Field>
void expect_every_subset_reconstructs(std::uint64_t count, std::size_t threshold) {
  for (const Values& points : subsets(count, threshold)) {
    const auto weights = divided_difference_weights<Field>(points);
    const auto factors = lagrange_at_zero<Field>(points, weights);
    std::size_t wrong = 0;
    for_each_polynomial<Field>(threshold, [&](const Polynomial& polynomial) {
      const auto at_zero = weighted_sum<Field, 1>(factors, values_at<Field>(polynomial, points));
      wrong += at_zero == polynomial[0] ? 0 : 1;
    });
    EXPECT_EQ(wrong, 0U);
  }
}

TEST(SmallSharingTest, EveryPolynomialIsReconstructedFromEverySetOfThresholdShares) {
  for (const std::size_t threshold : {1U, 2U, 3U, 4U}) {
    expect_every_subset_reconstructs<MersenneField<3>>(6, threshold);
  }
  for (const std::size_t threshold : {1U, 2U, 3U}) {
    expect_every_subset_reconstructs<MersenneField<5>>(5, threshold);
  }
  expect_every_subset_reconstructs<MersenneField<7>>(6, 2);
}

// Perfect secrecy, counted: for each set of threshold - 1 shares, each combination of their values
// goes with each secret, and equally often. So they say nothing about which it is.
template <typename Field>
void expect_perfect_secrecy(std::uint64_t count, std::size_t threshold) {
  for (const Values& points : subsets(count, threshold - 1)) {
    std::map<std::pair<Polynomial, std::uint64_t>, std::size_t> seen; // (shares, secret): how often
    for_each_polynomial<Field>(threshold, [&](const Polynomial& polynomial) {
      ++seen[{values_at<Field>(polynomial, points), polynomial[0][0]}];
    });
    std::size_t all = 1;
    for (std::size_t i = 0; i < threshold; ++i) all *= Field::kPrime;
    EXPECT_EQ(seen.size(), all) << "p^(t-1) combinations of shares, p secrets";
    for (const auto& [shares_and_secret, times] : seen) EXPECT_EQ(times, 1U);
  }
}

TEST(SmallSharingTest, FewerSharesThanTheThresholdGoWithEverySecretEquallyOften) {
  expect_perfect_secrecy<MersenneField<3>>(6, 2);
  expect_perfect_secrecy<MersenneField<3>>(6, 3);
  expect_perfect_secrecy<MersenneField<3>>(5, 4);
  expect_perfect_secrecy<MersenneField<5>>(5, 2);
  expect_perfect_secrecy<MersenneField<5>>(4, 3);
  expect_perfect_secrecy<MersenneField<7>>(4, 2);
}

TEST(SmallSharingTest, AllSharesTogetherReconstructAndPassEveryParityCheck) {
  using Field = MersenneField<3>;
  const Values points = {1, 2, 4, 5, 6};
  const auto weights = divided_difference_weights<Field>(points);
  const auto factors = lagrange_at_zero<Field>(points, weights);
  for (std::size_t threshold = 1; threshold <= points.size(); ++threshold) {
    std::vector<Values> checks;
    for_each_polynomial<Field>(points.size() - threshold, [&](const Polynomial& multiplier) {
      checks.push_back(parity_check<Field>(points, weights, multiplier));
    });
    std::size_t wrong = 0;
    for_each_polynomial<Field>(threshold, [&](const Polynomial& polynomial) {
      const Polynomial values = values_at<Field>(polynomial, points);
      wrong += weighted_sum<Field, 1>(factors, values) == polynomial[0] ? 0 : 1;
      for (const Values& check : checks) {
        wrong += weighted_sum<Field, 1>(check, values)[0] == 0 ? 0 : 1;
      }
    });
    EXPECT_EQ(wrong, 0U) << "threshold " << threshold;
  }
}

TEST(SmallSharingTest, ValuesOnNoSuchPolynomialPassExactlyOneParityCheckInP) {
  using Field = MersenneField<3>;
  const Values points = {1, 3, 4, 6};
  const std::size_t threshold = 2;
  const auto weights = divided_difference_weights<Field>(points);
  std::vector<Values> checks;
  for_each_polynomial<Field>(points.size() - threshold, [&](const Polynomial& multiplier) {
    checks.push_back(parity_check<Field>(points, weights, multiplier));
  });
  ASSERT_EQ(checks.size(), 49U);
  std::size_t consistent = 0;
  std::size_t inconsistent = 0;
  for_each_polynomial<Field>(points.size(), [&](const Polynomial& values) { // any four values
    std::size_t passed = 0;
    for (const Values& check : checks) passed += weighted_sum<Field, 1>(check, values)[0] == 0;
    consistent += passed == checks.size() ? 1 : 0;
    inconsistent += passed == checks.size() / Field::kPrime ? 1 : 0;
  });
  EXPECT_EQ(consistent, 49U) << "the lines";
  EXPECT_EQ(inconsistent, 2401U - 49U);
}

} // namespace
} // namespace coppice
