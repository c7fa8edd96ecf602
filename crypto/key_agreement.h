// SPDX-License-Identifier: Apache-2.0
// A secret that two devices share and nobody else knows, from each one's key pair (X25519).
//
// secret = derive_key(X25519(mine, theirs), Domain::kAgreement, smaller public key | larger |
// context), keys ordered as byte strings, so both ends get the same. `context` names what the
// secret is for (the plan's hash): one key pair and two contexts give unrelated secrets.
// Thread-safe.
#pragma once

#include "base/bytes.h"
#include "crypto/keys.h"
#include "crypto/secret.h"

namespace coppice {

// kUnauthenticated if `theirs` gives an all-zero secret; kInvalidArgument if it is my own public
// key (a device has no secret with itself: a peer sent our key back).
Result<Secret<32>> agree(const AgreementKey& mine, const AgreementPublicKey& theirs,
                         ByteSpan context);

} // namespace coppice
