// SPDX-License-Identifier: Apache-2.0
#include "client/local_trainer.h"

#include <gmock/gmock.h>

#include <array>

#include "adapters/rank_slices.h"
#include "base/text.h"
#include "client/kept_rules.h"
#include "crypto/hash.h"
#include "tests/client/fake_engine.h"

namespace coppice {
namespace {

// A device's trainer on texts of its own, of which each step moves the first value by 0.1.
class LocalTrainerTest : public EngineTest {
 protected:
  LocalTrainerTest() {
    recipe_.learning_rate = 0.1F;
    recipe_.schedule = Schedule::kConstant;
    recipe_.window = 9;
    recipe_.batch_tokens = 18;
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(
          write_file_atomically(data_ / cat(i, ".txt"), as_bytes(cat("text ", i, "\n"))).ok());
    }
  }
  // From a release whose first value is 0.5.
  Result<RoundTrainer::RoundDelta> train(const RoundPlan& plan, std::optional<KeptFile> kept,
                                         std::uint32_t max_rank = 0) {
    return train_from(with_first(0.5F), plan, std::move(kept), max_rank);
  }
  Result<RoundTrainer::RoundDelta> train_from(Adapter release, const RoundPlan& plan,
                                              std::optional<KeptFile> kept,
                                              std::uint32_t max_rank = 0) {
    Workshop workshop(
        [this]() -> Result<std::unique_ptr<Engine>> {
          return std::unique_ptr<Engine>(std::make_unique<FakeEngine>(base_, world_));
        },
        data_.path(), {});
    const ManualClock clock;
    return local_trainer(workshop, clock, 7, {}, std::move(kept), max_rank)
        ->train({plan, std::make_shared<const Adapter>(std::move(release)), {}, nullptr});
  }
  RoundPlan plan_of(std::uint64_t round) const {
    RoundPlan plan;
    plan.round = RoundId{round};
    plan.recipe = recipe_;
    plan.recipe.max_steps = 2;
    return plan;
  }
  KeptBinding binding() const { return {.fleet = {}, .base = {}, .spec = sha256(spec_->encode())}; }

  Recipe recipe_;
  TemporaryFolder data_, home_;
  KeptFile kept_{home_ / "kept"};
};

TEST_F(LocalTrainerTest, ARoundsDeltaIsWhatTrainingAdded) {
  const auto delta = train(plan_of(1), {}).value();
  EXPECT_NEAR(delta.delta[0], 0.2, 1e-6);
  EXPECT_EQ(delta.delta[1], 0);
  EXPECT_GT(delta.examples, 0U);
}

TEST_F(LocalTrainerTest, NoMoreRanksAreTrainedThanThePlanSaysAndTheDeviceHasRoomFor) {
  const auto trained = [&](std::uint32_t planned, std::uint32_t most) {
    RoundPlan plan = plan_of(1);
    plan.recipe.trained_rank = planned;
    EXPECT_TRUE(train(plan, {}, most).ok());
    return world_.trained_ranks.back();
  };
  EXPECT_EQ(trained(0, 0), 0U); // all
  EXPECT_EQ(trained(0, 2), 2U);
  EXPECT_EQ(trained(3, 0), 3U);
  EXPECT_EQ(trained(3, 2), 2U);
  EXPECT_EQ(trained(2, 3), 2U);
}

// The fake engine moves the first value of A, which the device keeps.
TEST_F(LocalTrainerTest, AFactorOfItsOwnGoesOnWhereTheLastRoundThatCountedLeftIt) {
  const auto share_b = [this](std::uint64_t round) {
    RoundPlan plan = plan_of(round);
    plan.recipe.share_a = false;
    return plan;
  };
  const auto own = [this] { return kept_.counted(binding()).value().at(kKeptOwnA)[0]; };
  const auto first = train(share_b(1), kept_).value();
  EXPECT_EQ(first.delta.size(),
            spec_->parameters() - spec_->targets[0].a_elements() * spec_->targets.size());
  EXPECT_THAT(first.delta, ::testing::Each(0.0F)) << "A has no slot";
  ASSERT_TRUE(train(share_b(1), kept_).ok()); // once more: the device was killed
  ASSERT_TRUE(kept_.count(share_b(1).hash()).ok());
  EXPECT_NEAR(own(), 0.7, 1e-6);
  ASSERT_TRUE(train(share_b(2), kept_).ok()); // lost
  ASSERT_TRUE(train(share_b(3), kept_).ok());
  ASSERT_TRUE(kept_.count(share_b(3).hash()).ok());
  EXPECT_NEAR(own(), 0.9, 1e-6);
  ASSERT_TRUE(train(plan_of(4), kept_).ok()); // a recipe that shares both
  ASSERT_TRUE(kept_.count(plan_of(4).hash()).ok());
  EXPECT_TRUE(kept_.counted(binding()).value().empty());
}

TEST_F(LocalTrainerTest, ACorrectionIsAddedToTheGradientsOfTheNextRound) {
  const auto dynamic = [this](std::uint64_t round) {
    RoundPlan plan = plan_of(round);
    plan.recipe.correction = DriftCorrection::kDynamic;
    plan.recipe.proximal_mu = 0.5F;
    return plan;
  };
  ASSERT_TRUE(train(dynamic(1), kept_).ok());
  ASSERT_TRUE(kept_.count(dynamic(1).hash()).ok());
  ASSERT_TRUE(train(dynamic(2), kept_).ok());
  ASSERT_EQ(world_.offsets.size(), 2U);
  EXPECT_TRUE(world_.offsets[0].empty());
  EXPECT_NEAR(world_.offsets[1][0], 0.5 * 0.2, 1e-6); // -h = alpha (w - w_t)
  EXPECT_EQ(world_.offsets[1][1], 0);
}

TEST_F(LocalTrainerTest, WhatUploadsLostIsInTheNextDelta) {
  const auto with_feedback = [this](std::uint64_t round) {
    RoundPlan plan = plan_of(round);
    plan.encoding.error_feedback = true;
    return plan;
  };
  const auto first = train(with_feedback(1), kept_).value();
  EXPECT_TRUE(first.feedback.empty());
  std::vector<float> lost(first.delta.size());
  lost[0] = 0.05F;
  lost[1] = -0.25F;
  ASSERT_TRUE(kept_.add_made(with_feedback(1).hash(), kKeptFeedback, lost).ok());
  EXPECT_NEAR(train(with_feedback(2), kept_)->delta[0], 0.2, 1e-6) << "round 1 didn't count";
  ASSERT_TRUE(train(with_feedback(1), kept_).ok());
  ASSERT_TRUE(kept_.add_made(with_feedback(1).hash(), kKeptFeedback, lost).ok());
  ASSERT_TRUE(kept_.count(with_feedback(1).hash()).ok());
  const auto next = train(with_feedback(2), kept_).value();
  EXPECT_NEAR(next.delta[0], 0.25, 1e-6);
  EXPECT_EQ(next.delta[1], -0.25F);
  EXPECT_EQ(next.feedback, lost);
  EXPECT_NEAR(train(plan_of(3), kept_)->delta[0], 0.2, 1e-6) << "without feedback it is let go";
}

// Two clusters whose first values are 0.5 and 0.9: the loss is least where it is 1.
class ClusterTest : public LocalTrainerTest {
 protected:
  ClusterTest() : release_(repeat_as_slices(with_first(0.5F), 2)) {
    const Adapter better = with_first(0.9F);
    const auto all = slice_in_place(release_.spec(), 2, 1, better.values());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i] != 0) release_.values()[i] = all[i];
    }
  }
  RoundPlan of_clusters(std::uint64_t round) const {
    RoundPlan plan = plan_of(round);
    plan.recipe.max_steps = 1;
    plan.recipe.clusters = 2;
    return plan;
  }
  Adapter release_;
};

