// SPDX-License-Identifier: Apache-2.0
// Modelled cryptography for the machines of secure aggregation: the same algebra, the same
// refusals, no secrecy, and fast: for very many simulated histories. No program takes part in a
// round with it.
//
// Keys are powers of a generator modulo 2^61 - 1, hashes are multiplications, shares are Shamir's
// in that field. Repeatable by its seed. Not thread-safe.
#pragma once

#include "base/random.h"
#include "protocol/secagg_primitives.h"

namespace coppice {

class ModelPrimitives : public SecAggPrimitives {
 public:
  explicit ModelPrimitives(std::uint64_t seed);

  // What open_certificate() opens.
  static SignedCertificate certify(const FleetVerifyKey& fleet, const ClientId& client,
                                   const VerifyKey& verify);

  Secret<32> random_secret() const override;
  GraphNonce random_nonce() const override;
  AgreementPublicKey public_key(const Secret<32>& agreement_secret) const override;
  Signature sign_advert(const SigningKey& device, ByteSpan advert) const override;
  Result<void> verify_advert(const VerifyKey& device, ByteSpan advert,
                             const Signature& signature) const override;
  Result<Certificate> open_certificate(const FleetVerifyKey& fleet,
                                       const SignedCertificate& certificate) const override;
  Result<Secret<32>> pairwise_seed(const AgreementKey& mine, const AgreementPublicKey& theirs,
                                   const Sha256& roster_hash) const override;
  Secret<32> self_seed(const Secret<32>& secret, const Sha256& roster_hash) const override;
  Sha256 self_commitment(const Secret<32>& secret, const Sha256& roster_hash) const override;
  Result<ShareBoxKeys> box_keys(const AgreementKey& mine, const AgreementPublicKey& theirs,
                                const Sha256& roster_hash) const override;
  Bytes seal_box(const Secret<32>& sealing, const BoxRoute& route,
                 ByteSpan plaintext) const override;
  Result<Bytes> open_box(const Secret<32>& opening, const BoxRoute& route,
                         ByteSpan box) const override;
  std::vector<SecretShare> share(const Secret<32>& secret, std::uint32_t threshold,
                                 std::uint32_t count) const override;
  Result<Secret<32>> reconstruct(std::span<const NumberedShare> shares,
                                 std::uint32_t threshold) const override;
  std::uint64_t reconstructions() const { return reconstructions_; }

 private:
  mutable KeyedRandom random_;
  mutable std::uint64_t reconstructions_ = 0;
};

} // namespace coppice
