// SPDX-License-Identifier: Apache-2.0
// Both machines of secure aggregation with no socket between them: a server, devices, one queue of
// letters, disks that survive crashes, and masked vectors that are summed as they come.
//
// Everything that travels is encoded and decoded. The harness plays client/round and
// aggregator/round: it persists and commits in order, masks once, counts an upload in the same
// "transaction" that acknowledges it, reports the dead, and closes phases when nobody is awaited.
// What must never happen is noted in violations(). Repeatable with modelled primitives.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/secagg_client.h"
#include "protocol/secagg_server.h"
#include "sim/model_primitives.h"

namespace coppice {

// What a device does on its own: points to die at.
enum class SecAggMoment {
  kBeforeKeys,
  kAfterKeys,   // and it is missed before the roster is closed
  kBeforeNonce, // the roster is here
  kAfterNonce,
  kAfterShares,
  kAfterMasking, // the masked vector is on its disk and never leaves
  kAfterUpload,  // acknowledged
  kBeforeAnswer, // the survivors' list is here, and not answered
};

// One letter: from or to a device, by its index.
struct SecAggLetter {
  std::uint32_t device = 0;
  bool to_server = false;
  bool upload = false; // the masked vector, instead of a message
  SecAggMessage message;
};

class SecAggHarness {
 public:
  struct Options {
    std::uint32_t devices = 5;
    bool real_primitives = false;
    std::uint64_t seed = 1; // of vectors, and of modelled primitives
    GraphAssumptions plan{};
    GraphAssumptions owner{};
    std::uint32_t min_survivors = 3;
    std::uint32_t bits = 16; // of the ring
    std::uint32_t elements = 5;
  };
  explicit SecAggHarness(Options options);
  ~SecAggHarness();

  // Every living device starts, letters are delivered, phases closed, until the round is over.
  void run();
  // The same in pieces: deliver until the queue is empty.
  void start();
  void deliver();
  // Report the dead, and close the running phase if nobody is awaited. False if nothing changed.
  bool settle();

  // ---- faults ----
  void die_at(std::uint32_t device, SecAggMoment moment);
  void kill(std::uint32_t device); // for good; what it sent still arrives
  // The actor that carries out action number `tick` (0, 1, ...) loses its memory before it does,
  // and comes back from its disk.
  void crash_at(std::uint64_t tick) { crash_tick_ = tick; }
  std::uint64_t ticks() const { return ticks_; }
  void bounce_device(std::uint32_t device);
  void bounce_server();
  // Sees each letter as it is delivered; may change it; false drops it.
  std::function<bool(SecAggLetter&)> tamper;
  // Delivers a message to a device, or from one, now.
  void to_device(std::uint32_t device, const SecAggMessage& message);
  void to_server(std::uint32_t device, const SecAggMessage& message);

  // ---- what came of it ----
  bool finished() const { return sum_.has_value(); }
  bool abandoned() const { return !abandoned_.empty(); }
  const std::string& abandoned_because() const { return abandoned_; }
  const std::vector<std::uint32_t>& sum() const { return *sum_; }
  std::set<std::uint32_t> included() const; // whose vectors the sum should have
  std::vector<std::uint32_t> expected_sum() const;
  const std::map<std::uint32_t, std::string>& out() const { return out_; } // by the server
  const std::vector<std::string>& violations() const { return violations_; }
  std::uint64_t reconstructions() const; // tried by the server; modelled primitives only

  SecAggServer& server() { return *server_; }
  SecAggClient& device(std::uint32_t index) { return *devices_[index].machine; }
  // Why a device stopped; empty if it did not.
  std::string stopped_because(std::uint32_t index) const;
  bool silent(std::uint32_t index) const; // dead or stopped
  ClientId id(std::uint32_t index) const { return devices_[index].id; }
  std::uint32_t index_of(const ClientId& client) const;
  const SecAggPrimitives& primitives() const { return *primitives_; }
  SecAggClientContext context(std::uint32_t index) const;
  SecAggServerContext server_context() const;
  const Bytes& disk(std::uint32_t index) const { return devices_[index].disk; }
  const Bytes& server_disk() const { return server_disk_; }
  const SignedCertificate& certificate(std::uint32_t index) const {
    return devices_[index].certificate;
  }
  const SigningKey& signing(std::uint32_t index) const { return *devices_[index].signing; }
  // What the server's machine took, by the phase that it was in before.
  const std::map<std::string, double>& server_seconds() const { return server_seconds_; }
  // Bytes that crossed the wire, by direction and kind of message, of one device.
  std::map<std::string, std::size_t> bytes_up(std::uint32_t index) const;
  std::map<std::string, std::size_t> bytes_down(std::uint32_t index) const;

 private:
  struct Device {
    ClientId id;
    std::shared_ptr<const SigningKey> signing;
    SignedCertificate certificate;
    std::vector<std::uint32_t> vector;
    std::unique_ptr<SecAggClient> machine;
    Bytes disk;                        // SecAggClient's state
    std::vector<std::uint32_t> masked; // finished on disk, once
    bool alive = true;
    bool reported = false; // as gone
    std::optional<SecAggMoment> death;
    std::map<std::string, std::size_t> up;
    std::map<std::string, std::size_t> down;
  };

  SecAggServer::Actions timed(const std::function<SecAggServer::Actions()>& call);
  bool crashes();
  void act(std::uint32_t index, std::vector<SecAggClientAction> actions);
  void act(std::vector<SecAggServerAction> actions);
  void make_upload(std::uint32_t index);
  void send(std::uint32_t index, const SecAggMessage& message);
  void receive_upload(std::uint32_t index);
  void unmask(const std::vector<SignedSeed>& seeds);
  void reconnect(std::uint32_t index);
  // The same thing said twice must be the same bytes.
  void say_once(const std::string& what, const SecAggMessage& message);
  bool wants_close() const;

  Options options_;
  std::unique_ptr<ModelPrimitives> model_;
  const SecAggPrimitives* primitives_;
  FleetVerifyKey fleet_;
  Sha256 plan_hash_;
  std::vector<Device> devices_;
  std::unique_ptr<SecAggServer> server_;
  Bytes server_disk_;
  std::vector<std::uint32_t> partial_; // committed with `uploaded_`
  std::set<std::uint32_t> uploaded_;
  std::deque<SecAggLetter> letters_;
  std::optional<std::vector<std::uint32_t>> sum_;
  std::string abandoned_;
  std::map<std::uint32_t, std::string> out_;
  std::map<std::string, Bytes> said_;
  std::vector<std::string> violations_;
  std::map<std::string, double> server_seconds_;
  std::uint64_t ticks_ = 0;
  std::optional<std::uint64_t> crash_tick_;
};

} // namespace coppice
