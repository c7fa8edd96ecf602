// SPDX-License-Identifier: Apache-2.0
#include "privacy/accountant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "privacy/gaussian_curve.h"
#include "privacy/pld.h"
#include "privacy/rdp.h"

namespace coppice {
namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();
constexpr std::uint64_t kDimension = 1 << 16;
constexpr double kL2 = 400.0;

NoisedVector vector_with(double variance) {
  return {.variance = variance,
          .l2_sensitivity = kL2,
          .l1_sensitivity = l1_sensitivity_bound(kL2, kDimension),
          .dimension = kDimension};
}

// Central noise whose continuous counterpart has this multiplier.
Mechanism central(double z, double rate) {
  return {.kind = MechanismKind::kDiscreteGaussian,
          .adversary = Adversary::kRelease,
          .sampling_rate = rate,
          .slots = {vector_with(discrete_gaussian_variance(z, kL2, kDimension))}};
}

Mechanism distributed(MechanismKind kind, double z) {
  return {.kind = kind,
          .adversary = Adversary::kAggregator,
          .shares = 100,
          .slots = {vector_with(z * z * kL2 * kL2)}};
}

double epsilon(const std::vector<Spend>& spends, double delta = 1e-6) {
  const auto result = spent_epsilon(spends, delta);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : -1.0;
}

TEST(Accountant, CalibratesThePlansOfTheNote) {
  const struct {
    std::uint64_t rounds;
    double multiplier;
  } rows[] = {{1000, 0.80}, {2000, 0.864}, {5000, 1.055}};
  for (const auto& row : rows) {
    const double z = *noise_multiplier_for({2.0, 1e-6, 5000.0 / 1e6, row.rounds});
    EXPECT_NEAR(z, row.multiplier, row.rounds == 1000 ? 5e-3 : 5e-4);
    const SampledGaussian group{z, 0.005, row.rounds};
    EXPECT_LE(*pld_epsilon({&group, 1}, 1e-6), 2.0);
    const SampledGaussian less{z * (1.0 - 1e-5), 0.005, row.rounds};
    EXPECT_GT(*pld_epsilon({&less, 1}, 1e-6), 2.0);
  }
}

TEST(Accountant, CalibratesLikeDpAccounting) {
  EXPECT_NEAR(*noise_multiplier_for({1.0, 1e-5, 0.01, 1}), 0.67379294682, 1e-5);
  EXPECT_NEAR(*noise_multiplier_for({1.0, 1e-5, 0.001, 25}) * 6.0, 3.20956502598, 1e-4);
  // Opacus, by another accountant whose error it adds: 1.34765625 and 1.2915.
  EXPECT_NEAR(*noise_multiplier_for({8.0, 1e-5, 0.04, 2250}), 1.34765625, 3e-3);
  EXPECT_NEAR(*noise_multiplier_for({8.0, 1e-5, 0.04, 2000}), 1.2915, 3e-3);
  EXPECT_NEAR(*noise_multiplier_for({2.25, 4.0834087e-4, 1.0, 1}), std::sqrt(2.0), 1e-6);
}

TEST(Accountant, CentralDiscreteNoiseCostsWhatItsContinuousCounterpartDoes) {
  const SampledGaussian group{0.8, 0.005, 1000};
  const double continuous = *pld_epsilon({&group, 1}, 1e-6);
  EXPECT_NEAR(epsilon({{central(0.8, 0.005), 1000}}), continuous, 1e-7);
  EXPECT_NEAR(*spent_delta(std::vector<Spend>{{central(0.8, 0.005), 1000}}, 2.0),
              *pld_delta({&group, 1}, 2.0), 1e-12);
  EXPECT_NEAR(epsilon({{central(5.0, 1.0), 20}}), *gaussian_epsilon(1e-6, std::sqrt(20.0) / 5.0),
              1e-9);
}

// Its variance, not its counterpart's, would be the wrong one: 2.9 units out of 100 here.
TEST(Accountant, TheContinuousFigureIsNotTakenForTheDiscreteNoise) {
  Mechanism mechanism = central(1.0, 0.01);
  mechanism.slots[0] = {
      .variance = 100.0, .l2_sensitivity = 10.0, .l1_sensitivity = 100.0, .dimension = 1 << 20};
  const SampledGaussian same{1.0, 0.01, 100};
  EXPECT_GT(epsilon({{mechanism, 100}}), *pld_epsilon({&same, 1}, 1e-6) * 1.005);
}

TEST(Accountant, NoiseOfAboutOneUnitIsAccountedAtRateOne) {
  Mechanism mechanism = central(1.0, 0.01);
  mechanism.slots[0] = {
      .variance = 2.0, .l2_sensitivity = 1.0, .l1_sensitivity = 1.0, .dimension = 1000};
  const double sampled = epsilon({{mechanism, 3}});
  mechanism.sampling_rate = 1.0;
  EXPECT_EQ(sampled, epsilon({{mechanism, 3}}));
  // Concentrated with rho = 3 / 4, by the best order: a bit above the Gaussian's curve.
  EXPECT_GT(sampled, *gaussian_epsilon(1e-6, std::sqrt(1.5)));
  EXPECT_LT(sampled, 1.12 * *gaussian_epsilon(1e-6, std::sqrt(1.5)));
}

TEST(Accountant, DistributedNoiseIsAccountedAtRateOneWhateverTheRate) {
  for (const MechanismKind kind :
       {MechanismKind::kDistributedSkellam, MechanismKind::kDistributedDiscreteGaussian}) {
    Mechanism mechanism = distributed(kind, 20.0);
    const double full = epsilon({{mechanism, 10}});
    mechanism.sampling_rate = 0.001;
    EXPECT_EQ(epsilon({{mechanism, 10}}), full);
    mechanism.adversary = Adversary::kRelease;
    EXPECT_EQ(epsilon({{mechanism, 10}}), full);
    // Shares are wide: the same as central noise, but for the conversion from Renyi values.
    const double gaussian = *gaussian_epsilon(1e-6, std::sqrt(10.0) / 20.0);
    EXPECT_GT(full, gaussian);
    EXPECT_LT(full, 1.12 * gaussian);
  }
}

TEST(Accountant, SkellamCostsMoreThanTheGaussianWhereNoiseIsSmall) {
  Mechanism mechanism = distributed(MechanismKind::kDistributedSkellam, 1.0);
  mechanism.slots[0] = {
      .variance = 16.0, .l2_sensitivity = 4.0, .l1_sensitivity = 16.0, .dimension = 100};
  const double skellam = epsilon({{mechanism, 1}});
  mechanism.kind = MechanismKind::kDistributedDiscreteGaussian;
  mechanism.shares = 4;
  EXPECT_GT(skellam, 1.05 * epsilon({{mechanism, 1}}));
}

TEST(Accountant, BandedNoiseIsOneGaussianOfTheWholeSeries) {
  Mechanism series{.kind = MechanismKind::kBanded,
                   .adversary = Adversary::kRelease,
                   .column_norm = 1.5,
                   .participations = 4,
                   .slots = {vector_with(36.0 * kL2 * kL2)}};
  // L2 is 2 * 1.5 * kL2: like one release of z = 2.
  const double exact = *gaussian_epsilon(1e-6, 0.5);
  EXPECT_GT(epsilon({{series, 1}}), exact);
  EXPECT_LT(epsilon({{series, 1}}), 1.12 * exact);
  const double once = epsilon({{series, 1}});
  series.participations = 5;
  EXPECT_GT(epsilon({{series, 1}}), once);
}

TEST(Accountant, SlotsOfOneRoundAreOneMechanism) {
  // The clipped bit rides along: 1 unit, noise 20, beside the delta.
  Mechanism both = central(0.8, 0.005);
  both.slots.push_back({.variance = discrete_gaussian_variance(20.0, 1.0, 1),
                        .l2_sensitivity = 1.0,
                        .l1_sensitivity = 1.0,
                        .dimension = 1});
  const double z[] = {0.8, 20.0};
  const double together = combined_noise_multiplier(z);
  EXPECT_NEAR(together, 1.0 / std::sqrt(1.0 / 0.64 + 1.0 / 400.0), 1e-15);
  EXPECT_NEAR(epsilon({{both, 100}}), epsilon({{central(together, 0.005), 100}}), 1e-8);
  EXPECT_GT(epsilon({{both, 100}}), epsilon({{central(0.8, 0.005), 100}}));
}

TEST(Accountant, CombinedMultipliersHaveTheirEnds) {
  EXPECT_EQ(combined_noise_multiplier({}), kUnbounded);
  const double none[] = {1.0, 0.0};
  EXPECT_EQ(combined_noise_multiplier(none), 0.0);
  // Andrew et al.: z_delta = (z^-2 - (2 sigma_b)^-2)^(-1/2), and back.
  const double parts[] = {1.0 / std::sqrt(1.0 - 1.0 / 100.0), 10.0};
  EXPECT_NEAR(combined_noise_multiplier(parts), 1.0, 1e-14);
}

TEST(Accountant, KindsComposeAndEachRoundAdds) {
  const Spend sampled{central(0.8, 0.005), 500};
  const Spend full{central(10.0, 1.0), 5};
  const Spend skellam{distributed(MechanismKind::kDistributedSkellam, 20.0), 5};
  const double two = epsilon({sampled, full});
  const double three = epsilon({sampled, full, skellam});
  EXPECT_GT(two, epsilon({sampled}));
  EXPECT_GT(two, epsilon({full}));
  EXPECT_GT(three, two);
  EXPECT_LT(three, epsilon({sampled, full}, 5e-7) + epsilon({skellam}, 5e-7) + 1e-12);
  EXPECT_NEAR(epsilon({skellam, sampled, full}), three, 1e-9 * three);
  const auto delta = spent_delta(std::vector<Spend>{sampled, full, skellam}, three);
  EXPECT_GT(*delta, 1e-12);
  EXPECT_LT(*delta, 1e-4);
}

TEST(Accountant, ARoundWithoutNoiseCostsEverything) {
  const Mechanism none{.kind = MechanismKind::kNone, .adversary = Adversary::kRelease};
  EXPECT_EQ(epsilon({{none, 1}}), kUnbounded);
  EXPECT_EQ(epsilon({{central(1.0, 0.01), 10}, {none, 1}}), kUnbounded);
  EXPECT_EQ(*spent_delta(std::vector<Spend>{{none, 1}}, 5.0), 1.0);
  EXPECT_EQ(epsilon({{none, 0}}), 0.0);
  Mechanism silent = central(1.0, 0.01);
  silent.slots[0].variance = 0.0;
  EXPECT_EQ(epsilon({{silent, 1}}), kUnbounded);
  EXPECT_EQ(epsilon({}), 0.0);
  EXPECT_EQ(*spent_delta({}, 0.0), 0.0);
}

TEST(Accountant, CentralNoisePromisesNothingAgainstTheAggregator) {
  for (const MechanismKind kind : {MechanismKind::kDiscreteGaussian, MechanismKind::kBanded}) {
    Mechanism mechanism = central(1.0, 0.01);
    mechanism.kind = kind;
    mechanism.adversary = Adversary::kAggregator;
    EXPECT_EQ(check_mechanism(mechanism).error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(spent_epsilon(std::vector<Spend>{{mechanism, 1}}, 1e-6).ok());
  }
}

TEST(Accountant, SenselessMechanismsAndTargetsAreRefused) {
  const auto refused = [](auto change) {
    Mechanism mechanism = central(1.0, 0.01);
    change(mechanism);
    return !check_mechanism(mechanism).ok();
  };
  EXPECT_TRUE(refused([](Mechanism& m) { m.sampling_rate = 0.0; }));
  EXPECT_TRUE(refused([](Mechanism& m) { m.sampling_rate = 1.5; }));
  EXPECT_TRUE(refused([](Mechanism& m) { m.shares = 0; }));
  EXPECT_TRUE(refused([](Mechanism& m) { m.participations = 0; }));
  EXPECT_TRUE(refused([](Mechanism& m) { m.column_norm = std::nan(""); }));
  EXPECT_TRUE(refused([](Mechanism& m) { m.slots.clear(); }));
  EXPECT_TRUE(refused([](Mechanism& m) { m.slots[0].dimension = 0; }));
  EXPECT_FALSE(spent_epsilon({}, 0.0).ok());
  EXPECT_FALSE(spent_delta({}, -1.0).ok());
  const std::vector<Spend> many = {{central(1.0, 0.01), kMaxPldSteps}, {central(1.0, 0.01), 1}};
  EXPECT_EQ(spent_epsilon(many, 1e-6).error().code, ErrorCode::kTooLarge);
  EXPECT_FALSE(noise_multiplier_for({0.0, 1e-6, 0.1, 10}).ok());
  EXPECT_FALSE(noise_multiplier_for({1.0, 1.0, 0.1, 10}).ok());
  EXPECT_FALSE(noise_multiplier_for({1.0, 1e-6, 0.0, 10}).ok());
  EXPECT_FALSE(noise_multiplier_for({1.0, 1e-6, 0.1, 0}).ok());
}

} // namespace
} // namespace coppice
