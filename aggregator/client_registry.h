// SPDX-License-Identifier: Apache-2.0
// Who belongs to the fleet: invites' tokens, enrolled devices, revocations, and the allow-list for
// ZAP.
//
// A token is burnt in the transaction that registers its device; the same key asking again gets the
// same certificate. revoke() works at once: the allow-list is asked at every handshake, allows() at
// every message. All but AllowList is for one thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "aggregator/sqlite_database.h"
#include "base/clock.h"
#include "crypto/token.h"
#include "protocol/enrollment.h"
#include "protocol/key_set.h"

namespace coppice {

struct ClientRecord {
  ClientId client;
  VerifyKey verify;
  CurvePublicKey curve;
  Millis enrolled;  // wall
  Millis last_seen; // wall; 0: never
  bool revoked = false;
};

// The devices that may connect now. Thread-safe: the ZAP thread asks while the service changes it.
class AllowList {
 public:
  std::optional<ClientId> find(const CurvePublicKey& key) const;
  void allow(const CurvePublicKey& key, const ClientId& client);
  void remove(const CurvePublicKey& key);

 private:
  mutable std::mutex mutex_;
  std::map<CurvePublicKey, ClientId> clients_;
};

class ClientRegistry {
 public:
  // `database` must outlive it. Loads the allow-list.
  static Result<ClientRegistry> open(SqliteDatabase& database);

  const std::shared_ptr<AllowList>& allow_list() const { return allow_list_; }

  // Stores the hashes of fresh tokens, all in one transaction.
  Result<void> add_tokens(const std::vector<TokenHash>& tokens, Millis expires_wall);
  // kUnauthenticated for a token that was never given out, with enroll()'s sentence.
  Result<void> knows_token(const TokenHash& token);
  // Token first: unknown, expired or burnt by another key is kUnauthenticated, with one sentence
  // for all three. Burns it and registers the device in one transaction. kAlreadyExists, and the
  // token stays good, for keys that were registered before with another token.
  Result<SignedCertificate> enroll(const EnrollRequest& request, const FleetSigningKey& fleet,
                                   const Certificate& certificate, Millis now_wall);

  // kUnauthenticated unless enrolled and not revoked.
  Result<VerifyKey> allows(const ClientId& client) const;
  // What other devices get to see of it. kUnauthenticated as above.
  Result<SignedCertificate> certificate(const ClientId& client);
  Result<void> revoke(const ClientId& client, Millis now_wall);
  // Picks up what another process (the command line) changed. Cheap when nothing did.
  Result<void> refresh();
  Result<void> seen(const std::vector<ClientId>& clients, Millis now_wall);
  Result<std::vector<ClientRecord>> clients();
  std::size_t size() const { return verify_keys_.size(); }

 private:
  explicit ClientRegistry(SqliteDatabase& database)
      : database_(&database), allow_list_(std::make_shared<AllowList>()) {}
  Result<std::optional<SignedCertificate>> find_certificate(const VerifyKey& verify);
  Result<bool> is_known(const Certificate& certificate);

  SqliteDatabase* database_;
  std::shared_ptr<AllowList> allow_list_;
  std::map<ClientId, VerifyKey> verify_keys_; // of devices that are not revoked
  std::map<ClientId, CurvePublicKey> curve_keys_;
  std::int64_t data_version_ = -1; // SQLite's: changes when another connection commits
};

} // namespace coppice
