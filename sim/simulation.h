// SPDX-License-Identifier: Apache-2.0
// A fleet over virtual time: rounds one after another, what they release, what it is good for.
//
// The aggregator's and the devices' own rules: plans, prices and releases are made by aggregator/,
// rounds are played by their machines (sim/round_play.h), deltas are trained and encoded by
// client/. The same scenario gives the same events.jsonl and the same releases for any number of
// workers, GPUs and ranks, and after any number of SIGKILLs and resumes. Every rank plays every
// round; a client is trained by one of them, and their sums are added up once a round. For one
// thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "aggregator/round_privacy.h"
#include "sim/client_data.h"
#include "sim/engine_team.h"
#include "sim/evaluation.h"
#include "sim/kept_states.h"
#include "sim/participation.h"
#include "sim/round_play.h"
#include "sim/run_folder.h"

namespace coppice {

// What a simulation is made of. `base` and `data` are null where nothing is trained.
struct SimulationParts {
  Scenario scenario;
  fs::path scenario_folder; // what relative paths are relative to
  std::shared_ptr<const BaseModel> base;
  WorkerEngine engine;
  bool packs = false; // EngineInfo::packs of those
  // Of a real fleet's devices, in the order of the data's clients: its rounds are played again, to
  // the same bits. Empty: virtual ones.
  std::vector<ClientId> identities = {};
};

struct SimulationEnd {
  std::uint64_t rounds = 0;     // played, abandoned ones included
  std::uint64_t trained = 0;    // clients, in this process
  std::uint64_t tokens = 0;     // trained on in those rounds, in all processes
  std::uint64_t events = 0;     // popped, in this process
  double seconds = 0;           // of rounds alone, in this process, on the wall
  std::string reason;           // why it ended
  std::vector<Sha256> releases; // of the rounds that made one, in order
  Nanos time;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  double joules = 0;
  double epsilon = 0;
};

struct RoundNews { // for whoever watches
  std::uint64_t round = 0;
  const PlayedRound& played;
  double loss_before = 0;
  double loss_after = 0;
};

class Simulation {
 public:
  // A new run, or one that is gone on with: `folder` says which. kFailedPrecondition if it was
  // begun under other conditions; the difference is named.
  // With several ranks the first alone has a folder, and the others none.
  static Result<std::unique_ptr<Simulation>> open(SimulationParts parts, Ranks& ranks,
                                                  std::optional<RunFolder> folder);
  ~Simulation();

  using OnRound = std::function<void(const RoundNews&)>;
  // kCancelled after `stop` (may be null), with everything up to the last whole round on disk.
  Result<SimulationEnd> run(const std::atomic<bool>* stop, const OnRound& on_round);

 private:
  Simulation(SimulationParts parts, Ranks& ranks, std::optional<RunFolder> folder);
  Result<void> prepare();
  Result<void> prepare_strategy();
  void settle_kept(const PlayedRound& played);
  bool has_control(const Recipe& recipe) const;
  Result<std::shared_ptr<const std::vector<float>>> control_for(const Recipe& recipe) const;
  Result<void> check_conditions();
  Result<void> restore();
  Result<void> store();
  Result<void> add_event(const Json& event);
  Result<void> prepare_adapter();
  Result<void> prepare_devices();
  Result<Adapter> first_adapter() const;
  bool more_rounds() const;
  Result<std::vector<DeviceNumber>> gather(const std::atomic<bool>* stop);
  std::set<DeviceNumber> under_way() const; // from earlier rounds
  Nanos wait_for_devices() const;
  void took_part(DeviceNumber device);
  void settle_late(const PlayedRound& played);
  Result<std::optional<RoundPlan>> next_plan(std::uint32_t cohort);
  double stand_for_more(PlanInputs& inputs) const;
  Result<RoundWeights> weights_of(const RoundPlan& plan) const;
  Result<void> play_round(const std::atomic<bool>* stop, const OnRound& on_round);
  Result<AdapterVersion> finish(const RoundPlan& plan, const CountedSums& sums);
  Result<void> share_figures();
  Result<void> write_round(const RoundPlan& plan, Nanos began, const PlayedRound& played);
  Result<void> evaluate();
  Result<void> evaluate_clients();
  std::uint64_t hostile_devices() const;
  Result<void> conclude();

  SimulationParts parts_;
  Ranks& ranks_;
  std::optional<RunFolder> folder_;
  FleetFacts facts_;
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<ClientData> data_;
  std::optional<Population> population_;
  std::optional<Participation> participation_; // of its rows
  std::unique_ptr<KeptStates> kept_;           // null where devices keep nothing between rounds
  std::unique_ptr<EngineTeam> team_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<UploadAdder> adder_; // null where nothing is trained
  std::unique_ptr<Evaluation> evaluation_;
  std::shared_ptr<const AdapterSpec> full_spec_; // what weights are of, where nothing is trained

  RunState state_;
  std::optional<Adapter> adapter_; // the shared one
  std::optional<Adapter> pooled_;  // after the last round, where report.centralized asks for it
  PrivacyLedger ledger_;
  std::optional<double> planned_multiplier_;
  // Of the round under way.
  RoundPlan priced_; // what is paid for: the plan, or a larger cohort's
  std::optional<RoundOutcome> outcome_;
  std::vector<DeviceNumber> members_;
  std::vector<std::pair<DeviceNumber, std::vector<float>>> deltas_; // a few, for their spread
  std::uint64_t tokens_ = 0;
  std::uint64_t clipped_ = 0;
  std::uint64_t clamped_ = 0;
  std::uint64_t late_staleness_ = 0; // of late uploads in its release, together
  std::uint64_t late_stale_ = 0;     // devices that are too far behind after it
  SimulationEnd end_;
};

} // namespace coppice
