// SPDX-License-Identifier: Apache-2.0
// What a device sent, in plain, for an owner who wants to read it: `client run --audit-log FILE`.
//
// The file: records of u8 channel, u32 length, the frame's bytes as given to the socket.
#pragma once

#include <memory>
#include <vector>

#include "base/file.h"
#include "protocol/messages.h"
#include "protocol/transport.h"

namespace coppice {

// Appends each frame before it is sent. Frames of earlier runs stay.
Result<FrameTap> open_audit_log(const fs::path& path);
Result<std::vector<Bytes>> read_audit_log(const fs::path& path);

} // namespace coppice
