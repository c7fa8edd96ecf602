// SPDX-License-Identifier: Apache-2.0
#include "protocol/envelope.h"

#include "base/text.h"
#include "protocol/message_codec.h"

namespace coppice {
namespace {

constexpr std::uint16_t kNewestVersion = 2; // of messages; a plan has one of its own

// docs/formats.md, "Envelope": header, body, signature.
constexpr std::string_view kMagic = "COPM";
constexpr std::size_t kHeaderBytes = 4 + 2 + 2 + 16 + 8 + 8 + 32 + 4;

void put_header(ByteWriter& out, const EnvelopeHeader& header, std::size_t body_bytes) {
  out.put_raw(as_bytes(kMagic));
  out.put(header.protocol_version);
  out.put(static_cast<std::uint16_t>(header.type));
  out.put_raw(header.sender.span());
  out.put(header.key_set.value);
  out.put(header.sequence);
  out.put_raw(header.plan_hash.span());
  out.put(static_cast<std::uint32_t>(body_bytes));
}

Bytes signed_envelope(const SigningKey& key, const EnvelopeHeader& header, ByteSpan body) {
  ByteWriter out;
  put_header(out, header, body.size());
  out.put_raw(body);
  const Signature signature = sign(key, Domain::kEnvelope, out.bytes());
  out.put_raw(signature.span());
  return std::move(out).take();
}

Error corrupt(const auto&... words) { return {ErrorCode::kCorrupt, cat("an envelope ", words...)}; }

struct OpenedEnvelope {
  EnvelopeHeader header;
  ByteSpan body; // into the bytes that were opened
};

// Everything but the limit on size: form, version, sender, signature.
Result<OpenedEnvelope> open_bytes(ByteSpan bytes, const VerifyKey& key, const ClientId& sender) {
  const EnvelopeHeader header = COPPICE_TRY(peek_header(bytes));
  std::uint32_t body_bytes = 0;
  std::memcpy(&body_bytes, bytes.data() + kHeaderBytes - sizeof(body_bytes), sizeof(body_bytes));
  const ByteSpan signed_part = bytes.first(bytes.size() - Signature::kSize);
  if (signed_part.size() - kHeaderBytes != body_bytes) {
    return corrupt("states a body of ", body_bytes, " bytes and holds ",
                   signed_part.size() - kHeaderBytes);
  }
  if (header.sender != sender) {
    return Error{ErrorCode::kUnauthenticated,
                 cat("an envelope names the sender ", header.sender, ", and came from ", sender)};
  }
  const auto signature =
      COPPICE_TRY(Signature::from_span(bytes.last(Signature::kSize), "signature"));
  const auto verified = verify(key, Domain::kEnvelope, signed_part, signature);
  if (!verified) {
    return Error{ErrorCode::kUnauthenticated,
                 cat("the signature of a ", message_name(header.type), " doesn't verify")};
  }
  return OpenedEnvelope{header, signed_part.subspan(kHeaderBytes)};
}

} // namespace

Result<EnvelopeHeader> peek_header(ByteSpan frame) {
  if (frame.size() < kHeaderBytes + Signature::kSize) {
    return corrupt("of ", frame.size(), " bytes is shorter than the shortest");
  }
  if (as_text(frame.first(kMagic.size())) != kMagic) return corrupt("starts with other bytes");
  ByteReader in(frame.subspan(kMagic.size()));
  EnvelopeHeader header;
  header.protocol_version = COPPICE_TRY(in.take<std::uint16_t>("protocol version"));
  const auto type = COPPICE_TRY(in.take<std::uint16_t>("type"));
  if (header.protocol_version < limits::kOldestProtocolVersion ||
      header.protocol_version > kNewestVersion) {
    return Error{ErrorCode::kUnsupported,
                 cat("a message of protocol version ", header.protocol_version,
                     " came, and this program speaks ", limits::kOldestProtocolVersion, " to ",
                     kNewestVersion, "; update the older of the two")};
  }
  if (!is_message_type(type)) return corrupt("has the unknown type ", type);
  header.type = static_cast<MessageType>(type);
  header.sender = COPPICE_TRY(
      ClientId::from_span(COPPICE_TRY(in.take_raw(ClientId::kSize, "sender")), "sender"));
  header.key_set.value = COPPICE_TRY(in.take<std::uint64_t>("key set"));
  header.sequence = COPPICE_TRY(in.take<std::uint64_t>("sequence"));
  header.plan_hash = COPPICE_TRY(
      Sha256::from_span(COPPICE_TRY(in.take_raw(Sha256::kSize, "plan hash")), "plan hash"));
  return header;
}

Frame make_envelope(const SigningKey& key, const EnvelopeHeader& header, const Message& message) {
  COPPICE_CHECK(type_of(message) != MessageType::kUpload, "uploads go through seal_upload()");
  EnvelopeHeader complete = header;
  complete.type = type_of(message);
  complete.protocol_version = version_of(complete.type);
  return {signed_envelope(key, complete, encode_body(message))};
}

Result<Verified<Frame>> open_envelope(Frame frame, const VerifyKey& sender_key,
                                      const ClientId& expected_sender) {
  if (frame.bytes.size() > limits::kFrameBytes) {
    return Error{ErrorCode::kTooLarge, cat("a frame of ", frame.bytes.size(), " bytes is over the ",
                                           limits::kFrameBytes, " of a message")};
  }
  const OpenedEnvelope opened = COPPICE_TRY(open_bytes(frame.bytes, sender_key, expected_sender));
  if (opened.header.type == MessageType::kUpload) {
    return corrupt("holds an upload, which travels in chunks");
  }
  Verified<Frame> verified;
  verified.header_ = opened.header;
  verified.body_.assign(opened.body.begin(), opened.body.end());
  return verified;
}

Result<Message> decode_message(const Verified<Frame>& frame) {
  return decode_body(frame.header().type, frame.body());
}

Result<Bytes> seal_upload(const SigningKey& key, const EnvelopeHeader& header,
                          const SealPublicKey& aggregator, const Upload& upload) {
  if (header.plan_hash != upload.plan_hash) {
    return Error{ErrorCode::kInvalidArgument, "an upload's plan differs from its envelope's"};
  }
  EnvelopeHeader complete = header;
  complete.type = MessageType::kUpload;
  constexpr std::size_t kRoom = kHeaderBytes + Signature::kSize + kSealOverhead + 64;
  if (upload.packed.size() > limits::kUploadBytes - kRoom) {
    return Error{ErrorCode::kTooLarge, cat("an upload of ", upload.packed.size(), " bytes")};
  }
  const Bytes sealed = COPPICE_TRY(
      seal(aggregator, Domain::kEnvelopeBody, complete.plan_hash.span(), encode_body(upload)));
  return signed_envelope(key, complete, sealed);
}

Result<Upload> open_upload(ByteSpan bytes, const VerifyKey& sender_key, const ClientId& sender,
                           const SealKey& aggregator, const Sha256& plan_hash) {
  if (bytes.size() > limits::kUploadBytes) {
    return Error{ErrorCode::kTooLarge, cat("an upload of ", bytes.size(), " bytes is over the ",
                                           limits::kUploadBytes, " that are taken")};
  }
  const OpenedEnvelope opened = COPPICE_TRY(open_bytes(bytes, sender_key, sender));
  if (opened.header.type != MessageType::kUpload) {
    return corrupt("holds a ", message_name(opened.header.type), " where an upload belongs");
  }
  if (opened.header.plan_hash != plan_hash) {
    return Error{ErrorCode::kUnauthenticated, "an upload was made for another plan"};
  }
  const Bytes body =
      COPPICE_TRY(open(aggregator, Domain::kEnvelopeBody, plan_hash.span(), opened.body));
  Message message = COPPICE_TRY(decode_body(MessageType::kUpload, body));
  Upload upload = std::get<Upload>(std::move(message));
  if (upload.plan_hash != plan_hash) {
    return Error{ErrorCode::kUnauthenticated, "an upload's body was made for another plan"};
  }
  return upload;
}

} // namespace coppice
