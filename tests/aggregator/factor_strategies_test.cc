// SPDX-License-Identifier: Apache-2.0
// Strategies over the devices' own factors beside the dense matrices that they stand for: what
// FedEx-LoRA, FLoRA, FlexLoRA and HetLoRA each promise (T0), on random factors.
#include <gmock/gmock.h>

#include <cmath>

#include "adapters/factor_choice.h"
#include "adapters/factored_svd.h"
#include "aggregator/patch.h"
#include "aggregator/round_maker.h"
#include "tests/adapters/factored_svd_dense.h"

namespace coppice {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr std::size_t kOut = 48;
constexpr std::size_t kIn = 40;
constexpr std::uint32_t kTrained = 4;
constexpr std::uint32_t kRoomy = 36; // holds what some rounds of four devices leave
constexpr double kAlpha = 8;         // s = 2

std::shared_ptr<const AdapterSpec> spec_of_rank(std::uint32_t rank) {
  AdapterSpec spec{.architecture = "none", .targets = {}};
  for (const char* name : {"first", "second"}) {
    spec.targets.push_back({.tensor = name,
                            .in = kIn,
                            .out = kOut,
                            .rank = rank,
                            .alpha = static_cast<float>(kAlpha)});
  }
  return std::make_shared<const AdapterSpec>(std::move(spec));
}

struct Made {
  Adapter next;
  std::vector<MetricMean> metrics;
};

// Rounds of devices whose deltas are random in the ranks that each trains.
class Fleet {
 public:
  Adapter shared;
  RoundPlan plan;

  Fleet(const std::string& strategy, std::uint32_t patch)
      : shared(with_patch(Adapter::initial(spec_of_rank(kTrained), 7), patch).value()),
        strategy_(make_strategy({.name = strategy}, false).value()) {
    plan.recipe.trained_rank = patch > 0 ? kTrained : 0;
    plan.recipe.seed = 5;
  }

  // One a device: its adapter after training.
  std::vector<Adapter> train(std::span<const std::uint32_t> ranks) {
    plan.round.value += 1;
    plan.sum.cohort = static_cast<std::uint32_t>(ranks.size());
    strategy_->prepare(plan);
    groups_.clear();
    std::vector<Adapter> trained;
    for (const std::uint32_t rank : ranks) {
      Adapter& adapter = trained.emplace_back(shared);
      KeyedRandom random({.experiment = 11, .round = plan.round.value, .client = trained.size()});
      std::vector<double> delta(shared.values().size());
      const double weight = static_cast<double>(trained.size()); // 1, 2, ...
      for_each_chosen(shared.spec(), {.rank = rank}, [&](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) {
          const float moved = random.uniform_float() - 0.5F;
          adapter.values()[i] += moved;
          delta[i] = weight * static_cast<double>(moved);
        }
      });
      groups_.push_back({.delta = std::move(delta), .weight = weight, .participants = 1});
    }
    return trained;
  }
  void reverse() { std::ranges::reverse(groups_); }
  Made finish() {
    StrategyState state;
    std::vector<MetricMean> metrics;
    const auto step = strategy_->step({plan, groups_, shared, &metrics}, state).value();
    Adapter next = shared;
    for (std::size_t i = 0; i < step.size(); ++i) {
      next.values()[i] = static_cast<float>(static_cast<double>(next.values()[i]) + step[i]);
    }
    return {std::move(next), std::move(metrics)};
  }

 private:
  std::unique_ptr<Strategy> strategy_;
  std::vector<RoundSum> groups_;
};

constexpr std::array<std::uint32_t, 4> kFour{kTrained, kTrained, kTrained, kTrained};

bool entry_has_patch(std::string_view name) {
  return std::ranges::find(all_strategies(), name, &StrategyEntry::name)->patch;
}

// p_i of weights 1, 2, ...
double share(std::size_t device, std::size_t devices) {
  return static_cast<double>(device + 1) / (static_cast<double>(devices * (devices + 1)) / 2);
}

