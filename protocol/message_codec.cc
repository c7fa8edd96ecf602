// SPDX-License-Identifier: Apache-2.0
#include "protocol/message_codec.h"

#include "protocol/archive.h"

namespace coppice {
namespace {

// A number that is refused when read above `most`.
template <typename T>
struct AtMostField {
  T& value;
  T most;
};
template <typename T>
AtMostField<T> at_most(T& value, std::type_identity_t<T> most) {
  return {value, most};
}
template <typename T>
void save(WriteArchive& archive, const AtMostField<T>& field) {
  archive(field.value);
}
template <typename T>
void load(ReadArchive& archive, AtMostField<T>& field) {
  archive(field.value);
  if (field.value > field.most) {
    throw ArchiveRefusal(
        cat("a number of ", field.value, " where at most ", field.most, " may stand"));
  }
}

// A span of time: not negative, and no longer than the longest round.
struct SpanField {
  Millis& span;
};
void save(WriteArchive& archive, const SpanField& field) { archive(field.span); }
void load(ReadArchive& archive, SpanField& field) {
  archive(field.span);
  if (field.span.count < 0 || field.span.count > limits::kLongestRoundMs) {
    throw ArchiveRefusal(cat("a time of ", field.span));
  }
}

} // namespace

// Signed statements travel as the bytes that were signed.
template <typename Archive>
void serialize(Archive& archive, SignedKeySet& value) {
  archive(bytes_field(value.bytes, limits::kStatementBytes), value.signature);
}
template <typename Archive>
void serialize(Archive& archive, SignedRelease& value) {
  archive(bytes_field(value.bytes, limits::kStatementBytes), value.signature);
}
template <typename Archive>
void serialize(Archive& archive, SignedPlan& value) {
  archive(bytes_field(value.bytes, limits::kControlFrameBytes), value.signature);
}

template <typename Archive>
void serialize(Archive& archive, CheckIn& value) {
  archive(value.protocol_version, NamesField{value.features}, value.ready, value.epoch,
          value.highest_round, value.version, value.adapter_hash);
}
template <typename Archive>
void serialize(Archive& archive, PlanAnswer& value) {
  archive(value.round, value.plan_hash, value.accepted);
}
template <typename Archive>
void serialize(Archive& archive, Ping& value) {
  archive(value.nonce);
}
template <typename Archive>
void serialize(Archive&, Leave&) {}
template <typename Archive>
void serialize(Archive& archive, Welcome& value) {
  archive(value.epoch, value.keys, value.release, SpanField{value.heartbeat},
          SpanField{value.reconnect_after}, SpanField{value.reconnect_window});
}
template <typename Archive>
void serialize(Archive& archive, PlanOffer& value) {
  archive(value.plan, SpanField{value.time_left});
}
template <typename Archive>
void serialize(Archive& archive, ReleaseNotice& value) {
  archive(value.release);
}
template <typename Archive>
void serialize(Archive& archive, RoundOver& value) {
  archive(value.round, value.released, sentence_field(value.reason));
}
template <typename Archive>
void serialize(Archive& archive, Pong& value) {
  archive(value.nonce);
}
template <typename Archive>
void serialize(Archive& archive, Refusal& value) {
  archive(value.code, sentence_field(value.reason), SpanField{value.retry_after});
}
template <typename Archive>
void serialize(Archive& archive, UploadOffer& value) {
  archive(value.round, value.plan_hash, value.upload, at_most(value.size, limits::kUploadBytes));
}
template <typename Archive>
void serialize(Archive& archive, UploadChunk& value) {
  archive(value.upload, value.index, bytes_field(value.data, limits::kChunkBytes));
}
template <typename Archive>
void serialize(Archive& archive, Fetch& value) {
  archive(value.content, value.first, at_most(value.count, limits::kCreditChunks));
}
template <typename Archive>
void serialize(Archive& archive, UploadCredit& value) {
  archive(value.upload, value.next, at_most(value.credit, limits::kCreditChunks));
}
template <typename Archive>
void serialize(Archive& archive, UploadAck& value) {
  archive(value.round, value.upload);
}
template <typename Archive>
void serialize(Archive& archive, ContentChunk& value) {
  archive(value.content, value.index, at_most(value.size, limits::kReleaseBytes),
          bytes_field(value.data, limits::kChunkBytes));
}
template <typename Archive>
void serialize(Archive& archive, SecAggPiece& value) {
  archive(value.plan_hash, value.index, at_most(value.pieces, limits::kSecAggPieces),
          bytes_field(value.data, limits::kChunkBytes));
}
template <typename Archive>
void serialize(Archive& archive, Upload& value) {
  archive(value.round, value.plan_hash, bytes_field(value.packed, limits::kUploadBytes));
}

namespace {

// One row a message: its number on the wire, its name, and how its body is read.
struct Row {
  MessageType type;
  const char* name;
  Result<Message> (*decode)(ByteSpan body, const char* name);
};

template <typename T>
Result<Message> decode_as(ByteSpan body, const char* name) {
  return Message{COPPICE_TRY(decode_value<T>(body, name))};
}

// In the order of the variant's alternatives.
constexpr Row kRows[] = {
    {MessageType::kCheckIn, "check-in", decode_as<CheckIn>},
    {MessageType::kPlanAnswer, "plan answer", decode_as<PlanAnswer>},
    {MessageType::kPing, "ping", decode_as<Ping>},
    {MessageType::kLeave, "leave", decode_as<Leave>},
    {MessageType::kWelcome, "welcome", decode_as<Welcome>},
    {MessageType::kPlanOffer, "plan offer", decode_as<PlanOffer>},
    {MessageType::kReleaseNotice, "release notice", decode_as<ReleaseNotice>},
    {MessageType::kRoundOver, "round over", decode_as<RoundOver>},
    {MessageType::kPong, "pong", decode_as<Pong>},
    {MessageType::kRefusal, "refusal", decode_as<Refusal>},
    {MessageType::kUploadOffer, "upload offer", decode_as<UploadOffer>},
    {MessageType::kUploadChunk, "upload chunk", decode_as<UploadChunk>},
    {MessageType::kFetch, "fetch", decode_as<Fetch>},
    {MessageType::kUploadCredit, "upload credit", decode_as<UploadCredit>},
    {MessageType::kUploadAck, "upload acknowledgement", decode_as<UploadAck>},
    {MessageType::kContentChunk, "content chunk", decode_as<ContentChunk>},
    {MessageType::kSecAggPiece, "secure aggregation", decode_as<SecAggPiece>},
    {MessageType::kUpload, "upload", decode_as<Upload>},
};
static_assert(std::size(kRows) == std::variant_size_v<Message>);

const Row* row_of(MessageType type) {
  for (const Row& row : kRows) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

} // namespace

MessageType type_of(const Message& message) { return kRows[message.index()].type; }

const char* message_name(MessageType type) {
  const Row* row = row_of(type);
  return row == nullptr ? "unknown message" : row->name;
}

std::uint16_t version_of(MessageType type) { return type == MessageType::kSecAggPiece ? 2 : 1; }

bool is_message_type(std::uint16_t number) {
  return row_of(static_cast<MessageType>(number)) != nullptr;
}

Bytes encode_body(const Message& message) {
  return std::visit([](const auto& value) { return encode_value(value); }, message);
}

Result<Message> decode_body(MessageType type, ByteSpan body) {
  const Row* row = row_of(type);
  if (row == nullptr) {
    return Error{ErrorCode::kCorrupt, cat("a message of unknown type ", static_cast<int>(type))};
  }
  return row->decode(body, row->name);
}

SignedPlan sign_plan(const SigningKey& aggregator, const RoundPlan& plan) {
  SignedPlan made{.bytes = plan.encode(), .signature = {}};
  made.signature = sign(aggregator, Domain::kPlan, made.bytes);
  return made;
}

Result<RoundPlan> verify_plan(const VerifyKey& aggregator, const SignedPlan& plan) {
  if (plan.bytes.size() > limits::kControlFrameBytes) {
    return Error{ErrorCode::kTooLarge, cat("a plan of ", plan.bytes.size(), " bytes")};
  }
  const auto verified = verify(aggregator, Domain::kPlan, plan.bytes, plan.signature);
  if (!verified) {
    return Error{ErrorCode::kUnauthenticated,
                 "the plan is not signed by the aggregator's key; it is not followed"};
  }
  return RoundPlan::decode(plan.bytes);
}

} // namespace coppice
