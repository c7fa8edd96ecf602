// SPDX-License-Identifier: Apache-2.0
#include "sim/upload_adder.h"

#include <gmock/gmock.h>

#include "aggregator/round.h"
#include "base/random.h"

namespace coppice {
namespace {

std::vector<Slot> two_slots() {
  return {{"t.lora_a", SlotKind::kDelta, 500, -1, 1, 100, RingBits{16}},
          {"weight", SlotKind::kWeight, 1, 0, 8, 1, RingBits{32}}};
}

TEST(UploadAdder, ManyUploadsToSeveralSumsAreAddedAsAtOnce) {
  const std::vector<Slot> slots = two_slots();
  KeyedRandom random({.experiment = 1});
  std::vector<std::uint32_t> sums(3 * 501), expected(sums.size());
  UploadAdder adder;
  for (std::size_t i = 0; i < 4 * UploadAdder::kMostWaiting; ++i) {
    std::vector<std::uint32_t> upload;
    for (const Slot& slot : slots) {
      for (std::uint32_t e = 0; e < slot.elements; ++e) {
        upload.push_back(random.next_u32() & slot.bits.mask());
      }
    }
    const std::size_t at = i % 3 * 501;
    add_upload(slots, std::span(expected).subspan(at, 501), upload);
    adder.add(slots, std::span(sums).subspan(at, 501), std::move(upload));
  }
  adder.wait();
  EXPECT_EQ(sums, expected);
  adder.wait(); // nothing is left to wait for
}

// The round's machine itself, with one who adds later.
TEST(UploadAdder, ARoundsSumIsWholeOnceItWasWaitedFor) {
  RoundPlan plan;
  plan.round = RoundId{1};
  plan.slots = two_slots();
  plan.sum = {.goal = 2, .min_survivors = 1, .cohort = 2, .max_weight = 8};
  plan.deadline = Millis{1000};
  ClientId one, two;
  two.bytes[0] = 1;
  std::vector<std::vector<std::uint32_t>> waiting;
  UploadAdder adder;
  AggregatorRound round(plan, {one, two}, Millis{1000}, sodium_primitives(),
                        [&](const std::vector<Slot>& slots, std::span<std::uint32_t> sum,
                            std::vector<std::uint32_t> upload) {
                          waiting.push_back(upload);
                          adder.add(slots, sum, std::move(upload));
                        });
  round.start();
  round.handle(PlanCommitted{}, Millis{0});
  const std::vector<std::uint32_t> upload(501, 0xfff0U);
  for (const ClientId& id : {one, two}) {
    Sha256 name;
    name.bytes[0] = static_cast<std::uint8_t>(1 + id.bytes[0]);
    round.handle(UploadArrived{id, name, upload}, Millis{1});
    round.handle(UploadArrived{id, name, upload}, Millis{1}); // repeated: nothing is added
    round.handle(SumCommitted{}, Millis{1});
  }
  EXPECT_STREQ(round.phase_name(), "closing");
  EXPECT_EQ(waiting.size(), 2U);
  adder.wait();
  EXPECT_EQ(round.sum()->elements.front(), 0xffe0U); // modulo 2^16
  EXPECT_EQ(round.sum()->elements.back(), 0x1ffe0U);
}

} // namespace
} // namespace coppice
