// SPDX-License-Identifier: Apache-2.0
// Domain labels: what a signature or a derived key is for. Each has one, and one only.
//
// A signature made in one domain doesn't verify in another, and keys derived from one secret in two
// domains are unrelated, so bytes can't be carried from one place of the protocol to another.
// Labels are part of the wire format: add rows at the end, never change or reuse one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace coppice {

enum class Domain : std::uint8_t {
  kPlan,             // signature of the aggregator
  kRelease,          // signature of the aggregator
  kKeySet,           // signature of the fleet key
  kCertificate,      // signature of the fleet key
  kInvite,           // signature of the fleet key
  kEnrolmentRequest, // signature of the device, by the key it registers
  kEnrolmentReply,   // signature of the aggregator
  kEnvelope,         // signature of an envelope's sender
  kEnvelopeBody,     // seal of an envelope's body
  kEnrolmentBody,    // seal of an enrolment request, which holds the token
  kTokenHash,        // what is stored of a token
  kAgreement,        // secret of two devices, from their key agreement
  kShareBox,         // shares, sealed from one device to another
  kPairwiseMask,     // mask seed that two devices share
  kSelfMask,         // mask seed of one device
  kRoster,           // signature of the aggregator; hash of who takes part
  kSurvivors,        // signature of the aggregator; hash of whose uploads are summed
  kAdvert,           // signature of the device, over the keys of one round
  kNonceCommitment,  // hash that commits a device to its nonce
  kGraph,            // hash that orders the neighbour graph
  kSelfCommitment,   // what a device publishes of the secret behind its self mask
};

struct DomainLabel {
  Domain domain;
  std::string_view label;
};

inline constexpr std::array kDomainLabels = {
    DomainLabel{Domain::kPlan, "coppice/v1/plan"},
    DomainLabel{Domain::kRelease, "coppice/v1/release"},
    DomainLabel{Domain::kKeySet, "coppice/v1/key-set"},
    DomainLabel{Domain::kCertificate, "coppice/v1/certificate"},
    DomainLabel{Domain::kInvite, "coppice/v1/invite"},
    DomainLabel{Domain::kEnrolmentRequest, "coppice/v1/enrolment-request"},
    DomainLabel{Domain::kEnrolmentReply, "coppice/v1/enrolment-reply"},
    DomainLabel{Domain::kEnvelope, "coppice/v1/envelope"},
    DomainLabel{Domain::kEnvelopeBody, "coppice/v1/envelope-body"},
    DomainLabel{Domain::kEnrolmentBody, "coppice/v1/enrolment-body"},
    DomainLabel{Domain::kTokenHash, "coppice/v1/token-hash"},
    DomainLabel{Domain::kAgreement, "coppice/v1/agreement"},
    DomainLabel{Domain::kShareBox, "coppice/v1/share-box"},
    DomainLabel{Domain::kPairwiseMask, "coppice/v1/pairwise-mask"},
    DomainLabel{Domain::kSelfMask, "coppice/v1/self-mask"},
    DomainLabel{Domain::kRoster, "coppice/v1/roster"},
    DomainLabel{Domain::kSurvivors, "coppice/v1/survivors"},
    DomainLabel{Domain::kAdvert, "coppice/v1/advert"},
    DomainLabel{Domain::kNonceCommitment, "coppice/v1/nonce-commitment"},
    DomainLabel{Domain::kGraph, "coppice/v1/graph"},
    DomainLabel{Domain::kSelfCommitment, "coppice/v1/self-commitment"},
};

constexpr std::string_view domain_label(Domain domain) {
  return kDomainLabels[static_cast<std::size_t>(domain)].label;
}

namespace domain_check {
constexpr bool rows_stand_at_their_index() {
  for (std::size_t i = 0; i < kDomainLabels.size(); ++i) {
    if (static_cast<std::size_t>(kDomainLabels[i].domain) != i) return false;
  }
  return true;
}
constexpr bool labels_differ_and_fit_a_byte() {
  for (std::size_t i = 0; i < kDomainLabels.size(); ++i) {
    if (kDomainLabels[i].label.empty() || kDomainLabels[i].label.size() > 255) return false;
    for (std::size_t j = 0; j < i; ++j) {
      if (kDomainLabels[i].label == kDomainLabels[j].label) return false;
    }
  }
  return true;
}
static_assert(rows_stand_at_their_index());
static_assert(labels_differ_and_fit_a_byte());
} // namespace domain_check

// What is really signed or hashed: u8 length of the label, label, u64 length of `payload`, payload.
// No two pairs (domain, payload) give the same bytes.
Bytes with_domain(Domain domain, ByteSpan payload);

} // namespace coppice
