// SPDX-License-Identifier: Apache-2.0
#include "client/enroll.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "protocol/envelope.h"
#include "protocol/transport.h"

namespace coppice {

Result<Membership> enroll(const DeviceFolder& folder, const Invite& invite, const fs::path& model,
                          Ledger& ledger, const Clock& clock, Millis timeout) {
  const Sha256 base = COPPICE_TRY(folder.base_hash(model));
  if (base != invite.base_hash) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat(model.string(), " is not this fleet's base model: its SHA-256 is ", base,
                     ", the invite asks for ", invite.base_hash, " (",
                     human_bytes(static_cast<double>(invite.base_bytes)), ")")};
  }
  const DeviceIdentity identity = COPPICE_TRY(folder.identity());
  const KeySet keys =
      COPPICE_TRY(verify_key_set(invite.fleet, invite.keys, KeySetNumber{0}, clock.wall()));
  const EnrollRequest request{COPPICE_TRY(Token::from_span(invite.token.span())),
                              identity.signing.public_key(), identity.curve.public_key(), base};
  const Bytes frame = encode_enroll_request(request, identity.signing);
  COPPICE_TRY(ledger.record({.wall = clock.wall(),
                             .channel = "enroll",
                             .kind = "enroll_request",
                             .bytes = frame.size(),
                             .round = {},
                             .content = sha256(frame)}));
  const Bytes answer =
      COPPICE_TRY(enroll_exchange(invite.enroll_endpoint, keys.curve, frame, timeout));
  const EnrollReply reply = COPPICE_TRY(decode_enroll_reply(answer, keys.verify));
  if (!reply.accepted) return Error{ErrorCode::kUnauthenticated, reply.reason};
  const Certificate certificate =
      COPPICE_TRY(verify_certificate(invite.fleet, reply.certificate, clock.wall()));
  if (certificate.client != identity.id || certificate.curve != identity.curve.public_key()) {
    return Error{ErrorCode::kUnauthenticated, "the certificate is for another device"};
  }
  Membership membership;
  membership.fleet_key = invite.fleet;
  membership.fleet = sha256(invite.fleet.span());
  membership.keys = keys;
  membership.signed_keys = invite.keys;
  membership.control_endpoint = invite.control_endpoint;
  membership.bulk_endpoint = invite.bulk_endpoint;
  membership.base_hash = invite.base_hash;
  membership.base_bytes = invite.base_bytes;
  membership.certificate = reply.certificate;
  COPPICE_TRY(folder.store_membership(membership));
  return membership;
}

Result<void> leave_fleet(const DeviceFolder& folder, const Clock& clock, Millis timeout) {
  const FileLock lock = COPPICE_TRY(FileLock::take(folder.directory() / "lock"));
  const DeviceIdentity identity = COPPICE_TRY(folder.identity());
  const Membership membership = COPPICE_TRY(folder.membership());
  Ledger ledger = COPPICE_TRY(Ledger::open(folder.ledger_path()));
  const auto transport = COPPICE_TRY(ClientTransport::open(
      {membership.control_endpoint, membership.bulk_endpoint, membership.keys.curve, {}},
      identity.curve));
  EnvelopeHeader header;
  header.type = MessageType::kLeave;
  header.sender = identity.id;
  header.key_set = membership.keys.number;
  header.sequence = 1;
  const Frame frame = make_envelope(identity.signing, header, Leave{});
  COPPICE_TRY(ledger.record({.wall = clock.wall(),
                             .channel = "control",
                             .kind = message_name(header.type),
                             .bytes = frame.bytes.size(),
                             .round = {},
                             .content = sha256(frame.bytes)}));
  COPPICE_TRY(transport->send(Channel::kControl, frame.bytes));
  // Once it is out, the aggregator shuts the connection: the refusal is the answer.
  const Millis give_up = clock.monotonic() + timeout;
  bool was_connected = false;
  while (clock.monotonic() < give_up) {
    const auto arrivals = COPPICE_TRY(transport->poll(Millis{200}));
    const ConnectionState state = transport->connection();
    was_connected = was_connected || state.connected;
    if (state.refused || !arrivals.empty() ||
        (was_connected && clock.monotonic() + Millis{8000} > give_up)) {
      return {};
    }
  }
  return Error{ErrorCode::kDeadlineExceeded,
               "the aggregator can't be reached; try again when it can, or remove the folder"};
}

} // namespace coppice
