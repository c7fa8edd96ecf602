// SPDX-License-Identifier: Apache-2.0
#include "sim/event_file.h"

#include <array>

namespace coppice {
namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    table[byte] = crc;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kCrcTable = crc_table();

// Protobuf's wire types.
enum class Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(ByteWriter& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) out.put(static_cast<std::uint8_t>(value | 0x80U));
  out.put(static_cast<std::uint8_t>(value));
}

void put_key(ByteWriter& out, unsigned field, Wire wire) {
  put_varint(out, field << 3U | static_cast<unsigned>(wire));
}

void put_bytes(ByteWriter& out, unsigned field, ByteSpan bytes) {
  put_key(out, field, Wire::kBytes);
  put_varint(out, bytes.size());
  out.put_raw(bytes);
}

} // namespace

std::uint32_t crc32c(ByteSpan bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const std::uint8_t byte : bytes) crc = (crc >> 8U) ^ kCrcTable[(crc ^ byte) & 0xffU];
  return ~crc;
}

std::uint32_t masked_crc32c(ByteSpan bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15U) | (crc << 17U)) + 0xa282ead8U;
}

EventFile::EventFile() {
  ByteWriter event;
  put_key(event, 1, Wire::kFixed64);
  event.put(0.0);
  put_bytes(event, 3, as_bytes("brain.Event:2"));
  add_record(event.bytes());
}

void EventFile::add_scalar(std::string_view tag, std::int64_t step, double wall_time,
                           double value) {
  ByteWriter scalar;
  put_bytes(scalar, 1, as_bytes(tag));
  put_key(scalar, 2, Wire::kFixed32);
  scalar.put(static_cast<float>(value));
  ByteWriter summary;
  put_bytes(summary, 1, scalar.bytes());
  ByteWriter event;
  put_key(event, 1, Wire::kFixed64);
  event.put(wall_time);
  put_key(event, 2, Wire::kVarint);
  put_varint(event, static_cast<std::uint64_t>(step));
  put_bytes(event, 5, summary.bytes());
  add_record(event.bytes());
}

void EventFile::add_record(ByteSpan payload) {
  ByteWriter length;
  length.put(static_cast<std::uint64_t>(payload.size()));
  out_.put_raw(length.bytes());
  out_.put(masked_crc32c(length.bytes()));
  out_.put_raw(payload);
  out_.put(masked_crc32c(payload));
}

} // namespace coppice
