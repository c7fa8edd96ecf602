// SPDX-License-Identifier: Apache-2.0
// Hundreds of devices in this process, over real sockets, against an aggregator of its own.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
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
constexpr int kQuietSamples = 50; // after the rounds: a second without messages

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// Mains, no load: what this machine does otherwise must not make a device decline. On a metered
// network it does.
class FixedConditions final : public DeviceConditions {
 public:
  explicit FixedConditions(NetworkKind network) : network_(network) {}
  DeviceReadings read() const override {
    DeviceReadings readings;
    readings.network = network_;
    return readings;
  }

 private:
  NetworkKind network_;
};

std::vector<Override> fleet_settings(const RoundBenchOptions& options) {
  const std::string count = cat(options.clients);
  std::vector<Override> made = secure_aggregation_settings(options.secure_aggregation);
  made.insert(made.end(),
              {{"round.min_available_nodes", count, "bench"},
               {"round.min_train_nodes", count, "bench"},
               {"round.weighted_by", "uniform", "bench"}, // 16 bits hold the sum of so many
               {"network.max_clients", cat(options.clients + 16), "bench"},
               {"network.lease", "1h", "bench"}}); // a device that waits for the others is silent
  return made;
}

// Closed until somebody opens it, for all who wait.
class Gate {
 public:
  void open() {
    open_.store(true);
    open_.notify_all();
  }
  void wait() const { open_.wait(false); }

 private:
  std::atomic<bool> open_{false};
};
struct Gates {
  Gate rounds; // may begin
  Gate leave;  // connections may close
};

// One device: an agent on a thread of its own, stopped twice on its way. It stays connected until
// all may leave.
class BenchDevice {
 public:
  BenchDevice(DeviceFolder folder, const RoundBenchOptions& options) : folder_(std::move(folder)) {
    settings_.model = options.model;
    if (!options.secure_aggregation) {
      settings_.floors.require_secure_aggregation = false;
      settings_.floors.min_survivors = 2;
    }
    settings_.resources.nice = 0;
    settings_.personal.enabled = false;
  }
  ~BenchDevice() { finish(); }
  BenchDevice(const BenchDevice&) = delete;
  BenchDevice& operator=(const BenchDevice&) = delete;

  Result<void> join(const std::string& invite) {
    COPPICE_TRY(folder_.create());
    Ledger ledger = COPPICE_TRY(Ledger::open(folder_.ledger_path()));
    COPPICE_TRY(enroll(folder_, COPPICE_TRY(decode_invite(invite)), settings_.model, ledger, clock_,
                       kEnrolTimeout));
    return {};
  }

