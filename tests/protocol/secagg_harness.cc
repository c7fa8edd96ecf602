// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/secagg_harness.h"

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "crypto/hash.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

// Keys of devices are slow to make and always the same.
std::shared_ptr<const SigningKey> signing_key(std::uint32_t index) {
  static std::map<std::uint32_t, std::shared_ptr<const SigningKey>> keys;
  auto& key = keys[index];
  if (key == nullptr) {
    std::array<std::uint8_t, 32> raw{};
    std::memcpy(raw.data(), &index, sizeof(index));
    raw[31] = 1;
    key = std::make_shared<const SigningKey>(SigningKey::from_secret(Secret<32>::copy_of(raw)));
  }
  return key;
}

const FleetSigningKey& fleet_signing_key() {
  static const FleetSigningKey key = samples::fleet_key();
  return key;
}

SignedCertificate real_certificate(const ClientId& client, const VerifyKey& verify) {
  static std::map<ClientId, SignedCertificate> known;
  const auto at = known.find(client);
  if (at != known.end()) return at->second;
  return known[client] = sign_certificate(fleet_signing_key(),
                                          {.client = client,
                                           .fleet = sha256(fleet_signing_key().public_key().span()),
                                           .verify = verify,
                                           .curve = samples::device_curve().public_key(),
                                           .expires = {3'000'000}});
}

} // namespace

SecAggHarness::SecAggHarness(Options options)
    : options_(options),
      model_(std::make_unique<ModelPrimitives>(options.seed)),
      primitives_(options.real_primitives ? &sodium_primitives()
                                          : static_cast<const SecAggPrimitives*>(model_.get())),
      fleet_(fleet_signing_key().public_key()),
      plan_hash_(samples::hash(0x51)),
      partial_(options.elements) {
  KeyedRandom random(RandomKey{.experiment = options.seed, .round = 1});
  const std::uint64_t ring = std::uint64_t{1} << options.bits;
  for (std::uint32_t i = 0; i < options.devices; ++i) {
    Device made;
    made.signing = signing_key(i);
    const VerifyKey verify = made.signing->public_key();
    made.id = client_id_of(verify);
    made.certificate = options.real_primitives ? real_certificate(made.id, verify)
                                               : ModelPrimitives::certify(fleet_, made.id, verify);
    for (std::uint32_t e = 0; e < options.elements; ++e) {
      made.vector.push_back(static_cast<std::uint32_t>(random.below(ring)));
    }
    devices_.push_back(std::move(made));
  }
  server_ = std::make_unique<SecAggServer>(server_context());
}

SecAggHarness::~SecAggHarness() = default;

SecAggClientContext SecAggHarness::context(std::uint32_t index) const {
  return {.primitives = *primitives_,
          .signing = *devices_[index].signing,
          .id = devices_[index].id,
          .fleet_key = fleet_,
          .plan_hash = plan_hash_,
          .plan = options_.plan,
          .owner = options_.owner,
          .min_survivors = options_.min_survivors};
}

SecAggServerContext SecAggHarness::server_context() const {
  return {.primitives = *primitives_,
          .plan_hash = plan_hash_,
          .assumptions = options_.plan,
          .min_survivors = options_.min_survivors};
}

// ---- driving ----

void SecAggHarness::run() {
  start();
  deliver();
  while (!finished() && !abandoned() && settle()) deliver();
}

void SecAggHarness::start() {
  for (std::uint32_t i = 0; i < devices_.size(); ++i) {
    if (!devices_[i].alive || devices_[i].machine != nullptr) continue;
    devices_[i].machine = std::make_unique<SecAggClient>(context(i));
    act(i, devices_[i].machine->start());
  }
}

void SecAggHarness::deliver() {
  while (!letters_.empty()) {
    SecAggLetter letter = std::move(letters_.front());
    letters_.pop_front();
    if (tamper && !tamper(letter)) continue;
    if (letter.upload) {
      receive_upload(letter.device);
    } else if (letter.to_server) {
      to_server(letter.device, letter.message);
    } else {
      to_device(letter.device, letter.message);
    }
  }
}

void SecAggHarness::to_device(std::uint32_t index, const SecAggMessage& message) {
  Device& device = devices_[index];
  if (!device.alive || device.machine == nullptr) return;
  const Bytes bytes = encode_secagg(message);
  device.down[secagg_message_name(message)] += bytes.size();
  act(index, device.machine->handle(decode_secagg(bytes).value()));
}

void SecAggHarness::to_server(std::uint32_t index, const SecAggMessage& message) {
  Device& device = devices_[index];
  const Bytes bytes = encode_secagg(message);
  device.up[secagg_message_name(message)] += bytes.size();
  const SecAggMessage decoded = decode_secagg(bytes).value();
  act(timed([&] {
    return server_->handle(device.id, decoded, device.signing->public_key(), device.certificate);
  }));
}