TEST_F(ClusterTest, ADeviceTrainsTheOneWithTheLeastLossAndSendsZerosForTheOther) {
  const auto made = train_from(release_, of_clusters(1), kept_).value();
  EXPECT_EQ(made.cluster, 1U);
  ASSERT_EQ(made.delta.size(), release_.values().size());
  EXPECT_EQ(std::ranges::count_if(made.delta, [](float value) { return value != 0; }), 1);
  Adapter next = release_;
  for (std::size_t i = 0; i < made.delta.size(); ++i) next.values()[i] += made.delta[i];
  EXPECT_EQ(slice_of(next, 2, 0).values()[0], 0.5F);
  EXPECT_NEAR(slice_of(next, 2, 1).values()[0], 1.0, 1e-6);
  world_.best = 0.4;
  EXPECT_EQ(train_from(release_, of_clusters(1), kept_)->cluster, 0U);
}

TEST_F(ClusterTest, WhatServesIsItsClusterOnceTheRoundCounts) {
  const KeptBinding binding{.fleet = {}, .base = {}, .spec = sha256(release_.spec().encode())};
  const auto used = [&] {
    const auto whole = std::make_shared<const Adapter>(release_);
    return *release_as_used(whole, kept_.counted(binding).value());
  };
  ASSERT_TRUE(train_from(release_, of_clusters(1), kept_).ok());
  EXPECT_EQ(used().values()[0], 0.5F) << "all of the release";
  EXPECT_EQ(used().spec(), release_.spec());
  ASSERT_TRUE(kept_.count(of_clusters(1).hash()).ok());
  EXPECT_EQ(used().values()[0], 0.9F);
  EXPECT_EQ(used().spec(), slice_spec(release_.spec(), 2));
  // Another strategy has no clusters: all of the release is trained, as one adapter.
  const auto whole = train_from(release_, plan_of(2), kept_).value();
  EXPECT_EQ(whole.delta.size(), release_.values().size());
  EXPECT_FALSE(whole.cluster);
}

// As in version 0: by nothing but the round and the device.
TEST_F(ClusterTest, WhereAllAreEquallyGoodOneIsDrawn) {
  const Adapter alike = repeat_as_slices(with_first(0.5F), 2);
  std::array<int, 2> drawn{};
  for (std::uint64_t round = 1; round <= 20; ++round) {
    const auto cluster = train_from(alike, of_clusters(round), kept_)->cluster.value();
    EXPECT_EQ(train_from(alike, of_clusters(round), kept_)->cluster, cluster);
    drawn.at(cluster) += 1;
  }
  EXPECT_GT(drawn[0], 3);
  EXPECT_GT(drawn[1], 3);
}

TEST_F(LocalTrainerTest, OfACoreOnlyItsCoordinatesAreSent) {
  RoundPlan plan = plan_of(1);
  plan.recipe.train_a = plan.recipe.share_a = false;
  plan.recipe.core = true;
  EXPECT_EQ(train(plan, {})->delta.size(), core_count(*spec_));
}

TEST_F(LocalTrainerTest, WithoutAPlaceToKeepThingsARecipeThatNeedsOneIsRefused) {
  RoundPlan plan = plan_of(1);
  plan.recipe.correction = DriftCorrection::kDynamic;
  EXPECT_EQ(train(plan, {}).error().code, ErrorCode::kFailedPrecondition);
}

} // namespace
} // namespace coppice
