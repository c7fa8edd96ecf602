// SPDX-License-Identifier: Apache-2.0
// Masks: the keystream of a secret seed, added to or subtracted from ring elements in place.
//
// Who knows neither seed nor vector can't tell a masked vector from uniformly random elements; who
// adds the masks of some seeds and then subtracts them has the vector back, bit for bit. The
// generator is ChaCha20 (RFC 8439) with the seed as its key, a nonce of zeros, and the block
// counter as the place in the stream.
//
// Note [Mask layout]
// A seed has one keystream of at most kMaxMaskBytes, and an element takes the next bytes of it, as
// a little-endian number: 2 bytes in a ring of up to 16 bits, 4 bytes in a wider one, of which the
// low bits count and the rest is thrown away (a load of 1 or 3 bytes would cost more than it
// saves). Slots of different widths lie one after another: the first starts at byte 0, and each
// next one mask_bytes() of its predecessor later, at whatever byte that is. So any range of a
// vector can be masked by itself, in any order, on any thread.
//
// Note [A seed masks one vector]
// Two vectors under one seed give away their difference. Nothing here can notice: seeds come from
// derive_key() in Domain::kPairwiseMask or kSelfMask over what is unique to the round, and whoever
// masks remembers on disk that it did.
//
// Time and memory addresses depend on the counts and the bits, never on seeds or elements. No mask
// is ever in memory whole: tiles of a few KiB are expanded and added, and wiped at the end.
// Thread-safe as far as the elements of two calls don't overlap.
#pragma once

#include <cstdint>
#include <span>

#include "crypto/secret.h"

namespace coppice {

enum class MaskSign : std::uint8_t { kAdd, kSubtract };

struct SignedSeed {
  Secret<32> seed;
  MaskSign sign = MaskSign::kAdd;
};

// 2^32 blocks of 64 bytes: the counter of RFC 8439 has 32 bits.
inline constexpr std::uint64_t kMaxMaskBytes = std::uint64_t{1} << 38U;

// Keystream that so many elements take. `bits` is from 4 to 32 (checked, here and below).
std::uint64_t mask_bytes(std::uint64_t elements, std::uint32_t bits);

// elements[i] = (elements[i] + or - mask[i]) mod 2^bits, with the mask that starts at byte
// `first_byte` of the keystream. Elements need not be reduced before; they are after. Running past
// kMaxMaskBytes is a bug (CHECK): plans are bounded far below.
void add_mask(const Secret<32>& seed, MaskSign sign, std::uint64_t first_byte, std::uint32_t bits,
              std::span<std::uint32_t> elements);

// The same for every seed, one after another, in one pass over the elements: many masks cost little
// more than their keystreams. Without seeds the elements are reduced, no more.
void add_masks(std::span<const SignedSeed> seeds, std::uint64_t first_byte, std::uint32_t bits,
               std::span<std::uint32_t> elements);

} // namespace coppice
