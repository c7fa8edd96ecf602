// SPDX-License-Identifier: Apache-2.0
// TensorBoard's event files: scalars by step, with nothing but this file.
//
// A file is a row of TFRecords: u64 length, masked CRC-32C of those 8 bytes, payload, masked
// CRC-32C of the payload, all little-endian; tensorflow/core/lib/io/record_writer.h. A payload is a
// protobuf `Event` (tensorflow/core/util/event.proto): wall_time = 1 (double), step = 2 (int64),
// file_version = 3 ("brain.Event:2", in the first one) or summary = 5, of which each value = 1 has
// tag = 1 and simple_value = 2 (float). Thread-compatible.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace coppice {

// Castagnoli's polynomial, reflected (RFC 3720, appendix B.4).
std::uint32_t crc32c(ByteSpan bytes);
// ((crc >> 15 | crc << 17) + 0xa282ead8): a CRC of data that holds CRCs of itself is of little use.
std::uint32_t masked_crc32c(ByteSpan bytes);

class EventFile {
 public:
  EventFile(); // with the version's record
  // `wall_time` in seconds: what TensorBoard's "relative" axis counts.
  void add_scalar(std::string_view tag, std::int64_t step, double wall_time, double value);
  Bytes take() && { return std::move(out_).take(); }

 private:
  void add_record(ByteSpan payload);
  ByteWriter out_;
};

} // namespace coppice
