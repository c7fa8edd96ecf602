// SPDX-License-Identifier: Apache-2.0
// What a device sent, in plain, for an owner who wants to read it: `client run --audit-log FILE`.
//
// The file: records of u8 channel, u32 length, the frame's bytes as given to the socket.
//
// And what was trained, which must not leave: `client run --audit-deltas FILE`, private. Records of
// u64 round, u32 count, the delta as float32, u32 count, the ring elements as u32 before masks.
#pragma once

#include <memory>
#include <vector>

#include "base/file.h"
#include "client/agent.h"
#include "protocol/messages.h"
#include "protocol/transport.h"

namespace coppice {

// Appends each frame before it is sent. Frames of earlier runs stay.
Result<FrameTap> open_audit_log(const fs::path& path);
Result<std::vector<Bytes>> read_audit_log(const fs::path& path);

struct AuditedDelta {
  std::uint64_t round = 0;
  std::vector<float> delta;
  std::vector<std::uint32_t> elements;
};
Result<DeltaTap> open_audit_deltas(const fs::path& path);
Result<std::vector<AuditedDelta>> read_audit_deltas(const fs::path& path);

} // namespace coppice
