// SPDX-License-Identifier: Apache-2.0
// The arithmetic is tried exhaustively on small fields in prime_field_test.cc.
#include "crypto/shamir.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/random.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::array_of_hex;
using ::coppice::testing::counting_secret;
using ::testing::HasSubstr;
using Shares = std::vector<NumberedShare>;

const SecretRandom kRandom;

// Made with Python's integers by the layout in the header, of the secret 200, 201, ..., 231 with a
// threshold of 3.
constexpr std::pair<std::uint32_t, std::string_view> kSharedElsewhere[] = {
    {1, "56f9e06316fa9009847176104ed6d815ba7b942ba9805301ec5cdfd72632fd115dbfb45b6995a502"},
    {2, "64b60bac733bac0761600a9dc124fb15dc4afc3072c5c41d60125875aa48e808adcb5a33c042da01"},
    {5, "8b3e07a5017e941df26a253a6cb06a14b8b53671a74d1216b478ede2b59a910b9a155205bf49d80a"},
    {65535, "ec507c114e0ddc0f9d7a63b13ab4320a5e1cf50adf2f9c0a55f214a9305c5705f2f666d6b1359b18"},
};

Shares numbered(const std::vector<SecretShare>& dealt) {
  Shares shares;
  for (std::uint32_t i = 0; i < dealt.size(); ++i) shares.push_back({i + 1, dealt[i]});
  return shares;
}

Shares some_shares(std::uint32_t threshold, std::uint32_t count) {
  return numbered(share_secret(counting_secret(7), threshold, count, kRandom));
}

ErrorCode refusal(const Shares& shares, std::uint32_t threshold) {
  const auto made = reconstruct_secret(shares, threshold, kRandom);
  return made.ok() ? ErrorCode::kInternal : made.error().code;
}

TEST(ShamirTest, ReconstructsWhatAnotherImplementationShared) {
  Shares shares;
  for (const auto& [number, hex] : kSharedElsewhere) {
    shares.push_back({number, array_of_hex<40>(hex)});
  }
  EXPECT_EQ(reconstruct_secret(shares, 3, kRandom).value(), counting_secret(200));
  for (std::size_t left_out = 0; left_out < shares.size(); ++left_out) {
    Shares three = shares;
    three.erase(three.begin() + static_cast<std::ptrdiff_t>(left_out));
    EXPECT_EQ(reconstruct_secret(three, 3, kRandom).value(), counting_secret(200));
  }
}

TEST(ShamirTest, AnyEnoughSharesInAnyOrderGiveTheSecret) {
  KeyedRandom random({.experiment = 1});
  for (const auto& [threshold, count] :
       {std::pair(1U, 1U), {1U, 5U}, {2U, 2U}, {3U, 7U}, {17U, 30U}, {86U, 128U}}) {
    const Secret<32> secret = kRandom.secret<32>();
    Shares shares = numbered(share_secret(secret, threshold, count, kRandom));
    ASSERT_EQ(shares.size(), count);
    for (int repeat = 0; repeat < 5; ++repeat) {
      random.shuffle(std::span(shares));
      for (std::size_t given = threshold; given <= count; given += 1 + count / 5) {
        const Shares some(shares.begin(), shares.begin() + static_cast<std::ptrdiff_t>(given));
        EXPECT_EQ(reconstruct_secret(some, threshold, kRandom).value(), secret)
            << given << " of " << threshold << "/" << count;
      }
    }
  }
}

TEST(ShamirTest, SecretsOfAllBitsComeBack) {
  for (const std::uint8_t byte : Bytes{0x00, 0xff, 0x80, 0x01}) {
    Secret<32> secret;
    std::ranges::fill(secret.mutable_span(), byte);
    const Shares shares = numbered(share_secret(secret, 2, 3, kRandom));
    EXPECT_EQ(reconstruct_secret(shares, 2, kRandom).value(), secret);
  }
  for (std::size_t bit = 0; bit < 256; ++bit) {
    Secret<32> secret;
    secret.mutable_span()[bit / 8] = static_cast<std::uint8_t>(1U << (bit % 8));
    const Shares shares = numbered(share_secret(secret, 2, 2, kRandom));
    EXPECT_EQ(reconstruct_secret(shares, 2, kRandom).value(), secret) << bit;
  }
}

TEST(ShamirTest, SharesAreFieldElementsAndNewEachTime) {
  std::set<SecretShare> seen;
  for (int repeat = 0; repeat < 100; ++repeat) {
    for (const SecretShare& share : share_secret(counting_secret(0), 2, 3, kRandom)) {
      EXPECT_TRUE(seen.insert(share).second);
      for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
        std::uint64_t value = 0;
        std::memcpy(&value, share.data() + 8 * limb, 8);
        EXPECT_LT(value, (std::uint64_t{1} << 61U) - 1);
      }
    }
  }
}

