// SPDX-License-Identifier: Apache-2.0
// One round in virtual time: the real AggregatorRound and a real DeviceRound for each member, and
// between them delays, bandwidths, drop-outs and deadlines of the population.
//
// The glue does what aggregator/service_*.cc and client/agent_*.cc do, action for action; commits
// succeed at once. A device that vanishes is silent, and the aggregator learns of it when its lease
// runs out. Where the plan takes late uploads, devices are played on after its round is over, and
// what they bring arrives in a later one (sim/late_round.h). With SimulatedSum::kExact the machines
// run without masks, and their cost is that of the devices' uploads; with kFull every key, share
// and mask of secure aggregation is made. Both give the same sum. Everything follows from (seed,
// round, members). For one thread.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aggregator/late_uploads.h"
#include "aggregator/round.h"
#include "aggregator/round_maker.h"
#include "client/round.h"
#include "sim/event_queue.h"
#include "sim/late_round.h"
#include "sim/learner.h"
#include "sim/population.h"
#include "sim/scenario.h"
#include "sim/upload_adder.h"

namespace coppice {

enum class DropPhase { kAnswer, kTraining, kMasking, kUploading, kUnmasking };
inline constexpr std::size_t kDropPhases = 5;

// Of one round.
struct RoundTraffic {
  std::uint64_t bytes_down = 0; // to devices
  std::uint64_t bytes_up = 0;
  double joules = 0;
  std::uint64_t events = 0; // popped from the queue
  std::array<std::uint32_t, kDropPhases> dropped{};
  std::uint32_t late = 0; // trained, and came too late to count
};

struct PlayedRound {
  bool released = false;
  std::string reason; // why not
  Nanos ended;
  std::uint32_t accepted = 0;
  std::uint32_t declined = 0;
  std::uint32_t trained = 0;
  std::vector<DeviceNumber> counted;  // sorted; of its own members
  std::vector<LateName> late_counted; // uploads of earlier rounds that its release took
  std::vector<LateName> late_over;    // these, and those that came to nothing
  LateRound leaves;                   // what it leaves under way
  RoundTraffic traffic;
};

// What a round's messages weigh, beside its uploads and what secure aggregation says.
struct RoundWeights {
  std::uint64_t plan_bytes = 0;
  std::uint64_t release_bytes = 0; // what a device fetches before it trains
  std::uint64_t upload_bytes = 0;  // finished, sealed
};

struct RoundSetting {
  const Scenario& scenario;
  Population& population; // rows of members are kept up to date
  RoundPlan plan;
  const Adapter* start; // the shared adapter; must outlive the round
  // What its release carries for devices' corrections; null: nothing.
  std::shared_ptr<const std::vector<float>> control{};
  RoundWeights weights;
  std::vector<DeviceNumber> members;         // sorted
  std::span<const ClientId> identities = {}; // of all devices; empty: virtual ones
  Nanos starts;
  std::span<const LateRound> late = {}; // what earlier rounds left; must outlive the round
  UploadAdder* adder = nullptr;         // null: uploads are added at once
};

Sha256 upload_name(RoundId round, DeviceNumber device);

class RoundPlay {
 public:
  // Called when the sum is there: makes the release. An error abandons the round.
  using Finish = std::function<Result<AdapterVersion>(const CountedSums& sums)>;
  // Called for each upload that the sum takes in.
  using OnCounted = std::function<void(DeviceNumber, const Learned&)>;

  RoundPlay(RoundSetting setting, Learner& learner, Finish finish, OnCounted on_counted);
  ~RoundPlay();
  // kCancelled if `stop` (may be null) is set. Other errors are of our own making.
  Result<PlayedRound> run(const std::atomic<bool>* stop);

 private:
  enum class Kind : std::uint8_t {
    kPlanArrives,
    kAnswerArrives,
    kTrainingEnds,
    kOfferArrives,
    kCreditArrives,
    kChunksArrive,
    kAckArrives,
    kSecAggToServer,
    kSecAggToDevice,
    kLateArrives,
    kLeaseRunsOut,
    kTick,
  };
  struct Payload {
    Kind kind = Kind::kTick;
    bool accepted = false;
    std::uint32_t number = 0; // chunks, or a letter, or of late_devices_
  };
  struct Member;
  struct LateArrival { // of an earlier round's device
    LateName name;
    const LateDevice* brings = nullptr;
    Sha256 plan_hash;
    ClientId id;
  };
  static constexpr std::uint64_t kAggregator = ~std::uint64_t{0}; // as a device in the queue
  using Queue = EventQueue<Payload>;

  // round_play.cc
  Millis now() const { return millis(queue_.now()); }
  const RunningSum& whole_sum() const;
  std::vector<ClientId> identities_of(std::span<const DeviceNumber> devices, bool signs) const;
  Member* member_of(const ClientId& client);
  void schedule(Member& member, Nanos after, Payload payload);
  void schedule_ticks();
  Result<void> play(const Queue::Event& event);
  Result<void> feed(RoundEvent event);
  Result<void> carry_out(const RoundAction& action, std::deque<RoundEvent>& events);
  void end(bool released, const std::string& reason);
  Result<void> upload_arrives(Member& member);
  Result<void> add_noise_and_masks(const Member& member,
                                   std::vector<std::uint32_t>& elements) const;
  std::uint32_t put_letter(SecAggMessage message);
  SecAggMessage take_letter(std::uint32_t number);

  // round_play_late.cc
  void expect_late();
  Result<void> late_arrives(std::uint32_t number);
  Result<void> run_on(const std::atomic<bool>* stop);
  Result<void> play_on(const Queue::Event& event, LateDevice& late);

  // round_play_device.cc
  Millis clock_of(const Member& member) const; // shows virtual time and its skew
  void send_up(Member& member, std::uint64_t bytes, Payload payload);
  void send_down(Member& member, std::uint64_t bytes, Payload payload);
  double spend(const Member& member, double joules);
  void vanish(Member& member, DropPhase phase);
  void play_at_device(Member& member, const Payload& payload);
  void plan_arrives(Member& member);
  void feed_device(Member& member, DeviceEvent event);
  void device_acts(Member& member, const DeviceAction& action);
  void start_training(Member& member, const StartTraining& order);
  void seal(Member& member);

  RoundSetting setting_;
  SharedPlan machine_plan_; // what the machines run: without masks for SimulatedSum::kExact
  Learner& learner_;
  Finish finish_;
  OnCounted on_counted_;
  Queue queue_;
  std::vector<Member> members_;          // by device
  std::vector<std::uint32_t> by_client_; // members, sorted by client id
  std::vector<SecAggMessage> letters_;   // under way
  std::vector<std::uint32_t> free_letters_;
  std::optional<AggregatorRound> round_;
  LateUploads late_;
  std::vector<LateArrival> late_devices_;
  std::vector<LateName> late_here_; // in the sums that the next release takes
  Sha256 plan_hash_;
  PlayedRound played_;
  std::uint64_t ticks_ = 0;
};

} // namespace coppice
