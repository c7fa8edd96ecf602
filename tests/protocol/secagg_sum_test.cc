// SPDX-License-Identifier: Apache-2.0
// Whole rounds of both machines: the sum comes out bit for bit, whoever drops out, or not at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/protocol/secagg_harness.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Options = SecAggHarness::Options;

constexpr std::array kMoments{SecAggMoment::kBeforeKeys,  SecAggMoment::kAfterKeys,
                              SecAggMoment::kBeforeNonce, SecAggMoment::kAfterNonce,
                              SecAggMoment::kAfterShares, SecAggMoment::kAfterMasking,
                              SecAggMoment::kAfterUpload, SecAggMoment::kBeforeAnswer};

void expect_exact_sum(const SecAggHarness& round, const std::string& which) {
  ASSERT_TRUE(round.finished()) << which << ": " << round.abandoned_because();
  EXPECT_EQ(round.sum(), round.expected_sum()) << which;
  EXPECT_THAT(round.violations(), IsEmpty()) << which;
}

TEST(SecAggSum, IsExactForEveryNumberOfDevicesUpTo40) {
  for (std::uint32_t devices = 3; devices <= 40; ++devices) {
    SecAggHarness round({.devices = devices, .seed = devices});
    round.run();
    expect_exact_sum(round, cat(devices, " devices"));
    EXPECT_EQ(round.included().size(), devices);
  }
}

TEST(SecAggSum, IsExactInEveryRing) {
  for (const std::uint32_t bits : {16U, 20U, 24U, 32U}) {
    for (const std::uint32_t devices : {3U, 40U}) {
      SecAggHarness round({.devices = devices, .bits = bits, .elements = 300});
      round.run();
      expect_exact_sum(round, cat(bits, " bits"));
    }
  }
}

TEST(SecAggSum, IsExactWithTheRealCryptography) {
  SecAggHarness smallest({.devices = 3, .real_primitives = true});
  smallest.run();
  expect_exact_sum(smallest, "3 devices");
  SecAggHarness sparse({.devices = 34, .real_primitives = true});
  sparse.die_at(1, SecAggMoment::kAfterMasking);
  sparse.die_at(2, SecAggMoment::kAfterUpload);
  sparse.run();
  expect_exact_sum(sparse, "34 devices, two dead");
  EXPECT_EQ(sparse.included().size(), 33U);
}

TEST(SecAggSum, LeavesOutWhoDropsOutAtAnyMoment) {
  for (const std::uint32_t devices : {6U, 12U, 36U}) {
    for (const SecAggMoment moment : kMoments) {
      for (const std::uint32_t victim : {0U, devices / 2, devices - 1}) {
        SecAggHarness round({.devices = devices});
        round.die_at(victim, moment);
        round.run();
        const std::string which =
            cat(devices, " devices, number ", victim, " dies at ", static_cast<int>(moment));
        expect_exact_sum(round, which);
        const bool counted =
            moment == SecAggMoment::kAfterUpload || moment == SecAggMoment::kBeforeAnswer;
        EXPECT_EQ(round.included().contains(victim), counted) << which;
        EXPECT_EQ(round.included().size(), counted ? devices : devices - 1) << which;
      }
    }
  }
}

// Drop-outs come together in every pair of moments, 2 of 20, and in mixtures of 4 of 40.
TEST(SecAggSum, LeavesOutAllThatDropOutTogetherUpToTheAssumedShare) {
  for (const SecAggMoment first : kMoments) {
    for (const SecAggMoment second : kMoments) {
      SecAggHarness round({.devices = 20});
      round.die_at(3, first);
      round.die_at(17, second);
      round.run();
      expect_exact_sum(round, cat(static_cast<int>(first), " and ", static_cast<int>(second)));
      EXPECT_GE(round.included().size(), 18U);
    }
  }
  for (std::size_t shift = 0; shift < kMoments.size(); ++shift) {
    SecAggHarness round({.devices = 40, .seed = shift});
    for (std::size_t i = 0; i < 4; ++i) {
      round.die_at(static_cast<std::uint32_t>(i * 13), kMoments[(shift + i) % kMoments.size()]);
    }
    round.run();
    expect_exact_sum(round, cat("mixture ", shift));
    EXPECT_GE(round.included().size(), 36U);
  }
}

TEST(SecAggSum, BeyondTheAssumedShareTheRoundIsAbandonedAndNoSecretIsPutTogether) {
  // Of 20 devices 2 may leave: threshold 17 of 19 neighbours. With 3 gone survivors have 16 left.
  for (const SecAggMoment moment : {SecAggMoment::kAfterShares, SecAggMoment::kAfterMasking,
                                    SecAggMoment::kAfterUpload, SecAggMoment::kBeforeAnswer}) {
    SecAggHarness round({.devices = 20});
    for (std::uint32_t i = 0; i < 3; ++i) round.die_at(i, moment);
    round.run();
    EXPECT_FALSE(round.finished()) << static_cast<int>(moment);
    EXPECT_TRUE(round.abandoned()) << static_cast<int>(moment);
    EXPECT_EQ(round.reconstructions(), 0U) << static_cast<int>(moment);
    EXPECT_THAT(round.violations(), IsEmpty());
  }
}

