// SPDX-License-Identifier: Apache-2.0
// Hundreds of devices in this process, over real sockets, against an aggregator of its own.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <thread>

#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/bench_round.h"
#include "cli/fleet_process.h"
#include "client/agent.h"
#include "client/enroll.h"
#include "protocol/descriptors.h"
#include "protocol/zmtp.h"

namespace coppice {
namespace {

constexpr float kDelta = 0.001F;
constexpr Millis kEnrolTimeout{60'000};
constexpr Millis kConnectTimeout{300'000};
constexpr Millis kEndTimeout{30'000};
constexpr Millis kSilence{300'000}; // a device gives up after so long without a word
// Two connections, their mailboxes and monitor, a wake-up, the ledger and the lock.
constexpr std::uint64_t kDescriptorsPerClient = 16;

void nap() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }
double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// Mains, no load: what this machine does otherwise must not make a device decline.
class AlwaysReady final : public DeviceConditions {
 public:
  DeviceReadings read() const override {
    DeviceReadings readings;
    readings.network = NetworkKind::kUnmetered;
    return readings;
  }
};

std::vector<Override> settings_for(std::uint32_t clients) {
  const std::string count = cat(clients);
  return {{"round.min_available_nodes", count, "bench"},
          {"round.min_train_nodes", count, "bench"},
          {"round.min_survivors", "2", "bench"},
          {"round.weighted_by", "uniform", "bench"}, // 16 bits hold the sum of so many
          {"network.max_clients", cat(clients + 16), "bench"},
          {"network.lease", "5m", "bench"}};
}

// One device: an agent on a thread of its own, stopped twice on its way.
class BenchDevice {
 public:
  BenchDevice(DeviceFolder folder, const fs::path& model) : folder_(std::move(folder)) {
    settings_.model = model;
    settings_.resources.nice = 0;
    settings_.personal.enabled = false;
  }
  ~BenchDevice() {
    if (thread_.joinable()) thread_.join();
  }
  BenchDevice(const BenchDevice&) = delete;
  BenchDevice& operator=(const BenchDevice&) = delete;

  Result<void> join(const std::string& invite) {
    COPPICE_TRY(folder_.create());
    Ledger ledger = COPPICE_TRY(Ledger::open(folder_.ledger_path()));
    COPPICE_TRY(enroll(folder_, COPPICE_TRY(decode_invite(invite)), settings_.model, ledger, clock_,
                       kEnrolTimeout));
    return {};
  }

  // Connects and fetches the first adapter, says so, waits for `go`, takes part in the rounds.
  void start(std::uint32_t rounds, std::latch& go) {
    thread_ = std::thread([this, rounds, &go] {
      outcome_ = run(rounds, go);
      ended_.store(true);
    });
  }
  bool holds_first() const { return holds_first_.load(); }
  bool ended() const { return ended_.load(); }
  // After ended().
  const Result<void>& outcome() const { return outcome_; }
  Result<std::uint64_t> bytes_up() const {
    std::uint64_t bytes = 0;
    for (const LedgerEntry& entry : COPPICE_TRY(read_ledger(folder_.ledger_path()))) {
      if (entry.channel != "enroll") bytes += entry.bytes + kCurveOverhead;
    }
    return bytes;
  }

 private:
  Result<void> run(std::uint32_t rounds, std::latch& go) {
    AgentOptions options;
    options.settings = settings_;
    options.trainer = constant_trainer(kDelta);
    options.conditions = std::make_unique<AlwaysReady>();
    const auto agent = COPPICE_TRY(Agent::open(folder_, std::move(options), clock_));
    COPPICE_TRY(until(*agent, 0));
    holds_first_.store(true);
    go.wait();
    return until(*agent, rounds);
  }
  static Result<void> until(Agent& agent, std::uint32_t version) {
    const AgentEnd end =
        COPPICE_TRY(agent.run({.until_release = AdapterVersion{version}, .timeout = kSilence}));
    if (end == AgentEnd::kReleaseReached) return {};
    return Error{ErrorCode::kDeadlineExceeded,
                 cat("a device heard nothing for ", kSilence.count / 1000, " s")};
  }

  const SystemClock clock_;
  const DeviceFolder folder_;
  ClientSettings settings_;
  std::atomic<bool> holds_first_{false};
  std::atomic<bool> ended_{false};
  Result<void> outcome_;
  std::thread thread_;
};

using Devices = std::vector<std::unique_ptr<BenchDevice>>;

Result<Devices> enrolled_devices(const RoundBenchOptions& options, const FleetServer& server) {
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.root / "aggregator"));
  StateStore store = COPPICE_TRY(StateStore::observe(options.root / "aggregator"));
  ClientRegistry registry = COPPICE_TRY(ClientRegistry::open(store.database()));
  const InviteRequest request{.count = options.clients, .endpoints = server.endpoints};
  const auto invites = COPPICE_TRY(make_invites(folder, registry, request, SystemClock().wall()));
  std::error_code code;
  fs::create_directories(options.root / "devices", code);
  if (code) return Error{ErrorCode::kIo, cat("can't make the devices' folder: ", code.message())};
  Devices devices;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    devices.push_back(std::make_unique<BenchDevice>(DeviceFolder(options.root / "devices" / cat(i)),
                                                    options.model));
    COPPICE_TRY(devices.back()->join(invites.at(i)));
  }
  return devices;
}

// Waits until `done` or a failure; `watch` is called meanwhile.
template <typename Done, typename Watch>
Result<void> wait_for(const Devices& devices, FleetServer& server, Done done, Watch watch) {
  const SystemClock clock;
  const Millis give_up = clock.monotonic() + kConnectTimeout;
  while (!std::ranges::all_of(devices, done)) {
    watch();
    for (const auto& device : devices) {
      if (device->ended() && !device->outcome().ok()) return device->outcome().error();
    }
    const auto status = server.process.process.poll();
    if (status && *status != 0) {
      return Error{ErrorCode::kInternal, cat("the aggregator ended with status ", *status, ": ",
                                             last_lines(server.process.log))};
    }
    if (clock.monotonic() > give_up) {
      return Error{ErrorCode::kDeadlineExceeded, "the devices are not done in time"};
    }
    nap();
  }
  watch();
  return {};
}

} // namespace

Result<FleetMemory> bench_in_process(const RoundBenchOptions& options) {
  COPPICE_TRY(ensure_descriptors(kDescriptorsPerClient * options.clients + 256));
  FleetServer server = COPPICE_TRY(start_fleet_server({.program = options.program,
                                                       .root = options.root,
                                                       .model = options.model,
                                                       .settings = settings_for(options.clients),
                                                       .rounds = options.rounds,
                                                       .paused = true}));
  const auto resident = [&] { return megabytes(resident_bytes(server.process.process.id())); };
  FleetMemory memory{.clients = options.clients, .times = {}};
  const Devices devices = COPPICE_TRY(enrolled_devices(options, server));
  memory.alone_mb = resident();
  if (options.on_line) options.on_line(cat(options.clients, " devices have enrolled"));
  std::latch go(1);
  for (const auto& device : devices) device->start(options.rounds, go);
  const auto ran = [&]() -> Result<void> {
    COPPICE_TRY(wait_for(
        devices, server, [](const auto& device) { return device->holds_first(); }, [] {}));
    memory.connected_mb = resident();
    if (options.on_line) options.on_line(cat(options.clients, " devices hold the first adapter"));
    StateStore store = COPPICE_TRY(StateStore::observe(options.root / "aggregator"));
    return store.set("paused", "0");
  }();
  go.count_down(); // whatever happened: the threads end by themselves
  COPPICE_TRY(ran);
  COPPICE_TRY(wait_for(
      devices, server, [](const auto& device) { return device->ended(); },
      [&] {
        memory.most_mb = std::max(memory.most_mb, resident());
        memory.fleet_mb = std::max(memory.fleet_mb, megabytes(resident_bytes(::getpid())));
      }));
  for (const auto& device : devices) {
    COPPICE_TRY(device->outcome());
    memory.bytes_up_per_client_round +=
        static_cast<double>(COPPICE_TRY(device->bytes_up())) / options.clients / options.rounds;
  }
  COPPICE_TRY(server.process.process.wait(kEndTimeout));
  memory.times =
      COPPICE_TRY(round_times(options.root / "aggregator", options.rounds, options.clients));
  return memory;
}

} // namespace coppice
