// SPDX-License-Identifier: Apache-2.0
// Random bits for the samplers of noise, drawn from whoever owns the randomness.
//
// privacy/ knows no generator. Real noise comes from SecretRandom behind a ByteSource of the
// caller; tests and simulations put a repeatable one there. What is sampled is a function of the
// source's bytes alone. Thread-compatible.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace coppice {

// Loops that end with certainty, but have no bound, stop the process here: with uniform bytes one
// comes so far with probability 2^-1000 or less; a source that is stuck gets there at once.
inline constexpr std::uint64_t kEndless = 1000;

// Uniform, independent bytes.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;
  virtual void fill(std::span<std::uint8_t> bytes) = 0;
};

// Reads the source kBufferBytes at a time; what is left over at the end is wiped and lost, so one
// RandomBits should serve a whole vector. `source` must live as long.
class RandomBits {
 public:
  static constexpr std::size_t kBufferBytes = 4096;

  explicit RandomBits(ByteSource& source) : source_(source) {}
  RandomBits(const RandomBits&) = delete;
  RandomBits& operator=(const RandomBits&) = delete;
  ~RandomBits();

  std::uint8_t byte() {
    if (at_ == kBufferBytes) refill();
    return buffer_[at_++];
  }
  bool bit() {
    if (pool_bits_ == 0) {
      pool_ = byte();
      pool_bits_ = 8;
    }
    --pool_bits_;
    return ((pool_ >> pool_bits_) & 1U) != 0;
  }
  std::uint64_t take(std::size_t bytes); // little-endian; bytes <= 8
  // Uniform in [0, bound), without bias (Lemire 2019), from 4 bytes a try below 2^32, else from 8.
  // bound > 0.
  std::uint64_t below(std::uint64_t bound);

 private:
  void refill();

  ByteSource& source_;
  std::array<std::uint8_t, kBufferBytes> buffer_;
  std::size_t at_ = kBufferBytes;
  unsigned pool_ = 0; // its `pool_bits_` lowest bits are still unused
  unsigned pool_bits_ = 0;
};

} // namespace coppice