TEST(ShamirTest, AShareOfAKnownSecretLooksUniform) {
  // 4096 sharings, 5 limbs each: top 4 of 61 bits into 16 bins of 1280 expected. 15 degrees of
  // freedom: chi-square has mean 15, standard deviation 5.5; above 70 has a probability of 5e-9.
  std::vector<double> bins(16);
  for (int repeat = 0; repeat < 4096; ++repeat) {
    const auto dealt = share_secret(counting_secret(0), 2, 2, kRandom);
    for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
      std::uint64_t value = 0;
      std::memcpy(&value, dealt[1].data() + 8 * limb, 8);
      bins[value >> 57U] += 1;
    }
  }
  double chi_square = 0;
  for (const double bin : bins) chi_square += (bin - 1280) * (bin - 1280) / 1280;
  EXPECT_LT(chi_square, 70);
}

TEST(ShamirTest, TooFewSharesAreRefusedAndSaySo) {
  Shares shares = some_shares(3, 5);
  shares.resize(2);
  const auto made = reconstruct_secret(shares, 3, kRandom);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(made.error().message, HasSubstr("2 shares of a secret that takes 3"));
  EXPECT_EQ(refusal({}, 1), ErrorCode::kInvalidArgument);
}

TEST(ShamirTest, NumbersThatRepeatOrAreOutOfRangeAreRefused) {
  for (const std::uint32_t number : {0U, 2U, kMaxShares + 1, ~0U}) {
    Shares shares = some_shares(3, 4);
    shares[3].number = number;
    EXPECT_EQ(refusal(shares, 3), ErrorCode::kInvalidArgument) << number;
  }
}

TEST(ShamirTest, ValuesBeyondTheFieldAreRefused) {
  // 2^61 - 1 stands for 0, and would be a second way to write a share that holds 0.
  const std::uint64_t prime = (std::uint64_t{1} << 61U) - 1;
  for (const std::uint64_t value : {prime, prime + 1, std::uint64_t{1} << 63U, ~std::uint64_t{0}}) {
    for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
      Shares zeros = {{1, {}}, {2, {}}};
      EXPECT_EQ(refusal(zeros, 2), ErrorCode::kInternal) << "the shares of a zero secret are fine";
      std::memcpy(zeros[1].share.data() + 8 * limb, &value, 8);
      EXPECT_EQ(refusal(zeros, 2), ErrorCode::kCorrupt) << value;
    }
  }
}

TEST(ShamirTest, EveryChangedByteOfAShareBeyondTheThresholdIsRefused) {
  // Missed with a chance of 40 * 4 * 2^-61.
  for (std::size_t at = 0; at < sizeof(SecretShare); ++at) {
    for (const std::size_t share : {0U, 1U, 2U, 3U}) {
      Shares shares = some_shares(3, 4);
      shares[share].share[at] ^= 0x10;
      EXPECT_EQ(refusal(shares, 3), ErrorCode::kCorrupt) << share << " at " << at;
    }
  }
}

TEST(ShamirTest, SharesOfTwoSecretsDoNotMix) {
  Shares shares = some_shares(3, 5);
  const Shares others = some_shares(3, 5);
  shares[4] = others[4];
  EXPECT_EQ(refusal(shares, 3), ErrorCode::kCorrupt);
}

TEST(ShamirTest, ExactlyThresholdSharesOfWhichOneIsFalseHaveALimbThatIsTooLong) {
  Shares shares = some_shares(3, 3);
  shares[1] = some_shares(3, 3)[1]; // passes with a chance of 2^-49
  EXPECT_EQ(refusal(shares, 3), ErrorCode::kCorrupt);
}

TEST(LagrangeAtZeroTest, OneObjectServesManySecretsWithTheSameNumbers) {
  const std::uint32_t numbers[] = {4, 1, 3};
  const auto lagrange = LagrangeAtZero::make(numbers, 2, kRandom);
  ASSERT_TRUE(lagrange.ok());
  for (std::uint8_t first = 0; first < 50; ++first) {
    const Shares dealt = numbered(share_secret(counting_secret(first), 2, 4, kRandom));
    Shares given = {dealt[3], dealt[0], dealt[2]};
    EXPECT_EQ(lagrange->reconstruct(given).value(), counting_secret(first));
    given[2].share[0] ^= 1;
    EXPECT_EQ(lagrange->reconstruct(given).error().code, ErrorCode::kCorrupt);
  }
}

TEST(LagrangeAtZeroTest, OtherNumbersThanItsOwnAreABug) {
  const std::uint32_t numbers[] = {1, 2};
  const auto lagrange = LagrangeAtZero::make(numbers, 2, kRandom);
  const Shares dealt = some_shares(2, 3);
  EXPECT_DEATH(static_cast<void>(lagrange->reconstruct(Shares{dealt[0], dealt[2]})),
               "other shares");
  EXPECT_DEATH(static_cast<void>(lagrange->reconstruct(dealt)), "other shares");
}

} // namespace
} // namespace coppice
