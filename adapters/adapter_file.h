// SPDX-License-Identifier: Apache-2.0
// Coppice's own adapter bytes: the spec and every value, bit for bit. What releases are hashed over,
// and what devices store. Slots that are all zero (B of a fresh adapter) take one byte.
// Layout: docs/formats.md, "Adapter".
#pragma once

#include "adapters/adapter.h"
#include "base/file.h"

namespace coppice {

Bytes serialize_adapter(const Adapter& adapter);
// Refuses other magic, versions, sizes, trailing bytes, NaN and infinity.
Result<Adapter> parse_adapter(ByteSpan bytes);

// Atomic; `limit` on reading comes from the spec inside and the file's size.
Result<void> write_adapter_file(const fs::path& path, const Adapter& adapter);
Result<Adapter> read_adapter_file(const fs::path& path);

} // namespace coppice