SecAggServer::Actions SecAggHarness::timed(const std::function<SecAggServer::Actions()>& call) {
  const std::string phase = server_->phase_name();
  const auto start = std::chrono::steady_clock::now();
  SecAggServer::Actions actions = call();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  server_seconds_[phase] += took.count();
  return actions;
}

bool SecAggHarness::wants_close() const {
  if (!std::holds_alternative<SecAggCollecting>(server_->phase())) {
    return server_->awaited().empty();
  }
  const auto waiting = server_->awaited();
  return std::ranges::all_of(waiting, [this](const ClientId& client) {
    const std::uint32_t index = index_of(client);
    return uploaded_.contains(index) || silent(index);
  });
}

bool SecAggHarness::settle() {
  bool changed = false;
  for (std::uint32_t i = 0; i < devices_.size(); ++i) {
    if (!silent(i) || devices_[i].reported) continue;
    devices_[i].reported = true;
    changed = true;
    act(server_->member_gone(devices_[i].id));
    if (!letters_.empty()) return true; // others may go on before the next one is missed
  }
  if (finished() || abandoned() || !wants_close()) return changed;
  const auto before = server_->phase().index();
  if (std::holds_alternative<SecAggGathering>(server_->phase())) {
    act(timed([&] { return server_->close_roster(); }));
  } else if (std::holds_alternative<SecAggSharing>(server_->phase())) {
    act(timed([&] { return server_->close_sharing(); }));
  } else if (std::holds_alternative<SecAggCollecting>(server_->phase())) {
    std::vector<ClientId> survivors;
    for (const std::uint32_t index : uploaded_) survivors.push_back(devices_[index].id);
    act(timed([&] { return server_->close_sum(survivors); }));
  }
  return changed || server_->phase().index() != before || !letters_.empty();
}

// ---- carrying out ----

bool SecAggHarness::crashes() { return ticks_++ == crash_tick_; }

void SecAggHarness::act(std::uint32_t index, std::vector<SecAggClientAction> actions) {
  for (SecAggClientAction& action : actions) {
    Device& device = devices_[index];
    if (!device.alive) return;
    if (crashes()) return bounce_device(index);
    if (auto* const persist = std::get_if<PersistSecAgg>(&action)) {
      device.disk = std::move(persist->state);
    } else if (const auto* message = std::get_if<SendSecAgg>(&action)) {
      send(index, message->message);
    } else if (std::holds_alternative<MasksReady>(action)) {
      make_upload(index);
    }
  }
}

void SecAggHarness::send(std::uint32_t index, const SecAggMessage& message) {
  Device& device = devices_[index];
  const auto dies_before = [&](SecAggMoment moment) {
    if (device.death != moment) return false;
    device.alive = false;
    return true;
  };
  const std::string who = cat("device ", index, " ");
  if (const auto* advert = std::get_if<SignedAdvert>(&message)) {
    if (dies_before(SecAggMoment::kBeforeKeys)) return;
    const int attempt = decode_advert(advert->bytes).value().attempt;
    say_once(cat(who, "keys of attempt ", attempt), message);
    if (device.death == SecAggMoment::kAfterKeys) device.alive = false;
  } else if (const auto* nonce = std::get_if<NonceOpening>(&message)) {
    if (dies_before(SecAggMoment::kBeforeNonce)) return;
    say_once(cat(who, "nonce for ", nonce->roster_hash), message);
    if (device.death == SecAggMoment::kAfterNonce) device.alive = false;
  } else if (const auto* boxes = std::get_if<ShareBoxes>(&message)) {
    say_once(cat(who, "boxes for ", boxes->roster_hash), message);
    if (device.death == SecAggMoment::kAfterShares) device.alive = false;
  } else {
    if (dies_before(SecAggMoment::kBeforeAnswer)) return;
    say_once(cat(who, "answer"), message);
  }
  letters_.push_back({.device = index, .to_server = true, .upload = false, .message = message});
}

void SecAggHarness::make_upload(std::uint32_t index) {
  Device& device = devices_[index];
  if (device.masked.empty()) { // the used-once mark
    const auto seeds = device.machine->masks();
    if (!seeds) {
      device.alive = false;
      return;
    }
    std::vector<std::uint32_t> masked = device.vector;
    add_masks(*seeds, 0, options_.bits, masked);
    device.masked = std::move(masked);
  }
  if (device.death == SecAggMoment::kAfterMasking) {
    device.alive = false;
    return;
  }
  letters_.push_back({.device = index, .to_server = true, .upload = true, .message = {}});
}

void SecAggHarness::receive_upload(std::uint32_t index) {
  Device& device = devices_[index];
  if (!server_->may_upload(device.id)) return;
  if (uploaded_.insert(index).second) {
    for (std::size_t e = 0; e < partial_.size(); ++e) partial_[e] += device.masked[e];
  }
  if (device.death == SecAggMoment::kAfterUpload) device.alive = false;
}

