// SPDX-License-Identifier: Apache-2.0
// Who trains beside whom: it follows from who is expected and asked for, never from who works.
#include "sim/training_learner.h"

#include <gmock/gmock.h>

#include "tests/client/fake_engine.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// Client i has 20 + i pieces; client 6 has none.
class FewTexts final : public ClientData {
 public:
  FewTexts() : ClientData(0, 1) {}
  std::uint64_t clients() const override { return 100; }
  std::string name(std::uint64_t) const override { return "somebody"; }
  Result<std::vector<Piece>> pieces(std::uint64_t client) const override {
    std::vector<Piece> all;
    for (std::uint64_t i = 0; client != 6 && i < 20 + client; ++i) {
      all.push_back({.text = "text number " + std::to_string(i), .response = {}});
    }
    return all;
  }
  std::uint64_t bytes(std::uint64_t) const override { return 0; }
  Sha256 hash() const override { return {}; }
  std::vector<std::string> labels() const override { return {}; }
  std::vector<std::uint64_t> label_bytes(std::uint64_t) const override { return {}; }
};

class TrainingLearnerTest : public EngineTest {
 protected:
  TrainingLearnerTest() {
    plan_.recipe.max_steps = 2;
    plan_.recipe.max_tokens = 0;
    plan_.recipe.max_seconds = 0;
    plan_.recipe.batch_tokens = 32;
    plan_.recipe.window = 16;
    plan_.slots.resize(1);
    plan_.slots[0].elements = static_cast<std::uint32_t>(spec_->parameters());
  }

  // What a rank's learner does; `play` says what is asked of it.
  struct Seen {
    std::multiset<std::size_t> packs; // clients of each session
    std::map<DeviceNumber, std::vector<std::uint32_t>> elements;
    std::set<DeviceNumber> elsewhere, without_text, with_delta;
  };
  struct Setting {
    unsigned workers = 1;
    std::uint32_t pack = 4;
    bool together = true;
    RankPlace place{};
  };
  Seen see(const Setting& setting, const std::function<void(Learner&, Seen&)>& play) {
    std::vector<FakeWorld> worlds(setting.workers);
    Seen seen;
    {
      EngineTeam team(
          [&](unsigned worker) -> Result<std::unique_ptr<Engine>> {
            return std::unique_ptr<Engine>(std::make_unique<FakeEngine>(base_, worlds[worker]));
          },
          setting.workers, setting.together);
      const FewTexts data;
      const auto learner =
          training_learner(team, data, *base_,
                           {.client_of = [](DeviceNumber device) { return device; },
                            .pack = setting.pack,
                            .keep_deltas = 2,
                            .place = setting.place});
      learner->begin(plan_, zeros(), nullptr);
      play(*learner, seen);
      learner->end();
    }
    for (const FakeWorld& world : worlds) seen.packs.insert(world.packs.begin(), world.packs.end());
    return seen;
  }
  // The higher the number, the sooner it arrives.
  static void expect(Learner& learner, DeviceNumber device) {
    learner.expect({.device = device,
                    .id = samples::device_id(),
                    .started = Millis{0},
                    .deadline = Millis{1'000'000},
                    .step_time = Nanos{1'000'000},
                    .arrives = Nanos{1'000'000'000 - static_cast<std::int64_t>(device)}});
  }
  static void take(Learner& learner, DeviceNumber device, Seen& seen) {
    auto learned = learner.take(device);
    if (!learned.ok()) {
      EXPECT_EQ(learned.error().code, ErrorCode::kFailedPrecondition);
      seen.without_text.insert(device);
      return;
    }
    if (learned->elsewhere) seen.elsewhere.insert(device);
    if (learned->delta) seen.with_delta.insert(device);
    seen.elements[device] = std::move(learned->encoded.elements);
  }
  // Ten are expected, and taken in an order of its own; client 6 has no text.
  static void ten(Learner& learner, Seen& seen) {
    for (DeviceNumber device = 0; device < 10; ++device) expect(learner, device);
    for (const DeviceNumber device : {3, 9, 8, 7, 5, 6, 4, 2, 0, 1}) take(learner, device, seen);
  }

  RoundPlan plan_ = samples::plan();
};

TEST_F(TrainingLearnerTest, PacksAreCutInTheOrderOfArrivalForAnyNumberOfWorkers) {
  const Seen one = see({}, ten);
  EXPECT_THAT(one.packs, UnorderedElementsAre(4, 3, 2)); // 9 8 7 6, of which 6 has no text
  EXPECT_THAT(one.without_text, ElementsAre(6));
  EXPECT_THAT(one.with_delta, ElementsAre(8, 9));
  for (const unsigned workers : {2U, 3U}) {
    const Seen more = see({.workers = workers}, ten);
    EXPECT_EQ(more.packs, one.packs);
    EXPECT_EQ(more.elements, one.elements);
    EXPECT_EQ(more.with_delta, one.with_delta);
  }
}

TEST_F(TrainingLearnerTest, RanksTrainWholePacksOfTheSame) {
  const Seen alone = see({}, ten);
  Seen ranks[2];
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    ranks[rank] = see({.place = {.rank = rank, .size = 2}}, ten);
  }
  EXPECT_THAT(ranks[0].packs, UnorderedElementsAre(3, 2));
  EXPECT_THAT(ranks[1].packs, UnorderedElementsAre(4));
  for (const auto& [device, elements] : alone.elements) {
    const std::size_t here = ranks[0].elsewhere.contains(device) ? 1 : 0;
    EXPECT_TRUE(ranks[1 - here].elsewhere.contains(device));
    EXPECT_EQ(ranks[here].elements.at(device), elements);
  }
  EXPECT_THAT(ranks[0].without_text, ElementsAre(6));
  EXPECT_THAT(ranks[1].without_text, ElementsAre(6));
}

TEST_F(TrainingLearnerTest, WhoIsExpectedLaterGoesIntoLaterPacks) {
  const Seen seen = see({}, [](Learner& learner, Seen& to) {
    for (const DeviceNumber device : {10, 11, 12, 13, 14}) expect(learner, device);
    take(learner, 10, to); // all five are cut: 4 and 1
    for (const DeviceNumber device : {20, 21}) expect(learner, device);
    take(learner, 14, to); // of a pack already
    expect(learner, 22);
    take(learner, 20, to); // the three
  });
  EXPECT_THAT(seen.packs, UnorderedElementsAre(4, 1, 3));
}

TEST_F(TrainingLearnerTest, OneAfterAnotherIsTheSameForAnyPack) {
  const Seen one = see({.pack = 1, .together = false}, ten);
  EXPECT_EQ(one.packs.size(), 9U);
  for (const std::uint32_t pack : {3U, 16U}) {
    const Seen more = see({.workers = 2, .pack = pack, .together = false}, ten);
    EXPECT_EQ(more.packs, one.packs);
    EXPECT_EQ(more.elements, one.elements);
  }
}

TEST_F(TrainingLearnerTest, WhatNobodyTakesIsDropped) {
  const Seen seen = see({.workers = 2}, [](Learner& learner, Seen& to) {
    for (DeviceNumber device = 10; device < 90; ++device) expect(learner, device);
    take(learner, 89, to);
  });
  EXPECT_LT(seen.packs.size(), 10U); // a few ahead, of twenty
}

} // namespace
} // namespace coppice
