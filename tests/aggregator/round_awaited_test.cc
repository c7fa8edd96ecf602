// SPDX-License-Identifier: Apache-2.0
// Whom a round waits for, phase by phase, with real devices of secure aggregation.
#include <deque>
#include <memory>

#include "protocol/secagg_client.h"
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

  void SetUp() override {
    RoundPlan plan = small_plan(kDevices, 3);
    plan.sum.secure_aggregation = true;
    const FleetSigningKey fleet = samples::fleet_key();
    std::vector<ClientId> ids;
    for (std::uint8_t i = 0; i < kDevices; ++i) {
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
      device.machine =
          std::make_unique<SecAggClient>(SecAggClientContext{.primitives = sodium_primitives(),
                                                             .signing = device.signing,
                                                             .id = device.id,
                                                             .fleet_key = fleet.public_key(),
                                                             .plan_hash = plan.hash(),
                                                             .plan = plan.sum.graph(),
                                                             .owner = plan.sum.graph(),
                                                             .min_survivors = 3});
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
  void send_upload(const Device& device) {
    handle(UploadArrived{device.id, upload_name(device.id.bytes[0]), {0, 0, 0}});
    follow(handle(SumCommitted{}));
  }

  std::deque<Device> devices_; // in place: machines refer to keys
};

TEST_F(SecureRoundTest, ItAwaitsWhoseMessageThePhaseNeeds) {
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

} // namespace
} // namespace coppice
