// SPDX-License-Identifier: Apache-2.0
#include "protocol/key_set.h"

#include "crypto/hash.h"
#include "protocol/archive.h"

namespace coppice {

template <typename Archive>
void serialize(Archive& archive, KeySet& keys) {
  archive(FormatField{1}, keys.number, keys.fleet, keys.curve, keys.verify, keys.seal,
          keys.expires);
}

template <typename Archive>
void serialize(Archive& archive, Certificate& certificate) {
  archive(FormatField{1}, certificate.client, certificate.fleet, certificate.verify,
          certificate.curve, certificate.expires);
}

namespace {

Error unauthenticated(std::string words) { return {ErrorCode::kUnauthenticated, std::move(words)}; }

bool expired(Millis expires, Millis now) { return expires.count != 0 && expires <= now; }

// Verify before parse: signature, then form, then fleet.
template <typename Statement, typename Signed>
Result<Statement> open_statement(const FleetVerifyKey& fleet, const Signed& signed_statement,
                                 Domain domain, const char* what) {
  if (signed_statement.bytes.size() > limits::kStatementBytes) {
    return Error{ErrorCode::kTooLarge, cat(what, " of ", signed_statement.bytes.size(), " bytes")};
  }
  const auto verified = verify(fleet, domain, signed_statement.bytes, signed_statement.signature);
  if (!verified) {
    return unauthenticated(cat(
        what, " is not signed by this fleet's key; was this device enrolled in another fleet?"));
  }
  Statement statement = COPPICE_TRY(decode_value<Statement>(signed_statement.bytes, what));
  if (statement.fleet != sha256(fleet.span())) {
    return unauthenticated(cat(what, " names another fleet"));
  }
  return statement;
}

} // namespace

SignedKeySet sign_key_set(const FleetSigningKey& fleet, const KeySet& keys) {
  SignedKeySet made{.bytes = encode_value(keys), .signature = {}};
  made.signature = sign(fleet, Domain::kKeySet, made.bytes);
  return made;
}

SignedCertificate sign_certificate(const FleetSigningKey& fleet, const Certificate& certificate) {
  SignedCertificate made{.bytes = encode_value(certificate), .signature = {}};
  made.signature = sign(fleet, Domain::kCertificate, made.bytes);
  return made;
}

Result<KeySet> open_key_set(const FleetVerifyKey& fleet, const SignedKeySet& keys) {
  return open_statement<KeySet>(fleet, keys, Domain::kKeySet, "the aggregator's key set");
}

Result<KeySet> verify_key_set(const FleetVerifyKey& fleet, const SignedKeySet& keys,
                              KeySetNumber lowest, Millis now_wall) {
  KeySet opened = COPPICE_TRY(open_key_set(fleet, keys));
  if (opened.number < lowest) {
    return unauthenticated(cat("an older key set was shown: number ", opened.number,
                               ", and number ", lowest,
                               " is known; the aggregator must use its newest keys"));
  }
  if (expired(opened.expires, now_wall)) {
    return unauthenticated(cat("key set ", opened.number,
                               " has expired; run `coppice aggregator keys rotate`, or check this "
                               "machine's date"));
  }
  return opened;
}

Result<Certificate> verify_certificate(const FleetVerifyKey& fleet,
                                       const SignedCertificate& certificate, Millis now_wall) {
  Certificate opened = COPPICE_TRY(open_statement<Certificate>(
      fleet, certificate, Domain::kCertificate, "the device's certificate"));
  if (opened.client != client_id_of(opened.verify)) {
    return unauthenticated("the certificate's client is not that of its key");
  }
  if (expired(opened.expires, now_wall)) {
    return unauthenticated("the device's certificate has expired; enrol again with a new invite");
  }
  return opened;
}

} // namespace coppice
