// SPDX-License-Identifier: Apache-2.0
// Peers of a history that lie: what they say in place of what an honest one would.
//
// A lying aggregator keeps an honest machine, and alters what it tells; it has one trick a history.
// A lying device has an honest machine too, with primitives of its own, and alters what it says.
// Repeatable by their seeds. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "protocol/round_plan.h"
#include "sim/history_identities.h"
#include "sim/model_primitives.h"

namespace coppice {

class LyingAggregator {
 public:
  LyingAggregator(std::uint64_t seed, const SecAggPrimitives& primitives);

  // What is sent to `device` in place of `message`, in order.
  std::vector<SecAggMessage> tells(std::size_t device, const SecAggMessage& message);
  // What it says besides to a device that has just connected.
  std::vector<SecAggMessage> tells_again(std::size_t device);
  const Sha256& plan_hash() const { return plan_hash_; } // of what it says besides
  // What its machine gets to hear of `message`.
  SecAggMessage hears(std::size_t device, SecAggMessage message) const;
  // Another plan of the same round for one device, at times.
  std::optional<RoundPlan> plans(const RoundPlan& plan);
  std::uint64_t lies() const { return lies_; }

 private:
  enum class Trick : std::uint8_t {
    kSecondList,
    kListBelowFloor,
    kListWithoutMe,
    kListAgainstBoxes,
    kAnotherRoster,
    kRosterWithMyKeysChanged,
    kForgedKeys,
    kOpeningChanged,
    kInboxChanged,
    kNewKeysLate,
    kReplay,
    kAnotherPlan,
    kDowngrade,
  };
  static constexpr std::uint64_t kTricks = 13;

  struct Forgery { // of one device's keys, for the eyes of another
    ClientId victim;
    SignedAdvert advert;
    Sha256 real_roster;
    Sha256 forged_roster;
  };
  std::vector<SecAggMessage> tell(std::size_t device, const SecAggMessage& message);
  std::vector<SecAggMessage> tell_list(std::size_t device, const SurvivorList& list);
  std::vector<SecAggMessage> tell_roster(std::size_t device, const Roster& roster);
  std::vector<SecAggMessage> tell_opening(std::size_t device, const GraphOpening& opening);
  std::vector<SecAggMessage> tell_inbox(const ShareInbox& inbox);
  std::vector<SecAggMessage> more(const SecAggMessage& message);
  std::vector<SecAggMessage> both(const SecAggMessage& one, const SecAggMessage& other);
  Roster forge(std::size_t device, Roster roster);
  bool chance(std::uint32_t per_mille) { return random_.below(1000) < per_mille; }

  KeyedRandom random_;
  const SecAggPrimitives& primitives_;
  Trick trick_;
  std::uint64_t lies_ = 0;
  Sha256 plan_hash_;
  std::vector<SecAggMessage> said_;           // to anybody
  std::optional<SurvivorList> list_;          // the last
  std::map<std::size_t, Forgery> forgeries_;  // by the device that is deceived
  std::map<ClientId, std::uint32_t> numbers_; // in the roster
};

class LyingDevice {
 public:
  explicit LyingDevice(std::uint64_t seed);

  std::vector<SecAggMessage> says(const SecAggMessage& message);
  bool another_shape(); // of its upload, at times
  bool lies_in_primitives() const { return trick_ == Trick::kWrongPrimitives; }
  std::uint64_t lies() const { return lies_; }

 private:
  enum class Trick : std::uint8_t {
    kWrongShares,
    kFewerShares,
    kTwoAnswers,
    kAlteredBoxes,
    kFewerBoxes,
    kBoxesTwice,
    kWrongNonce,
    kAlteredAdvert,
    kAnotherAdvert,
    kAggregatorsMessage,
    kUploadOfAnotherShape,
    kWrongPrimitives, // LyingModel, where primitives are modelled
  };
  static constexpr std::uint64_t kTricks = 12;
  std::vector<SecAggMessage> say_advert(const SignedAdvert& advert);
  std::vector<SecAggMessage> say_boxes(const ShareBoxes& boxes);
  std::vector<SecAggMessage> say_shares(const UnmaskShares& shares);
  bool chance(std::uint32_t per_mille) { return random_.below(1000) < per_mille; }

  KeyedRandom random_;
  Trick trick_;
  std::uint64_t lies_ = 0;
};

// Deals shares that fit no secret, or commits to another one, at times.
class LyingModel : public ModelPrimitives {
 public:
  explicit LyingModel(std::uint64_t seed) : ModelPrimitives(seed), random_({.experiment = seed}) {}
  std::vector<SecretShare> share(const Secret<32>& secret, std::uint32_t threshold,
                                 std::uint32_t count) const override;
  Sha256 self_commitment(const Secret<32>& secret, const Sha256& roster_hash) const override;

 private:
  mutable KeyedRandom random_;
};

// PlantedBug::kDeviceIgnoresSignatures.
class TrustingPrimitives : public ModelPrimitives {
 public:
  using ModelPrimitives::ModelPrimitives;
  Result<void> verify_advert(const VerifyKey&, ByteSpan, const Signature&) const override {
    return {};
  }
};

} // namespace coppice
