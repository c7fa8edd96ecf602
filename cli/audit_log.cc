// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_log.h"

#include "base/log.h"

namespace coppice {
namespace {
constexpr std::size_t kMaxLogBytes = std::size_t{4} << 30U;
}

Result<FrameTap> open_audit_log(const fs::path& path) {
  auto file = std::make_shared<AppendFile>(COPPICE_TRY(AppendFile::open(path)));
  return FrameTap([file](Channel channel, ByteSpan frame) {
    ByteWriter writer;
    writer.put(static_cast<std::uint8_t>(channel));
    writer.put(static_cast<std::uint32_t>(frame.size()));
    writer.put_raw(frame);
    const auto written = file->append(writer.bytes());
    if (!written.ok()) log::error("audit log: ", written.error().message);
  });
}

Result<std::vector<Bytes>> read_audit_log(const fs::path& path) {
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxLogBytes));
  ByteReader reader(raw);
  std::vector<Bytes> frames;
  while (reader.left() > 0) {
    COPPICE_TRY(reader.take<std::uint8_t>("channel"));
    const auto length = COPPICE_TRY(reader.take<std::uint32_t>("length"));
    const ByteSpan frame = COPPICE_TRY(reader.take_raw(length, "frame"));
    frames.emplace_back(frame.begin(), frame.end());
  }
  return frames;
}

} // namespace coppice
