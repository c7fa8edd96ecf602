// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_messages.h"

#include "crypto/hash.h"
#include "protocol/secagg_archive.h"

namespace coppice {

template <typename Archive>
void serialize(Archive& archive, KeyAdvert& value) {
  archive(FormatField{1}, value.client, value.plan_hash, AttemptField{value.attempt}, value.box_key,
          value.mask_key, value.nonce_commitment);
}

namespace {

// One row a message: its name, and how it is read.
struct Row {
  const char* name;
  Result<SecAggMessage> (*decode)(ByteSpan body, const char* name);
};

template <typename T>
Result<SecAggMessage> decode_as(ByteSpan body, const char* name) {
  return SecAggMessage{COPPICE_TRY(decode_value<T>(body, name))};
}

// In the order of the variant's alternatives: a row's index is its number on the wire.
constexpr Row kRows[] = {
    {"key advert", decode_as<SignedAdvert>},
    {"nonce opening", decode_as<NonceOpening>},
    {"share boxes", decode_as<ShareBoxes>},
    {"unmask shares", decode_as<UnmaskShares>},
    {"roster", decode_as<Roster>},
    {"call for new keys", decode_as<Readvertise>},
    {"graph opening", decode_as<GraphOpening>},
    {"share inbox", decode_as<ShareInbox>},
    {"survivors' list", decode_as<SurvivorList>},
};
static_assert(std::size(kRows) == std::variant_size_v<SecAggMessage>);

} // namespace

Sha256 Roster::hash() const { return domain_hash(Domain::kRoster, encode_value(*this)); }

Sha256 SurvivorList::hash() const { return domain_hash(Domain::kSurvivors, encode_value(*this)); }

Bytes encode_advert(const KeyAdvert& advert) { return encode_value(advert); }

Result<KeyAdvert> decode_advert(ByteSpan bytes) {
  return decode_value<KeyAdvert>(bytes, "a key advert");
}

Sha256 commit_nonce(const GraphNonce& nonce, const ClientId& client, const Sha256& plan_hash,
                    std::uint8_t attempt) {
  ByteWriter committed;
  committed.put_raw(nonce);
  committed.put_raw(client.span());
  committed.put_raw(plan_hash.span());
  committed.put(attempt);
  return domain_hash(Domain::kNonceCommitment, committed.bytes());
}

bool bit_of(std::span<const std::uint8_t> bits, std::uint32_t member) {
  const std::size_t byte = member / 8;
  return byte < bits.size() && ((bits[byte] >> (member % 8)) & 1U) != 0;
}

std::vector<std::uint8_t> bits_of(std::span<const std::uint32_t> members, std::uint32_t count) {
  std::vector<std::uint8_t> bits((std::size_t{count} + 7) / 8);
  for (const std::uint32_t member : members) {
    COPPICE_CHECK(member < count, "a bit beyond the roster");
    bits[member / 8] = static_cast<std::uint8_t>(bits[member / 8] | (1U << (member % 8)));
  }
  return bits;
}

Bytes encode_secagg(const SecAggMessage& message) {
  const Bytes body = std::visit([](const auto& value) { return encode_value(value); }, message);
  Bytes bytes;
  bytes.reserve(body.size() + 1);
  bytes.push_back(static_cast<std::uint8_t>(message.index()));
  bytes.insert(bytes.end(), body.begin(), body.end());
  COPPICE_CHECK(bytes.size() <= limits::kSecAggMessageBytes, "a message above its limit");
  return bytes;
}

Result<SecAggMessage> decode_secagg(ByteSpan bytes) {
  if (bytes.size() > limits::kSecAggMessageBytes) {
    return Error{ErrorCode::kTooLarge,
                 cat("a message of secure aggregation of ", bytes.size(), " bytes")};
  }
  if (bytes.empty() || bytes[0] >= std::size(kRows)) {
    return Error{ErrorCode::kCorrupt, "a message of secure aggregation of unknown type"};
  }
  const Row& row = kRows[bytes[0]];
  return row.decode(bytes.subspan(1), row.name);
}

const char* secagg_message_name(const SecAggMessage& message) {
  return kRows[message.index()].name;
}

} // namespace coppice
