// SPDX-License-Identifier: Apache-2.0
#include "sim/late_round.h"

namespace coppice {
namespace {

Result<LateDevice> take_device(ByteReader& reader, std::size_t elements) {
  LateDevice late;
  late.device = COPPICE_TRY(reader.take<std::uint64_t>("late device"));
  late.at.count = COPPICE_TRY(reader.take<std::int64_t>("late device's time"));
  late.tokens = COPPICE_TRY(reader.take<std::uint64_t>("late device's tokens"));
  late.clamped = COPPICE_TRY(reader.take<std::uint64_t>("late device's clamped values"));
  late.clipped = COPPICE_TRY(reader.take<std::uint8_t>("late device's clip")) != 0;
  if (COPPICE_TRY(reader.take<std::uint8_t>("late upload")) == 0) return late;
  late.elements.resize(elements);
  for (std::uint32_t& element : late.elements) {
    element = COPPICE_TRY(reader.take<std::uint32_t>("late element"));
  }
  return late;
}

} // namespace

void put_late(ByteWriter& writer, std::span<const LateRound> rounds) {
  writer.put<std::uint64_t>(rounds.size());
  for (const LateRound& round : rounds) {
    const Bytes plan = round.plan.encode();
    writer.put<std::uint64_t>(plan.size());
    writer.put_raw(plan);
    writer.put(round.starts.count);
    writer.put<std::uint64_t>(round.devices.size());
    for (const LateDevice& late : round.devices) {
      writer.put(late.device);
      writer.put(late.at.count);
      writer.put(late.tokens);
      writer.put(late.clamped);
      writer.put<std::uint8_t>(late.clipped ? 1 : 0);
      writer.put<std::uint8_t>(late.elements.empty() ? 0 : 1);
      for (const std::uint32_t element : late.elements) writer.put(element);
    }
  }
}

Result<std::vector<LateRound>> take_late(ByteReader& reader) {
  std::vector<LateRound> rounds;
  const auto count = COPPICE_TRY(reader.take<std::uint64_t>("late rounds"));
  for (std::uint64_t i = 0; i < count; ++i) {
    LateRound round;
    const auto size = COPPICE_TRY(reader.take<std::uint64_t>("late round's plan"));
    round.plan =
        COPPICE_TRY(RoundPlan::decode(COPPICE_TRY(reader.take_raw(size, "late round's plan"))));
    round.starts.count = COPPICE_TRY(reader.take<std::int64_t>("late round's start"));
    const auto devices = COPPICE_TRY(reader.take<std::uint64_t>("late devices"));
    const std::size_t elements = round.plan.ring_elements();
    for (std::uint64_t k = 0; k < devices; ++k) {
      round.devices.push_back(COPPICE_TRY(take_device(reader, elements)));
    }
    rounds.push_back(std::move(round));
  }
  return rounds;
}

} // namespace coppice
