// SPDX-License-Identifier: Apache-2.0
#include "crypto/mask_stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "crypto/primitives.h"

namespace coppice {
namespace {

constexpr std::size_t kBlockBytes = primitives::kChaCha20BlockBytes;
// Two tiles and the elements that they cover stay in a first-level cache of 32 KiB; much smaller
// ones would pay for each seed's set-up.
constexpr std::size_t kTileBytes = 8192;

// Words that are added by a loop of fixed length, which compilers turn into vector instructions
// without being asked to.
constexpr std::size_t kStride = 64;

template <typename Word>
struct Tile {
  static constexpr std::size_t kWords = kTileBytes / sizeof(Word);
  static_assert(kWords % kStride == 0);
  alignas(64) std::array<Word, kWords> words{};

  Tile() = default;
  Tile(const Tile&) = delete;
  Tile& operator=(const Tile&) = delete;
  ~Tile() { wipe(bytes()); }

  std::span<std::uint8_t> bytes() {
    return {reinterpret_cast<std::uint8_t*>(words.data()), kTileBytes};
  }
};

// Words that fit in a tile if their keystream starts at `first_byte`, which may lie in a block.
template <typename Word>
std::size_t words_in_tile(std::uint64_t first_byte) {
  return (kTileBytes - static_cast<std::size_t>(first_byte % kBlockBytes)) / sizeof(Word);
}

template <typename Word>
void expand(const Secret<32>& seed, std::uint64_t first_byte, std::size_t count, Tile<Word>& tile) {
  const auto skipped = static_cast<std::size_t>(first_byte % kBlockBytes);
  const std::size_t wanted = count * sizeof(Word);
  const auto bytes = tile.bytes().first(skipped + wanted);
  primitives::chacha20_keystream_from(seed, first_byte / kBlockBytes, bytes);
  if (skipped != 0) std::memmove(bytes.data(), bytes.data() + skipped, wanted);
}

// to[i] = (to[i] + or - from[i]) & ring_mask. With a `count` known at compile time g++ makes it
// vectors.
template <typename Out, typename Word>
inline void accumulate(Out* __restrict to, const Word* __restrict from, std::size_t count,
                       bool negative, Out ring_mask) {
  if (negative) {
    for (std::size_t i = 0; i < count; ++i) {
      to[i] = static_cast<Out>((to[i] - from[i]) & ring_mask);
    }
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      to[i] = static_cast<Out>((to[i] + from[i]) & ring_mask);
    }
  }
}

template <typename Out, typename Word>
void accumulate(std::span<Out> out, const Tile<Word>& tile, bool negative, Out ring_mask) {
  std::size_t at = 0;
  for (; at + kStride <= out.size(); at += kStride) {
    accumulate(out.data() + at, tile.words.data() + at, kStride, negative, ring_mask);
  }
  accumulate(out.data() + at, tile.words.data() + at, out.size() - at, negative, ring_mask);
}

struct SeedView {
  const Secret<32>* seed;
  MaskSign sign;
};

// The first seed's keystream is the start of the tile's sum, and the sum takes the first seed's
// sign: the others are added where they have the same sign, and subtracted where not.
template <typename Word>
void add_by_tiles(std::span<const SeedView> seeds, std::uint64_t first_byte,
                  std::uint32_t ring_mask, std::span<std::uint32_t> elements) {
  Tile<Word> sum;
  Tile<Word> next;
  const MaskSign sign = seeds.front().sign;
  while (!elements.empty()) {
    const std::size_t count = std::min(elements.size(), words_in_tile<Word>(first_byte));
    expand(*seeds.front().seed, first_byte, count, sum);
    for (const SeedView& each : seeds.subspan(1)) {
      expand(*each.seed, first_byte, count, next);
      accumulate(std::span(sum.words).first(count), next, each.sign != sign,
                 static_cast<Word>(~Word{0}));
    }
    accumulate(elements.first(count), sum, sign == MaskSign::kSubtract, ring_mask);
    elements = elements.subspan(count);
    first_byte += count * sizeof(Word);
  }
}

void add_in_ring(std::span<const SeedView> seeds, std::uint64_t first_byte, std::uint32_t bits,
                 std::span<std::uint32_t> elements) {
  const std::uint64_t length = mask_bytes(elements.size(), bits);
  COPPICE_CHECK(first_byte <= kMaxMaskBytes - length, "a mask runs past the end of its keystream");
  const std::uint32_t ring_mask = ~std::uint32_t{0} >> (32U - bits);
  if (seeds.empty()) {
    for (std::uint32_t& element : elements) element &= ring_mask;
  } else if (bits <= 16) {
    add_by_tiles<std::uint16_t>(seeds, first_byte, ring_mask, elements);
  } else {
    add_by_tiles<std::uint32_t>(seeds, first_byte, ring_mask, elements);
  }
}

} // namespace

std::uint64_t mask_bytes(std::uint64_t elements, std::uint32_t bits) {
  COPPICE_CHECK(bits >= 4 && bits <= 32, "there is no such ring");
  const std::uint64_t element_bytes = bits <= 16 ? 2 : 4;
  COPPICE_CHECK(elements <= kMaxMaskBytes / element_bytes,
                "a mask runs past the end of its keystream");
  return elements * element_bytes;
}

void add_mask(const Secret<32>& seed, MaskSign sign, std::uint64_t first_byte, std::uint32_t bits,
              std::span<std::uint32_t> elements) {
  const std::array<SeedView, 1> one = {SeedView{&seed, sign}};
  add_in_ring(one, first_byte, bits, elements);
}

void add_masks(std::span<const SignedSeed> seeds, std::uint64_t first_byte, std::uint32_t bits,
               std::span<std::uint32_t> elements) {
  std::vector<SeedView> views;
  views.reserve(seeds.size());
  for (const SignedSeed& each : seeds) views.push_back({&each.seed, each.sign});
  add_in_ring(views, first_byte, bits, elements);
}

} // namespace coppice
