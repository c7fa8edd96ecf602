// SPDX-License-Identifier: Apache-2.0
// The envelope around every message: fixed header, body, Ed25519 signature over both.
//
// Verify before parse, in the types: bytes from a socket are a Frame; open_envelope() checks
// length, header and signature and gives Verified<Frame>; only decode_message() of that gives a
// Message. The body of an upload is sealed to the aggregator's key (XChaCha20-Poly1305), its plan's
// hash as associated data. Layout: docs/formats.md, "Envelope".
#pragma once

#include "crypto/keys.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "protocol/messages.h"

namespace coppice {

struct Frame {
  Bytes bytes;
};

struct EnvelopeHeader {
  // The version that brought the message, so that whoever knows the message reads it:
  // make_envelope() sets it.
  std::uint16_t protocol_version = limits::kOldestProtocolVersion;
  MessageType type{};
  ClientId sender{};      // zero: the aggregator
  KeySetNumber key_set{}; // that the aggregator's side of this message uses
  std::uint64_t sequence =
      0;              // increases within a connection of a sender; a repeat is refused there
  Sha256 plan_hash{}; // zero outside a round
};

// Made only by open_envelope().
template <typename T>
class Verified;
template <>
class Verified<Frame> {
 public:
  const EnvelopeHeader& header() const { return header_; }
  ByteSpan body() const { return body_; }

 private:
  friend Result<Verified<Frame>> open_envelope(Frame frame, const VerifyKey& sender_key,
                                               const ClientId& expected_sender);
  EnvelopeHeader header_;
  Bytes body_;
};

// The header alone, unverified: only to choose the key to verify with, and to route.
Result<EnvelopeHeader> peek_header(ByteSpan frame);

// Signs. Types that must be sealed (kUpload) are refused here; see seal_upload().
Frame make_envelope(const SigningKey& key, const EnvelopeHeader& header, const Message& message);

// kTooLarge, kCorrupt, kUnsupported (protocol version), kUnauthenticated (signature, or another
// sender than `expected_sender`), in that order.
Result<Verified<Frame>> open_envelope(Frame frame, const VerifyKey& sender_key,
                                      const ClientId& expected_sender);

// Decodes the body by the header's type. kCorrupt on trailing bytes, sizes beyond limits.h, wrong
// enums.
Result<Message> decode_message(const Verified<Frame>& frame);

// An upload's finished bytes: an envelope of type kUpload whose body is sealed to `aggregator`. The
// header's type is set here. kUnauthenticated if `aggregator` is no key that anybody can seal to,
// kInvalidArgument if the plan's hash in header and upload differ, kTooLarge beyond limits.h. Never
// twice the same bytes: an upload is sealed once, kept, and sent again as it is.
Result<Bytes> seal_upload(const SigningKey& key, const EnvelopeHeader& header,
                          const SealPublicKey& aggregator, const Upload& upload);
// Length, signature, seal, decode, and that the plan in header and body is `plan_hash`.
Result<Upload> open_upload(ByteSpan bytes, const VerifyKey& sender_key, const ClientId& sender,
                           const SealKey& aggregator, const Sha256& plan_hash);

} // namespace coppice