// s B A of a target, of all its ranks.
DenseMatrix dense(const Adapter& adapter, std::size_t target) {
  return dense_product(product_of(adapter, target));
}

DenseMatrix mean_of(const std::vector<Adapter>& trained, std::size_t target) {
  std::vector<ProductView> parts;
  for (std::size_t i = 0; i < trained.size(); ++i) {
    parts.push_back(product_of(trained[i], target, share(i, trained.size())));
  }
  return dense_sum(parts);
}

DenseMatrix minus(DenseMatrix left, const DenseMatrix& right) {
  for (std::size_t i = 0; i < left.size(); ++i) left[i] -= right[i];
  return left;
}

// s B A of the trained ranks alone.
DenseMatrix trained_part(const Adapter& adapter, std::size_t target) {
  Product cut = resized({.out = kOut,
                         .in = kIn,
                         .rank = adapter.spec().targets[target].rank,
                         .b = {adapter.b(target).begin(), adapter.b(target).end()},
                         .a = {adapter.a(target).begin(), adapter.a(target).end()}},
                        kTrained);
  return dense_product(cut.view(static_cast<double>(adapter.spec().scale(target))));
}

DenseMatrix patch_part(const Adapter& adapter, std::size_t target) {
  return minus(dense(adapter, target), trained_part(adapter, target));
}

double tail_energy(const DenseMatrix& matrix, std::size_t rank) {
  const auto values = dense_singular_values(matrix, kOut, kIn);
  double tail = 0;
  for (std::size_t k = rank; k < values.size(); ++k) tail += values[k] * values[k];
  return tail;
}

double energy(const DenseMatrix& matrix) { return std::pow(dense_norm(matrix), 2); }

// base + patch + s mean(B) mean(A) = base + old patch + mean(s B A), whatever the patch was. A
// residual of four devices has rank 12, so the patch has room for three.
TEST(FedEx, PatchAndMeanFactorsTogetherAreTheMeanOfTheProducts) {
  Fleet fleet("fedex", kRoomy);
  for (int round = 0; round < 3; ++round) {
    const auto trained = fleet.train(kFour);
    const Made made = fleet.finish();
    for (std::size_t target = 0; target < 2; ++target) {
      const DenseMatrix mean = mean_of(trained, target); // the old patch is in each of them
      EXPECT_LE(dense_distance(dense(made.next, target), mean), 5e-7 * dense_norm(mean));
      EXPECT_GT(dense_distance(trained_part(made.next, target), mean), 0.1 * dense_norm(mean));
    }
    EXPECT_EQ(made.metrics.back().name, kMetricPatchDropped);
    EXPECT_LT(made.metrics.back().mean, 1e-12);
    fleet.shared = made.next;
  }
}

TEST(FedEx, TheTrainedFactorsAreTheMeanOfTheDevices) {
  Fleet fleet("fedex", kRoomy);
  const auto trained = fleet.train(kFour);
  const Made made = fleet.finish();
  for (std::size_t i = 0; i < kTrained * kIn; ++i) { // A's first rows
    double mean = 0;
    for (std::size_t c = 0; c < trained.size(); ++c) {
      mean += share(c, trained.size()) * static_cast<double>(trained[c].a(0)[i]);
    }
    EXPECT_NEAR(static_cast<double>(made.next.a(0)[i]), mean, 1e-7);
  }
}

// With less room the patch is the best of its rank, and what it drops is the rest's energy.
TEST(FedEx, ASmallPatchDropsTheTailThatItTellsOf) {
  constexpr std::uint32_t kSmall = 3;
  Fleet fleet("fedex", kSmall);
  for (int round = 0; round < 2; ++round) {
    const auto trained = fleet.train(kFour);
    const Made made = fleet.finish();
    double dropped = 0, whole = 0;
    for (std::size_t target = 0; target < 2; ++target) {
      const DenseMatrix wanted = minus(mean_of(trained, target), trained_part(made.next, target));
      const double tail = tail_energy(wanted, kSmall);
      ASSERT_GT(tail, 0.01 * energy(wanted));
      EXPECT_NEAR(energy(minus(wanted, patch_part(made.next, target))), tail, 1e-5 * tail);
      dropped += tail;
      whole += energy(wanted);
    }
    EXPECT_NEAR(made.metrics.back().mean, dropped / whole, 1e-5);
    fleet.shared = made.next;
  }
}

