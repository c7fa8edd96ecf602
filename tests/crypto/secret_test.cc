// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.h"

#include <gmock/gmock.h>

#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "crypto/keys.h"
#include "crypto/token.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::counting_secret;
using ::testing::Each;

// The pages of secrets stay mapped, so a slot may be looked at after it was given back.
ByteSpan slot_at(const std::uint8_t* start) { return {start, SecretSlot::kSize}; }

static_assert(!std::is_copy_constructible_v<Secret<32>> && !std::is_copy_assignable_v<Secret<32>>);
static_assert(std::is_nothrow_move_constructible_v<Secret<32>>);
static_assert(!std::is_copy_constructible_v<SigningKey> && !std::is_copy_constructible_v<Token>);
template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!Printable<Secret<32>> && !Printable<SigningKey> && !Printable<Token>);
template <typename T>
concept Ordered = requires(const T& a, const T& b) {
  a < b;
};
static_assert(!Ordered<Secret<32>>);

TEST(SecretTest, IsZeroUntilFilled) { EXPECT_THAT(Secret<64>().span(), Each(0)); }

TEST(SecretTest, IsWipedWhenItGoes) {
  const std::uint8_t* where = nullptr;
  {
    const Secret<64> secret = Secret<64>::copy_of(testing::array_of_hex<64>(std::string(128, 'a')));
    where = secret.span().data();
    ASSERT_THAT(slot_at(where), Each(0xaa));
  }
  EXPECT_THAT(slot_at(where), Each(0));
}

TEST(SecretTest, AMoveLeavesNoSecondCopy) {
  Secret<32> first = counting_secret(1);
  const std::uint8_t* const where = first.span().data();
  Secret<32> second = std::move(first);
  EXPECT_EQ(second.span().data(), where) << "the bytes are handed over, not copied";
  EXPECT_EQ(second, counting_secret(1));

  Secret<32> third = counting_secret(200);
  const std::uint8_t* const overwritten = third.span().data();
  third = std::move(second);
  EXPECT_EQ(third, counting_secret(1));
  EXPECT_THAT(slot_at(overwritten), Each(0));
}

TEST(SecretDeathTest, ReadingAMovedFromSecretIsABug) {
  Secret<32> first = counting_secret(1);
  const Secret<32> second = std::move(first);
  EXPECT_DEATH(static_cast<void>(first.span()), "moved away");
}

TEST(SecretTest, ComparesEveryByte) {
  for (std::size_t i = 0; i < 32; ++i) {
    Secret<32> changed = counting_secret(7);
    changed.mutable_span()[i] ^= 1U;
    EXPECT_FALSE(changed == counting_secret(7)) << i;
  }
  EXPECT_TRUE(counting_secret(7) == counting_secret(7));
  EXPECT_TRUE(equal_in_constant_time({}, {}));
  EXPECT_FALSE(equal_in_constant_time(as_bytes("ab"), as_bytes("abc")));
}

TEST(SecretTest, WipeLeavesZeros) {
  Bytes bytes(100, 0xff);
  wipe(bytes);
  EXPECT_THAT(bytes, Each(0));
  wipe({});
}

TEST(SecretTest, ManySecretsOnManyThreadsNeverShareASlot) {
  // More than one region of pages, taken and given back from four threads at once.
  const auto churn = [](std::uint8_t mark, bool& intact) {
    for (int turn = 0; turn < 20; ++turn) {
      std::vector<Secret<32>> held;
      for (int i = 0; i < 200; ++i) {
        Secret<32>& made = held.emplace_back();
        if (made.span()[0] != 0) intact = false;
        made.mutable_span()[0] = mark;
      }
      for (const Secret<32>& secret : held) {
        if (secret.span()[0] != mark) intact = false;
      }
    }
  };
  std::array<bool, 4> intact = {true, true, true, true};
  std::vector<std::thread> threads;
  for (std::uint8_t i = 0; i < 4; ++i) {
    threads.emplace_back(churn, static_cast<std::uint8_t>(i + 1), std::ref(intact[i]));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(intact, Each(true));
}

} // namespace
} // namespace coppice