void SecAggHarness::act(std::vector<SecAggServerAction> actions) {
  for (SecAggServerAction& action : actions) {
    if (crashes()) return bounce_server();
    if (auto* const commit = std::get_if<CommitSecAgg>(&action)) {
      server_disk_ = std::move(commit->state);
    } else if (auto* const send = std::get_if<SendSecAggTo>(&action)) {
      SecAggMessage message = send->draft();
      if (const auto* roster = std::get_if<Roster>(&message)) {
        say_once(cat("roster of attempt ", int{roster->attempt}), message);
      } else if (std::holds_alternative<SurvivorList>(message)) {
        say_once("survivors' list", message);
      }
      letters_.push_back({.device = index_of(send->client),
                          .to_server = false,
                          .upload = false,
                          .message = std::move(message)});
    } else if (const auto* out = std::get_if<SecAggMemberOut>(&action)) {
      out_[index_of(out->client)] = out->reason;
    } else if (const auto* done = std::get_if<Unmask>(&action)) {
      unmask(done->seeds);
    } else if (const auto* lost = std::get_if<AbandonSecAgg>(&action)) {
      abandoned_ = lost->reason;
    }
  }
}

void SecAggHarness::unmask(const std::vector<SignedSeed>& seeds) {
  if (sum_ || abandoned()) violations_.emplace_back("unmasked after the end");
  std::vector<std::uint32_t> sum = partial_;
  add_masks(seeds, 0, options_.bits, sum);
  if (uploaded_.size() < options_.min_survivors)
    violations_.emplace_back("unmasked below the floor");
  sum_ = std::move(sum);
}

// ---- faults ----

void SecAggHarness::die_at(std::uint32_t index, SecAggMoment moment) {
  devices_[index].death = moment;
}

void SecAggHarness::kill(std::uint32_t index) { devices_[index].alive = false; }

void SecAggHarness::bounce_device(std::uint32_t index) {
  Device& device = devices_[index];
  if (!device.alive) return;
  if (device.disk.empty()) {
    device.machine = std::make_unique<SecAggClient>(context(index));
    return act(index, device.machine->start());
  }
  auto restored = SecAggClient::restore(context(index), device.disk);
  if (!restored) {
    violations_.push_back(restored.error().message);
    device.alive = false;
    return;
  }
  device.machine = std::make_unique<SecAggClient>(std::move(*restored));
  reconnect(index);
}

void SecAggHarness::reconnect(std::uint32_t index) {
  act(server_->member_back(devices_[index].id));
  act(index, devices_[index].machine->say_again());
}

void SecAggHarness::bounce_server() {
  if (finished() || abandoned()) return; // the round's result is what is on disk
  if (server_disk_.empty()) {
    server_ = std::make_unique<SecAggServer>(server_context());
  } else {
    auto restored = SecAggServer::restore(server_context(), server_disk_);
    if (!restored) {
      violations_.push_back(restored.error().message);
      return;
    }
    server_ = std::make_unique<SecAggServer>(std::move(*restored));
  }
  for (std::uint32_t i = 0; i < devices_.size(); ++i) {
    devices_[i].reported = false;
    if (!silent(i) && devices_[i].machine != nullptr) reconnect(i);
  }
}

void SecAggHarness::say_once(const std::string& what, const SecAggMessage& message) {
  Bytes bytes = encode_secagg(message);
  const auto [known, first] = said_.try_emplace(what, bytes);
  if (!first && known->second != bytes) violations_.push_back(cat("said two ways: ", what));
}

// ---- what came of it ----

std::set<std::uint32_t> SecAggHarness::included() const { return uploaded_; }

std::vector<std::uint32_t> SecAggHarness::expected_sum() const {
  std::vector<std::uint32_t> sum(options_.elements);
  const std::uint64_t ring = std::uint64_t{1} << options_.bits;
  for (const std::uint32_t index : uploaded_) {
    for (std::size_t e = 0; e < sum.size(); ++e) sum[e] += devices_[index].vector[e];
  }
  for (std::uint32_t& element : sum) element = static_cast<std::uint32_t>(element % ring);
  return sum;
}

std::string SecAggHarness::stopped_because(std::uint32_t index) const {
  if (devices_[index].machine == nullptr) return {};
  const auto* stopped = std::get_if<SecAggStopped>(&devices_[index].machine->phase());
  return stopped == nullptr ? std::string{} : stopped->reason;
}

bool SecAggHarness::silent(std::uint32_t index) const {
  return !devices_[index].alive || !stopped_because(index).empty();
}

std::uint32_t SecAggHarness::index_of(const ClientId& client) const {
  const auto at = std::ranges::find(devices_, client, &Device::id);
  return static_cast<std::uint32_t>(at - devices_.begin());
}

std::uint64_t SecAggHarness::reconstructions() const { return model_->reconstructions(); }

std::map<std::string, std::size_t> SecAggHarness::bytes_up(std::uint32_t index) const {
  return devices_[index].up;
}

std::map<std::string, std::size_t> SecAggHarness::bytes_down(std::uint32_t index) const {
  return devices_[index].down;
}

} // namespace coppice
