// SPDX-License-Identifier: Apache-2.0
// Coppice's own adapter bytes: the spec and every value, bit for bit. What releases are hashed
// over, and what devices store. Slots that are all zero (B of a fresh adapter) take one byte.
// Layout: docs/formats.md, "Adapter".
#pragma once

#include "adapters/adapter.h"
#include "base/file.h"

namespace coppice {

Bytes serialize_adapter(const Adapter& adapter);
// kCorrupt: other magic, wrong sizes, trailing bytes, NaN and infinity, and zeros written out where
// one byte stands for them (an adapter has one text). kUnsupported: another version. What
// AdapterSpec::decode() refuses. kTooLarge, before any value is allocated: more parameters than
// `max_parameters`; one byte can stand for many zeros, so give the number where it is known.
Result<Adapter> parse_adapter(ByteSpan bytes, std::size_t max_parameters = kMaxAdapterParameters);

// Atomic. kInvalidArgument, before the file is touched: NaN or infinity among the values.
Result<void> write_adapter_file(const fs::path& path, const Adapter& adapter);
// The limit on reading comes from the spec inside and the file's size.
Result<Adapter> read_adapter_file(const fs::path& path);

} // namespace coppice
