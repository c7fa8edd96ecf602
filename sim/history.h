// SPDX-License-Identifier: Apache-2.0
// The inside of run_history(): see sim/protocol_history.h. Parts: history.cc (time, channel,
// crashes), history_device.cc, history_aggregator.cc, history_round.cc.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "aggregator/round.h"
#include "aggregator/upload_intake.h"
#include "base/random.h"
#include "client/round.h"
#include "sim/history_liars.h"
#include "sim/history_observer.h"
#include "sim/model_primitives.h"
#include "sim/protocol_history.h"

namespace coppice {

inline constexpr Millis kHistoryRoundTime{60'000};

class History {
 public:
  History(std::uint64_t seed, const HistorySettings& settings);
  HistoryOutcome run();

 private:
  static constexpr std::size_t kAggregator = ~std::size_t{0};
  static constexpr std::uint64_t kSoreSpots = 64; // some are none

  struct PlanLetter {
    std::shared_ptr<const RoundPlan> plan;
    Millis time_left;
  };
  struct Letter { // a message under way
    std::size_t to = kAggregator;
    std::size_t from = kAggregator;
    Sha256 plan_hash;
    std::variant<Message, SecAggMessage, PlanLetter> body;
  };
  struct Wake { // what happens at a time; `life` must still be the same
    Millis at;
    std::uint64_t order = 0;
    std::size_t who = kAggregator;
    std::uint64_t life = 0;
    enum class Kind { kDeliver, kTick, kRestart, kTrained, kReconnect, kLost } kind = Kind::kTick;
    std::size_t letter = 0;
    std::uint64_t training = 0; // kTrained: one that is stopped never ends
    Sha256 plan_hash;
    bool operator>(const Wake& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };
  struct Device {
    const HistoryIdentity* identity = nullptr;
    const SecAggPrimitives* primitives = nullptr;
    ModelPrimitives own_model{0}; // kDeviceRepeatsRandomness
    std::optional<LyingDevice> liar;
    // Disk.
    RoundMarks marks;
    double epsilon = 0; // highest that a plan said is spent
    std::map<Sha256, Bytes> uploads;
    Bytes secagg;
    // Memory: gone with a crash.
    std::optional<DeviceRound> round;
    double offered_epsilon = 0;
    std::shared_ptr<const RoundPlan> plan;
    std::uint64_t trainings = 0;     // begun or stopped
    std::optional<Sha256> true_list; // kDeviceIgnoresOwnBit: what it was told
    std::uint64_t life = 0;
    // Of the connection: a lease is lost if it is not renewed.
    std::uint64_t check_ins = 0;
    std::optional<std::uint64_t> leaves_after; // actions
    bool gone = false;
  };
  struct RoundOnDisk {
    StoredRound stored;
    Sha256 plan_hash;
    enum class Status { kRunning, kReleased, kAbandoned } status = Status::kRunning;
    Millis deadline;
    std::optional<std::map<ClientId, Sha256>> closed_with;
    bool spent = false;
  };

  // history.cc
  void step(const Wake& wake);
  void tick(const Wake& wake);
  void schedule(Wake wake, Millis after);
  void wake_device(std::size_t which, Wake::Kind kind, Millis after);
  void send(Letter letter);
  void send_to_device(std::size_t which, Message message, const Sha256& plan_hash = {});
  void send_to_aggregator(std::size_t from, Message message, const Sha256& plan_hash = {});
  bool crashes(std::size_t who) { return crashes(who, settings_.crash_per_mille); }
  bool crashes(std::size_t who, std::uint32_t per_mille);
  template <typename Action>
  bool crashes_after(std::size_t who, const Action& action);
  bool stormy() const { return now_ < calm_after_; }
  bool chance(std::uint32_t per_mille) { return per_mille > 0 && random_.below(1000) < per_mille; }
  Millis between(std::uint64_t low, std::uint64_t high);
  bool planted(PlantedBug bug) const { return settings_.bug == bug; }
  void check_end();

  // history_device.cc
  SecAggIdentity secagg_identity(std::size_t which) const;
  void start_device(std::size_t which);
  void mask_again(std::size_t which);
  void reconnect(std::size_t which);
  void device_ticks(std::size_t which);
  void device_receives(std::size_t which, const Letter& letter);
  void device_hears(std::size_t which, const Sha256& plan_hash, const SecAggMessage& message);
  void device_considers(std::size_t which, const PlanLetter& offer, const Sha256& plan_hash);
  void feed_device(std::size_t which, DeviceEvent event);
  bool device_acts(std::size_t which, const DeviceAction& action);
  void device_says(std::size_t which, const SendSecAggMessage& action);
  void device_persists(std::size_t which, const Bytes& state);
  bool seal_and_store(std::size_t which, const SealAndStore& order);
  void send_chunks(std::size_t which, const SendChunks& chunks);
  Bytes make_upload(std::size_t which, const std::vector<std::uint32_t>& elements);

  // history_aggregator.cc
  void start_aggregator();
  void begin_round();
  RoundPlan make_plan();
  void aggregator_receives(const Letter& letter);
  void on_offer(std::size_t from, const UploadOffer& offer);
  void on_chunk(std::size_t from, const Sha256& plan_hash, const UploadChunk& chunk);
  void on_check_in(std::size_t from);
  void lose(std::size_t which);
  void grant(const std::vector<UploadIntake::Grant>& grants);
  RoundOnDisk* running();
  std::size_t device_of(const ClientId& client) const;

  // history_round.cc: the round's actions carried out
  void finish_turn();
  void retry_commits();
  bool disk_is_full(); // a commit of the aggregator fails, and it lives on
  void feed_round(RoundEvent event);
  bool aggregator_acts(const RoundAction& action, std::vector<RoundEvent>& events);
  bool commit_plan(std::vector<RoundEvent>& events);
  bool commit_abandon();
  bool commit_close(std::vector<RoundEvent>& events);
  bool make_release(std::vector<RoundEvent>& events);
  void offer_plan(const ClientId& client);
  void send_agreement(const SendAgreement& action);
  bool commit_secagg(const Bytes& state);
  void unmask(const UnmaskSum& action, std::vector<RoundEvent>& events);
  void end_round(bool released);
  void refuse(std::size_t which, ErrorCode code, const std::string& reason,
              const Sha256& plan_hash);
  void check_close(const RoundOnDisk& round);

  HistorySettings settings_;
  KeyedRandom random_;
  std::uint64_t sore_spot_; // a kind of action, after which crashes are likely
  HistoryCounts counts_;
  ModelPrimitives model_;
  TrustingPrimitives trusting_;
  LyingModel lying_model_;
  HistoryObserver observer_;
  std::optional<LyingAggregator> liar_;

  Millis now_{0};
  Millis calm_after_{0}; // no more faults from here on, in this round
  std::uint64_t order_ = 0;
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> queue_;
  std::deque<Letter> letters_;
  std::vector<Device> devices_;

  // The aggregator's disk.
  std::map<RoundId, RoundOnDisk> disk_;
  double spent_ = 0;
  Bytes before_close_; // kAggregatorChangesSurvivors: what stayed on it
  // Its memory.
  std::optional<AggregatorRound> round_;
  std::shared_ptr<const RoundPlan> plan_; // of round_
  UploadIntake intake_;
  std::vector<std::uint32_t> older_sum_; // kAggregatorUnmasksOlderSum
  bool aggregator_up_ = false;
  bool secagg_unsaved_ = false; // its commit failed, and what follows was said to nobody
  bool clock_stopped_ = false;  // kAggregatorIgnoresDeadline
  std::uint64_t aggregator_life_ = 0;
};

// Each history has a kind of action of its own after which crashes are likely: what comes once a
// round is else seldom followed by one.
template <typename Action>
bool History::crashes_after(std::size_t who, const Action& action) {
  constexpr std::uint64_t kAggregators = kSoreSpots / 2;
  constexpr std::uint64_t kMessages = kSoreSpots / 4;
  std::uint64_t kind = (who == kAggregator ? kAggregators : 0) + action.index();
  if constexpr (std::is_same_v<Action, DeviceAction>) {
    const auto* const said = std::get_if<SendSecAggMessage>(&action);
    if (said != nullptr) kind = kMessages + said->message.index();
  } else {
    const auto* const said = std::get_if<SendAgreement>(&action);
    if (said != nullptr) kind = kAggregators + kMessages + said->draft().index();
  }
  return kind == sore_spot_ && settings_.crash_per_mille > 0 && crashes(who, 300);
}

} // namespace coppice
