// SPDX-License-Identifier: Apache-2.0
// Which rule wins depends on how clients differ: each regime of federated LoRA regression, with the
// orderings that it must show. Figures are squared relative errors; each test prints its table.
#include "tests/aggregator/lora_regression.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>

#include "adapters/factored_mean.h"
#include "adapters/factored_svd.h"

namespace coppice {
namespace {

constexpr std::size_t kNoCap = 24; // a patch of the layer's own rank loses nothing

std::vector<ProductView> products(const RegressionRound& round) {
  std::vector<ProductView> result;
  for (const Adapter& adapter : round.trained) result.push_back(product_of(adapter, 0));
  return result;
}

std::vector<double> equal_weights(const RegressionRound& round) {
  return std::vector<double>(round.trained.size(), 1.0 / static_cast<double>(round.trained.size()));
}

std::vector<ProductView> weighted_products(const RegressionRound& round) {
  auto parts = products(round);
  for (ProductView& part : parts) part.scale /= static_cast<double>(parts.size());
  return parts;
}

// The shared adapter has scale 1.
void set_factors(const Product& product, Adapter& shared) {
  std::ranges::copy(product.a, shared.a(0).begin());
  std::ranges::copy(product.b, shared.b(0).begin());
}

void average_factors(const RegressionRound& round, RegressionServer& server) {
  set_factors(padded_mean(products(round), equal_weights(round), 4, 1).value(), server.shared);
}

void add_to_patch(const Product& product, RegressionServer& server) {
  const std::vector<ProductView> both = {server.patch.view(), product.view()};
  server.patch = recompress(both, kNoCap, Balance::kSplit).value().product;
}

void stack_into_base(const RegressionRound& round, RegressionServer& server) {
  add_to_patch(stacked(weighted_products(round)).value(), server);
  server.shared = Adapter::initial(server.shared.shared_spec(), round.number + 1);
}

void average_with_residual(const RegressionRound& round, RegressionServer& server) {
  const FedexUpdate update = fedex_update(products(round), equal_weights(round), kNoCap).value();
  set_factors(update.mean, server.shared);
  add_to_patch(update.patch, server);
}

void average_products(const RegressionRound& round, RegressionServer& server) {
  set_factors(recompress(weighted_products(round), 4, Balance::kSplit).value().product,
              server.shared);
}

void average_by_norm(const RegressionRound& round, RegressionServer& server) {
  const auto clients = products(round);
  set_factors(padded_mean(clients, norm_weights(clients).value(), 4, 1).value(), server.shared);
}

const std::vector<std::uint32_t> kMixedRanks = {4, 2, 3};

std::vector<RegressionRule> all_rules() {
  return {
      {.name = "fedavg", .aggregate = average_factors},
      {.name = "ffa", .aggregate = average_factors, .trains = only_b},
      {.name = "rolora", .aggregate = average_factors, .trains = in_turn},
      {.name = "flora", .aggregate = stack_into_base},
      {.name = "fedex", .aggregate = average_with_residual},
      {.name = "flexlora", .aggregate = average_products},
      {.name = "flexlora-mixed", .aggregate = average_products, .ranks = kMixedRanks},
      {.name = "hetlora-mixed", .aggregate = average_by_norm, .ranks = kMixedRanks},
      {.name = "fedsa", .aggregate = average_factors, .keeps = Keeps::kB},
      {.name = "share-b", .aggregate = average_factors, .keeps = Keeps::kA},
      {.name = "dual", .aggregate = average_factors, .keeps = Keeps::kSecond},
      {.name = "finetune", .aggregate = average_factors, .keeps = Keeps::kTuned},
      {.name = "local-only", .aggregate = nullptr, .keeps = Keeps::kAdapter},
  };
}

using Errors = std::map<std::string, double>;

Errors run(const char* regime, RegressionTarget target) {
  Errors errors;
  std::printf("%-16s %9s %9s %9s  lr\n", regime, "mean", "lowest", "highest");
  for (const RegressionRule& rule : all_rules()) {
    const RegressionResult result = tuned_regression(rule, target);
    std::printf("%-16s %9.4f %9.4f %9.4f  %g\n", rule.name, result.mean, result.low, result.high,
                result.learning_rate);
    errors[rule.name] = result.mean;
  }
  return errors;
}

TEST(LoraRegressionTest, WhereRankRunsShortExactAggregationWins) {
  Errors errors = run("full rank", RegressionTarget::kFullRank);
  EXPECT_LT(errors["flora"], errors["fedex"]);
  EXPECT_LT(errors["fedex"], 0.25 * errors["fedavg"]);
  // The best of rank 4 is no better by much: re-projection can't replace rank.
  EXPECT_GT(errors["flexlora"], 0.8 * errors["fedavg"]);
}

TEST(LoraRegressionTest, WhereRankSufficesAllButAFrozenFactorLearn) {
  Errors errors = run("low rank", RegressionTarget::kLowRank);
  EXPECT_GT(errors["ffa"], 0.8); // 1 - r / n = .83 of a random W lies outside A's rows
  for (const char* rule : {"fedavg", "rolora", "flora", "fedex", "flexlora"}) {
    EXPECT_LT(errors[rule], 0.01) << rule;
  }
  EXPECT_GT(errors["local-only"], 0.3);
}

TEST(LoraRegressionTest, WhereOutputsDifferSharingAWins) {
  Errors errors = run("output map", RegressionTarget::kOutputMap);
  EXPECT_LT(errors["fedsa"], 0.05);
  EXPECT_GT(errors["local-only"], 0.3);
  EXPECT_GT(errors["fedavg"], 0.8);
}

TEST(LoraRegressionTest, WhereInputsDifferSharingAFails) {
  Errors errors = run("input map", RegressionTarget::kInputMap);
  EXPECT_GT(errors["fedsa"], 0.7);
  EXPECT_LT(errors["share-b"], 0.7 * errors["fedsa"]);
  EXPECT_LT(errors["local-only"], 0.7 * errors["fedsa"]);
}

TEST(LoraRegressionTest, WhereClientsDeviateASecondAdapterWins) {
  Errors errors = run("deviation", RegressionTarget::kDeviation);
  EXPECT_LT(errors["dual"], 0.75 * errors["fedavg"]);
  EXPECT_LT(errors["dual"], errors["local-only"]);
  EXPECT_LT(errors["dual"], errors["finetune"]);
}

} // namespace
} // namespace coppice
