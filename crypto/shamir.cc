// SPDX-License-Identifier: Apache-2.0
#include "crypto/shamir.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/text.h"
#include "crypto/prime_field.h"

namespace coppice {
namespace {

using Field = MersenneField<61>;
using Limbs = std::array<std::uint64_t, kSecretLimbs>;
constexpr std::uint64_t kLimbMask = (std::uint64_t{1} << 52U) - 1;
static_assert(kLimbMask < Field::kPrime);

// Rows of secret numbers, wiped when they go. Never grows: a reallocation would leave a copy.
template <std::size_t kLanes>
class SecretRows {
 public:
  using Row = std::array<std::uint64_t, kLanes>;
  explicit SecretRows(std::size_t rows) : rows_(rows) {}
  SecretRows(const SecretRows&) = delete;
  SecretRows& operator=(const SecretRows&) = delete;
  ~SecretRows() { wipe(bytes()); }

  Row& operator[](std::size_t row) { return rows_[row]; }
  std::span<Row> rows() { return rows_; }
  std::span<std::uint8_t> bytes() {
    return {reinterpret_cast<std::uint8_t*>(rows_.data()), rows_.size() * sizeof(Row)};
  }

  // Uniform field elements: 61 random bits, drawn again for the one pattern that is none.
  void fill(const SecretRandom& random) {
    random.fill(bytes());
    for (Row& row : rows_) {
      for (std::uint64_t& element : row) {
        while ((element &= Field::kPrime) == Field::kPrime) element = random.u64();
      }
    }
  }

 private:
  std::vector<Row> rows_;
};

void split(const Secret<32>& secret, Limbs& limbs) {
  SecretRows<4> words(1);
  std::memcpy(words[0].data(), secret.span().data(), 32);
  const auto& w = words[0];
  limbs[0] = w[0] & kLimbMask;
  limbs[1] = (w[0] >> 52U | w[1] << 12U) & kLimbMask;
  limbs[2] = (w[1] >> 40U | w[2] << 24U) & kLimbMask;
  limbs[3] = (w[2] >> 28U | w[3] << 36U) & kLimbMask;
  limbs[4] = w[3] >> 16U;
}

// Not 0 if some limb is too long; `secret` is then of no use.
std::uint64_t join_limbs(const Limbs& limbs, Secret<32>& secret) {
  SecretRows<4> words(1);
  auto& w = words[0];
  w[0] = limbs[0] | limbs[1] << 52U;
  w[1] = limbs[1] >> 12U | limbs[2] << 40U;
  w[2] = limbs[2] >> 24U | limbs[3] << 28U;
  w[3] = limbs[3] >> 36U | limbs[4] << 16U;
  std::memcpy(secret.mutable_span().data(), w.data(), 32);
  return limbs[0] >> 52U | limbs[1] >> 52U | limbs[2] >> 52U | limbs[3] >> 52U | limbs[4] >> 48U;
}

Result<void> check_numbers(std::span<const std::uint32_t> numbers, std::uint32_t threshold) {
  if (numbers.size() < threshold) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("there are ", numbers.size(), " shares of a secret that takes ", threshold,
                     "; wait for more, or give the secret up")};
  }
  std::vector<std::uint32_t> sorted(numbers.begin(), numbers.end());
  std::ranges::sort(sorted);
  if (sorted.front() == 0 || sorted.back() > kMaxShares) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a share has the number ", sorted.front() == 0 ? 0 : sorted.back(),
                     ", and numbers run from 1 to ", kMaxShares, "; refuse its sender")};
  }
  const auto twice = std::ranges::adjacent_find(sorted);
  if (twice != sorted.end()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("share number ", *twice, " is there twice; refuse its sender")};
  }
  return {};
}

} // namespace

std::vector<SecretShare> share_secret(const Secret<32>& secret, std::uint32_t threshold,
                                      std::uint32_t count, const SecretRandom& random) {
  COPPICE_CHECK(threshold >= 1 && threshold <= count && count <= kMaxShares);
  SecretRows<kSecretLimbs> coefficients(threshold);
  coefficients.fill(random);
  split(secret, coefficients[0]);
  SecretRows<kSecretLimbs> values(1);
  std::vector<SecretShare> shares(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    values[0] = evaluate<Field, kSecretLimbs>(coefficients.rows(), i + 1);
    std::ranges::copy(values.bytes(), shares[i].begin());
  }
  return shares;
}

Result<LagrangeAtZero> LagrangeAtZero::make(std::span<const std::uint32_t> numbers,
                                            std::uint32_t threshold, const SecretRandom& random) {
  COPPICE_CHECK(threshold >= 1);
  COPPICE_TRY(check_numbers(numbers, threshold));
  const std::vector<std::uint64_t> points(numbers.begin(), numbers.end());
  const auto weights = divided_difference_weights<Field>(points);
  SecretRows<1> multiplier(numbers.size() - threshold);
  multiplier.fill(random);
  LagrangeAtZero made;
  made.numbers_.assign(numbers.begin(), numbers.end());
  made.at_zero_ = lagrange_at_zero<Field>(points, weights);
  made.parity_ = parity_check<Field>(points, weights, multiplier.rows());
  return made;
}

LagrangeAtZero::Combined LagrangeAtZero::combine(std::span<const NumberedShare> shares) const {
  COPPICE_CHECK(std::ranges::equal(shares, numbers_, {}, &NumberedShare::number),
                "these are other shares than this object was made for");
  Combined made;
  SecretRows<kSecretLimbs> values(shares.size());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    std::memcpy(values[i].data(), shares[i].share.data(), sizeof(SecretShare));
    for (const std::uint64_t value : values[i]) made.refused |= Field::beyond(value);
  }
  SecretRows<kSecretLimbs> sums(2);
  sums[0] = weighted_sum<Field, kSecretLimbs>(at_zero_, values.rows());
  sums[1] = weighted_sum<Field, kSecretLimbs>(parity_, values.rows());
  made.refused |= join_limbs(sums[0], made.secret);
  for (const std::uint64_t parity : sums[1]) made.refused |= parity;
  return made;
}

Result<Secret<32>> LagrangeAtZero::reconstruct(std::span<const NumberedShare> shares) const {
  Combined made = combine(shares);
  if (made.refused != 0) {
    return Error{ErrorCode::kCorrupt,
                 cat("the ", shares.size(),
                     " shares of a secret contradict each other, or are none; some peer lies, or "
                     "the secret's owner did: try other peers' shares, or give the secret up")};
  }
  return std::move(made.secret);
}

Result<Secret<32>> reconstruct_secret(std::span<const NumberedShare> shares,
                                      std::uint32_t threshold, const SecretRandom& random) {
  std::vector<std::uint32_t> numbers;
  numbers.reserve(shares.size());
  for (const NumberedShare& each : shares) numbers.push_back(each.number);
  return COPPICE_TRY(LagrangeAtZero::make(numbers, threshold, random)).reconstruct(shares);
}

} // namespace coppice
