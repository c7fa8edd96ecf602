// SPDX-License-Identifier: Apache-2.0
// Server optimizers and robust rules beside Flower 1.41's own, on tests/vectors/flower; and where
// the papers say something else than Flower, that the two are told apart.
#include <gmock/gmock.h>

#include <set>
#include <string>

#include "aggregator/krum.h"
#include "aggregator/robust_rules.h"
#include "aggregator/server_optimizer.h"
#include "base/file.h"
#include "formats/json.h"
#include "tests/aggregator/update_samples.h"

namespace coppice {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

using Numbers = std::vector<double>;
constexpr double kTolerance = 1e-6;

Json cases_of(const char* name) {
  const fs::path path = fs::path(COPPICE_SOURCE_DIR) / "tests" / "vectors" / "flower" / name;
  const Json document = parse_json(read_file(path, 1U << 20U).value()).value();
  EXPECT_THAT(document["flower"].get<std::string>(), HasSubstr("1.41"));
  return document["cases"];
}

double number_or(const Json& settings, const char* name, double otherwise) {
  return settings.contains(name) ? settings[name].get<double>() : otherwise;
}

std::size_t count_or(const Json& settings, const char* name, std::size_t otherwise) {
  return settings.contains(name) ? settings[name].get<std::size_t>() : otherwise;
}

// --- Server optimizers ---------------------------------------------------------------------------

ServerRule rule_of(const std::string& name) {
  if (name == "FedAvgM") return ServerRule::kFedAvgM;
  if (name == "FedAdagrad") return ServerRule::kFedAdagrad;
  return name == "FedAdam" ? ServerRule::kFedAdam : ServerRule::kFedYogi;
}

ServerOptimizerSettings settings_of(const Json& vectors, ServerOptimizerSettings settings) {
  const Json& given = vectors["settings"];
  settings.learning_rate = number_or(given, "eta", settings.learning_rate);
  settings.learning_rate = number_or(given, "server_learning_rate", settings.learning_rate);
  settings.momentum = number_or(given, "server_momentum", settings.momentum);
  settings.beta1 = number_or(given, "beta_1", settings.beta1);
  settings.beta2 = number_or(given, "beta_2", settings.beta2);
  settings.tau = number_or(given, "tau", settings.tau);
  return settings;
}

Numbers mean_delta(const Json& round) {
  const auto weights = round["weights"].get<Numbers>();
  Numbers mean(round["model"].size(), 0.0);
  double total = 0;
  for (const double weight : weights) total += weight;
  for (std::size_t client = 0; client < weights.size(); ++client) {
    const auto update = round["updates"][client].get<Numbers>();
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += weights[client] / total * update[i];
  }
  return mean;
}

// Our model after each of the rounds.
std::vector<Numbers> walk(const Json& vectors, const ServerOptimizerSettings& settings) {
  auto model = vectors["start"].get<Numbers>();
  ServerOptimizerState state;
  std::vector<Numbers> models;
  for (const Json& round : vectors["rounds"]) {
    const auto next = server_step(settings, state, mean_delta(round)).value();
    for (std::size_t i = 0; i < model.size(); ++i) model[i] += next.step[i];
    state = next.state;
    models.push_back(model);
  }
  return models;
}

TEST(FlowerVectors, ServerOptimizersWalkWithFlowersRoundByRound) {
  std::set<std::string> names;
  for (const Json& vectors : cases_of("server_optimizers.json")) {
    const auto name = vectors["rule"].get<std::string>();
    names.insert(name);
    const auto models = walk(vectors, settings_of(vectors, flower_settings(rule_of(name))));
    ASSERT_EQ(models.size(), 6U);
    for (std::size_t round = 0; round < models.size(); ++round) {
      EXPECT_THAT(models[round], Pointwise(DoubleNear(kTolerance),
                                           vectors["rounds"][round]["model"].get<Numbers>()))
          << name << " " << vectors["settings"].dump() << ", round " << round + 1;
    }
  }
  EXPECT_EQ(names, (std::set<std::string>{"FedAdagrad", "FedAdam", "FedAvgM", "FedYogi"}));
}

double largest_difference(const Numbers& a, const Numbers& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// Adam's bias correction and the start of v are Flower's own, as is FedAvgM's momentum of 0.
TEST(FlowerVectors, ThePapersDefinitionsWalkElsewhere) {
  for (const Json& vectors : cases_of("server_optimizers.json")) {
    if (!vectors["settings"].empty()) continue;
    const ServerRule rule = rule_of(vectors["rule"].get<std::string>());
    const auto end = vectors["rounds"].back()["model"].get<Numbers>();
    const double difference = largest_difference(walk(vectors, paper_settings(rule)).back(), end);
    if (rule == ServerRule::kFedAdam || rule == ServerRule::kFedAvgM) {
      EXPECT_GT(difference, 0.1) << vectors["rule"];
    } else { // v from tau^2 alone: seen where a parameter moves by less than tau
      EXPECT_GT(difference, 10 * kTolerance) << vectors["rule"];
    }
  }
}

// --- Robust rules --------------------------------------------------------------------------------

UpdateValues updates_of(const Json& vectors) {
  return vectors["updates"].get<std::vector<std::vector<float>>>();
}

Result<RobustResult> as_flower(const Json& vectors, const UpdateValues& updates) {
  const auto rule = vectors["rule"].get<std::string>();
  const Json& settings = vectors["settings"];
  const std::size_t faulty = count_or(settings, "num_malicious_nodes", 0);
  const auto rows = rows_of(updates);
  if (rule == "FedMedian") return coordinate_median(rows);
  if (rule == "FedTrimmedAvg") {
    return trimmed_mean(rows, {.fraction = number_or(settings, "beta", 0.2)});
  }
  if (rule == "Bulyan") return bulyan(rows, faulty, BulyanSelection::kBestScores);
  return multi_krum(rows, faulty, count_or(settings, "num_nodes_to_select", 1),
                    vectors["weights"].get<Numbers>());
}

bool has_krums_majority(const Json& vectors) {
  const std::size_t faulty = count_or(vectors["settings"], "num_malicious_nodes", 0);
  return vectors["updates"].size() >= 2 * faulty + 3;
}

TEST(FlowerVectors, RobustRulesGiveWhatFlowersGive) {
  std::set<std::string> names;
  for (const Json& vectors : cases_of("robust_rules.json")) {
    const auto rule = vectors["rule"].get<std::string>();
    if (rule == "Krum" && !has_krums_majority(vectors)) continue; // the next test
    names.insert(rule);
    const auto result = as_flower(vectors, updates_of(vectors));
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_THAT(result->update, Pointwise(DoubleNear(kTolerance), vectors["result"].get<Numbers>()))
        << rule << " " << vectors["settings"].dump() << " of " << vectors["updates"].size();
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"Bulyan", "FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum"}));
}

