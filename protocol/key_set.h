// SPDX-License-Identifier: Apache-2.0
// Who vouches for whom: the fleet key signs the aggregator's numbered key sets and devices'
// certificates.
//
// A device holds the fleet key from its invite, accepts key sets with a number no lower than the
// highest it has seen, and needs no new enrolment when the aggregator's keys rotate. Plain data.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "crypto/keys.h"
#include "crypto/sign.h"

namespace coppice {

struct KeySet {
  KeySetNumber number;
  Sha256 fleet;         // SHA-256 of the fleet's verify key
  CurvePublicKey curve; // of all three sockets
  VerifyKey verify;     // of plans, releases and control messages
  SealPublicKey seal;   // uploads are sealed to it
  Millis expires;       // wall clock; 0: never
};

struct Certificate {
  ClientId client; // client_id_of(verify)
  Sha256 fleet;
  VerifyKey verify;     // of the device's envelopes
  CurvePublicKey curve; // of its sockets
  Millis expires;
};

// {canonical bytes, the fleet key's signature over them}: what is stored and sent.
struct SignedKeySet {
  Bytes bytes;
  Signature signature;
};
struct SignedCertificate {
  Bytes bytes;
  Signature signature;
};

SignedKeySet sign_key_set(const FleetSigningKey& fleet, const KeySet& keys);
SignedCertificate sign_certificate(const FleetSigningKey& fleet, const Certificate& certificate);

// Signature, form and fleet, nothing about number or expiry: for invites, and for looking.
Result<KeySet> open_key_set(const FleetVerifyKey& fleet, const SignedKeySet& keys);

// kUnauthenticated: another fleet, a bad signature, expired at `now_wall`, or a number below
// `lowest`
// ("an older key set").
Result<KeySet> verify_key_set(const FleetVerifyKey& fleet, const SignedKeySet& keys,
                              KeySetNumber lowest, Millis now_wall);
Result<Certificate> verify_certificate(const FleetVerifyKey& fleet,
                                       const SignedCertificate& certificate, Millis now_wall);

} // namespace coppice