// A device that trains fewer ranks has the others as it received them: the mean stays exact.
TEST(FedEx, RanksByDeviceLeaveTheMeanOfTheProductsExact) {
  Fleet fleet("fedex", kRoomy);
  const auto trained = fleet.train(std::array<std::uint32_t, 4>{4, 1, 2, 3});
  const Made made = fleet.finish();
  const DenseMatrix mean = mean_of(trained, 0);
  EXPECT_LE(dense_distance(dense(made.next, 0), mean), 5e-7 * dense_norm(mean));
}

// A stack of four devices has rank 16, so the patch has room for two.
TEST(FLora, ThePatchGrowsByTheSumOfTheProductsAndFactorsBeginAnew) {
  Fleet fleet("flora", kRoomy);
  for (int round = 0; round < 2; ++round) {
    const auto trained = fleet.train(kFour);
    const Made made = fleet.finish();
    for (std::size_t target = 0; target < 2; ++target) {
      const DenseMatrix mean = mean_of(trained, target);
      EXPECT_LE(dense_distance(patch_part(made.next, target), mean), 5e-7 * dense_norm(mean));
      EXPECT_EQ(dense_norm(trained_part(made.next, target)), 0); // B is zero
    }
    EXPECT_LT(made.metrics.back().mean, 1e-12);
    fleet.shared = made.next;
  }
}

TEST(FLora, ASmallPatchDropsTheTailThatItTellsOf) {
  constexpr std::uint32_t kSmall = 3;
  Fleet fleet("flora", kSmall);
  const auto trained = fleet.train(kFour);
  const Made made = fleet.finish();
  double dropped = 0, whole = 0;
  for (std::size_t target = 0; target < 2; ++target) {
    const DenseMatrix wanted = mean_of(trained, target);
    const double tail = tail_energy(wanted, kSmall);
    EXPECT_NEAR(energy(minus(wanted, patch_part(made.next, target))), tail, 1e-5 * tail);
    dropped += tail;
    whole += energy(wanted);
  }
  EXPECT_GT(dropped / whole, 0.01);
  EXPECT_NEAR(made.metrics.back().mean, dropped / whole, 1e-5);
}

// Each target's as Adapter::initial draws all of them; the same for the same plan.
TEST(FLora, EachRoundDrawsAFromItsOwnSeed) {
  Fleet fleet("flora", kRoomy);
  fleet.train(kFour);
  const Made once = fleet.finish();
  const Made again = fleet.finish();
  EXPECT_TRUE(std::ranges::equal(once.next.values(), again.next.values()));
  const float bound = 1 / std::sqrt(static_cast<float>(kIn));
  const auto rows = [](const Adapter& adapter, std::size_t target) {
    return adapter.a(target).first(std::size_t{kTrained} * kIn);
  };
  EXPECT_FALSE(std::ranges::equal(rows(once.next, 0), rows(once.next, 1)));
  EXPECT_FALSE(std::ranges::equal(rows(once.next, 0), rows(fleet.shared, 0)));
  for (const float value : rows(once.next, 0)) EXPECT_LE(std::abs(value), bound * 1.000001F);
  fleet.train(kFour);
  EXPECT_FALSE(std::ranges::equal(rows(once.next, 0), rows(fleet.finish().next, 0)));
}

