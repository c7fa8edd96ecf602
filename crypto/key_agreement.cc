// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_agreement.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/primitives.h"

namespace coppice {

Result<Secret<32>> agree(const AgreementKey& mine, const AgreementPublicKey& theirs,
                         ByteSpan context) {
  if (theirs == mine.public_key()) {
    return Error{ErrorCode::kInvalidArgument,
                 "a peer presented our own key-agreement key as its own; refuse the peer"};
  }
  const auto shared = COPPICE_TRY(primitives::x25519(mine.secret(), theirs.bytes));
  ByteWriter ordered;
  ordered.put_raw(std::min(mine.public_key(), theirs).span());
  ordered.put_raw(std::max(mine.public_key(), theirs).span());
  ordered.put_raw(context);
  return derive_key(shared, Domain::kAgreement, ordered.bytes());
}

} // namespace coppice