TEST(SecAggSum, BelowTheFloorTheRoundIsAbandonedAndNoSecretIsPutTogether) {
  for (const SecAggMoment moment : kMoments) {
    SecAggHarness round({.devices = 6, .min_survivors = 6});
    round.die_at(4, moment);
    round.run();
    // Who dies with its vector in the sum can be done without.
    const bool counted =
        moment == SecAggMoment::kAfterUpload || moment == SecAggMoment::kBeforeAnswer;
    EXPECT_EQ(round.finished(), counted) << static_cast<int>(moment);
    EXPECT_EQ(round.abandoned(), !counted) << static_cast<int>(moment);
    EXPECT_EQ(round.reconstructions() > 0, counted);
  }
}

TEST(SecAggSum, OfTooFewDevicesIsNotBegun) {
  SecAggHarness round({.devices = 2, .min_survivors = 1});
  round.run();
  EXPECT_THAT(round.abandoned_because(), HasSubstr("2 devices advertised keys, and 3 are needed"));
}

// ---- attempts ----

TEST(SecAggAttempts, AMissingNonceBeginsAgainWithFreshKeysWithoutThatDevice) {
  SecAggHarness round({.devices = 8});
  std::vector<Roster> rosters;
  std::set<AgreementPublicKey> keys;
  round.tamper = [&](SecAggLetter& letter) {
    if (const auto* roster = std::get_if<Roster>(&letter.message)) {
      if (rosters.empty() || !(rosters.back() == *roster)) rosters.push_back(*roster);
    }
    if (const auto* advert = std::get_if<SignedAdvert>(&letter.message);
        advert && letter.to_server) {
      if (letter.upload) return true;
      const KeyAdvert opened = decode_advert(advert->bytes).value();
      EXPECT_TRUE(keys.insert(opened.box_key).second);
      EXPECT_TRUE(keys.insert(opened.mask_key).second);
    }
    return true;
  };
  round.die_at(5, SecAggMoment::kBeforeNonce);
  round.run();
  expect_exact_sum(round, "one nonce missing");
  ASSERT_EQ(rosters.size(), 2U);
  EXPECT_EQ(rosters[0].entries.size(), 8U);
  EXPECT_EQ(rosters[1].attempt, 1);
  EXPECT_EQ(rosters[1].entries.size(), 7U);
  EXPECT_EQ(std::ranges::count(rosters[1].entries, round.id(5), &RosterEntry::client), 0);
  EXPECT_EQ(keys.size(), 2 * (8U + 7U));
  EXPECT_THAT(round.out().at(5), HasSubstr("before it opened its nonce"));
}

TEST(SecAggAttempts, ThereAreEightAndThenTheRoundIsAbandoned) {
  for (const std::size_t losses : {7U, 8U}) {
    SecAggHarness round({.devices = 14});
    std::set<Sha256> spoilt; // rosters that lost a nonce
    round.tamper = [&](SecAggLetter& letter) {
      const auto* nonce = std::get_if<NonceOpening>(&letter.message);
      if (nonce == nullptr || spoilt.size() == losses) return true;
      if (!spoilt.insert(nonce->roster_hash).second) return true;
      round.kill(letter.device);
      return false;
    };
    round.run();
    EXPECT_EQ(spoilt.size(), losses);
    EXPECT_EQ(round.reconstructions() > 0, losses == 7);
    if (losses == 7) {
      expect_exact_sum(round, "the eighth attempt");
    } else {
      EXPECT_THAT(round.abandoned_because(), HasSubstr("in each of 8 attempts"));
    }
  }
}

TEST(SecAggAttempts, ADeviceThatComesBackInTimeCostsNone) {
  SecAggHarness round({.devices = 6});
  bool lost = false;
  round.tamper = [&](SecAggLetter& letter) {
    if (lost || !std::holds_alternative<Roster>(letter.message) || letter.device != 2) return true;
    lost = true;
    return false;
  };
  round.start();
  round.deliver();
  round.settle();
  round.deliver();
  ASSERT_TRUE(lost);
  EXPECT_EQ(round.server().awaited(), std::vector<ClientId>{round.id(2)});
  round.bounce_device(2);
  round.deliver();
  round.run();
  expect_exact_sum(round, "one roster lost");
  EXPECT_EQ(round.included().size(), 6U);
}

} // namespace
} // namespace coppice
