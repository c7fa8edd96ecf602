// SPDX-License-Identifier: Apache-2.0
#include "sim/model_primitives.h"

#include <algorithm>

namespace coppice {
namespace {

constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61U) - 1;
constexpr std::uint64_t kGenerator = 37; // of a large subgroup
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kLimbs = 5;
constexpr std::size_t kLimbBits = 52;

std::uint64_t times(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b; // 2^61 is 1
  const auto folded =
      static_cast<std::uint64_t>(product & kPrime) + static_cast<std::uint64_t>(product >> 61U);
  return folded >= kPrime ? folded - kPrime : folded;
}
std::uint64_t plus(std::uint64_t a, std::uint64_t b) { return (a + b) % kPrime; }
std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return (a + kPrime - b) % kPrime; }
std::uint64_t power(std::uint64_t base, std::uint64_t exponent) {
  std::uint64_t result = 1;
  for (; exponent > 0; exponent >>= 1U, base = times(base, base)) {
    if ((exponent & 1U) != 0) result = times(result, base);
  }
  return result;
}

std::uint64_t load_u64(ByteSpan bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof(value)));
  return value;
}

// Any bytes to any number of bytes; different inputs give different outputs, as far as tests go.
class Mixer {
 public:
  explicit Mixer(std::uint64_t purpose) { word(purpose); }
  Mixer& bytes(ByteSpan input) {
    word(input.size());
    for (std::size_t at = 0; at < input.size(); at += 8) word(load_u64(input.subspan(at)));
    return *this;
  }
  Mixer& word(std::uint64_t input) {
    state_ = stir(state_ ^ stir(input + 0x9E3779B97F4A7C15U));
    return *this;
  }
  template <std::size_t N>
  std::array<std::uint8_t, N> out() {
    std::array<std::uint8_t, N> made{};
    fill(made);
    return made;
  }
  void fill(std::span<std::uint8_t> made) {
    for (std::size_t at = 0; at < made.size(); at += 8) {
      word(at);
      std::memcpy(made.data() + at, &state_, std::min<std::size_t>(8, made.size() - at));
    }
  }

 private:
  static std::uint64_t stir(std::uint64_t x) { // splitmix64's last steps
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31U);
  }
  std::uint64_t state_ = 0;
};

enum Purpose : std::uint64_t { kSign, kCertify, kPair, kSelf, kCommit, kBox, kBoxStream, kBoxTag };

Secret<32> to_secret(std::array<std::uint8_t, 32> bytes) { return Secret<32>::copy_of(bytes); }

std::uint64_t exponent_of(const Secret<32>& secret) {
  return load_u64(secret.span()) % (kPrime - 1);
}

// The value that two devices share; refused as X25519 refuses keys of small order.
Result<std::uint64_t> agree_on(const AgreementKey& mine, const AgreementPublicKey& theirs) {
  const std::uint64_t value = load_u64(theirs.span());
  if (value < 2 || value >= kPrime - 1) {
    return Error{ErrorCode::kUnauthenticated, "a key of small order"};
  }
  return power(value, exponent_of(mine.secret()));
}

Signature sign_model(Purpose purpose, ByteSpan key, ByteSpan message) {
  return {Mixer(purpose).bytes(key).bytes(message).out<64>()};
}

struct BoxPad {
  Bytes stream;
  std::array<std::uint8_t, kTagBytes> tag{};
};
BoxPad box_pad(const Secret<32>& key, const SecAggPrimitives::BoxRoute& route, ByteSpan plain) {
  BoxPad pad{Bytes(plain.size()), {}};
  const std::uint64_t way = (std::uint64_t{route.from} << 32U) | route.to;
  Mixer(kBoxStream).bytes(key.span()).word(way).fill(pad.stream);
  pad.tag = Mixer(kBoxTag).bytes(key.span()).word(way).bytes(plain).out<kTagBytes>();
  return pad;
}

void flip(std::span<std::uint8_t> bytes, const Bytes& stream) {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= stream[i];
}

