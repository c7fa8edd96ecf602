// SPDX-License-Identifier: Apache-2.0
// Runs crypto/ under valgrind's memcheck with every secret marked as uninitialised: a branch or an
// address that depends on a secret is then an error of memcheck's, and its exit status.
//
// (A. Langley's ctgrind, 2010.) One argument, the name of a check. Whatever a function may give
// away, the check marks as known before it looks at it. The checks named "leaky_" are leaks on
// purpose: memcheck must find them, or the others prove nothing. Timings of single instructions are
// not covered.
#include <stdio.h>
#include <valgrind/memcheck.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "crypto/hash.h"
#include "crypto/mask_stream.h"
#include "crypto/prime_field.h"
#include "crypto/shamir.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using testing::counting_secret;

template <typename T, std::size_t N>
void hide(std::span<T, N> secret) {
  VALGRIND_MAKE_MEM_UNDEFINED(secret.data(), secret.size_bytes());
}
template <typename T, std::size_t N>
void reveal(std::span<T, N> known) {
  VALGRIND_MAKE_MEM_DEFINED(known.data(), known.size_bytes());
}
template <typename T>
T revealed(T value) {
  VALGRIND_MAKE_MEM_DEFINED(&value, sizeof(value));
  return value;
}

Secret<32> hidden_secret(std::uint8_t first) {
  Secret<32> secret = counting_secret(first);
  hide(secret.mutable_span());
  return secret;
}

void comparison() {
  COPPICE_CHECK(revealed(hidden_secret(1) == hidden_secret(1)));
  for (const std::size_t at : {0U, 15U, 31U}) {
    Secret<32> other = counting_secret(1);
    other.mutable_span()[at] ^= 1;
    hide(other.mutable_span());
    COPPICE_CHECK(!revealed(other == hidden_secret(1)));
  }
}

void derivation() {
  Secret<32> key = derive_key(hidden_secret(0), Domain::kPairwiseMask, as_bytes("round"));
  reveal(key.mutable_span());
  COPPICE_CHECK(key == derive_key(counting_secret(0), Domain::kPairwiseMask, as_bytes("round")));
}

void field() {
  using Field = MersenneField<61>;
  std::array<std::uint64_t, 4> numbers = {0, 1, Field::kPrime - 1, Field::kPrime / 3};
  const auto known = numbers;
  hide(std::span(numbers));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    for (std::size_t j = 0; j < numbers.size(); ++j) {
      const std::uint64_t sum = Field::add(numbers[i], numbers[j]);
      const std::uint64_t back = Field::subtract(sum, numbers[j]);
      COPPICE_CHECK(revealed(back) == known[i]);
      const std::uint64_t product = Field::multiply(numbers[i], numbers[j]);
      COPPICE_CHECK(revealed(product) == Field::multiply(known[i], known[j]));
    }
    COPPICE_CHECK(revealed(Field::beyond(numbers[i])) == 0);
    COPPICE_CHECK(revealed(Field::invert(numbers[i])) == Field::invert(known[i]));
  }
  std::vector<std::array<std::uint64_t, 5>> coefficients(7, {1, 2, 3, Field::kPrime - 1, 5});
  const auto value = evaluate<Field, 5>(coefficients, 11);
  hide(std::span(coefficients));
  const auto hidden_value = evaluate<Field, 5>(coefficients, 11);
  COPPICE_CHECK(revealed(hidden_value) == value);
}

void sharing_and_reconstruction() {
  const std::vector<std::uint32_t> numbers = {1, 2, 3, 4, 5};
  for (const std::uint32_t threshold : {1U, 3U, 5U}) {
    const auto dealt = share_secret(hidden_secret(7), threshold, 5, SecretRandom());
    const auto lagrange = LagrangeAtZero::make(numbers, threshold, SecretRandom()).value();
    std::vector<NumberedShare> shares;
    for (const std::uint32_t number : numbers) {
      shares.push_back({number, dealt[number - 1]});
      hide(std::span(shares.back().share));
    }
    auto combined = lagrange.combine(shares);
    COPPICE_CHECK(revealed(combined.refused) == 0);
    reveal(combined.secret.mutable_span());
    COPPICE_CHECK(combined.secret == counting_secret(7));
    shares[2].share[39] = 0xff; // beyond the field, and false
    hide(std::span(shares[2].share));
    COPPICE_CHECK(revealed(lagrange.combine(shares).refused) != 0);
  }
}

void masks() {
  for (const std::uint32_t bits : {16U, 20U, 24U, 32U}) {
    std::vector<SignedSeed> seeds;
    std::vector<SignedSeed> known;
    for (const std::uint8_t first : Bytes{0, 50, 100}) {
      const MaskSign sign = first == 50 ? MaskSign::kSubtract : MaskSign::kAdd;
      seeds.push_back({hidden_secret(first), sign});
      known.push_back({counting_secret(first), sign});
    }
    std::vector<std::uint32_t> elements(5000);
    std::iota(elements.begin(), elements.end(), 0U);
    std::vector<std::uint32_t> expected = elements;
    hide(std::span(elements));
    add_masks(seeds, 30, bits, elements);
    add_mask(seeds[0].seed, MaskSign::kSubtract, 0, bits, elements);
    add_masks(known, 30, bits, expected);
    add_mask(known[0].seed, MaskSign::kSubtract, 0, bits, expected);
    reveal(std::span(elements));
    COPPICE_CHECK(elements == expected);
  }
}

void leaky_comparison() {
  const Secret<32> a = hidden_secret(1);
  const Secret<32> b = hidden_secret(2);
  std::size_t at = 0;
  while (at < Secret<32>::kSize && a.span()[at] == b.span()[at]) ++at;
  ::printf("the first difference is at %zu\n", revealed(at));
}

void leaky_index() {
  std::array<std::uint8_t, 256> table;
  std::iota(table.begin(), table.end(), std::uint8_t{0});
  const Secret<32> a = hidden_secret(9);
  const volatile std::uint8_t* const cells = table.data();
  ::printf("the table holds %d\n", static_cast<int>(revealed(std::uint8_t{cells[a.span()[0]]})));
}

struct Check {
  std::string_view name;
  void (*run)();
};
constexpr Check kChecks[] = {
    {"comparison", comparison},
    {"derivation", derivation},
    {"field", field},
    {"sharing_and_reconstruction", sharing_and_reconstruction},
    {"masks", masks},
    {"leaky_comparison", leaky_comparison},
    {"leaky_index", leaky_index},
};

int run(std::string_view name) {
  if (RUNNING_ON_VALGRIND == 0) {
    ::puts("run this under valgrind; alone it proves nothing");
    return 2;
  }
  const auto* const check = std::ranges::find(kChecks, name, &Check::name);
  if (check == std::end(kChecks)) {
    ::puts("there is no such check");
    return 2;
  }
  check->run();
  return 0;
}

} // namespace
} // namespace coppice

int main(int count, char** arguments) { return coppice::run(count == 2 ? arguments[1] : ""); }
