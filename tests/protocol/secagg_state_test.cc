// SPDX-License-Identifier: Apache-2.0
// Crashes of either side at any point, and what is on disk then: the round goes on with the same
// bytes, and damaged bytes are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/protocol/samples.h"
#include "tests/protocol/secagg_harness.h"
#include "tests/protocol/secagg_samples.h"

namespace coppice {
namespace {

using ::testing::IsEmpty;

// ---- crashes ----

constexpr std::uint32_t kDevices = 7;

// A restart for a missing nonce, and a drop-out before the upload.
void add_faults(SecAggHarness& round) {
  round.die_at(1, SecAggMoment::kBeforeNonce);
  round.die_at(3, SecAggMoment::kAfterMasking);
}

TEST(SecAggCrash, OfEitherSideAtAnyPointChangesNothingButTime) {
  for (const bool faults : {false, true}) {
    SecAggHarness whole({.devices = kDevices});
    if (faults) add_faults(whole);
    whole.run();
    ASSERT_TRUE(whole.finished()) << whole.abandoned_because();
    ASSERT_GT(whole.ticks(), 60U);
    for (std::uint64_t tick = 0; tick < whole.ticks(); ++tick) {
      SecAggHarness round({.devices = kDevices});
      if (faults) add_faults(round);
      round.crash_at(tick);
      round.run();
      ASSERT_TRUE(round.finished()) << "tick " << tick << ": " << round.abandoned_because();
      EXPECT_EQ(round.sum(), round.expected_sum()) << "tick " << tick;
      EXPECT_EQ(round.included(), whole.included()) << "tick " << tick;
      EXPECT_THAT(round.violations(), IsEmpty()) << "tick " << tick;
    }
  }
}

TEST(SecAggCrash, OfEverybodyAfterEachLetterChangesNothingButTime) {
  std::size_t letters = 0;
  SecAggHarness whole({.devices = kDevices});
  add_faults(whole);
  whole.tamper = [&](SecAggLetter&) { return ++letters > 0; };
  whole.run();
  for (std::size_t last = 1; last <= letters; ++last) {
    SecAggHarness round({.devices = kDevices});
    add_faults(round);
    std::size_t seen = 0;
    round.tamper = [&](SecAggLetter&) {
      if (++seen != last) return true;
      for (std::uint32_t i = 0; i < kDevices; ++i) round.bounce_device(i);
      round.bounce_server();
      return false; // and that letter is lost
    };
    round.run();
    ASSERT_TRUE(round.finished()) << "letter " << last << ": " << round.abandoned_because();
    EXPECT_EQ(round.sum(), round.expected_sum()) << "letter " << last;
    EXPECT_THAT(round.violations(), IsEmpty()) << "letter " << last;
  }
}

TEST(SecAggCrash, OfAServerThatWasUnmaskingGivesTheSameSeedsAgain) {
  SecAggHarness round({.devices = 5});
  round.run();
  ASSERT_TRUE(round.finished());
  auto restored = SecAggServer::restore(round.server_context(), round.server_disk());
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_STREQ(restored->phase_name(), "unmasking");
  std::vector<SecAggServerAction> last;
  for (std::uint32_t i = 0; i < 5 && last.empty(); ++i) {
    const auto said = round.device(i).say_again();
    last = restored->handle(round.id(i), std::get<SendSecAgg>(said[0]).message,
                            round.signing(i).public_key(), round.certificate(i));
  }
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(std::get<Unmask>(last[0]).seeds.size(), 5U);
}

// ---- states on disk ----

template <typename Machine, typename Context>
void expect_reading_refuses_damage(const Context& context, const std::vector<Bytes>& states) {
  for (const Bytes& state : states) {
    ASSERT_FALSE(state.empty());
    const auto restored = Machine::restore(context, state);
    ASSERT_TRUE(restored) << restored.error().message;
    for (std::size_t size = 0; size < state.size(); ++size) {
      EXPECT_FALSE(Machine::restore(context, ByteSpan(state).first(size))) << size;
    }
    for (std::size_t i = 0; i < state.size(); ++i) {
      Bytes changed = state;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ (1U << (i % 8)));
      const auto read = Machine::restore(context, changed);
      ASSERT_FALSE(read) << i;
      EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(SecAggState, OfADeviceComesBackInEveryPhase) {
  const auto states = samples::secagg_device_states();
  for (std::size_t phase = 0; phase < states.size(); ++phase) {
    const auto restored = SecAggClient::restore(samples::secagg_device(), states[phase]);
    ASSERT_TRUE(restored) << phase << ": " << restored.error().message;
    EXPECT_EQ(restored->phase().index(), phase);
    EXPECT_EQ(restored->serialize(), states[phase]);
    EXPECT_LE(states[phase].size(), limits::kSecAggStateBytes);
  }
}

TEST(SecAggState, OfTheServerComesBackInEveryPhase) {
  const auto states = samples::secagg_server_states();
  for (std::size_t phase = 0; phase < states.size(); ++phase) {
    const auto restored = SecAggServer::restore(samples::secagg_aggregator(), states[phase]);
    ASSERT_TRUE(restored) << phase << ": " << restored.error().message;
    EXPECT_EQ(restored->phase().index(), phase);
    EXPECT_EQ(restored->serialize(), states[phase]);
  }
}

TEST(SecAggState, WithAnyBitChangedOrCutIsRefused) {
  expect_reading_refuses_damage<SecAggClient>(samples::secagg_device(),
                                              samples::secagg_device_states());
  expect_reading_refuses_damage<SecAggServer>(samples::secagg_aggregator(),
                                              samples::secagg_server_states());
}

TEST(SecAggState, OfAnotherPlanDeviceOrVersionIsRefused) {
  for (const Bytes& state : samples::secagg_device_states()) {
    SecAggClientContext other_plan = samples::secagg_device();
    other_plan.plan_hash = samples::hash(1);
    SecAggClientContext other_device = samples::secagg_device();
    other_device.id = ClientId{};
    for (const SecAggClientContext& other : {other_plan, other_device}) {
      EXPECT_EQ(SecAggClient::restore(other, state).error().code, ErrorCode::kFailedPrecondition);
    }
    Bytes newer = state;
    newer[0] = 2;
    EXPECT_EQ(
        SecAggClient::restore(samples::secagg_device(), samples::with_checksum(newer)).error().code,
        ErrorCode::kUnsupported);
  }
  for (const Bytes& state : samples::secagg_server_states()) {
    SecAggServerContext other = samples::secagg_aggregator();
    other.plan_hash = samples::hash(1);
    EXPECT_EQ(SecAggServer::restore(other, state).error().code, ErrorCode::kFailedPrecondition);
    Bytes newer = state;
    newer[0] = 2;
    EXPECT_EQ(SecAggServer::restore(samples::secagg_aggregator(), samples::with_checksum(newer))
                  .error()
                  .code,
              ErrorCode::kUnsupported);
  }
}

// A checksum is no proof: whatever reads as a state must be one that the machine can go on from.
TEST(SecAggState, ChangedUnderAGoodChecksumIsRefusedOrGoesOnWithoutHarm) {
  const auto messages = samples::secagg_messages();
  for (const Bytes& state : samples::secagg_device_states()) {
    for (std::size_t i = 0; i + Sha256::kSize < state.size(); ++i) {
      Bytes changed = state;
      changed[i] ^= 0x01;
      auto read = SecAggClient::restore(samples::secagg_device(), samples::with_checksum(changed));
      if (!read) continue;
      std::ignore = read->masks();
      read->say_again();
      for (const SecAggMessage& message : messages) read->handle(message);
    }
  }
  const SigningKey device = samples::device_key();
  for (const Bytes& state : samples::secagg_server_states()) {
    for (std::size_t i = 0; i + Sha256::kSize < state.size(); ++i) {
      Bytes changed = state;
      changed[i] ^= 0x01;
      auto read =
          SecAggServer::restore(samples::secagg_aggregator(), samples::with_checksum(changed));
      if (!read) continue;
      for (const ClientId& client : read->awaited()) read->member_back(client);
      read->close_sharing();
      read->close_sum(read->awaited());
      read->give_up_waiting();
    }
  }
}

TEST(SecAggState, OfAStoppedDeviceHoldsNoSecrets) {
  const auto states = samples::secagg_device_states();
  const auto masked = SecAggClient::restore(samples::secagg_device(), states[3]).value();
  const SecAggShared& shared = std::get<SecAggMasked>(masked.phase()).shared;
  for (const Secret<32>* secret :
       {&shared.self_secret, &shared.keys.box.secret(), &shared.keys.mask.secret()}) {
    const auto found = [&](const Bytes& state) {
      return std::search(state.begin(), state.end(), secret->span().begin(),
                         secret->span().end()) != state.end();
    };
    EXPECT_TRUE(found(states[3]));
    EXPECT_FALSE(found(states[5]));
  }
}

TEST(SecAggState, OnDiskHasNoKeysOfBoxesAndFindsThemAgain) {
  const auto states = samples::secagg_device_states();
  for (const std::size_t phase : {std::size_t{2}, std::size_t{3}, std::size_t{4}}) {
    const auto device = SecAggClient::restore(samples::secagg_device(), states[phase]).value();
    const auto* const answered = std::get_if<SecAggAnswered>(&device.phase());
    const auto* const masked =
        answered != nullptr ? &answered->masked : std::get_if<SecAggMasked>(&device.phase());
    const SecAggShared& shared =
        masked != nullptr ? masked->shared : std::get<SecAggShared>(device.phase());
    ASSERT_FALSE(shared.neighbours.empty());
    ASSERT_EQ(shared.box_keys.size(), shared.neighbours.size());
    for (const ShareBoxKeys& keys : shared.box_keys) {
      for (const Secret<32>* key : {&keys.sealing, &keys.opening}) {
        EXPECT_TRUE(std::ranges::search(states[phase], key->span()).empty());
      }
    }
  }
}

} // namespace
} // namespace coppice
