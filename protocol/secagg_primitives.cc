// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_primitives.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/key_agreement.h"
#include "crypto/secret_random.h"

namespace coppice {
namespace {

// A box's associated data: who it is from and for.
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

  Result<ShareBoxKeys> box_keys(const AgreementKey& mine, const AgreementPublicKey& theirs,
                                const Sha256& roster_hash) const override {
    return agree_on_share_boxes(mine, theirs, roster_hash.span());
  }
  Bytes seal_box(const Secret<32>& sealing, const BoxRoute& route,
                 ByteSpan plaintext) const override {
    return seal_share_box(sealing, route_bytes(route), plaintext);
  }
  Result<Bytes> open_box(const Secret<32>& opening, const BoxRoute& route,
                         ByteSpan box) const override {
    return open_share_box(opening, route_bytes(route), box);
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
