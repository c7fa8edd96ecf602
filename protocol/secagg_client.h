// SPDX-License-Identifier: Apache-2.0
// A device's side of secure aggregation, as a pure state machine (SecAgg+, Bell et al. 2020).
//
//   advertise keys and commit to a nonce -> roster, open the nonce -> neighbours, share secrets
//   -> neighbours' shares, mask -> survivors, give the shares that unmask their sum.
//
// No sockets, clock or disk; randomness comes through the primitives. Persist actions are carried
// out, and durable, before the actions after them; after a crash the machine is restored from the
// last persisted bytes and says again what it said (the same bytes). Whatever breaks a rule ends
// this device's part in the round (SecAggStopped, persisted): never twice masked, never two rosters
// for a key, never two survivors' lists. Refusals are named after docs/threats.md.
// Thread-compatible.
//
// Note [Persisted state]
// {public part (protocol/archive.h), the secrets (32 bytes each: box, mask, self; zero where there
// is none yet), SHA-256 of all before}. The checksum catches damage, not an attacker. A stopped
// device's state holds no secrets.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "protocol/secagg_parameters.h"
#include "protocol/secagg_primitives.h"

namespace coppice {

// What a device brings. All references must outlive the machine.
struct SecAggClientContext {
  const SecAggPrimitives& primitives;
  const SigningKey& signing;
  ClientId id;
  FleetVerifyKey fleet_key;
  Sha256 plan_hash;
  GraphAssumptions plan;           // what the plan assumes: fixes k and t for the roster's size
  GraphAssumptions owner;          // what the owner assumes: k and t must hold against these too
  std::uint32_t min_survivors = 0; // the larger of the plan's and the owner's
};

// ---- phases ----
struct SecAggAdvertised { // keys are out
  std::uint8_t attempt = 0;
  AgreementKey box;
  AgreementKey mask;
  GraphNonce nonce{};
  SignedAdvert advert;
};
struct SecAggOpened { // the key belongs to this roster for good; the nonce is out
  SecAggAdvertised keys;
  Roster roster;
  Sha256 roster_hash;
  std::uint32_t me = 0; // my number in it
  GraphParameters parameters;
};
struct SecAggNeighbour {
  std::uint32_t member = 0;
  AgreementPublicKey box_key;
  AgreementPublicKey mask_key;
};
struct SecAggShared { // boxes are out
  SecAggAdvertised keys;
  Sha256 roster_hash;
  std::uint32_t members = 0;
  std::uint32_t me = 0;
  GraphParameters parameters;
  std::vector<SecAggNeighbour> neighbours; // by member; share number i + 1 is neighbour i's
  std::vector<ShareBoxKeys> box_keys;      // with each neighbour; never on disk
  Secret<32> self_secret;
  ShareBoxes boxes; // as sent
};
struct SecAggMasked { // the neighbours' boxes are here: masks may be made, once
  SecAggShared shared;
  ShareInbox inbox;
};
struct SecAggAnswered { // one survivors' list was answered
  SecAggMasked masked;
  SurvivorList survivors;
};
struct SecAggStopped {
  std::string reason;
};
using SecAggClientPhase = std::variant<SecAggAdvertised, SecAggOpened, SecAggShared, SecAggMasked,
                                       SecAggAnswered, SecAggStopped>;

// ---- actions ----
struct PersistSecAgg { // SecAggClient::serialize(), with secrets in it: mode 0600, wiped at the end
  Bytes state;
};
struct SendSecAgg {
  SecAggMessage message;
};
struct MasksReady {};  // make the masked upload now, with masks()
struct SecAggRefused { // this device's part is over; the reason is for its own log
  std::string reason;
};
using SecAggClientAction = std::variant<PersistSecAgg, SendSecAgg, MasksReady, SecAggRefused>;

class SecAggClient {
 public:
  // Fresh keys for attempt 0. The first actions come from start().
  explicit SecAggClient(SecAggClientContext context);
  // From persisted bytes, after a crash: say_again() goes on. kCorrupt if they were damaged,
  // kUnsupported if another version wrote them, kFailedPrecondition if they are of another plan or
  // device than `context`'s.
  static Result<SecAggClient> restore(SecAggClientContext context, ByteSpan state);

  std::vector<SecAggClientAction> start(); // persist and advertise
  // A message of the aggregator, its envelope verified. Messages of other plans, attempts and
  // rosters are ignored, as are those that come too early or late. A repeat of the last one handled
  // gets the same answer.
  std::vector<SecAggClientAction> handle(const SecAggMessage& message);
  // After a reconnect or restore: the last message again, the same bytes; in SecAggMasked, that
  // masks may be made (whether they were, the caller's marks know).
  std::vector<SecAggClientAction> say_again() const;

  // My own mask and one for each neighbour that shared. The caller sees to it that they are applied
  // once under a plan (client/round.h, RoundMarks). kFailedPrecondition but in phase SecAggMasked
  // (a server that lists a device as a survivor before it has masked ends its chance to);
  // kUnauthenticated for a neighbour's key that no honest device has: leave the round.
  Result<std::vector<SignedSeed>> masks() const;
  Sha256 roster_hash() const; // zero before there is one, and when stopped

  const SecAggClientPhase& phase() const { return phase_; }
  const char* phase_name() const;
  Bytes serialize() const;

 private:
  using Actions = std::vector<SecAggClientAction>;
  SecAggClient(SecAggClientContext context, SecAggClientPhase phase);
  Actions on(const Roster& roster);
  Actions on(const Readvertise& again);
  Actions on(const GraphOpening& opening);
  Actions on(const ShareInbox& inbox);
  Actions on(const SurvivorList& list);
  void make_keys(std::uint8_t attempt);
  Actions persist_and_say() const;
  Actions refuse(std::string reason);

  SecAggClientContext context_;
  SecAggClientPhase phase_;
};

} // namespace coppice