  // Connects and fetches the first adapter, says so, and takes part in the rounds; with none, it
  // never will.
  void start(std::uint32_t rounds, Gates& gates) {
    thread_ = std::thread([this, rounds, &gates] {
      outcome_ = run(rounds, gates);
      ended_.store(true);
    });
  }
  bool holds_first() const { return holds_first_.load(); }
  bool holds_last() const { return holds_last_.load(); }
  bool ended() const { return ended_.load(); }
  void finish() {
    if (thread_.joinable()) thread_.join();
  }
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
  Result<void> run(std::uint32_t rounds, Gates& gates) {
    AgentOptions options;
    options.settings = settings_;
    options.trainer = constant_trainer(kDelta);
    options.conditions = std::make_unique<FixedConditions>(rounds > 0 ? NetworkKind::kUnmetered
                                                                      : NetworkKind::kMetered);
    const auto agent = COPPICE_TRY(Agent::open(folder_, std::move(options), clock_));
    COPPICE_TRY(until(*agent, 0));
    holds_first_.store(true);
    gates.rounds.wait();
    COPPICE_TRY(until(*agent, rounds));
    holds_last_.store(true);
    gates.leave.wait();
    return {};
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
  std::atomic<bool> holds_last_{false};
  std::atomic<bool> ended_{false};
  Result<void> outcome_;
  std::thread thread_;
};

using Devices = std::vector<std::unique_ptr<BenchDevice>>;

// One more than are asked for: the last takes no part in the rounds.
Result<Devices> enrolled_devices(const RoundBenchOptions& options, const FleetServer& server) {
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.root / "aggregator"));
  StateStore store = COPPICE_TRY(StateStore::observe(options.root / "aggregator"));
  ClientRegistry registry = COPPICE_TRY(ClientRegistry::open(store.database()));
  const InviteRequest request{.count = options.clients + 1, .endpoints = server.endpoints};
  const auto invites = COPPICE_TRY(make_invites(folder, registry, request, SystemClock().wall()));
  std::error_code code;
  fs::create_directories(options.root / "devices", code);
  if (code) return Error{ErrorCode::kIo, cat("can't make the devices' folder: ", code.message())};
  Devices devices;
  for (std::uint32_t i = 0; i <= options.clients; ++i) {
    devices.push_back(
        std::make_unique<BenchDevice>(DeviceFolder(options.root / "devices" / cat(i)), options));
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

double resident_mb(FleetServer& server) {
  return megabytes(resident_bytes(server.process.process.id()));
}

// From the first adapter to the quiet after the last release. All stay connected.
Result<void> measure_rounds(const RoundBenchOptions& options, const Devices& devices,
                            FleetServer& server, Gates& gates, FleetMemory& memory) {
  COPPICE_TRY(wait_for(
      devices, server, [](const auto& device) { return device->holds_first(); }, [] {}));
  memory.connected_mb = resident_mb(server);
  if (options.on_line) options.on_line(cat(options.clients, " devices hold the first adapter"));
  {
    StateStore store = COPPICE_TRY(StateStore::observe(options.root / "aggregator"));
    COPPICE_TRY(store.set("paused", "0"));
  }
  gates.rounds.open();
  COPPICE_TRY(wait_for(
      devices, server, [](const auto& device) { return device->holds_last(); },
      [&] {
        memory.most_mb = std::max(memory.most_mb, resident_mb(server));
        memory.fleet_mb = std::max(memory.fleet_mb, megabytes(resident_bytes(::getpid())));
      }));
  memory.after_mb = memory.most_mb;
  for (int i = 0; i < kQuietSamples; ++i) {
    nap();
    memory.after_mb = std::min(memory.after_mb, resident_mb(server));
  }
  server.process.process.send_signal(SIGINT);
  const int status = COPPICE_TRY(server.process.process.wait(kEndTimeout));
  if (status == 0) return {};
  return Error{ErrorCode::kInternal, cat("the aggregator ended with status ", status, ": ",
                                         last_lines(server.process.log))};
}

} // namespace

double connection_mb(const FleetMemory& small, const FleetMemory& large) {
  COPPICE_CHECK(small.clients < large.clients);
  return ((large.after_mb - large.alone_mb) - (small.after_mb - small.alone_mb)) /
         static_cast<double>(large.clients - small.clients);
}

double adapter_mb(const FleetMemory& memory, double connection_mb) {
  return memory.most_mb - memory.alone_mb - (memory.clients + 1) * connection_mb;
}

Result<FleetMemory> bench_in_process(const RoundBenchOptions& options) {
  COPPICE_TRY(ensure_descriptors(kDescriptorsPerClient * options.clients + 256));
  FleetServer server = COPPICE_TRY(start_fleet_server({.program = options.program,
                                                       .root = options.root,
                                                       .model = options.model,
                                                       .settings = fleet_settings(options),
                                                       .rounds = options.rounds,
                                                       .paused = true}));
  FleetMemory memory{.clients = options.clients, .times = {}};
  Gates gates; // outlives the devices' threads
  const Devices devices = COPPICE_TRY(enrolled_devices(options, server));
  memory.alone_mb = resident_mb(server);
  if (options.on_line) options.on_line(cat(options.clients, " devices have enrolled"));
  // The last device holds on to the first adapter: the aggregator serves until all have the newest.
  for (const auto& device : devices) {
    device->start(device == devices.back() ? 0 : options.rounds, gates);
  }
  const auto ran = measure_rounds(options, devices, server, gates, memory);
  gates.rounds.open(); // whatever happened: the threads end by themselves
  gates.leave.open();
  COPPICE_TRY(ran);
  for (const auto& device : devices) {
    device->finish();
    COPPICE_TRY(device->outcome());
    memory.bytes_up_per_client_round +=
        static_cast<double>(COPPICE_TRY(device->bytes_up())) / options.clients / options.rounds;
  }
  memory.times =
      COPPICE_TRY(round_times(options.root / "aggregator", options.rounds, options.clients));
  return memory;
}

} // namespace coppice
