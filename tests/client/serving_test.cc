// SPDX-License-Identifier: Apache-2.0
#include "client/serving.h"

#include <gmock/gmock.h>

#include "adapters/gguf_adapter.h"
#include "client/kept_rules.h"
#include "tests/client/fake_engine.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

class ServingTest : public EngineTest {
 protected:
  ServingTest() {
    EXPECT_TRUE(device_.create().ok());
    examples_.train.push_back(document(40));
    examples_.gate.push_back(document(20));
    examples_.report.push_back(document(20));
    settings_.personal.rank = 2;
    settings_.personal.recipe.max_steps = 5;
    settings_.personal.recipe.learning_rate = 0.1F;
    settings_.personal.recipe.schedule = Schedule::kConstant;
  }
  SharedAdapter shared(float first) const {
    SharedAdapter made{{}, {}, with_first(first)};
    made.release.version = {3};
    made.release.adapter_hash =
        samples::hash(static_cast<std::uint8_t>(static_cast<int>(first * 100)));
    return made;
  }
  Served decides(const SharedAdapter& on) {
    return serving_.gate(engine_, on, examples_).value().served;
  }
  void train_personal(const SharedAdapter& on) {
    ASSERT_TRUE(serving_
                    .train_personal(
                        engine_, on, examples_, [] { return Millis{0}; }, nullptr)
                    .ok());
  }
  bool has_current() const { return fs::exists(device_.directory() / "current/adapter.gguf"); }

  TemporaryFolder home_;
  DeviceFolder device_{home_.path()};
  ClientSettings settings_;
  Serving serving_{device_, settings_};
  ExampleSet examples_;
};

TEST_F(ServingTest, ASharedAdapterThatHelpsOnGateTextServes) {
  EXPECT_EQ(decides(shared(0.5F)), Served::kShared);
  EXPECT_TRUE(has_current());
  EXPECT_EQ(serving_.served_adapter(shared(0.5F)).value()->values()[0], 0.5F);
}

TEST_F(ServingTest, OneThatHarmsDoesNotAndTheFileForOthersChangesNothing) {
  EXPECT_EQ(decides(shared(-0.5F)), Served::kBase);
  EXPECT_FALSE(serving_.served_adapter(shared(-0.5F)).value());
  const auto current = read_gguf_adapter(device_.directory() / "current/adapter.gguf", "llama",
                                         base_->adaptable_modules());
  ASSERT_TRUE(current.ok()) << current.error().message;
  for (const float value : current->values()) EXPECT_EQ(value, 0);
}

TEST_F(ServingTest, APersonalAdapterIsTrainedOnTopAndServesWhereItHelps) {
  const SharedAdapter on = shared(0.5F);
  train_personal(on);
  const GateOutcome outcome = serving_.gate(engine_, on, examples_).value();
  EXPECT_EQ(outcome.served, Served::kPersonal);
  EXPECT_LT(*outcome.personal, outcome.shared);
  EXPECT_EQ(serving_.served_adapter(on).value()->spec().targets[0].rank, 4U + 2U);
}

// What follows from the method alone: a copy of the shared adapter serves in its place.
TEST_F(ServingTest, ATunedCopyServesAloneAndAnotherMethodSetsItAside) {
  const SharedAdapter on = shared(0.5F);
  settings_.personal.method = PersonalMethod::kFinetune;
  train_personal(on);
  const GateOutcome outcome = serving_.gate(engine_, on, examples_).value();
  EXPECT_EQ(outcome.served, Served::kPersonal);
  const Adapter tuned = *serving_.served_adapter(on).value();
  EXPECT_EQ(tuned.spec(), on.adapter.spec());
  EXPECT_GT(tuned.values()[0], 0.5F); // it goes on from the shared one
  settings_.personal.method = PersonalMethod::kDual;
  EXPECT_EQ(decides(on), Served::kShared);
}

// Li et al. 2021, equation 1: the loss and lambda / 2 |v - w|^2, from w on.
TEST_F(ServingTest, DittoTrainsACopyThatIsPulledBack) {
  const SharedAdapter on = shared(0.5F);
  const Settings asked =
      Settings::load_text(client_keys(), "", "test.toml", {},
                          std::vector<Override>{{"personal.method", "ditto", ""},
                                                {"personal.ditto_lambda", "0.25", ""}})
          .value();
  const TrainRequest request =
      personal_training(on.adapter, on.release.adapter_hash, personal_settings(asked), {}).value();
  EXPECT_EQ(request.recipe.proximal_mu, 0.25F);
  EXPECT_TRUE(request.frozen.empty());
  EXPECT_THAT(request.start->values(), ::testing::ElementsAreArray(on.adapter.values()));
}

