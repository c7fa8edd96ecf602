// SPDX-License-Identifier: Apache-2.0
// `coppice privacy plan | spent | curve` and `coppice bench dp`, as a user runs them.
#include <cmath>

#include "aggregator/state_store.h"
#include "cli/fleet_setup.h"
#include "cli/privacy_bytes.h"
#include "crypto/shamir.h"
#include "protocol/envelope.h"
#include "protocol/secagg_messages.h"
#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

Json run_json(std::vector<std::string> line) {
  line.insert(line.end(), {"--format", "json"});
  const Ran ran = run_coppice(line);
  EXPECT_EQ(ran.exit, 0) << ran.error;
  return ran.json();
}

std::vector<std::string> plan_line(const std::string& population, const std::string& cohort,
                                   const std::string& rounds, const std::string& epsilon,
                                   const std::string& delta,
                                   const std::vector<std::string>& more = {}) {
  std::vector<std::string> line{"privacy",  "plan", "--population", population, "--cohort", cohort,
                                "--rounds", rounds, "--epsilon",    epsilon,    "--delta",  delta};
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

void check_noise_over_clip(const Json& row) {
  const double wanted = row["noise_multiplier"].get<double>() *
                        std::sqrt(row["parameters"].get<double>()) / row["cohort"].get<double>();
  EXPECT_NEAR(row["noise_over_clip"].get<double>(), wanted, 1e-9 * wanted);
}

// The published regime: 5,000 of 10^6 devices, epsilon 2 after 1,000 rounds, takes 0.80.
TEST(PrivacyPlan, FiveThousandOfAMillionDevicesTakeANoiseMultiplierOf080) {
  const Json plan = run_json(plan_line("1000000", "5000", "1000", "2", "1e-6"));
  EXPECT_EQ(plan["schema"], "coppice.privacy_plan.v1");
  EXPECT_EQ(fixed(plan["noise_multiplier"].get<double>(), 2), "0.80");
  EXPECT_LE(plan["accounted_epsilon"].get<double>(), 2.0);
  EXPECT_GT(plan["accounted_epsilon"].get<double>(), 1.99); // and no more noise than that takes
  EXPECT_EQ(plan["parameters"], 155648); // rank 8 on all seven modules of the base in assets/
  EXPECT_EQ(plan["adversary"], "release");
  EXPECT_EQ(plan["sampling_rate"].get<double>(), 0.005);
  EXPECT_TRUE(plan["can_learn"].get<bool>());
  EXPECT_TRUE(plan["alternatives"].empty());
  EXPECT_LE(plan["wrap_log2_probability"].get<double>(), -40);
  EXPECT_LE(plan["inflation"].get<double>(), 0.03);
  EXPECT_GT(plan["degree"].get<int>(), plan["threshold"].get<int>());
  check_noise_over_clip(plan);
  // The deltas at the ring's width, and everything else in less than a tenth of that.
  const double deltas = 155648.0 * plan["ring_bits"].get<double>() / 8;
  EXPECT_GT(plan["bytes_per_device"].get<double>(), deltas);
  EXPECT_LT(plan["bytes_per_device"].get<double>(), 1.1 * deltas);
}

TEST(PrivacyPlan, SaysWhatItTookAndWhatToSet) {
  const Ran ran = run_coppice(plan_line("1000000", "5000", "1000", "2", "1e-6",
                                        {"--parameters", "1000", "--corrupt", "0.05"}));
  EXPECT_EQ(ran.exit, 0) << ran.error;
  for (const char* words : {"1,000 parameters", "corrupt 0.05", "drop-out 0.1", "clip norm 20",
                            "adversary release", "noise = \"central\"", "whoever sees"}) {
    EXPECT_NE(ran.out.find(words), std::string::npos) << words << "\n" << ran.out;
  }
}

TEST(PrivacyPlan, WhereNothingCanLearnItOffersNearbyConfigurationsThatCan) {
  const Json plan = run_json(plan_line("20000", "500", "200", "2", "1e-5"));
  EXPECT_FALSE(plan["can_learn"].get<bool>());
  EXPECT_NE(plan["without_noise"].get<std::string>().find("sum"), std::string::npos);
  ASSERT_GE(plan["alternatives"].size(), 3U) << plan["alternatives"];
  for (const Json& other : plan["alternatives"]) {
    EXPECT_TRUE(other["can_learn"].get<bool>()) << other;
    EXPECT_LE(other["noise_over_clip"].get<double>(), 0.5) << other;
    EXPECT_LE(other["accounted_epsilon"].get<double>(), other["epsilon"].get<double>()) << other;
    EXPECT_LE(other["epsilon"].get<double>(), 10.0) << other;
    EXPECT_LE(other["cohort"].get<int>(), 10'000) << other;
    check_noise_over_clip(other);
    // Asked for by itself it is the same.
    const Json asked = run_json(plan_line("20000", cat(other["cohort"].get<int>()), "200",
                                          cat(other["epsilon"].get<double>()), "1e-5",
                                          {"--parameters", cat(other["parameters"].get<int>())}));
    EXPECT_TRUE(asked["can_learn"].get<bool>()) << other;
    EXPECT_EQ(asked["noise_multiplier"], other["noise_multiplier"]) << other;
  }
}

// What it says to set is taken, and is what it reckoned with.
TEST(PrivacyPlan, PrintsSettingsThatTheAggregatorTakes) {
  for (const char* adversary : {"release", "aggregator"}) {
    const Ran ran = run_coppice(plan_line("20000", "1000", "5", "4", "1e-6",
                                          {"--parameters", "5000", "--adversary", adversary}));
    const std::size_t begin = ran.out.find("  [round]\n");
    ASSERT_NE(begin, std::string::npos) << ran.out;
    const TestFolder folder;
    write_text(folder / "aggregator.toml", ran.out.substr(begin));
    const auto settings =
        aggregator_settings(load_aggregator_settings(folder.path(), Environment(), {}).value());
    ASSERT_TRUE(settings.ok()) << settings.error().message;
    EXPECT_EQ(settings->privacy.noise,
              adversary == std::string_view("release") ? NoiseKind::kCentral : NoiseKind::kSkellam);
    EXPECT_EQ(settings->privacy.epsilon, 4);
    EXPECT_EQ(settings->privacy.population, 20000U);
    EXPECT_EQ(settings->cohort.fraction_train, 0.05);
  }
}

// Against the aggregator the exact curve is no guide to what Skellam takes; cohort and epsilon are
// still found.
TEST(PrivacyPlan, OffersLargerCohortsAndEpsilonsForNoiseOfTheDevicesToo) {
  const Json plan =
      run_json(plan_line("1000000", "5000", "10", "2", "1e-6", {"--adversary", "aggregator"}));
  EXPECT_FALSE(plan["can_learn"].get<bool>());
  bool cohort = false;
  bool epsilon = false;
  for (const Json& other : plan["alternatives"]) {
    EXPECT_TRUE(other["can_learn"].get<bool>()) << other;
    cohort |= other["cohort"].get<int>() > 5000;
    epsilon |= other["epsilon"].get<double>() > 2;
  }
  EXPECT_TRUE(cohort);
  EXPECT_TRUE(epsilon);
}

TEST(PrivacyPlan, EightDevicesAreToldToRunWithoutNoise) {
  const std::vector<std::string> line = plan_line("8", "8", "3", "2", "1e-6");
  const Json plan = run_json(line);
  EXPECT_FALSE(plan["can_learn"].get<bool>());
  EXPECT_TRUE(plan["alternatives"].empty());
  // 49 z: sqrt(155,648) / 8.
  EXPECT_NEAR(plan["noise_over_clip"].get<double>() / plan["noise_multiplier"].get<double>(), 49.3,
              0.05);
  const Ran ran = run_coppice(line);
  EXPECT_NE(ran.out.find("run without noise"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("secure aggregation still promises"), std::string::npos) << ran.out;
}

// No amplification: the devices' noise must do it all, and Skellam takes a little more than
// sqrt(T) times the Gaussian's sigma for one release, 2.2305 at epsilon 2, delta 1e-6 (bisected
// from the exact curve).
TEST(PrivacyPlan, AgainstTheAggregatorSamplingCountsForNothing) {
  const Json plan =
      run_json(plan_line("1000000", "5000", "10", "2", "1e-6", {"--adversary", "aggregator"}));
  EXPECT_EQ(plan["sampling_rate"].get<double>(), 1.0);
  EXPECT_EQ(plan["noise"], "skellam");
  EXPECT_LE(plan["accounted_epsilon"].get<double>(), 2.0);
  const double gaussian = 2.2305 * std::sqrt(10.0);
  EXPECT_GT(plan["noise_multiplier"].get<double>(), gaussian);
  EXPECT_LT(plan["noise_multiplier"].get<double>(), 1.15 * gaussian); // Renyi against the curve
  // Shares are cut for 80 % of the devices; where all are honest and stay, there is more.
  EXPECT_GT(plan["noise_over_clip_encoded"].get<double>(),
            plan["noise_over_clip"].get<double>() * std::sqrt(1 / 0.8));
}

TEST(PrivacyPlan, RefusesWhatMakesNoSense) {
  EXPECT_EQ(run_coppice(plan_line("100", "500", "10", "2", "1e-6")).exit, 2);
  EXPECT_EQ(run_coppice(plan_line("100", "50", "10", "0", "1e-6")).exit, 2);
  const Ran both = run_coppice(
      plan_line("100", "50", "10", "2", "1e-6", {"--parameters", "100", "--rank", "4"}));
  EXPECT_EQ(both.exit, 2);
  EXPECT_NE(both.error.find("--parameters"), std::string::npos) << both.error;
}

TEST(PrivacyBytes, GrowByAnUploadsSlotsAndByABoxAndAShareForEachNeighbour) {
  RoundPlan plan;
  plan.sum.cohort = 1000;
  plan.slots = {{.name = "a", .elements = 1000, .bits = RingBits{20}},
                {.name = "b", .elements = 3, .bits = RingBits{20}}};
  const DeviceBytes few = device_bytes(plan, {100, 60}).value();
  const DeviceBytes more = device_bytes(plan, {120, 60}).value();
  EXPECT_EQ(few.packed, 2500U + 8U);
  EXPECT_EQ(few.upload, more.upload);
  const std::size_t neighbour = 4 + kShareBoxBytes + 4 + 1 + sizeof(SecretShare);
  EXPECT_EQ(more.secagg_up - few.secagg_up, 20 * neighbour);
  // One chunk more for each 256 KiB, with its envelope.
  RoundPlan large = plan;
  large.slots[0].elements = 1'000'000;
  const DeviceBytes big = device_bytes(large, {100, 60}).value();
  EXPECT_GT(big.upload, 2'500'008U);
  EXPECT_LT(big.upload, 1.002 * 2'500'008);
  // What it builds on: sealing adds the same to every upload.
  const SigningKey key = SigningKey::generate();
  const SealPublicKey seal = SealKey::generate().public_key();
  const std::size_t empty = seal_upload(key, {}, seal, Upload{}).value().size();
  const Upload full{{}, {}, Bytes(100'000)};
  EXPECT_EQ(seal_upload(key, {}, seal, full).value().size(), empty + 100'000);
}

std::vector<double> epsilons(const Json& curve) { return curve["epsilon"]; }

// (z, q, T, delta) -> epsilon as published libraries' loss distributions give it.
TEST(PrivacyCurve, EndsWhereItShould) {
  struct Row {
    const char *z, *q, *rounds, *delta;
    double epsilon;
  };
  for (const Row& row :
       {Row{"1", "0.001", "2000", "1e-7", 0.298}, Row{"0.6", "0.01", "300", "1e-6", 6.021},
        Row{"2", "0.1", "100", "1e-5", 2.337}, Row{"10", "1", "100", "1e-6", 4.8866}}) {
    const Json curve =
        run_json({"privacy", "curve", "--noise-multiplier", row.z, "--sampling-rate", row.q,
                  "--rounds", row.rounds, "--delta", row.delta, "--points", "4"});
    // Printed to three digits, and at most 1e-3 too large.
    EXPECT_NEAR(epsilons(curve["curves"][0]).back(), row.epsilon, 5e-4 + 1e-3 * row.epsilon);
  }
}

TEST(PrivacyCurve, GrowsWithRoundsAndFallsWithNoiseAndWithDelta) {
  const Json rounds =
      run_json({"privacy", "curve", "--noise-multiplier", "0.8", "--noise-multiplier", "1.2",
                "--sampling-rate", "0.005", "--rounds", "1000", "--points", "5"});
  const std::vector<double> less = epsilons(rounds["curves"][0]);
  const std::vector<double> more = epsilons(rounds["curves"][1]);
  ASSERT_EQ(less.size(), 5U);
  for (std::size_t i = 0; i < less.size(); ++i) {
    EXPECT_GT(less[i], more[i]);
    if (i == 0) continue;
    EXPECT_GT(less[i], less[i - 1]);
    EXPECT_GT(more[i], more[i - 1]);
  }
  const Json deltas = run_json({"privacy", "curve", "--noise-multiplier", "0.8", "--sampling-rate",
                                "0.005", "--rounds", "100", "--delta", "1e-6", "--over", "delta"});
  const std::vector<double> falling = epsilons(deltas["curves"][0]);
  ASSERT_EQ(falling.size(), 5U); // 1e-6 to 1e-2
  for (std::size_t i = 1; i < falling.size(); ++i) EXPECT_LE(falling[i], falling[i - 1]);
  EXPECT_LT(falling.back(), falling.front());
}

TEST(PrivacyCurve, PrintsATableAndDrawsAPicture) {
  const TestFolder folder;
  const std::string picture = (folder / "curve.svg").string();
  const Ran ran = run_coppice({"privacy", "curve", "--noise-multiplier", "0.8", "--sampling-rate",
                               "0.005", "--rounds", "1000", "--points", "4", "--out", picture});
  EXPECT_EQ(ran.exit, 0) << ran.error;
  EXPECT_NE(ran.out.find("rounds  z = 0.8\n"), std::string::npos) << ran.out;
  const auto drawn = read_file(picture, std::size_t{1} << 20U);
  ASSERT_TRUE(drawn.ok());
  EXPECT_NE(as_text(*drawn).find("epsilon"), std::string_view::npos);
}

std::string make_fleet(const TestFolder& folder) {
  const std::string fleet = (folder / "fleet").string();
  const Ran made = run_coppice({"aggregator", "init", fleet, "--model", small_model()});
  EXPECT_EQ(made.exit, 0) << made.error;
  return fleet;
}

TEST(PrivacySpent, OfANewFleetIsNothing) {
  const TestFolder folder;
  const std::string fleet = make_fleet(folder);
  const Json spent = run_json({"privacy", "spent", fleet});
  EXPECT_EQ(spent["schema"], "coppice.privacy_spent.v1");
  EXPECT_EQ(spent["epsilon"].get<double>(), 0.0);
  EXPECT_EQ(spent["rounds"], 0);
  EXPECT_TRUE(spent["mechanisms"].empty());
  const Ran ran = run_coppice({"privacy", "spent", fleet});
  EXPECT_NE(ran.out.find("Nothing was spent"), std::string::npos) << ran.out;
}

TEST(PrivacySpent, WithoutAFleetIsAnErrorThatSaysWhatToDo) {
  const TestFolder folder;
  const Ran ran = run_coppice({"privacy", "spent", folder.path().string()});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_NE(ran.error.find("aggregator init"), std::string::npos) << ran.error;
}

SpendRecord spend(std::uint64_t round, std::uint64_t times, std::uint8_t base, bool proven) {
  const Mechanism mechanism{.kind = MechanismKind::kDiscreteGaussian,
                            .adversary = Adversary::kRelease,
                            .slots = {{10'000, 10, 100, 1000}}}; // a multiplier of 10
  return {.round = RoundId{round},
          .mechanism = mechanism_text(mechanism),
          .series = RoundId{0},
          .times = times,
          .base = Sha256{{base}},
          .epsilon = 0,
          .proven = proven,
          .spent = Millis{1}};
}

// 100 rounds of multiplier 10 at rate 1: the exact curve has 4.8866 at delta 1e-6.
TEST(PrivacySpent, ComposesOverBasesMarksUnprovenChargesAndRunsBesideTheAggregator) {
  const TestFolder folder;
  const std::string fleet = make_fleet(folder);
  auto serving = StateStore::open(fleet);
  ASSERT_TRUE(serving.ok());
  ASSERT_TRUE(serving->commit_charge(spend(60, 60, 1, true)).ok());
  ASSERT_TRUE(serving->commit_charge(spend(100, 40, 2, false)).ok());
  const Json spent = run_json({"privacy", "spent", fleet});
  // Integer noise of variance 10,000 instead of real-valued: 3 of that is the note's smoothing.
  EXPECT_NEAR(spent["epsilon"].get<double>(), 4.8866, 2e-3);
  EXPECT_EQ(spent["adversary"], "release");
  EXPECT_EQ(spent["rounds"], 100);
  EXPECT_EQ(spent["unproven_rounds"], 40);
  ASSERT_EQ(spent["mechanisms"].size(), 1U);
  EXPECT_NEAR(spent["mechanisms"][0]["noise_multiplier"].get<double>(), 10, 1e-9);
  ASSERT_EQ(spent["bases"].size(), 2U);
  for (const Json& view : spent["bases"]) {
    EXPECT_GT(view["epsilon_alone"].get<double>(), 0.0);
    EXPECT_LT(view["epsilon_alone"].get<double>(), spent["epsilon"].get<double>());
  }
  const Ran ran = run_coppice({"privacy", "spent", fleet});
  EXPECT_NE(ran.out.find("40 of the rounds are charged"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("not the aggregator"), std::string::npos) << ran.out;
}

TEST(BenchDp, TellsTimesAndTheCeilingOfTheSameRun) {
  const Json bench = run_json({"bench", "dp", "--draws", "10000"});
  EXPECT_EQ(bench["schema"], "coppice.bench_dp.v1");
  for (const char* name :
       {"pld_ms", "calibration_ms", "discrete_gaussian_ms_per_million", "skellam_ms_per_million"}) {
    EXPECT_GT(bench[name]["best"].get<double>(), 0.0) << name;
    EXPECT_GE(bench[name]["middle"].get<double>(), bench[name]["best"].get<double>()) << name;
  }
  EXPECT_GT(bench["ceiling_gflops"]["f32"].get<double>(), 0.0);
  EXPECT_FALSE(bench["ceiling_of"].get<std::string>().empty());
}

} // namespace
} // namespace coppice
