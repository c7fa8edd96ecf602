// SPDX-License-Identifier: Apache-2.0
#include "crypto/mask_stream.h"

#include <gmock/gmock.h>

#include <cstring>
#include <vector>

#include "base/random.h"
#include "crypto/primitives.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::counting_secret;
using ::coppice::testing::secret_of_hex;
using Elements = std::vector<std::uint32_t>;

constexpr std::uint32_t kWidths[] = {8, 12, 16, 20, 24, 32};
// Around a block, a stride and a tile of the implementation, and several tiles.
constexpr std::size_t kCounts[] = {0,  1,    15,   16,   17,   63,   64,
                                   65, 2047, 2048, 2049, 4095, 4097, 20011};

std::uint32_t ring_mask(std::uint32_t bits) { return ~std::uint32_t{0} >> (32U - bits); }

Elements some_elements(std::size_t count, std::uint32_t bits) {
  KeyedRandom random({.experiment = count, .round = bits});
  Elements made(count);
  for (auto& each : made) each = random.next_u32() & ring_mask(bits);
  return made;
}

// Note [Mask layout], word by word, from one long keystream.
Elements mask_by_the_book(const Secret<32>& seed, std::size_t first_byte, std::uint32_t bits,
                          std::size_t count) {
  const std::size_t width = bits <= 16 ? 2 : 4;
  Bytes keystream(first_byte + count * width);
  primitives::chacha20_keystream(seed, keystream);
  Elements mask(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(&mask[i], keystream.data() + first_byte + i * width, width);
    mask[i] &= ring_mask(bits);
  }
  return mask;
}

std::vector<SignedSeed> some_seeds(std::size_t count) {
  std::vector<SignedSeed> seeds;
  for (std::size_t i = 0; i < count; ++i) {
    seeds.push_back({counting_secret(static_cast<std::uint8_t>(7 * i)),
                     i % 3 == 1 ? MaskSign::kAdd : MaskSign::kSubtract});
  }
  return seeds;
}

struct PublishedBlock {
  std::string_view key;
  std::uint64_t block;
  std::string_view keystream;
};
// RFC 8439, appendix A.1, test vectors 1 to 4 (those with a nonce of zeros).
constexpr PublishedBlock kPublished[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", 0,
     "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
     "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"},
    {"0000000000000000000000000000000000000000000000000000000000000000", 1,
     "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
     "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"},
    {"0000000000000000000000000000000000000000000000000000000000000001", 1,
     "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
     "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"},
    {"00ff000000000000000000000000000000000000000000000000000000000000", 2,
     "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
     "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"},
};

TEST(MaskStreamTest, TheMaskOfZerosIsThePublishedKeystream) {
  for (const PublishedBlock& each : kPublished) {
    const Bytes expected = from_hex(each.keystream).value();
    for (const std::uint32_t bits : kWidths) {
      const std::size_t width = bits <= 16 ? 2 : 4;
      Elements elements(64 / width);
      add_mask(secret_of_hex(each.key), MaskSign::kAdd, each.block * 64, bits, elements);
      for (std::size_t i = 0; i < elements.size(); ++i) {
        std::uint32_t word = 0;
        std::memcpy(&word, expected.data() + i * width, width);
        EXPECT_EQ(elements[i], word & ring_mask(bits)) << bits << " bits, element " << i;
      }
    }
  }
}

TEST(MaskStreamTest, EveryWidthCountAndPlaceGivesTheMaskByTheBook) {
  const Secret<32> seed = counting_secret(3);
  for (const std::uint32_t bits : kWidths) {
    for (const std::size_t count : kCounts) {
      for (const std::size_t first_byte : {0U, 2U, 62U, 63U, 64U, 8190U, 8193U}) {
        Elements elements = some_elements(count, bits);
        Elements expected = elements;
        const Elements mask = mask_by_the_book(seed, first_byte, bits, count);
        for (std::size_t i = 0; i < count; ++i) {
          expected[i] = (expected[i] - mask[i]) & ring_mask(bits);
        }
        add_mask(seed, MaskSign::kSubtract, first_byte, bits, elements);
        EXPECT_TRUE(elements == expected) << bits << " bits, " << count << " at " << first_byte;
      }
    }
  }
}

TEST(MaskStreamTest, RangesMaskedByThemselvesInAnyOrderMakeTheWhole) {
  const Secret<32> seed = counting_secret(9);
  for (const std::uint32_t bits : kWidths) {
    Elements whole = some_elements(20011, bits);
    Elements parts = whole;
    add_mask(seed, MaskSign::kAdd, 0, bits, whole);
    const std::size_t cuts[] = {20011, 12345, 12344, 4097, 31, 0};
    for (std::size_t i = 0; i + 1 < std::size(cuts); ++i) {
      const auto part = std::span(parts).subspan(cuts[i + 1], cuts[i] - cuts[i + 1]);
      add_mask(seed, MaskSign::kAdd, mask_bytes(cuts[i + 1], bits), bits, part);
    }
    EXPECT_TRUE(parts == whole) << bits;
  }
}