// A device that trains the first ranks alone trains the best approximation of that rank.
TEST(FlexLora, EachPrefixOfTheNextAdapterIsTheBestOfItsRank) {
  Fleet fleet("flexlora", 0);
  const auto trained = fleet.train(std::array<std::uint32_t, 4>{4, 2, 1, 3});
  const Made made = fleet.finish();
  const DenseMatrix mean = mean_of(trained, 0);
  const Product whole{.out = kOut,
                      .in = kIn,
                      .rank = kTrained,
                      .b = {made.next.b(0).begin(), made.next.b(0).end()},
                      .a = {made.next.a(0).begin(), made.next.a(0).end()}};
  for (std::size_t rank = 1; rank <= kTrained; ++rank) {
    const double tail = tail_energy(mean, rank);
    EXPECT_NEAR(energy(minus(mean, dense_product(resized(whole, rank).view(2)))), tail, 1e-5 * tail)
        << rank;
  }
}

TEST(FactorStrategies, TheSameUpdatesGiveTheSameBitsInAnyOrder) {
  for (const char* name : {"flexlora", "hetlora", "fedex", "flora"}) {
    Fleet fleet(name, entry_has_patch(name) ? 8 : 0);
    fleet.train(std::array<std::uint32_t, 4>{4, 2, 1, 3});
    const Made once = fleet.finish();
    fleet.reverse();
    const Made again = fleet.finish();
    EXPECT_TRUE(std::ranges::equal(once.next.values(), again.next.values())) << name;
  }
}

// Shares by |B A| of the ranks that a device trained, as the dense matrices have them.
TEST(HetLora, ADeviceCountsByTheNormOfTheRanksThatItTrained) {
  Fleet fleet("hetlora", 0);
  const std::array<std::uint32_t, 3> ranks{4, 1, 2};
  const auto trained = fleet.train(ranks);
  const Made made = fleet.finish();
  for (std::size_t target = 0; target < 2; ++target) {
    std::vector<double> norms;
    double sum = 0;
    for (std::size_t c = 0; c < trained.size(); ++c) {
      const Product whole{.out = kOut,
                          .in = kIn,
                          .rank = kTrained,
                          .b = {trained[c].b(target).begin(), trained[c].b(target).end()},
                          .a = {trained[c].a(target).begin(), trained[c].a(target).end()}};
      norms.push_back(dense_norm(dense_product(resized(whole, ranks[c]).view())));
      sum += norms.back();
    }
    EXPECT_GT(norms[0], 1.2 * norms[1]); // more ranks, more norm
    const auto moved = [&](std::span<const float> after, std::size_t i, auto of) {
      double wanted = 0;
      for (std::size_t c = 0; c < trained.size(); ++c) {
        wanted += norms[c] / sum * static_cast<double>(of(trained[c])[i]);
      }
      EXPECT_NEAR(static_cast<double>(after[i]), wanted, 1e-6);
    };
    for (std::size_t i = 0; i < kTrained * kIn; ++i) {
      moved(made.next.a(target), i, [&](const Adapter& of) { return of.a(target); });
    }
    for (std::size_t i = 0; i < kTrained * kOut; ++i) {
      moved(made.next.b(target), i, [&](const Adapter& of) { return of.b(target); });
    }
  }
}

TEST(HetLora, ARankThatNobodyTrainedStaysAsItWas) {
  Fleet fleet("hetlora", 0);
  fleet.train(std::array<std::uint32_t, 2>{2, 2});
  const Made made = fleet.finish();
  for (std::size_t i = 2 * kIn; i < kTrained * kIn; ++i) {
    EXPECT_NEAR(made.next.a(0)[i], fleet.shared.a(0)[i], 1e-7);
  }
}

AggregatorSettings in_the_open(std::vector<Override> set) {
  set.push_back({"round.secure_aggregation", "false", ""});
  return aggregator_settings(Settings::load(aggregator_keys(), std::nullopt, {}, set).value())
      .value();
}

TEST(Patch, IsTwiceTheRankUnlessItIsSet) {
  EXPECT_EQ(patch_rank(in_the_open({{"round.strategy", "fedex", ""}})), 16U);
  EXPECT_EQ(patch_rank(in_the_open({{"round.strategy", "FLoRA", ""}, {"lora.r", "4", ""}})), 8U);
  EXPECT_EQ(
      patch_rank(in_the_open({{"round.strategy", "fedex", ""}, {"strategy.patch_rank", "5", ""}})),
      5U);
  EXPECT_EQ(patch_rank(in_the_open({{"strategy.patch_rank", "5", ""}})), 0U); // fedavg
}