// 52 bits from bit 52 * limb.
std::uint64_t limb_of(ByteSpan secret, std::size_t limb) {
  std::uint64_t value = 0;
  for (std::size_t bit = 0; bit < kLimbBits; ++bit) {
    const std::size_t at = limb * kLimbBits + bit;
    if (at < secret.size() * 8 && ((secret[at / 8] >> (at % 8)) & 1U) != 0) {
      value |= std::uint64_t{1} << bit;
    }
  }
  return value;
}

// Weights of the first `threshold` shares for the value at `place` of the polynomial through them.
std::vector<std::uint64_t> weights_at(std::uint64_t place, std::span<const NumberedShare> shares,
                                      std::uint32_t threshold) {
  std::vector<std::uint64_t> weights;
  for (std::size_t i = 0; i < threshold; ++i) {
    std::uint64_t over = 1;
    std::uint64_t under = 1;
    for (std::size_t j = 0; j < threshold; ++j) {
      if (i == j) continue;
      over = times(over, minus(place, shares[j].number));
      under = times(under, minus(shares[i].number, shares[j].number));
    }
    weights.push_back(times(over, power(under, kPrime - 2)));
  }
  return weights;
}

std::uint64_t limb_at(const std::vector<std::uint64_t>& weights,
                      std::span<const NumberedShare> shares, std::size_t limb) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::uint64_t value = load_u64(ByteSpan(shares[i].share).subspan(8 * limb));
    sum = plus(sum, times(value % kPrime, weights[i]));
  }
  return sum;
}

} // namespace

ModelPrimitives::ModelPrimitives(std::uint64_t seed) : random_(RandomKey{.experiment = seed}) {}

SignedCertificate ModelPrimitives::certify(const FleetVerifyKey& fleet, const ClientId& client,
                                           const VerifyKey& verify) {
  SignedCertificate made;
  made.bytes.assign(client.bytes.begin(), client.bytes.end());
  made.bytes.insert(made.bytes.end(), verify.bytes.begin(), verify.bytes.end());
  made.signature = sign_model(kCertify, fleet.span(), made.bytes);
  return made;
}

Secret<32> ModelPrimitives::random_secret() const { return to_secret(random_nonce()); }

GraphNonce ModelPrimitives::random_nonce() const {
  return Mixer(random_.next_u64()).word(random_.next_u64()).out<32>();
}

AgreementPublicKey ModelPrimitives::public_key(const Secret<32>& agreement_secret) const {
  const std::uint64_t value = power(kGenerator, exponent_of(agreement_secret));
  AgreementPublicKey key;
  std::memcpy(key.bytes.data(), &value, sizeof(value));
  return key;
}

Signature ModelPrimitives::sign_advert(const SigningKey& device, ByteSpan advert) const {
  return sign_model(kSign, device.public_key().span(), advert);
}

Result<void> ModelPrimitives::verify_advert(const VerifyKey& device, ByteSpan advert,
                                            const Signature& signature) const {
  if (signature != sign_model(kSign, device.span(), advert)) {
    return Error{ErrorCode::kUnauthenticated, "the advert's signature is not by this device"};
  }
  return {};
}

Result<Certificate> ModelPrimitives::open_certificate(const FleetVerifyKey& fleet,
                                                      const SignedCertificate& certificate) const {
  if (certificate.bytes.size() != ClientId::kSize + VerifyKey::kSize ||
      certificate.signature != sign_model(kCertify, fleet.span(), certificate.bytes)) {
    return Error{ErrorCode::kUnauthenticated, "the certificate is not by this fleet"};
  }
  const ByteSpan bytes(certificate.bytes);
  Certificate opened;
  opened.client = COPPICE_TRY(ClientId::from_span(bytes.first(ClientId::kSize), "client"));
  opened.verify = COPPICE_TRY(VerifyKey::from_span(bytes.last(VerifyKey::kSize), "key"));
  return opened;
}

Result<Secret<32>> ModelPrimitives::pairwise_seed(const AgreementKey& mine,
                                                  const AgreementPublicKey& theirs,
                                                  const Sha256& roster_hash) const {
  const std::uint64_t shared = COPPICE_TRY(agree_on(mine, theirs));
  return to_secret(Mixer(kPair).word(shared).bytes(roster_hash.span()).out<32>());
}