TEST_F(ServingTest, AnotherReleaseSetsThePersonalAdapterAside) {
  train_personal(shared(0.5F));
  EXPECT_EQ(decides(shared(0.6F)), Served::kShared);
  EXPECT_TRUE(serving_.personal().value()); // it is there, and not used
  EXPECT_EQ(decides(shared(0.5F)), Served::kPersonal);
}

// Of the fake engine's adapters the first value alone matters, which is A's.
TEST_F(ServingTest, AFactorThatTheDeviceKeepsServesInPlaceOfTheReleases) {
  const SharedAdapter on = shared(-0.5F); // which harms
  const KeptFile kept(device_.kept_path());
  const KeptBinding binding{on.release.fleet, on.release.base_hash, on.release.spec_hash};
  Recipe recipe;
  recipe.share_a = false;
  const auto own = [&](float first) {
    return kept_after(recipe, {}, {.start = on.adapter, .trained = with_first(first)});
  };
  ASSERT_TRUE(kept.store_made(binding, {samples::hash(1), {}}, own(0.5F)).ok());
  EXPECT_EQ(decides(on), Served::kBase) << "the round doesn't count yet";
  ASSERT_TRUE(kept.count(samples::hash(1)).ok());
  EXPECT_EQ(decides(on), Served::kShared);
  EXPECT_EQ(serving_.served_adapter(on).value()->values()[0], 0.5F);
  const auto current = read_gguf_adapter(device_.directory() / "current/adapter.gguf", "llama",
                                         base_->adaptable_modules());
  EXPECT_EQ(current->values()[0], 0.5F);
  EXPECT_NEAR(serving_.report(engine_, on, examples_)->shared, 19 * 1.25 / std::log(2.0) / 20,
              1e-9);
  train_personal(on); // on top of it
  EXPECT_EQ(decides(on), Served::kPersonal);
  ASSERT_TRUE(kept.store_made(binding, {samples::hash(2), {}}, own(0.6F)).ok());
  ASSERT_TRUE(kept.count(samples::hash(2)).ok());
  EXPECT_EQ(decides(on), Served::kShared) << "another factor below makes it stale";
}

// Text that selects is gate text alone: a report that likes another choice changes nothing.
TEST_F(ServingTest, TheGateDoesNotLookAtReportText) {
  examples_.gate.clear();
  EXPECT_EQ(decides(shared(0.5F)), Served::kBase); // nothing to judge by
  examples_.gate.push_back(document(20));
  examples_.report.clear();
  EXPECT_EQ(decides(shared(0.5F)), Served::kShared);
}

TEST_F(ServingTest, TheDecisionSurvivesARestart) {
  EXPECT_FALSE(serving_.last_gate());
  decides(shared(0.5F));
  const auto again = Serving(device_, settings_).last_gate();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->served, Served::kShared);
  EXPECT_EQ(again->version, AdapterVersion{3});
  EXPECT_FALSE(again->personal);
}

// bits a byte = nats / ln 2 / bytes: 19 tokens, 20 bytes.
TEST_F(ServingTest, TheReportIsBitsAByteOfReportText) {
  const SharedAdapter on = shared(0.5F);
  const Report report = serving_.report(engine_, on, examples_).value();
  EXPECT_NEAR(report.base, 19 * 2 / std::log(2.0) / 20, 1e-9);
  EXPECT_NEAR(report.shared, 19 * 1.25 / std::log(2.0) / 20, 1e-9);
  EXPECT_FALSE(report.personal);
  EXPECT_EQ(report.bytes, 20U);
}

TEST_F(ServingTest, ForgettingErasesWhatOnlyThisDeviceKnows) {
  train_personal(shared(0.5F));
  decides(shared(0.5F));
  ASSERT_TRUE(device_.forget_personal().ok());
  EXPECT_FALSE(serving_.personal().value());
  EXPECT_FALSE(serving_.last_gate());
  EXPECT_FALSE(has_current());
  EXPECT_TRUE(device_.identity().ok()); // the device stays in its fleet
}

} // namespace
} // namespace coppice
