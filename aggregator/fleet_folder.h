// SPDX-License-Identifier: Apache-2.0
// An aggregator's folder: keys, the fleet's facts and the adapter's spec. State is in
// state_store.h.
//
//   fleet.json            base model's hash, size and name; format version
//   adapter.spec          AdapterSpec::encode()
//   keys/fleet.key        the fleet key; may be moved offline, then enrolment and rotation wait for
//   it keys/N/               key set N: signing.key, seal.key, curve.key, key_set lock held by the
//   one process that serves
// Everything is written once and atomically: a folder of key set N appears whole or not at all.
#pragma once

#include <map>
#include <memory>

#include "adapters/adapter_spec.h"
#include "aggregator/round_maker.h"
#include "base/file.h"
#include "crypto/keys.h"
#include "protocol/key_set.h"

namespace coppice {

struct AggregatorKeys {
  KeySet set;
  SignedKeySet signed_set;
  SigningKey signing;
  SealKey seal;
  CurveSecretKey curve;
};

class FleetFolder {
 public:
  // Makes the folder, a fleet key and key set 1. kAlreadyExists if DIR holds a fleet.
  static Result<FleetFolder> create(const fs::path& directory, FleetFacts facts,
                                    const AdapterSpec& spec);
  static Result<FleetFolder> open(const fs::path& directory);

  const fs::path& directory() const { return directory_; }
  const FleetFacts& facts() const { return facts_; }
  const std::shared_ptr<const AdapterSpec>& spec() const { return spec_; }
  const FleetVerifyKey& fleet_key() const { return fleet_key_; }
  // kNotFound, with what to do, while it is offline.
  Result<FleetSigningKey> fleet_signing_key() const;

  const AggregatorKeys& keys() const { return *keys_.rbegin()->second; } // newest
  // Of an earlier number too: uploads of a running round are sealed to its plan's key set.
  const AggregatorKeys* keys(KeySetNumber number) const;
  // Signs the next key set. The transport's key is kept unless `new_curve`: devices that were away
  // during a change of it can't connect any more.
  Result<void> rotate(bool new_curve);
  Result<void> reload_keys(); // after another process rotated

 private:
  FleetFolder() = default;
  static Result<void> write_key_set(const fs::path& directory, const FleetSigningKey& fleet,
                                    KeySetNumber number, const CurveSecretKey& curve);
  Result<void> load_key_set(KeySetNumber number);

  fs::path directory_;
  FleetFacts facts_;
  std::shared_ptr<const AdapterSpec> spec_;
  FleetVerifyKey fleet_key_;
  std::map<KeySetNumber, std::shared_ptr<const AggregatorKeys>> keys_;
};

// Publishes `version`'s content as a new release, after every version that exists or
// `highest_seen`. The caller holds the folder's lock.
Result<Release> revert_release(const FleetFolder& folder, StateStore& store, AdapterVersion version,
                               Millis now_wall, AdapterVersion highest_seen = {});

} // namespace coppice
