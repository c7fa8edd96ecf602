// SPDX-License-Identifier: Apache-2.0
#include "crypto/share_box.h"

#include <array>

#include "base/check.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/key_agreement.h"
#include "crypto/primitives.h"

namespace coppice {
namespace {

static_assert(kShareBoxOverhead == primitives::kAeadTagBytes);

// Note [One box a direction]
constexpr std::array<std::uint8_t, primitives::kAeadNonceBytes> kNonce{};

Secret<32> box_key(const Secret<32>& shared, const AgreementPublicKey& sender,
                   const AgreementPublicKey& recipient) {
  ByteWriter direction;
  direction.put_raw(sender.span());
  direction.put_raw(recipient.span());
  return derive_key(shared, Domain::kShareBox, direction.bytes());
}

} // namespace

Result<ShareBoxKeys> agree_on_share_boxes(const AgreementKey& mine,
                                          const AgreementPublicKey& theirs, ByteSpan context) {
  const auto shared = COPPICE_TRY(agree(mine, theirs, context));
  return ShareBoxKeys{.sealing = box_key(shared, mine.public_key(), theirs),
                      .opening = box_key(shared, theirs, mine.public_key())};
}

Bytes seal_share_box(const Secret<32>& sealing, ByteSpan associated_data, ByteSpan plaintext) {
  COPPICE_CHECK(plaintext.size() <= kMaxShareBoxBytes - kShareBoxOverhead);
  Bytes box(plaintext.size() + kShareBoxOverhead);
  primitives::aead_seal(sealing, kNonce, associated_data, plaintext, box);
  return box;
}

Result<Bytes> open_share_box(const Secret<32>& opening, ByteSpan associated_data, ByteSpan box) {
  if (box.size() < kShareBoxOverhead) {
    return Error{ErrorCode::kCorrupt, cat("a share box is cut short: ", box.size(),
                                          " bytes of at least ", kShareBoxOverhead)};
  }
  if (box.size() > kMaxShareBoxBytes) {
    return Error{ErrorCode::kTooLarge, cat("a share box has ", box.size(), " bytes; at most ",
                                           kMaxShareBoxBytes, " are allowed")};
  }
  Bytes plaintext(box.size() - kShareBoxOverhead);
  if (!primitives::aead_open(opening, kNonce, associated_data, box, plaintext)) {
    return Error{ErrorCode::kUnauthenticated,
                 "a share box doesn't open: it was altered, or made by or for another device or in "
                 "another round; leave its sender out"};
  }
  return plaintext;
}

} // namespace coppice
