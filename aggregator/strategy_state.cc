// SPDX-License-Identifier: Apache-2.0
#include "aggregator/strategy_state.h"

#include <cstring>

#include "base/text.h"
#include "protocol/limits.h"

namespace coppice {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostVectors = 16;
constexpr std::size_t kLongestName = 64;

} // namespace

std::vector<double>& StrategyState::at(const std::string& name, std::size_t size) {
  std::vector<double>& vector = vectors[name];
  if (vector.size() != size) vector.assign(size, 0.0);
  return vector;
}

std::vector<float> StrategyState::control() const {
  const auto found = vectors.find(kControlVector);
  if (found == vectors.end()) return {};
  return {found->second.begin(), found->second.end()};
}

Bytes StrategyState::encode() const {
  ByteWriter writer;
  writer.put(kVersion);
  writer.put(rounds);
  writer.put(static_cast<std::uint32_t>(vectors.size()));
  for (const auto& [name, vector] : vectors) {
    writer.put_text(name);
    writer.put(static_cast<std::uint64_t>(vector.size()));
    writer.put_raw(as_bytes(std::span<const double>(vector)));
  }
  return std::move(writer).take();
}

Result<StrategyState> StrategyState::decode(ByteSpan bytes) {
  StrategyState state;
  if (bytes.empty()) return state;
  const auto broken = [](std::string_view why) {
    return Error{ErrorCode::kCorrupt, cat("what the strategy kept is unreadable: ", why)};
  };
  ByteReader reader(bytes);
  if (COPPICE_TRY(reader.take<std::uint8_t>("version")) != kVersion) return broken("its version");
  state.rounds = COPPICE_TRY(reader.take<std::uint64_t>("rounds"));
  const auto count = COPPICE_TRY(reader.take<std::uint32_t>("vectors"));
  if (count > kMostVectors) return broken("too many vectors");
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string name = COPPICE_TRY(reader.take_text(kLongestName, "name"));
    const auto size = COPPICE_TRY(reader.take<std::uint64_t>("size"));
    if (size > limits::kParameters) return broken("a long vector");
    const ByteSpan raw = COPPICE_TRY(reader.take_raw(size * sizeof(double), "vector"));
    std::vector<double> vector(size);
    std::memcpy(vector.data(), raw.data(), raw.size());
    state.vectors.emplace(std::move(name), std::move(vector));
  }
  COPPICE_TRY(reader.expect_end("what the strategy kept"));
  return state;
}

} // namespace coppice
