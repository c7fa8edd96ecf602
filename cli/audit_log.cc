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

namespace {

template <typename T>
void put_counted(ByteWriter& writer, std::span<const T> values) {
  writer.put(static_cast<std::uint32_t>(values.size()));
  writer.put_raw(as_bytes(values));
}

template <typename T>
Result<std::vector<T>> take_counted(ByteReader& reader) {
  const auto count = COPPICE_TRY(reader.take<std::uint32_t>("count"));
  const ByteSpan raw = COPPICE_TRY(reader.take_raw(std::size_t{count} * sizeof(T), "values"));
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

} // namespace

Result<DeltaTap> open_audit_deltas(const fs::path& path) {
  auto file = std::make_shared<AppendFile>(COPPICE_TRY(AppendFile::open(path)));
  return DeltaTap(
      [file](RoundId round, std::span<const float> delta, std::span<const std::uint32_t> elements) {
        ByteWriter writer;
        writer.put(round.value);
        put_counted(writer, delta);
        put_counted(writer, elements);
        const auto written = file->append(writer.bytes());
        if (!written.ok()) log::error("audit of deltas: ", written.error().message);
      });
}

Result<std::vector<AuditedDelta>> read_audit_deltas(const fs::path& path) {
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxLogBytes));
  ByteReader reader(raw);
  std::vector<AuditedDelta> deltas;
  while (reader.left() > 0) {
    AuditedDelta& next = deltas.emplace_back();
    next.round = COPPICE_TRY(reader.take<std::uint64_t>("round"));
    next.delta = COPPICE_TRY(take_counted<float>(reader));
    next.elements = COPPICE_TRY(take_counted<std::uint32_t>(reader));
  }
  return deltas;
}

} // namespace coppice
