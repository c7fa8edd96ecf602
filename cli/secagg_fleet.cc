// SPDX-License-Identifier: Apache-2.0
#include "cli/secagg_fleet.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/bench_timing.h"
#include "crypto/hash.h"
#include "protocol/secagg_masking.h"
#include "protocol/secagg_pieces.h"
#include "protocol/zmtp.h"

namespace coppice {
namespace {

constexpr std::uint64_t kEnvelopeBytes = 140;                 // docs/formats.md
constexpr std::uint64_t kPieceBytes = Sha256::kSize + 3 * 4U; // beside its data

std::uint64_t wire_bytes(const Sha256& plan, const SecAggMessage& message) {
  std::uint64_t bytes = 0;
  for (const SecAggPiece& piece : cut_secagg(plan, message)) {
    bytes += piece.data.size() + kPieceBytes + kEnvelopeBytes + kCurveOverhead;
  }
  return bytes;
}

// In the order of a round.
enum DevicePhase : std::uint8_t { kKeys, kRoster, kShares, kInbox, kSeeds, kMasks, kAnswer };
constexpr std::array kDevicePhases{
    "keys", "roster", "neighbours, shares", "share boxes", "seeds", kMasksOfVector, "answer"};
enum ServerPhase : std::uint8_t { kAdverts, kGraph, kBoxes, kVectors, kClose, kSecrets, kUnmask };
constexpr std::array kServerPhases{"adverts",          "graph",     "share boxes",
                                   "masked vectors",   "survivors", kSecretsOfTheSum,
                                   "masks off the sum"};

DevicePhase device_phase(const SecAggMessage& message) {
  if (std::holds_alternative<Roster>(message)) return kRoster;
  if (std::holds_alternative<GraphOpening>(message)) return kShares;
  if (std::holds_alternative<ShareInbox>(message)) return kInbox;
  if (std::holds_alternative<SurvivorList>(message)) return kAnswer;
  return kKeys;
}

ServerPhase server_phase(const SecAggServer& server) {
  if (std::holds_alternative<SecAggGathering>(server.phase())) return kAdverts;
  if (std::holds_alternative<SecAggOpening>(server.phase())) return kGraph;
  if (std::holds_alternative<SecAggSharing>(server.phase())) return kBoxes;
  return kSecrets;
}

struct Device {
  ClientId id;
  std::optional<SigningKey> signing;
  SignedCertificate certificate;
  std::unique_ptr<SecAggClient> machine;
  bool leaves = false;
  std::array<double, kDevicePhases.size()> seconds{};
};

struct Letter {
  std::size_t device = 0;
  bool to_server = false;
  SecAggMessage message; // to the aggregator
  SecAggDraft draft;     // to the device
};

class Fleet {
 public:
  explicit Fleet(const SecAggFleetOptions& options);
  Result<SecAggFleetRound> run();

 private:
  using ServerCall = std::function<SecAggServer::Actions()>;
  SecAggClientContext context_of(const Device& device) const;
  void to_device(std::size_t index, std::size_t phase,
                 const std::function<std::vector<SecAggClientAction>(SecAggClient&)>& call);
  void at_server(std::size_t phase, const ServerCall& call);
  void deliver();
  void upload(std::size_t index);
  void take_masks_off(std::vector<SignedSeed> seeds);
  std::vector<std::uint32_t> vector_of(std::size_t index) const;
  bool watched(std::size_t index) const { return index == watched_; }

