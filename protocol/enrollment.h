// SPDX-License-Identifier: Apache-2.0
// Invites and enrolment: how a device joins a fleet.
//
// An invite is a line of text that a person passes on; it holds a secret token. The device answers
// on the enroll socket with one message of fixed size; the token is checked first. The same key
// asking again after a lost reply gets the same answer. Layouts: docs/formats.md.
#pragma once

#include <string>

#include "crypto/token.h"
#include "protocol/key_set.h"

namespace coppice {

struct Invite {
  FleetVerifyKey fleet;
  SignedKeySet keys;
  std::string enroll_endpoint; // "tcp://host:port"
  std::string control_endpoint;
  std::string bulk_endpoint;
  Token token;
  Sha256 base_hash; // of the base model's file: a wrong file is refused before enrolling
  std::uint64_t base_bytes = 0;
  Millis expires; // wall clock
};

std::string encode_invite(const Invite& invite); // "coppice1-" and base64
// Checks form, checksum, and the key set's signature; not the expiry (the aggregator decides).
Result<Invite> decode_invite(std::string_view text);

struct EnrollRequest {
  Token token;
  VerifyKey verify;
  CurvePublicKey curve;
  Sha256 base_hash;
};
inline constexpr std::size_t kEnrollRequestBytes = 256;
// The token alone, unverified: to look it up before a signature is paid for.
Result<Token> peek_enroll_token(ByteSpan bytes);
// Fixed size, zero-padded, signed by the key it registers.
Bytes encode_enroll_request(const EnrollRequest& request, const SigningKey& key);
Result<EnrollRequest> decode_enroll_request(ByteSpan bytes);

struct EnrollReply {
  bool accepted = false;
  std::string reason; // if refused: what to do
  SignedCertificate certificate;
};
Bytes encode_enroll_reply(const EnrollReply& reply, const SigningKey& aggregator);
Result<EnrollReply> decode_enroll_reply(ByteSpan bytes, const VerifyKey& aggregator);

} // namespace coppice