// Flower gives one of the updates, whatever the number of faulty ones; the paper promises nothing.
TEST(FlowerVectors, KrumWithoutItsMajorityIsRefusedWhereFlowerGoesOn) {
  std::size_t refused = 0;
  for (const Json& vectors : cases_of("robust_rules.json")) {
    if (vectors["rule"] != "Krum" || has_krums_majority(vectors)) continue;
    const auto updates = updates_of(vectors);
    const auto flowers = vectors["result"].get<std::vector<float>>();
    EXPECT_TRUE(std::ranges::count(updates, flowers) == 1);
    EXPECT_EQ(as_flower(vectors, updates).error().code, ErrorCode::kFailedPrecondition);
    ++refused;
  }
  EXPECT_EQ(refused, 1U);
}

// Flower scores once where the paper runs Krum again on those that are left.
TEST(FlowerVectors, BulyanOfThePaperChoosesOthersThanFlowers) {
  std::size_t cases = 0, different = 0;
  for (const Json& vectors : cases_of("robust_rules.json")) {
    if (vectors["rule"] != "Bulyan") continue;
    const auto updates = updates_of(vectors);
    const std::size_t faulty = count_or(vectors["settings"], "num_malicious_nodes", 0);
    const auto result = bulyan(rows_of(updates), faulty).value();
    ++cases;
    if (largest_difference(result.update, vectors["result"].get<Numbers>()) > kTolerance) {
      ++different;
    }
  }
  EXPECT_EQ(cases, 5U);
  EXPECT_GE(different, 1U);
  EXPECT_LT(different, cases); // without faults all are chosen, in whatever order
}

} // namespace
} // namespace coppice
