// SPDX-License-Identifier: Apache-2.0
// What an active virtual client costs in memory, beside the base that all share.
#include <gtest/gtest.h>

#include "aggregator/round_maker.h"
#include "model/native/native_engine.h"
#include "sim/training_learner.h"
#include "tests/sim/live_bytes.h"

namespace coppice {
namespace {

fs::path assets() { return fs::path(COPPICE_SOURCE_DIR) / "assets"; }

Scenario scenario_with(const std::vector<Override>& set) {
  const auto settings = Settings::load_text(scenario_keys(), "", "test.toml", {}, set);
  EXPECT_TRUE(settings.ok()) << settings.error().message;
  auto scenario = scenario_of(*settings);
  EXPECT_TRUE(scenario.ok()) << scenario.error().message;
  return std::move(scenario).value();
}

struct ClientMemory {
  double peak = 0;        // all that training one client added, its text and its upload included
  double adapter = 0;     // its values
  double optimizer = 0;   // AdamW's moments
  double activations = 0; // as the engine plans them
  double ratio() const { return peak / (adapter + optimizer + activations); }
};

ClientMemory memory_of_client(const Scenario& scenario) {
  const auto base = BaseModel::open(assets() / scenario.model).value();
  const LoraSettings& lora = scenario.fleet.lora;
  const auto spec = std::make_shared<const AdapterSpec>(
      base->make_spec(lora.r, lora.lora_alpha, LoraScaling::kStandard, lora.target_modules)
          .value());
  const Adapter start = Adapter::initial(spec, 0);
  const auto strategy = make_strategy({}, false).value();
  const RoundPlan plan = make_plan(FleetFacts{}, scenario.fleet, *strategy, *spec,
                                   {.round = RoundId{1},
                                    .epoch = Epoch{1},
                                    .key_set = KeySetNumber{1},
                                    .parent = AdapterVersion{0},
                                    .adapter_hash = {},
                                    .cohort = 8})
                             .value();
  const auto data = open_client_data(scenario.data, assets(), 4, scenario.seed).value();

  EngineTeam team([base](unsigned) { return open_native_engine(base, EngineOptions{}); }, 1);
  const auto learner = training_learner(
      team, *data, *base, {.client_of = [](DeviceNumber device) { return device; }, .place = {}});
  ClientMemory memory;
  // Opens the engine, whose memory is the worker's.
  const auto planned = team.for_each(1, [&](std::size_t, Engine& engine) -> Result<void> {
    const Recipe& recipe = scenario.fleet.training;
    memory.activations = static_cast<double>(
        COPPICE_TRY(engine.plan_training(*spec, recipe.window, recipe.batch_tokens)).bytes);
    return {};
  });
  EXPECT_TRUE(planned.ok()) << planned.error().message;
  const auto floats = static_cast<double>(spec->parameters() * sizeof(float));
  memory.adapter = floats;
  memory.optimizer = 2 * floats;

  learner->begin(plan, start, nullptr); // the round's start is one for all clients
  const LiveBytesWatch watch;
  learner->expect({.device = 0,
                   .id = {},
                   .started = {},
                   .deadline = Millis{1 << 30},
                   .step_time = {},
                   .arrives = {}});
  const auto learned = learner->take(0);
  EXPECT_TRUE(learned.ok()) << learned.error().message;
  learner->end();
  memory.peak = static_cast<double>(watch.peak());
  return memory;
}

// Beside what is named it holds a gradient, one layer's adapter ready for products, its text, and
// the delta on its way out.
void expect_little_beside(const ClientMemory& memory) {
  EXPECT_LE(memory.ratio(), 1.2) << memory.peak << " bytes for an adapter of " << memory.adapter
                                 << ", an optimizer of " << memory.optimizer
                                 << ", and activations of " << memory.activations;
  EXPECT_GE(memory.ratio(), 0.8); // else it isn't the client's memory that was counted
}

TEST(ClientMemory, IsAtMostAFifthMoreThanAdapterOptimizerAndActivations) {
  expect_little_beside(memory_of_client(scenario_with({{"model", "coppice-4m.q4_0.gguf", ""},
                                                       {"population.devices", "4", ""},
                                                       {"data.bytes_each", "12kB", ""},
                                                       {"lora.r", "8", ""},
                                                       {"lora.target_modules", "all-linear", ""},
                                                       {"training.max_steps", "8", ""},
                                                       {"training.batch_tokens", "128", ""},
                                                       {"training.max_length", "128", ""}})));
}

TEST(ClientMemory, IsThatOfASmallAdapterToo) {
  expect_little_beside(memory_of_client(scenario_with({{"model", "coppice-4m.q4_0.gguf", ""},
                                                       {"population.devices", "4", ""},
                                                       {"data.bytes_each", "4kB", ""},
                                                       {"lora.r", "2", ""},
                                                       {"lora.target_modules", "q_proj,v_proj", ""},
                                                       {"training.max_steps", "4", ""},
                                                       {"training.batch_tokens", "256", ""},
                                                       {"training.max_length", "256", ""}})));
}

} // namespace
} // namespace coppice