TEST(Patch, LeavesProductAndScaleOfVersionZeroAsTheyWere) {
  for (const LoraScaling scaling : {LoraScaling::kStandard, LoraScaling::kRankStabilized}) {
    AdapterSpec spec = *spec_of_rank(kTrained);
    spec.scaling = scaling;
    Adapter start = Adapter::initial(std::make_shared<const AdapterSpec>(spec), 3);
    for (float& value : start.b(1)) value = 0.25F;
    const Adapter made = with_patch(start, 8).value();
    EXPECT_EQ(made.spec().targets[0].rank, 12U);
    for (std::size_t target = 0; target < 2; ++target) {
      EXPECT_FLOAT_EQ(made.spec().scale(target), start.spec().scale(target));
      EXPECT_LE(dense_distance(dense(made, target), dense(start, target)),
                1e-7 * dense_norm(dense(start, target)));
      EXPECT_EQ(dense_norm(patch_part(made, target)), 0);
    }
    const Adapter fresh = initial_below_patch(made.shared_spec(), 8, 3);
    EXPECT_TRUE(std::ranges::equal(fresh.a(0), made.a(0)));
    EXPECT_EQ(trained_rank(made.spec(), 8).value(), kTrained);
  }
}

TEST(Patch, IsRefusedWhereItHasNoRoom) {
  const auto wide = with_patch(Adapter(spec_of_rank(kTrained)), kRoomy + 1);
  ASSERT_FALSE(wide.ok());
  EXPECT_THAT(wide.error().message, HasSubstr("strategy.patch_rank"));
  const auto missing = trained_rank(*spec_of_rank(8), 16);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(missing.error().message, HasSubstr("begin a fleet"));
  const auto optimized =
      make_strategy({.name = "fedex", .server_optimizer = ServerOptimizerKind::kAdam}, false);
  ASSERT_FALSE(optimized.ok());
  EXPECT_THAT(optimized.error().message, HasSubstr("server_optimizer"));
}

// What devices are asked, and what comes of their sums: slots of the trained ranks alone, a release
// of all ranks within the encoding of a step, the patch's figure among the round's.
TEST(Patch, ARoundAsksForTheTrainedRanksAndReleasesAll) {
  const AggregatorSettings settings =
      in_the_open({{"round.strategy", "fedex", ""}, {"lora.r", "4", ""}});
  const auto fedex = make_strategy(settings.strategy, false).value();
  const Adapter current = with_patch(Adapter::initial(spec_of_rank(kTrained), 7), 8).value();
  const RoundPlan plan =
      make_plan({}, settings, *fedex, current.spec(), {.round = {1}, .cohort = 3}).value();
  EXPECT_EQ(plan.recipe.trained_rank, kTrained);
  EXPECT_EQ(plan.delta_elements(), 2 * kTrained * (kIn + kOut));
  std::vector<std::uint32_t> sums(3 * plan.ring_elements());
  KeyedRandom random({.experiment = 9});
  for (std::uint32_t& value : sums) value = static_cast<std::uint32_t>(random.next_u64() % 1000);
  const std::vector<std::uint32_t> participants(3, 1);
  StrategyState state;
  const auto outcome = finish_round(plan, *fedex, {sums, participants}, current, state).value();
  EXPECT_EQ(outcome.metrics.back().name, kMetricPatchDropped);
  EXPECT_GE(outcome.metrics.back().mean, 0);
  EXPECT_LE(outcome.metrics.back().mean, 1);
  EXPECT_EQ(outcome.step.integers.size(), current.values().size());
  EXPECT_GT(dense_norm(patch_part(outcome.adapter, 0)), 0);
}

} // namespace
} // namespace coppice
