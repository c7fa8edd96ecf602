// SPDX-License-Identifier: Apache-2.0
// The cryptography that secure aggregation stands on, behind one small interface.
//
// Programs use sodium_primitives(). Tests of the state machines over hundreds of thousands of
// histories put a fast model in its place, with the same algebra and no secrecy. Thread-safe.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "crypto/keys.h"
#include "crypto/mask_stream.h"
#include "crypto/secret.h"
#include "crypto/share_box.h"
#include "protocol/secagg_messages.h"

namespace coppice {

class SecAggPrimitives {
 public:
  virtual ~SecAggPrimitives() = default;

  virtual Secret<32> random_secret() const = 0; // keys, seeds
  virtual GraphNonce random_nonce() const = 0;
  virtual AgreementPublicKey public_key(const Secret<32>& agreement_secret) const = 0;
  AgreementKey agreement_key(Secret<32> secret) const {
    const AgreementPublicKey of_secret = public_key(secret);
    return AgreementKey::from_pair(std::move(secret), of_secret);
  }

  // Ed25519 in Domain::kAdvert; the certificate's signature in Domain::kCertificate.
  virtual Signature sign_advert(const SigningKey& device, ByteSpan advert) const = 0;
  virtual Result<void> verify_advert(const VerifyKey& device, ByteSpan advert,
                                     const Signature& signature) const = 0;
  virtual Result<Certificate> open_certificate(const FleetVerifyKey& fleet,
                                               const SignedCertificate& certificate) const = 0;

  // Seed of the mask between two devices: the same at both ends, bound to the roster.
  virtual Result<Secret<32>> pairwise_seed(const AgreementKey& mine,
                                           const AgreementPublicKey& theirs,
                                           const Sha256& roster_hash) const = 0;
  // Seed of a device's own mask, from the secret that it shares.
  virtual Secret<32> self_seed(const Secret<32>& secret, const Sha256& roster_hash) const = 0;
  // What its owner publishes of that secret: see Note [Self commitment].
  virtual Sha256 self_commitment(const Secret<32>& secret, const Sha256& roster_hash) const = 0;

  // Two shares for a neighbour, sealed; `from` and `to` are members of the roster. The keys are
  // bound to it.
  struct BoxRoute {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
  };
  virtual Result<ShareBoxKeys> box_keys(const AgreementKey& mine, const AgreementPublicKey& theirs,
                                        const Sha256& roster_hash) const = 0;
  virtual Bytes seal_box(const Secret<32>& sealing, const BoxRoute& route,
                         ByteSpan plaintext) const = 0;
  virtual Result<Bytes> open_box(const Secret<32>& opening, const BoxRoute& route,
                                 ByteSpan box) const = 0;

  // Shares number 1 .. count of `secret`, any `threshold` of which recover it.
  virtual std::vector<SecretShare> share(const Secret<32>& secret, std::uint32_t threshold,
                                         std::uint32_t count) const = 0;
  // kCorrupt if the shares contradict each other, kInvalidArgument if they are too few.
  virtual Result<Secret<32>> reconstruct(std::span<const NumberedShare> shares,
                                         std::uint32_t threshold) const = 0;
};

const SecAggPrimitives& sodium_primitives();

} // namespace coppice
