// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_primitives.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/key_agreement.h"
#include "crypto/secret_random.h"
#include "crypto/share_box.h"

namespace coppice {
namespace {

// A box's context is its round, its associated data who it is from and for.
Bytes route_bytes(const SecAggPrimitives::BoxRoute& route) {
  ByteWriter bytes;
  bytes.put(route.from);
  bytes.put(route.to);
  return std::move(bytes).take();
}

class SodiumPrimitives : public SecAggPrimitives {
 public:
  Secret<32> random_secret() const override { return random_.secret<32>(); }
  GraphNonce random_nonce() const override { return random_.bytes<32>(); }
  AgreementPublicKey public_key(const Secret<32>& agreement_secret) const override {
    return AgreementKey::from_secret(Secret<32>::copy_of(agreement_secret.span())).public_key();
  }

  Signature sign_advert(const SigningKey& device, ByteSpan advert) const override {
    return sign(device, Domain::kAdvert, advert);
  }
  Result<void> verify_advert(const VerifyKey& device, ByteSpan advert,
                             const Signature& signature) const override {
    return verify(device, Domain::kAdvert, advert, signature);
  }
  Result<Certificate> open_certificate(const FleetVerifyKey& fleet,
                                       const SignedCertificate& certificate) const override {
    // Expiry is the aggregator's to judge, by its clock: at time 0 nothing has expired.
    return verify_certificate(fleet, certificate, Millis{0});
  }

  Result<Secret<32>> pairwise_seed(const AgreementKey& mine, const AgreementPublicKey& theirs,
                                   const Sha256& roster_hash) const override {
    const Secret<32> agreed = COPPICE_TRY(agree(mine, theirs, roster_hash.span()));
    return derive_key(agreed, Domain::kPairwiseMask, roster_hash.span());
  }
  Secret<32> self_seed(const Secret<32>& secret, const Sha256& roster_hash) const override {
    return derive_key(secret, Domain::kSelfMask, roster_hash.span());
  }
  Sha256 self_commitment(const Secret<32>& secret, const Sha256& roster_hash) const override {
    const Secret<32> committed = derive_key(secret, Domain::kSelfCommitment, roster_hash.span());
    Sha256 made;
    std::ranges::copy(committed.span(), made.bytes.begin());
    return made;
  }

  Result<Bytes> seal_box(const AgreementKey& mine, const AgreementPublicKey& theirs,
                         const BoxRoute& route, ByteSpan plaintext) const override {
    return seal_share_box(mine, theirs, route.roster_hash.span(), route_bytes(route), plaintext);
  }
  Result<Bytes> open_box(const AgreementKey& mine, const AgreementPublicKey& theirs,
                         const BoxRoute& route, ByteSpan box) const override {
    return open_share_box(mine, theirs, route.roster_hash.span(), route_bytes(route), box);
  }

  std::vector<SecretShare> share(const Secret<32>& secret, std::uint32_t threshold,
                                 std::uint32_t count) const override {
    return share_secret(secret, threshold, count, random_);
  }
  Result<Secret<32>> reconstruct(std::span<const NumberedShare> shares,
                                 std::uint32_t threshold) const override {
    return reconstruct_secret(shares, threshold, random_);
  }

 private:
  SecretRandom random_;
};

} // namespace

const SecAggPrimitives& sodium_primitives() {
  static const SodiumPrimitives primitives;
  return primitives;
}

} // namespace coppice