  SecAggFleetOptions options_;
  FleetSigningKey fleet_key_ = FleetSigningKey::generate();
  Sha256 plan_ = sha256(as_bytes("the plan of a benchmark"));
  std::vector<Slot> slots_;
  std::vector<Device> devices_;
  std::map<ClientId, std::size_t> index_;
  std::size_t watched_ = 0;
  std::unique_ptr<SecAggServer> server_;
  std::deque<Letter> letters_;
  std::vector<std::uint32_t> sum_;
  std::vector<std::uint32_t> expected_;
  std::vector<ClientId> uploaded_;
  std::array<double, kServerPhases.size()> server_seconds_{};
  SecAggFleetRound made_;
  bool finished_ = false;
  std::string failure_;
};

Fleet::Fleet(const SecAggFleetOptions& options)
    : options_(options), sum_(options.elements), expected_(options.elements) {
  slots_.push_back(
      {.name = "masked", .elements = options.elements, .bits = RingBits{options.bits}});
  for (std::uint32_t i = 0; i < options.devices; ++i) {
    Device device;
    device.signing = SigningKey::generate();
    device.id = client_id_of(device.signing->public_key());
    device.certificate =
        sign_certificate(fleet_key_, {.client = device.id,
                                      .fleet = sha256(fleet_key_.public_key().span()),
                                      .verify = device.signing->public_key(),
                                      .curve = CurveSecretKey::generate().public_key(),
                                      .expires = {}});
    devices_.push_back(std::move(device));
  }
  std::ranges::sort(devices_, {}, &Device::id); // as in the roster
  const auto leaving = static_cast<std::uint32_t>(options.devices * options.assumptions.dropout);
  for (std::uint32_t i = 0; i < options.devices; ++i) {
    index_[devices_[i].id] = i;
    // Spread over the roster, the first included.
    devices_[i].leaves = std::uint64_t{i} * leaving % options.devices < leaving && leaving > 0;
  }
  watched_ = options.devices / 2;
  while (devices_[watched_].leaves) watched_ = (watched_ + 1) % options.devices;
  server_ = std::make_unique<SecAggServer>(
      SecAggServerContext{.primitives = sodium_primitives(),
                          .plan_hash = plan_,
                          .assumptions = options.assumptions,
                          .min_survivors = kMinMembers,
                          .threads = std::thread::hardware_concurrency()});
}

SecAggClientContext Fleet::context_of(const Device& device) const {
  return {.primitives = sodium_primitives(),
          .signing = *device.signing,
          .id = device.id,
          .fleet_key = fleet_key_.public_key(),
          .plan_hash = plan_,
          .plan = options_.assumptions,
          .owner = options_.assumptions,
          .min_survivors = kMinMembers};
}

// The same numbers for a device each time, so that none need be kept.
std::vector<std::uint32_t> Fleet::vector_of(std::size_t index) const {
  KeyedRandom random(RandomKey{.client = index, .purpose = RandomPurpose::kSimulation});
  std::vector<std::uint32_t> vector(options_.elements);
  const std::uint32_t mask = RingBits{options_.bits}.mask();
  for (std::uint32_t& element : vector) element = random.next_u32() & mask;
  return vector;
}

void Fleet::to_device(std::size_t index, std::size_t phase,
                      const std::function<std::vector<SecAggClientAction>(SecAggClient&)>& call) {
  Device& device = devices_[index];
  const double start = thread_seconds();
  if (device.machine == nullptr) {
    device.machine = std::make_unique<SecAggClient>(context_of(device));
  }
  std::vector<SecAggClientAction> actions = call(*device.machine);
  device.seconds[phase] += thread_seconds() - start;
  for (SecAggClientAction& action : actions) {
    if (auto* const send = std::get_if<SendSecAgg>(&action)) {
      if (watched(index)) made_.bytes_up += wire_bytes(plan_, send->message);
      letters_.push_back(
          {.device = index, .to_server = true, .message = std::move(send->message), .draft = {}});
    } else if (std::holds_alternative<MasksReady>(action)) {
      if (!device.leaves) upload(index);
    } else if (auto* const refused = std::get_if<SecAggRefused>(&action)) {
      failure_ = cat("a device refuses: ", refused->reason);
    }
  }
}

void Fleet::upload(std::size_t index) {
  std::vector<std::uint32_t> vector = vector_of(index);
  for (std::size_t i = 0; i < vector.size(); ++i) expected_[i] += vector[i];
  const double start = thread_seconds();
  auto seeds = devices_[index].machine->masks();
  if (!seeds) {
    failure_ = seeds.error().message;
    return;
  }
  const double seeded = thread_seconds();
  apply_masks(slots_, *seeds, vector);
  const double masked = thread_seconds();
  for (std::size_t i = 0; i < vector.size(); ++i) sum_[i] += vector[i];
  server_seconds_[kVectors] += thread_seconds() - masked;
  devices_[index].seconds[kSeeds] += seeded - start;
  devices_[index].seconds[kMasks] += masked - seeded;
  if (watched(index)) made_.device_masks = std::move(*seeds);
  uploaded_.push_back(devices_[index].id);
}

void Fleet::at_server(std::size_t phase, const ServerCall& call) {
  const double start = process_seconds();
  const double start_here = thread_seconds();
  SecAggServer::Actions actions = call();
  server_seconds_[phase] += process_seconds() - start;
  if (phase == kSecrets) made_.recovery += thread_seconds() - start_here;
  for (SecAggServerAction& action : actions) {
    if (auto* const send = std::get_if<SendSecAggTo>(&action)) {
      const std::size_t to = index_.at(send->client);
      if (watched(to)) made_.bytes_down += wire_bytes(plan_, send->draft());
      letters_.push_back({.device = to, .to_server = false, .message = {}, .draft = send->draft});
    } else if (auto* const unmask = std::get_if<Unmask>(&action)) {
      take_masks_off(std::move(unmask->seeds));
    } else if (auto* const lost = std::get_if<AbandonSecAgg>(&action)) {
      failure_ = cat("the round is abandoned: ", lost->reason);
    }
  }
}

void Fleet::take_masks_off(std::vector<SignedSeed> seeds) {
  const double start = process_seconds();
  apply_masks(slots_, seeds, sum_, std::thread::hardware_concurrency());
  server_seconds_[kUnmask] += process_seconds() - start;
  made_.sum_masks = std::move(seeds);
  finished_ = true;
}

void Fleet::deliver() {
  while (!letters_.empty() && failure_.empty() && !finished_) {
    const Letter letter = std::move(letters_.front());
    letters_.pop_front();
    const Device& device = devices_[letter.device];
    if (!letter.to_server) {
      const SecAggMessage message = letter.draft();
      to_device(letter.device, device_phase(message),
                [&](SecAggClient& machine) { return machine.handle(message); });
      continue;
    }
    at_server(server_phase(*server_), [&] {
      return server_->handle(device.id, letter.message, device.signing->public_key(),
                             device.certificate);
    });
  }
}

template <std::size_t kPhases>
PhaseSeconds named(const std::array<const char*, kPhases>& names,
                   const std::array<double, kPhases>& seconds) {
  PhaseSeconds made;
  for (std::size_t i = 0; i < kPhases; ++i) made.emplace_back(names[i], seconds[i]);
  return made;
}

Result<SecAggFleetRound> Fleet::run() {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    to_device(i, kKeys, [](SecAggClient& machine) { return machine.start(); });
  }
  deliver();
  at_server(kAdverts, [&] { return server_->close_roster(); });
  deliver();
  if (const auto parameters = server_->parameters()) made_.graph = *parameters;
  at_server(kBoxes, [&] { return server_->close_sharing(); });
  deliver();
  at_server(kClose, [&] { return server_->close_sum(uploaded_); });
  deliver();
  if (!failure_.empty()) return Error{ErrorCode::kInternal, failure_};
  for (std::uint32_t& element : expected_) element &= RingBits{options_.bits}.mask();
  if (!finished_ || sum_ != expected_) {
    return Error{ErrorCode::kInternal, "the round did not end with the exact sum"};
  }
  made_.uploads = static_cast<std::uint32_t>(uploaded_.size());
  std::array<double, kDevicePhases.size()> all{};
  std::array<double, kDevicePhases.size()> typical{};
  for (std::size_t phase = 0; phase < all.size(); ++phase) {
    std::vector<double> of_stayers;
    for (const Device& device : devices_) {
      all[phase] += device.seconds[phase];
      if (!device.leaves) of_stayers.push_back(device.seconds[phase]);
    }
    typical[phase] = median(std::move(of_stayers));
  }
  made_.devices = named(kDevicePhases, all);
  made_.device = named(kDevicePhases, typical);
  made_.server = named(kServerPhases, server_seconds_);
  return std::move(made_);
}

} // namespace

Result<SecAggFleetRound> run_secagg_fleet(const SecAggFleetOptions& options) {
  return Fleet(options).run();
}

double seconds_of_phase(const PhaseSeconds& phases, std::string_view name) {
  const auto at = std::ranges::find(phases, name, &std::pair<std::string, double>::first);
  COPPICE_CHECK(at != phases.end(), "a phase of another name");
  return at->second;
}

double total_seconds(const PhaseSeconds& phases) {
  double total = 0;
  for (const auto& [name, seconds] : phases) total += seconds;
  return total;
}

} // namespace coppice
