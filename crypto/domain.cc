// SPDX-License-Identifier: Apache-2.0
#include "crypto/domain.h"

namespace coppice {

Bytes with_domain(Domain domain, ByteSpan payload) {
  const std::string_view label = domain_label(domain);
  ByteWriter writer;
  writer.put(static_cast<std::uint8_t>(label.size()));
  writer.put_raw(as_bytes(label));
  writer.put(static_cast<std::uint64_t>(payload.size()));
  writer.put_raw(payload);
  return std::move(writer).take();
}

} // namespace coppice
