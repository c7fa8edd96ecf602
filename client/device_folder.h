// SPDX-License-Identifier: Apache-2.0
// A device's folder: identity, membership, and everything that must survive a crash.
//
//   client.toml                 the owner's settings
//   keys/signing.key, curve.key the device's identity
//   fleet.json                  membership: fleet key, key set, endpoints, base hash, certificate
//   marks.json                  RoundMarks, highest epoch, last participation
//   uploads/HASH                finished upload bytes, until acknowledged
//   training                    the running round's training (client/train_checkpoint.h)
//   secagg                      keys and shares of the running round, wiped at its end
//   shared/release              the signed release, its adapter and what it carries beside
//   personal/                   the personal adapter, what it stands on and its training's
//                               checkpoint; `kept`, what stays here between rounds
//                               (client/kept_state.h): never leaves
//   current/adapter.gguf        what serves now, for llama.cpp
//   ledger.jsonl, serving.json, report.json, status.json, base.json, lock
// Every file is replaced atomically. Private: mode 0600 where a secret or text could be learnt.
#pragma once

#include <optional>
#include <string>

#include "adapters/adapter.h"
#include "base/file.h"
#include "client/round.h"
#include "crypto/keys.h"
#include "protocol/enrollment.h"
#include "protocol/release.h"

namespace coppice {

struct DeviceIdentity {
  ClientId id;
  SigningKey signing;
  CurveSecretKey curve;
};

struct Membership {
  FleetVerifyKey fleet_key;
  Sha256 fleet; // SHA-256 of fleet_key
  KeySet keys;  // newest accepted
  SignedKeySet signed_keys;
  std::string control_endpoint;
  std::string bulk_endpoint;
  Sha256 base_hash;
  std::uint64_t base_bytes = 0;
  SignedCertificate certificate;
};

struct DeviceMarks {
  RoundMarks round;
  Epoch epoch;
  Millis last_round_wall{0};     // 0: never took part
  double cumulative_epsilon = 0; // the highest that any accepted plan named
};

struct SharedAdapter {
  SignedRelease signed_release;
  Release release;
  Adapter adapter;
  // What the release carries for devices' corrections (Release::control_hash); null: nothing.
  std::shared_ptr<const std::vector<float>> control{};
};

class DeviceFolder {
 public:
  explicit DeviceFolder(fs::path directory) : directory_(std::move(directory)) {}
  // Makes folders and keys; keys that are there are kept.
  Result<void> create() const;

  const fs::path& directory() const { return directory_; }
  fs::path ledger_path() const { return directory_ / "ledger.jsonl"; }
  fs::path training_path() const { return directory_ / "training"; }
  fs::path personal_training_path() const { return directory_ / "personal" / "training"; }
  fs::path kept_path() const { return directory_ / "personal" / "kept"; }

  Result<DeviceIdentity> identity() const;
  // kNotFound, with what to do, before enrolment.
  Result<Membership> membership() const;
  Result<void> store_membership(const Membership& membership) const;

  Result<DeviceMarks> marks() const; // fresh ones if there are none
  Result<void> store_marks(const DeviceMarks& marks) const;
  // The owner's pause: a file of its own, so that it can't race with a running agent's marks.
  bool paused() const;
  Result<void> set_paused(bool paused) const;

  Result<void> store_upload(const Sha256& name, ByteSpan bytes) const;
  Result<Bytes> upload(const Sha256& name) const;
  bool has_upload(const Sha256& name) const;
  void forget_upload(const Sha256& name) const;

  // State of secure aggregation in the running round (SecAggClient::serialize()); empty if none.
  Result<Bytes> secagg_state() const;
  Result<void> store_secagg_state(ByteSpan state) const;
  void forget_secagg_state() const; // overwritten, then removed

  // Empty before the first release. The stored bytes are checked against the release's hash.
  Result<std::optional<SharedAdapter>> shared(const VerifyKey& aggregator) const;
  Result<void> store_shared(const SharedAdapter& shared) const;

  // The base file's SHA-256, taken once and remembered by (device, inode, size, times).
  Result<Sha256> base_hash(const fs::path& model, bool take_again = false) const;

  // Erases personal adapter, what is kept between rounds, caches and serving state: what only this
  // device knows.
  Result<void> forget_personal() const;

 private:
  fs::path directory_;
};

} // namespace coppice
