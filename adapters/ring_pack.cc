// SPDX-License-Identifier: Apache-2.0
// Ring elements to bytes and back: element i takes bits i*b .. i*b + b - 1 of the text, least
// significant first, bit k of the text being bit k % 8 of byte k / 8.
#include "adapters/ring_codec.h"
#include "base/text.h"

namespace coppice {
namespace {

// Elements of 2 or 4 bytes lie in memory as they lie on the wire.
void pack_words(std::span<const std::uint32_t> elements, std::size_t width, std::uint8_t* out) {
  for (const std::uint32_t element : elements) {
    std::memcpy(out, &element, width); // little-endian, see base/bytes.h
    out += width;
  }
}

void unpack_words(const std::uint8_t* in, std::size_t width, std::span<std::uint32_t> elements) {
  for (std::uint32_t& element : elements) {
    std::memcpy(&element, in, width);
    in += width;
  }
}

// `held` never has over 7 + 32 bits.
void pack_bits(std::span<const std::uint32_t> elements, RingBits bits, std::uint8_t* out) {
  std::uint64_t pending = 0;
  std::uint32_t held = 0;
  for (const std::uint32_t element : elements) {
    pending |= std::uint64_t{element & bits.mask()} << held;
    for (held += bits.value; held >= 8; held -= 8) {
      *out++ = static_cast<std::uint8_t>(pending);
      pending >>= 8U;
    }
  }
  if (held > 0) *out = static_cast<std::uint8_t>(pending);
}

// Returns the bits of the last byte that belong to no element.
std::uint64_t unpack_bits(ByteSpan packed, RingBits bits, std::span<std::uint32_t> elements) {
  std::uint64_t pending = 0;
  std::uint32_t held = 0;
  auto next = packed.begin();
  for (std::uint32_t& element : elements) {
    for (; held < bits.value; held += 8) pending |= std::uint64_t{*next++} << held;
    element = static_cast<std::uint32_t>(pending) & bits.mask();
    pending >>= bits.value;
    held -= bits.value;
  }
  return pending;
}

} // namespace

std::size_t packed_size(std::size_t elements, RingBits bits) {
  // Eight elements take exactly `bits` bytes; so written, the product stays in range longest.
  return elements / 8 * bits.value + (elements % 8 * bits.value + 7) / 8;
}

void ring_pack(std::span<const std::uint32_t> elements, RingBits bits, Bytes& out) {
  const std::size_t start = out.size();
  out.resize(start + packed_size(elements.size(), bits));
  if (elements.empty()) return;
  if (bits.value % 16 == 0) {
    pack_words(elements, bits.value / 8, out.data() + start);
  } else {
    pack_bits(elements, bits, out.data() + start);
  }
}

Result<std::vector<std::uint32_t>> ring_unpack(ByteSpan packed, std::size_t elements,
                                               RingBits bits) {
  // An element has half a byte at least, so the first test keeps packed_size() from overflowing.
  if (elements / 2 > packed.size() || packed.size() != packed_size(elements, bits)) {
    return Error{ErrorCode::kCorrupt, cat(packed.size(), " bytes can't be ", elements,
                                          " ring elements of ", bits.value, " bits")};
  }
  std::vector<std::uint32_t> unpacked(elements);
  if (bits.value % 16 == 0) {
    unpack_words(packed.data(), bits.value / 8, unpacked);
  } else if (unpack_bits(packed, bits, unpacked) != 0) {
    return Error{ErrorCode::kCorrupt,
                 "the bits after the last ring element are not zero; the upload was not made by "
                 "coppice, or was damaged on its way"};
  }
  return unpacked;
}

} // namespace coppice
