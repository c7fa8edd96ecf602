// SPDX-License-Identifier: Apache-2.0
// Whom a round waits for, phase by phase, and sums by groups, with real devices of secure
// aggregation.
#include <deque>
#include <memory>

#include "protocol/secagg_client.h"
#include "protocol/secagg_masking.h"
#include "tests/aggregator/round_fixture.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(RoundTest, WithoutSecureAggregationItAwaitsWhoHasNotReported) {
  begin(3, 3, 2);
  accept(1);
  then(MemberAnswered{client_number(2), false});
  upload(1);
  EXPECT_THAT(round_->awaited(), ElementsAre(client_number(3)));
  then(SumCommitted{});
  upload(3);
  EXPECT_THAT(round_->awaited(), IsEmpty());
}

class SecureRoundTest : public RoundTest {
 protected:
  static constexpr std::uint8_t kDevices = 4;
  struct Device {
    SigningKey signing;
    ClientId id;
    SignedCertificate certificate;
    std::unique_ptr<SecAggClient> machine;
    bool muted = false; // what it says stays in `unsaid`
    std::vector<SecAggMessage> unsaid;
  };

  void begin_secure(std::uint8_t devices, std::uint32_t groups) {
    RoundPlan plan = small_plan(devices, 3);
    plan.sum.cohort = devices;
    plan.sum.groups = groups;
    plan.sum.secure_aggregation = true;
    const FleetSigningKey fleet = samples::fleet_key();
    std::vector<ClientId> ids;
    for (std::uint8_t i = 0; i < devices; ++i) {
      std::array<std::uint8_t, 32> raw{};
      raw[0] = static_cast<std::uint8_t>(i + 1);
      devices_.push_back({.signing = SigningKey::from_secret(Secret<32>::copy_of(raw))});
      Device& device = devices_.back();
      const VerifyKey verify = device.signing.public_key();
      device.id = client_id_of(verify);
      device.certificate = sign_certificate(fleet, {.client = device.id,
                                                    .fleet = sha256(fleet.public_key().span()),
                                                    .verify = verify,
                                                    .curve = samples::device_curve().public_key(),
                                                    .expires = {3'000'000}});
      device.machine = std::make_unique<SecAggClient>(
          SecAggClientContext{.primitives = sodium_primitives(),
                              .signing = device.signing,
                              .id = device.id,
                              .fleet_key = fleet.public_key(),
                              .plan_hash = plan.hash(),
                              .plan = plan.sum.graph(),
                              .owner = plan.sum.graph(),
                              .min_survivors = plan.sum.group_survivors()});
      ids.push_back(device.id);
    }
    round_.emplace(plan, ids, Millis{1000});
    round_->start();
    handle(PlanCommitted{});
    for (const ClientId& id : ids) handle(MemberAnswered{id, true});
  }

  void say(Device& device, std::vector<SecAggClientAction> actions) {
    for (SecAggClientAction& action : actions) {
      auto* const send = std::get_if<SendSecAgg>(&action);
      if (send == nullptr) continue;
      if (device.muted) {
        device.unsaid.push_back(std::move(send->message));
      } else {
        arrive(device, std::move(send->message));
      }
    }
  }
  void arrive(Device& device, SecAggMessage message) {
    follow(handle(SecAggArrived{device.id, std::move(message), device.signing.public_key(),
                                device.certificate}));
  }
  void follow(const std::vector<RoundAction>& actions) {
    for (const RoundAction& action : actions) {
      if (const auto* const unmask = std::get_if<UnmaskSum>(&action)) unmask_ = *unmask;
      if (const auto* const commit = std::get_if<CommitSecAggState>(&action)) {
        committed_ = commit->state;
      }
      const auto* const sent = std::get_if<SendAgreement>(&action);
      if (sent == nullptr) continue;
      for (Device& device : devices_) {
        if (device.id == sent->client) say(device, device.machine->handle(sent->draft()));
      }
    }
  }
  // What it held back so far; what follows from it waits again.
  void say_held(Device& device) {
    for (SecAggMessage& message : std::exchange(device.unsaid, {})) {
      arrive(device, std::move(message));
    }
  }
  void send_upload(const Device& device) { send_upload(device, {0, 0, 0}); }
  void send_upload(const Device& device, std::vector<std::uint32_t> elements) {
    handle(UploadArrived{device.id, upload_name(device.id.bytes[0]), std::move(elements)});
    follow(handle(SumCommitted{}));
  }
  // Masked, as a device does.
  void send_masked(const Device& device, std::uint32_t value) {
    std::vector<std::uint32_t> elements{value, 2 * value, 1};
    apply_masks(round_->plan().slots, device.machine->masks().value(), elements);
    send_upload(device, std::move(elements));
  }
  void agree() {
    for (Device& device : devices_) say(device, device.machine->start());
  }
  // Of the devices in a group, by their numbers.
  std::vector<std::uint32_t> members_of(std::uint32_t group) const {
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t i = 0; i < devices_.size(); ++i) {
      if (round_->secagg()->group_of(devices_[i].id) == group) numbers.push_back(i);
    }
    return numbers;
  }

  std::deque<Device> devices_; // in place: machines refer to keys
  std::optional<UnmaskSum> unmask_;
  Bytes committed_;
};

