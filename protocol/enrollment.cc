// SPDX-License-Identifier: Apache-2.0
#include "protocol/enrollment.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "protocol/archive.h"

namespace coppice {
namespace {

constexpr std::string_view kInvitePrefix = "coppice1-";
constexpr std::size_t kChecksumBytes = 4; // against typing and cutting errors, not against people
constexpr std::string_view kRequestMagic = "COPE";
constexpr std::uint16_t kRequestFormat = 1;
constexpr std::size_t kTokenOffset = 4 + 2; // after magic and format
constexpr std::size_t kRequestUsed =
    kTokenOffset + Token::kSize + VerifyKey::kSize + CurvePublicKey::kSize + Sha256::kSize;
constexpr std::size_t kRequestSigned = kEnrollRequestBytes - Signature::kSize;
static_assert(kRequestUsed <= kRequestSigned);

// The parts of an invite that have a default: a Token never has one.
struct InviteBody {
  FleetVerifyKey fleet;
  SignedKeySet keys;
  std::string enroll;
  std::string control;
  std::string bulk;
  StrongBytes<struct InviteTokenTag, Token::kSize> token;
  Sha256 base_hash;
  std::uint64_t base_bytes = 0;
  Millis expires;
};

struct ReplyBody {
  bool accepted = false;
  std::string reason;
  SignedCertificate certificate;
  Signature signature; // of what stands before it
};

ByteSpan checksum_of(const Sha256& hash) { return hash.span().first(kChecksumBytes); }

Sha256 invite_hash(ByteSpan body) { return sha256(with_domain(Domain::kInvite, body)); }

Error not_an_invite(std::string_view why) {
  return {
      ErrorCode::kInvalidArgument,
      cat("this is no invite: ", why, "; copy the whole line that starts with ", kInvitePrefix)};
}

template <typename Archive>
void serialize(Archive& archive, InviteBody& body) {
  archive(body.fleet, bytes_field(body.keys.bytes, limits::kStatementBytes), body.keys.signature,
          text_field(body.enroll, limits::kEndpoint), text_field(body.control, limits::kEndpoint),
          text_field(body.bulk, limits::kEndpoint), body.token, body.base_hash, body.base_bytes,
          body.expires);
}

template <typename Archive>
void serialize(Archive& archive, ReplyBody& body) {
  archive(FormatField{1}, body.accepted, sentence_field(body.reason),
          bytes_field(body.certificate.bytes, limits::kStatementBytes), body.certificate.signature,
          body.signature);
}

Result<ByteSpan> request_form(ByteSpan bytes) {
  if (bytes.size() != kEnrollRequestBytes) {
    return Error{ErrorCode::kCorrupt, cat("an enrolment request of ", bytes.size(), " bytes, not ",
                                          kEnrollRequestBytes)};
  }
  ByteReader in(bytes);
  if (as_text(COPPICE_TRY(in.take_raw(kRequestMagic.size(), "magic"))) != kRequestMagic) {
    return Error{ErrorCode::kCorrupt, "an enrolment request that starts with other bytes"};
  }
  const auto format = COPPICE_TRY(in.take<std::uint16_t>("format"));
  if (format != kRequestFormat) {
    return Error{ErrorCode::kUnsupported, cat("an enrolment request of format ", format,
                                              "; this program reads ", kRequestFormat)};
  }
  return bytes.subspan(kTokenOffset);
}

} // namespace

std::string encode_invite(const Invite& invite) {
  InviteBody body{.fleet = invite.fleet,
                  .keys = invite.keys,
                  .enroll = invite.enroll_endpoint,
                  .control = invite.control_endpoint,
                  .bulk = invite.bulk_endpoint,
                  .token = {},
                  .base_hash = invite.base_hash,
                  .base_bytes = invite.base_bytes,
                  .expires = invite.expires};
  std::ranges::copy(invite.token.span(), body.token.bytes.begin());
  Bytes bytes = encode_value(body);
  const Sha256 hash = invite_hash(bytes);
  bytes.insert(bytes.end(), checksum_of(hash).begin(), checksum_of(hash).end());
  std::string text = cat(kInvitePrefix, to_base64(bytes));
  wipe(bytes);
  return text;
}

Result<Invite> decode_invite(std::string_view text) {
  const std::string_view line = trim(text);
  if (line.size() > limits::kInviteText) {
    return Error{ErrorCode::kTooLarge, cat("an invite of ", line.size(), " characters")};
  }
  if (!line.starts_with(kInvitePrefix)) return not_an_invite("it starts otherwise");
  const auto bytes = from_base64(line.substr(kInvitePrefix.size()));
  if (!bytes || bytes->size() <= kChecksumBytes) return not_an_invite("it is not base64");
  const ByteSpan body_bytes = ByteSpan(*bytes).first(bytes->size() - kChecksumBytes);
  const Sha256 hash = invite_hash(body_bytes);
  if (!std::ranges::equal(checksum_of(hash), ByteSpan(*bytes).last(kChecksumBytes))) {
    return not_an_invite("its checksum is wrong: a part is missing or altered");
  }
  const InviteBody body = COPPICE_TRY(decode_value<InviteBody>(body_bytes, "the invite"));
  COPPICE_TRY(open_key_set(body.fleet, body.keys));
  return Invite{.fleet = body.fleet,
                .keys = body.keys,
                .enroll_endpoint = body.enroll,
                .control_endpoint = body.control,
                .bulk_endpoint = body.bulk,
                .token = COPPICE_TRY(Token::from_span(body.token.span())),
                .base_hash = body.base_hash,
                .base_bytes = body.base_bytes,
                .expires = body.expires};
}

Bytes encode_enroll_request(const EnrollRequest& request, const SigningKey& key) {
  ByteWriter out;
  out.put_raw(as_bytes(kRequestMagic));
  out.put(kRequestFormat);
  out.put_raw(request.token.span());
  out.put_raw(request.verify.span());
  out.put_raw(request.curve.span());
  out.put_raw(request.base_hash.span());
  Bytes bytes = std::move(out).take();
  bytes.resize(kRequestSigned, 0);
  const Signature signature = sign(key, Domain::kEnrolmentRequest, bytes);
  bytes.insert(bytes.end(), signature.bytes.begin(), signature.bytes.end());
  return bytes;
}

Result<Token> peek_enroll_token(ByteSpan bytes) {
  return Token::from_span(COPPICE_TRY(request_form(bytes)).first(Token::kSize));
}

Result<EnrollRequest> decode_enroll_request(ByteSpan bytes) {
  ByteReader in(COPPICE_TRY(request_form(bytes)));
  Token token = COPPICE_TRY(Token::from_span(COPPICE_TRY(in.take_raw(Token::kSize, "token"))));
  EnrollRequest request{.token = std::move(token), .verify = {}, .curve = {}, .base_hash = {}};
  request.verify = COPPICE_TRY(
      VerifyKey::from_span(COPPICE_TRY(in.take_raw(VerifyKey::kSize, "verify key")), "verify key"));
  request.curve = COPPICE_TRY(CurvePublicKey::from_span(
      COPPICE_TRY(in.take_raw(CurvePublicKey::kSize, "CURVE key")), "CURVE key"));
  request.base_hash = COPPICE_TRY(
      Sha256::from_span(COPPICE_TRY(in.take_raw(Sha256::kSize, "base hash")), "base hash"));
  const Signature signature =
      COPPICE_TRY(Signature::from_span(bytes.last(Signature::kSize), "signature"));
  COPPICE_TRY(
      verify(request.verify, Domain::kEnrolmentRequest, bytes.first(kRequestSigned), signature));
  const ByteSpan padding = bytes.subspan(kRequestUsed, kRequestSigned - kRequestUsed);
  if (std::ranges::any_of(padding, [](std::uint8_t byte) { return byte != 0; })) {
    return Error{ErrorCode::kCorrupt, "an enrolment request with something in its padding"};
  }
  return request;
}

Bytes encode_enroll_reply(const EnrollReply& reply, const SigningKey& aggregator) {
  Bytes bytes = encode_value(ReplyBody{.accepted = reply.accepted,
                                       .reason = reply.reason,
                                       .certificate = reply.certificate,
                                       .signature = {}});
  const auto signed_bytes = bytes.size() - Signature::kSize;
  const Signature signature =
      sign(aggregator, Domain::kEnrolmentReply, ByteSpan(bytes).first(signed_bytes));
  std::ranges::copy(signature.bytes, bytes.begin() + static_cast<std::ptrdiff_t>(signed_bytes));
  return bytes;
}

Result<EnrollReply> decode_enroll_reply(ByteSpan bytes, const VerifyKey& aggregator) {
  if (bytes.size() > limits::kEnrollFrameBytes || bytes.size() < Signature::kSize) {
    return Error{ErrorCode::kCorrupt, cat("an enrolment reply of ", bytes.size(), " bytes")};
  }
  const auto signature =
      COPPICE_TRY(Signature::from_span(bytes.last(Signature::kSize), "signature"));
  const auto verified = verify(aggregator, Domain::kEnrolmentReply,
                               bytes.first(bytes.size() - Signature::kSize), signature);
  if (!verified) {
    return Error{ErrorCode::kUnauthenticated,
                 "the answer to the enrolment is not signed by the invite's aggregator"};
  }
  ReplyBody body = COPPICE_TRY(decode_value<ReplyBody>(bytes, "the enrolment reply"));
  return EnrollReply{.accepted = body.accepted,
                     .reason = std::move(body.reason),
                     .certificate = std::move(body.certificate)};
}

} // namespace coppice