TEST(MaskStreamTest, WhatIsAddedAndThenSubtractedLeavesTheVector) {
  for (const std::uint32_t bits : kWidths) {
    const Elements before = some_elements(5000, bits);
    Elements elements = before;
    add_mask(counting_secret(1), MaskSign::kAdd, 6, bits, elements);
    add_mask(counting_secret(2), MaskSign::kSubtract, 6, bits, elements);
    std::size_t unchanged = 0;
    for (std::size_t i = 0; i < elements.size(); ++i) unchanged += elements[i] == before[i] ? 1 : 0;
    EXPECT_LT(unchanged, 10 + (std::size_t{10'000} >> bits))
        << "5000 / 2^bits on average; 10 of 2^16 by chance: below 1e-17";
    add_mask(counting_secret(1), MaskSign::kSubtract, 6, bits, elements);
    add_mask(counting_secret(2), MaskSign::kAdd, 6, bits, elements);
    EXPECT_TRUE(elements == before) << bits;
  }
}

TEST(MaskStreamTest, ManySeedsInOnePassEqualOneAfterAnother) {
  for (const std::uint32_t bits : kWidths) {
    for (const std::size_t count : kCounts) {
      for (const std::size_t seeds : {1U, 2U, 7U}) {
        const auto signed_seeds = some_seeds(seeds);
        Elements together = some_elements(count, bits);
        Elements alone = together;
        add_masks(signed_seeds, 10, bits, together);
        for (const auto& each : signed_seeds) add_mask(each.seed, each.sign, 10, bits, alone);
        EXPECT_TRUE(together == alone) << bits << " bits, " << count << ", " << seeds << " seeds";
      }
    }
  }
}

TEST(MaskStreamTest, ElementsAreReducedWithAndWithoutSeeds) {
  for (const std::uint32_t bits : kWidths) {
    Elements elements = {0xffffffff, 0xffff0001, 5};
    add_masks({}, 0, bits, elements);
    EXPECT_THAT(elements, ::testing::ElementsAre(ring_mask(bits), 0xffff0001 & ring_mask(bits), 5));
    Elements unreduced = {0xffffffff, 0xffff0001, 5};
    add_mask(counting_secret(0), MaskSign::kAdd, 0, bits, unreduced);
    add_mask(counting_secret(0), MaskSign::kAdd, 0, bits, elements);
    EXPECT_EQ(unreduced, elements) << bits;
  }
}

TEST(MaskStreamTest, AMaskedConstantLooksUniform) {
  // 2^18 elements into 256 bins by their top byte, and by their lowest: 255 degrees of freedom, so
  // chi-square has mean 255 and standard deviation 22.6; 100 to 410 is 6.8 of them to either side.
  for (const std::uint32_t bits : kWidths) {
    Elements elements(std::size_t{1} << 18U, 77);
    add_mask(counting_secret(5), MaskSign::kAdd, 0, bits, elements);
    for (const std::uint32_t shift : {0U, bits - 8U}) {
      std::vector<double> bins(256);
      for (const std::uint32_t each : elements) bins[(each >> shift) & 255U] += 1;
      double chi_square = 0;
      for (const double bin : bins) chi_square += (bin - 1024) * (bin - 1024) / 1024;
      EXPECT_GT(chi_square, 100) << bits << " >> " << shift;
      EXPECT_LT(chi_square, 410) << bits << " >> " << shift;
    }
  }
}

TEST(MaskStreamTest, TheLastBlockIsReachedAndTheNextIsRefused) {
  const Secret<32> seed = counting_secret(0);
  Elements last(16);
  add_mask(seed, MaskSign::kAdd, kMaxMaskBytes - 64, 32, last);
  Bytes block(64);
  primitives::chacha20_keystream_from(seed, 0xffffffff, block);
  EXPECT_EQ(std::memcmp(last.data(), block.data(), block.size()), 0);
  EXPECT_NE(last, mask_by_the_book(seed, 0, 32, 16)) << "the counter must not wrap";

  Elements one_more(17);
  EXPECT_DEATH(add_mask(seed, MaskSign::kAdd, kMaxMaskBytes - 64, 32, one_more), "keystream");
  EXPECT_DEATH(add_mask(seed, MaskSign::kAdd, ~std::uint64_t{0}, 32, last), "keystream");
  EXPECT_DEATH(static_cast<void>(mask_bytes(kMaxMaskBytes, 16)), "keystream");
  EXPECT_DEATH(add_mask(seed, MaskSign::kAdd, 0, 3, last), "ring");
  EXPECT_DEATH(add_mask(seed, MaskSign::kAdd, 0, 33, last), "ring");
}

TEST(MaskStreamTest, AnElementOfUpToSixteenBitsTakesTwoBytesAndAWiderOneFour) {
  for (const std::uint32_t bits : {4U, 11U, 16U}) EXPECT_EQ(mask_bytes(1000, bits), 2000U);
  for (const std::uint32_t bits : {17U, 20U, 24U, 32U}) EXPECT_EQ(mask_bytes(1000, bits), 4000U);
}

} // namespace
} // namespace coppice
