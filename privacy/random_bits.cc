// SPDX-License-Identifier: Apache-2.0
#include "privacy/random_bits.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace coppice {

static_assert(std::endian::native == std::endian::little);
__extension__ using Wide = unsigned __int128;

RandomBits::~RandomBits() {
  // Noise is as secret as what it hides. Through volatile, or the compiler would drop the stores.
  volatile std::uint8_t* bytes = buffer_.data();
  for (std::size_t i = 0; i < kBufferBytes; ++i) bytes[i] = 0;
  volatile unsigned* pool = &pool_;
  *pool = 0;
}

void RandomBits::refill() {
  source_.fill(buffer_);
  at_ = 0;
}

std::uint64_t RandomBits::take(std::size_t bytes) {
  std::uint64_t value = 0;
  if (at_ + bytes <= kBufferBytes) { // the same bytes, at once
    std::memcpy(&value, buffer_.data() + at_, bytes);
    at_ += bytes;
    return value;
  }
  for (std::size_t i = 0; i < bytes; ++i) value |= std::uint64_t{byte()} << (8 * i);
  return value;
}

std::uint64_t RandomBits::below(std::uint64_t bound) {
  COPPICE_CHECK(bound > 0);
  // The high half of word * bound is uniform once the words are left out whose low half falls below
  // 2^width mod bound; that modulo is rarely needed.
  if (bound >> 32U == 0) {
    const auto narrow = static_cast<std::uint32_t>(bound);
    for (std::uint64_t tries = 0; tries < kEndless; ++tries) {
      const std::uint64_t product = take(4) * bound;
      const auto low = static_cast<std::uint32_t>(product);
      if (low >= narrow || low >= (0U - narrow) % narrow) return product >> 32U;
    }
  }
  for (std::uint64_t tries = 0; tries < kEndless; ++tries) {
    const Wide product = static_cast<Wide>(take(8)) * bound;
    const auto low = static_cast<std::uint64_t>(product);
    if (low >= bound || low >= (0 - bound) % bound)
      return static_cast<std::uint64_t>(product >> 64U);
  }
  check_failed(__FILE__, __LINE__, "tries < kEndless", "the source of randomness isn't random");
}

} // namespace coppice
