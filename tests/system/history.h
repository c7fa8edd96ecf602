// SPDX-License-Identifier: Apache-2.0
// One history of a fleet without sockets: real AggregatorRound, UploadIntake and DeviceRounds,
// simulated disks, and a channel that drops, repeats, reorders and delays. Both sides crash between
// any two actions and come back from what their disks hold.
//
// Everything follows from the seed. The glue does what service_*.cc and agent_*.cc do, commit for
// commit. run() gives the first promise that was broken, in words, or nothing.
#pragma once

#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "aggregator/round.h"
#include "aggregator/upload_intake.h"
#include "base/random.h"
#include "client/round.h"

namespace coppice {

struct HistorySettings {
  std::uint32_t devices = 3;
  std::uint32_t rounds = 2;
  std::uint64_t upload_bytes = 96;    // above limits::kChunkBytes: several chunks
  std::uint32_t drop_per_mille = 150; // of messages
  std::uint32_t repeat_per_mille = 100;
  std::uint32_t crash_per_mille = 20; // of actions carried out
};

// The elements that a history's upload stands for follow from its name.
std::vector<std::uint32_t> elements_of(const Sha256& upload, const RoundPlan& plan);

struct HistoryCounts { // what a set of histories has seen: a test that saw no crash proves nothing
  std::uint64_t released = 0;
  std::uint64_t abandoned = 0;
  std::uint64_t device_crashes = 0;
  std::uint64_t aggregator_crashes = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t sat_out = 0; // devices killed between the used-once mark and the bytes
};

class History {
 public:
  History(std::uint64_t seed, HistorySettings settings);
  std::optional<std::string> run();
  const HistoryCounts& counts() const { return counts_; }

 private:
  static constexpr std::size_t kAggregator = ~std::size_t{0};

  struct Letter { // a message under way
    std::size_t to = kAggregator;
    std::size_t from = kAggregator;
    Sha256 plan_hash;
    Message message;
  };
  struct Wake { // what happens at a time; `life` must still be the same
    Millis at;
    std::uint64_t order = 0;
    std::size_t who = kAggregator;
    std::uint64_t life = 0;
    enum class Kind { kDeliver, kTick, kRestart, kTrained } kind = Kind::kTick;
    std::size_t letter = 0;
    Sha256 plan_hash;
    bool operator>(const Wake& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };
  struct Device {
    ClientId id;
    // Disk.
    RoundMarks marks;
    std::map<Sha256, Bytes> uploads;
    // Memory: gone with a crash.
    std::optional<DeviceRound> round;
    std::uint64_t life = 0;
    // What an outside observer remembers.
    std::map<Sha256, Sha256> sealed; // plan hash, upload
    std::map<Sha256, RoundId> acknowledged;
  };
  struct RoundOnDisk {
    StoredRound stored;
    enum class Status { kRunning, kReleased, kAbandoned } status = Status::kRunning;
    Millis deadline;
    std::optional<std::map<ClientId, Sha256>> closed_with;
  };

  // history.cc: time, channel, crashes
  void schedule(Wake wake, Millis after);
  void send(std::size_t from, std::size_t to, Message message, const Sha256& plan_hash);
  bool crashes(std::size_t who);
  bool chance(std::uint32_t per_mille) { return random_.below(1000) < per_mille; }
  Millis between(std::uint64_t low, std::uint64_t high);
  void broken(const std::string& promise);
  void step(const Wake& wake);

  // history_device.cc
  void start_device(std::size_t which);
  void device_receives(std::size_t which, const Letter& letter);
  void feed_device(std::size_t which, DeviceEvent event);
  bool device_acts(std::size_t which, const DeviceAction& action);
  Bytes seal(std::size_t which, const RoundPlan& plan, const Sha256& plan_hash);

  // history_aggregator.cc
  void start_aggregator();
  void begin_round();
  void aggregator_receives(const Letter& letter);
  void on_offer(std::size_t from, const UploadOffer& offer);
  void on_chunk(std::size_t from, const Sha256& plan_hash, const UploadChunk& chunk);
  void finish_turn();
  void feed_round(RoundEvent event);
  bool aggregator_acts(const RoundAction& action, std::vector<RoundEvent>& events);
  void grant(const std::vector<UploadIntake::Grant>& grants);
  void end_round(bool released);
  RoundOnDisk* running();
  std::size_t device_of(const ClientId& client) const;
  void check_close(const RoundOnDisk& round);
  void check_release(const RoundOnDisk& round);
  void check_end();

  KeyedRandom random_;
  HistorySettings settings_;
  HistoryCounts counts_;
  std::optional<std::string> broken_;
  Millis now_{0};
  Millis calm_after_{0}; // no more faults from here on
  std::uint64_t order_ = 0;
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> queue_;
  std::vector<Letter> letters_;
  std::vector<Device> devices_;

  std::map<RoundId, RoundOnDisk> disk_; // the aggregator's
  std::optional<AggregatorRound> round_;
  UploadIntake intake_;
  bool aggregator_up_ = false;
  std::uint64_t aggregator_life_ = 0;
};

} // namespace coppice