TEST_F(SecureRoundTest, ItAwaitsWhoseMessageThePhaseNeeds) {
  begin_secure(kDevices, 1);
  Device& last = devices_.back();
  EXPECT_EQ(round_->awaited().size(), kDevices);
  for (Device& device : devices_) {
    if (&device != &last) say(device, device.machine->start());
  }
  EXPECT_THAT(round_->awaited(), ElementsAre(last.id)); // its keys
  last.muted = true;
  say(last, last.machine->start());
  say_held(last); // the roster is closed, and the nonces come
  EXPECT_STREQ(last.machine->phase_name(), "opened");
  EXPECT_THAT(round_->awaited(), ElementsAre(last.id));
  say_held(last);
  EXPECT_STREQ(last.machine->phase_name(), "shared");
  EXPECT_THAT(round_->awaited(), ElementsAre(last.id)); // its shares
  say_held(last);
  EXPECT_STREQ(round_->phase_name(), "collecting");
  EXPECT_EQ(round_->awaited().size(), kDevices);
  send_upload(devices_[0]);
  send_upload(devices_[1]);
  EXPECT_THAT(round_->awaited(), UnorderedElementsAre(devices_[2].id, last.id));
  send_upload(devices_[2]);
  send_upload(last);
  EXPECT_STREQ(round_->phase_name(), "closing");
  EXPECT_THAT(round_->awaited(), IsEmpty());
  devices_[2].muted = true; // one silent device would be within the threshold
  follow(handle(CloseCommitted{}));
  EXPECT_STREQ(round_->phase_name(), "unmasking");
  EXPECT_THAT(round_->awaited(), UnorderedElementsAre(devices_[2].id, last.id));
}

// Two rosters of three: what is unmasked is each group's own sum, and nothing else adds up.
TEST_F(SecureRoundTest, EachGroupsSumIsMaskedAndUnmaskedByItself) {
  begin_secure(6, 2);
  agree();
  EXPECT_STREQ(round_->phase_name(), "collecting");
  for (std::uint32_t i = 0; i < 6; ++i) send_masked(devices_[i], 1U << i);
  follow(handle(CloseCommitted{}));
  ASSERT_TRUE(unmask_);
  std::vector<std::uint32_t> sums = round_->sum()->elements;
  unmask_groups(round_->plan(), *unmask_, sums);
  for (std::uint32_t group = 0; group < 2; ++group) {
    std::uint32_t expected = 0;
    for (const std::uint32_t member : members_of(group)) expected += 1U << member;
    EXPECT_EQ(members_of(group).size(), 3U);
    EXPECT_THAT(std::vector(sums.begin() + group * 3, sums.begin() + group * 3 + 3),
                ElementsAre(expected, 2 * expected, 3U));
  }
  EXPECT_THAT(round_->counted_by_group(), ElementsAre(3U, 3U));
  EXPECT_EQ(names(handle(SumUnmasked{std::move(sums)})), "release");
}

// Of one group a single device uploads: its sum stays masked for ever, and the others' counts.
TEST_F(SecureRoundTest, AGroupWithTooFewSurvivorsIsLeftOut) {
  begin_secure(6, 2);
  agree();
  for (const std::uint32_t i : members_of(0)) send_masked(devices_[i], 5);
  const std::vector<std::uint32_t> lost = members_of(1);
  send_masked(devices_[lost[0]], 7);
  follow(handle(MemberLost{devices_[lost[1]].id}));
  follow(handle(MemberLost{devices_[lost[2]].id}));
  EXPECT_STREQ(round_->phase_name(), "closing");
  follow(handle(CloseCommitted{}));
  ASSERT_TRUE(unmask_);
  std::vector<std::uint32_t> sums = round_->sum()->elements;
  unmask_groups(round_->plan(), *unmask_, sums);
  EXPECT_THAT(sums, ElementsAre(15U, 30U, 3U, 0U, 0U, 0U));
  EXPECT_THAT(round_->counted_by_group(), ElementsAre(3U, 0U));
}

// One group agrees while a device of the other is silent: it may upload already, and the round
// waits for both.
TEST_F(SecureRoundTest, AGroupNeedNotWaitForAnother) {
  begin_secure(6, 2);
  Device& slow = devices_[members_of(1).back()];
  slow.muted = true;
  agree();
  EXPECT_STREQ(round_->phase_name(), "collecting");
  for (const std::uint32_t i : members_of(0)) send_masked(devices_[i], 5);
  EXPECT_STREQ(round_->phase_name(), "collecting");
  EXPECT_THAT(round_->awaited(), ElementsAre(slow.id));
  slow.muted = false;
  say_held(slow);
  for (const std::uint32_t i : members_of(1)) send_masked(devices_[i], 7);
  EXPECT_STREQ(round_->phase_name(), "closing");
}

// After a crash the machines are all where their commits left them.
TEST_F(SecureRoundTest, ARestartRestoresEveryGroup) {
  begin_secure(6, 2);
  agree();
  for (std::uint32_t i = 0; i < 6; ++i) send_masked(devices_[i], 1);
  const RunningSum counted = *round_->sum();
  std::vector<ClientId> ids;
  for (const Device& device : devices_) ids.push_back(device.id);
  follow(handle(CloseCommitted{}));
  ASSERT_TRUE(unmask_);
  const UnmaskSum before = *unmask_;
  unmask_.reset();
  auto again = AggregatorRound::resume({.plan = round_->plan(),
                                        .members = ids,
                                        .sum = counted.elements,
                                        .counted = counted.counted,
                                        .closed = true,
                                        .secagg = committed_},
                                       Millis{1000});
  ASSERT_TRUE(again.ok()) << again.error().message;
  round_.emplace(std::move(again).value());
  EXPECT_STREQ(round_->phase_name(), "unmasking");
  for (const Device& device : devices_) follow(handle(MemberConnected{device.id}));
  ASSERT_TRUE(unmask_);
  std::vector<std::uint32_t> sums = counted.elements;
  std::vector<std::uint32_t> sums_before = counted.elements;
  unmask_groups(round_->plan(), *unmask_, sums);
  unmask_groups(round_->plan(), before, sums_before);
  EXPECT_EQ(sums, sums_before);
}

} // namespace
} // namespace coppice