Secret<32> ModelPrimitives::self_seed(const Secret<32>& secret, const Sha256& roster_hash) const {
  return to_secret(Mixer(kSelf).bytes(secret.span()).bytes(roster_hash.span()).out<32>());
}

Sha256 ModelPrimitives::self_commitment(const Secret<32>& secret, const Sha256& roster_hash) const {
  return {Mixer(kCommit).bytes(secret.span()).bytes(roster_hash.span()).out<32>()};
}

// One key for both ways: a box's route tells them apart.
Result<ShareBoxKeys> ModelPrimitives::box_keys(const AgreementKey& mine,
                                               const AgreementPublicKey& theirs,
                                               const Sha256& roster_hash) const {
  const std::uint64_t shared = COPPICE_TRY(agree_on(mine, theirs));
  const auto key = Mixer(kBox).word(shared).bytes(roster_hash.span()).out<32>();
  return ShareBoxKeys{.sealing = to_secret(key), .opening = to_secret(key)};
}

Bytes ModelPrimitives::seal_box(const Secret<32>& sealing, const BoxRoute& route,
                                ByteSpan plaintext) const {
  const BoxPad pad = box_pad(sealing, route, plaintext);
  Bytes box(plaintext.begin(), plaintext.end());
  flip(box, pad.stream);
  box.insert(box.end(), pad.tag.begin(), pad.tag.end());
  return box;
}

Result<Bytes> ModelPrimitives::open_box(const Secret<32>& opening, const BoxRoute& route,
                                        ByteSpan box) const {
  if (box.size() < kTagBytes) return Error{ErrorCode::kCorrupt, "a box without a tag"};
  Bytes plain(box.begin(), box.end() - kTagBytes);
  flip(plain, box_pad(opening, route, plain).stream);
  if (!std::ranges::equal(box_pad(opening, route, plain).tag, box.last(kTagBytes))) {
    return Error{ErrorCode::kUnauthenticated, "the box was altered"};
  }
  return plain;
}

std::vector<SecretShare> ModelPrimitives::share(const Secret<32>& secret, std::uint32_t threshold,
                                                std::uint32_t count) const {
  std::vector<SecretShare> shares(count);
  for (std::size_t limb = 0; limb < kLimbs; ++limb) {
    std::vector<std::uint64_t> coefficients{limb_of(secret.span(), limb)};
    while (coefficients.size() < threshold) coefficients.push_back(random_.below(kPrime));
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint64_t value = 0;
      for (std::size_t c = coefficients.size(); c > 0; --c) {
        value = plus(times(value, i + 1), coefficients[c - 1]);
      }
      std::memcpy(shares[i].data() + 8 * limb, &value, sizeof(value));
    }
  }
  return shares;
}

Result<Secret<32>> ModelPrimitives::reconstruct(std::span<const NumberedShare> shares,
                                                std::uint32_t threshold) const {
  ++reconstructions_;
  if (shares.size() < threshold) return Error{ErrorCode::kInvalidArgument, "too few shares"};
  for (std::size_t i = threshold; i < shares.size(); ++i) {
    const auto weights = weights_at(shares[i].number, shares, threshold);
    for (std::size_t limb = 0; limb < kLimbs; ++limb) {
      if (limb_at(weights, shares, limb) != load_u64(ByteSpan(shares[i].share).subspan(8 * limb))) {
        return Error{ErrorCode::kCorrupt, "shares contradict each other"};
      }
    }
  }
  Secret<32> secret;
  const auto weights = weights_at(0, shares, threshold);
  for (std::size_t limb = 0; limb < kLimbs; ++limb) {
    const std::uint64_t value = limb_at(weights, shares, limb);
    const std::size_t bits = std::min<std::size_t>(kLimbBits, 256 - limb * kLimbBits);
    if ((value >> bits) != 0) return Error{ErrorCode::kCorrupt, "shares of no secret"};
    for (std::size_t bit = 0; bit < bits; ++bit) {
      const std::size_t at = limb * kLimbBits + bit;
      if (((value >> bit) & 1U) != 0) {
        secret.mutable_span()[at / 8] |= static_cast<std::uint8_t>(1U << (at % 8));
      }
    }
  }
  return secret;
}

} // namespace coppice
