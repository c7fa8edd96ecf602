// SPDX-License-Identifier: Apache-2.0
// How the messages of secure aggregation look in bytes, and the states that hold them. Internal to
// protocol/.
#pragma once

#include <array>

#include "protocol/archive.h"
#include "protocol/secagg_messages.h"
#include "protocol/secagg_parameters.h"

namespace coppice {

// As many bytes as the format says: no count.
struct FixedBytesField {
  Bytes& bytes;
  std::size_t size;
};
inline void save(WriteArchive& archive, const FixedBytesField& field) {
  COPPICE_CHECK(field.bytes.size() == field.size, "a field of another length than its format's");
  archive.put(field.bytes.data(), field.size);
}
inline void load(ReadArchive& archive, FixedBytesField& field) {
  if (field.size > archive.left()) {
    throw ArchiveRefusal(cat(field.size, " bytes wanted, ", archive.left(), " left"));
  }
  field.bytes.resize(field.size);
  archive.get(field.bytes.data(), field.size);
}

// A u8 below kMaxAttempts.
struct AttemptField {
  std::uint8_t& attempt;
};
inline void save(WriteArchive& archive, const AttemptField& field) { archive(field.attempt); }
inline void load(ReadArchive& archive, AttemptField& field) {
  archive(field.attempt);
  if (field.attempt >= kMaxAttempts) {
    throw ArchiveRefusal(cat("attempt ", int{field.attempt}, " of ", kMaxAttempts));
  }
}

template <typename Archive, std::size_t N>
void serialize(Archive& archive, std::array<std::uint8_t, N>& bytes) {
  if constexpr (std::is_same_v<Archive, WriteArchive>) {
    archive.put(bytes.data(), N);
  } else {
    archive.get(bytes.data(), N);
  }
}

// The fewest bytes that elements of lists take.
inline constexpr std::size_t kBoxItemBytes = sizeof(std::uint32_t) + kShareBoxBytes;
inline constexpr std::size_t kShareItemBytes = sizeof(std::uint32_t) + 1 + sizeof(SecretShare);
inline constexpr std::size_t kStatementItemBytes = sizeof(std::uint32_t) + Signature::kSize;
inline constexpr std::size_t kKeysItemBytes = sizeof(std::uint32_t) + 2 * kStatementItemBytes;
inline constexpr std::size_t kRosterItemBytes = ClientId::kSize + 2 * Sha256::kSize;
inline constexpr std::size_t kBitBytes = (limits::kRosterMembers + 7) / 8;

inline ListField<ShareBox> boxes_field(std::vector<ShareBox>& boxes) {
  return list_field(boxes, limits::kGraphDegree, kBoxItemBytes);
}

template <typename Archive>
void serialize(Archive& archive, SignedAdvert& value) {
  archive(bytes_field(value.bytes, limits::kStatementBytes), value.signature);
}
template <typename Archive>
void serialize(Archive& archive, SignedCertificate& value) {
  archive(bytes_field(value.bytes, limits::kStatementBytes), value.signature);
}
template <typename Archive>
void serialize(Archive& archive, NonceOpening& value) {
  archive(value.roster_hash, value.nonce);
}
template <typename Archive>
void serialize(Archive& archive, ShareBox& value) {
  archive(value.member, FixedBytesField{value.box, kShareBoxBytes});
}
template <typename Archive>
void serialize(Archive& archive, ShareBoxes& value) {
  archive(value.roster_hash, value.self_commitment, boxes_field(value.boxes));
}
template <typename Archive>
void serialize(Archive& archive, UnmaskShare& value) {
  archive(value.member, enum_field(value.of, ShareOf::kMaskKey), value.share);
}
template <typename Archive>
void serialize(Archive& archive, UnmaskShares& value) {
  archive(value.roster_hash, value.survivors_hash,
          list_field(value.shares, limits::kGraphDegree, kShareItemBytes));
}
template <typename Archive>
void serialize(Archive& archive, RosterEntry& value) {
  archive(value.client, value.advert_hash, value.nonce_commitment);
}
template <typename Archive>
void serialize(Archive& archive, Roster& value) {
  archive(value.plan_hash, AttemptField{value.attempt},
          list_field(value.entries, limits::kRosterMembers, kRosterItemBytes));
}
template <typename Archive>
void serialize(Archive& archive, Readvertise& value) {
  archive(value.plan_hash, AttemptField{value.attempt});
}
template <typename Archive>
void serialize(Archive& archive, NeighbourKeys& value) {
  archive(value.member, value.advert, value.certificate);
}
template <typename Archive>
void serialize(Archive& archive, GraphOpening& value) {
  archive(value.roster_hash, list_field(value.nonces, limits::kRosterMembers, sizeof(GraphNonce)),
          list_field(value.neighbours, limits::kGraphDegree, kKeysItemBytes));
}
template <typename Archive>
void serialize(Archive& archive, ShareInbox& value) {
  archive(value.roster_hash, boxes_field(value.boxes));
}
template <typename Archive>
void serialize(Archive& archive, SurvivorList& value) {
  archive(value.roster_hash, bytes_field(value.shared, kBitBytes),
          bytes_field(value.survivors, kBitBytes));
}
template <typename Archive>
void serialize(Archive& archive, GraphParameters& value) {
  archive(value.degree, value.threshold);
}

// What SecAggGraph and Shamir take for granted, of numbers that were on disk.
inline bool graph_fits(std::size_t members, const GraphParameters& parameters) {
  const auto [degree, threshold] = parameters;
  return degree > 0 && degree < members && degree <= limits::kGraphDegree &&
         (degree % 2 == 0 || degree == members - 1) && threshold > 0 && threshold <= degree;
}

} // namespace coppice
