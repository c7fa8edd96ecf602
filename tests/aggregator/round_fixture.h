// SPDX-License-Identifier: Apache-2.0
// The round's tests as a small language: join, answer, upload, commit, and what followed.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "aggregator/round.h"
#include "crypto/hash.h"

namespace coppice {

inline ClientId client_number(std::uint8_t number) {
  ClientId id;
  id.bytes[0] = number;
  id.bytes[15] = number;
  return id;
}

inline Sha256 upload_name(std::uint8_t number) {
  return sha256(as_bytes(std::string(1, static_cast<char>(number))));
}

// One slot of two elements, one weight.
inline RoundPlan small_plan(std::uint32_t goal, std::uint32_t min_survivors) {
  RoundPlan plan;
  plan.round = RoundId{7};
  plan.slots = {{"t.lora_a", SlotKind::kDelta, 2, -1, 1, 100, RingBits{16}},
                {"weight", SlotKind::kWeight, 1, 0, 8, 1, RingBits{32}}};
  plan.sum = {.goal = goal, .min_survivors = min_survivors, .cohort = 4, .max_weight = 8};
  plan.deadline = Millis{1000};
  return plan;
}

class RoundTest : public ::testing::Test {
 protected:
  void begin(std::uint8_t members, std::uint32_t goal, std::uint32_t min_survivors) {
    std::vector<ClientId> ids;
    for (std::uint8_t i = 1; i <= members; ++i) ids.push_back(client_number(i));
    round_.emplace(small_plan(goal, min_survivors), ids, Millis{1000});
    EXPECT_EQ(names(round_->start()), "commit plan");
    EXPECT_EQ(names(handle(PlanCommitted{})),
              std::string(members == 0 ? "" : "offer") + repeat(members));
  }
  std::vector<RoundAction> handle(RoundEvent event) {
    return round_->handle(std::move(event), now_);
  }
  std::string then(RoundEvent event) { return names(handle(std::move(event))); }
  std::string upload(std::uint8_t client) { return upload_as(client, client); }
  std::string upload_as(std::uint8_t client, std::uint8_t name) {
    return then(UploadArrived{
        client_number(client), upload_name(name), {std::uint32_t{10} * client, 0xffffU, 1}});
  }
  std::string accept(std::uint8_t client) {
    return then(MemberAnswered{client_number(client), true});
  }

  static std::string repeat(std::uint8_t members) {
    std::string text;
    for (std::uint8_t i = 1; i < members; ++i) text += ", offer";
    return text;
  }
  // The actions' names after one another: "ack, commit close".
  static std::string names(const std::vector<RoundAction>& actions) {
    constexpr std::array<const char*, 12> kNames{
        "commit plan", "offer",  "commit sum",   "ack",     "refuse",   "commit secagg",
        "secagg",      "unmask", "commit close", "release", "announce", "abandon"};
    std::string text;
    for (const RoundAction& action : actions) {
      if (!text.empty()) text += ", ";
      text += kNames.at(action.index());
    }
    return text;
  }

  std::optional<AggregatorRound> round_;
  Millis now_{0};
};

} // namespace coppice
