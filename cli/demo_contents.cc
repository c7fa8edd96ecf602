// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_contents.h"

#include <array>
#include <cmath>
#include <fstream>

#include "base/text.h"
#include "formats/half.h"

namespace coppice {
namespace {

constexpr std::size_t kStretch = 16;    // values in a needle
constexpr std::size_t kStretches = 8;   // of a delta
constexpr std::size_t kPage = 1U << 16; // read at a time

// Varied, so that no needle is a run of zeros, which is everywhere.
bool telling(std::span<const std::uint32_t> elements) {
  std::size_t changes = 0;
  for (std::size_t i = 1; i < elements.size(); ++i) {
    changes += elements[i] != elements[i - 1] ? 1 : 0;
  }
  return changes > elements.size() / 2;
}

template <typename T, typename From, typename Convert>
Bytes packed_as(std::span<const From> values, Convert convert) {
  std::vector<T> converted;
  for (const From& value : values) converted.push_back(convert(value));
  const ByteSpan raw = as_bytes(std::span<const T>(converted));
  return Bytes(raw.begin(), raw.end());
}

void add_needles(std::span<const float> floats, std::span<const std::uint32_t> elements,
                 std::vector<Bytes>& needles) {
  needles.push_back(packed_as<float>(floats, [](float value) { return value; }));
  needles.push_back(packed_as<std::uint16_t>(floats, float_to_half));
  needles.push_back(packed_as<std::uint32_t>(elements, [](std::uint32_t value) { return value; }));
  needles.push_back(packed_as<std::int32_t>(elements, [](std::uint32_t value) {
    return static_cast<std::int32_t>(static_cast<std::int16_t>(value)); // signed, 16-bit ring
  }));
  Bytes packed;
  ring_pack(elements, RingBits{16}, packed);
  needles.push_back(std::move(packed));
}

} // namespace

std::vector<Bytes> needles_of_delta(const AuditedDelta& delta) {
  std::vector<Bytes> needles;
  const std::size_t count = std::min(delta.delta.size(), delta.elements.size());
  const std::size_t step = std::max<std::size_t>(1, count / (4 * kStretches));
  std::size_t found = 0;
  for (std::size_t at = 0; at + kStretch <= count && found < kStretches; at += step) {
    const auto elements = std::span(delta.elements).subspan(at, kStretch);
    if (!telling(elements)) continue;
    add_needles(std::span(delta.delta).subspan(at, kStretch), elements, needles);
    ++found;
  }
  return needles;
}

double distance_from_uniform(ByteSpan bytes) {
  constexpr double kValues = 256;
  std::array<double, 256> counts{};
  for (const std::uint8_t byte : bytes) counts[byte] += 1;
  const double expected = static_cast<double>(bytes.size()) / kValues;
  double chi_square = 0;
  for (const double count : counts)
    chi_square += (count - expected) * (count - expected) / expected;
  const double freedom = kValues - 1;
  return (chi_square - freedom) / std::sqrt(2 * freedom);
}

Result<void> dump_memory(pid_t process, const fs::path& file) {
  const std::string base = cat("/proc/", process);
  std::ifstream maps(base + "/maps");
  std::ifstream memory(base + "/mem", std::ios::binary);
  std::ofstream out(file, std::ios::binary);
  if (!maps || !memory || !out) {
    return Error{ErrorCode::kPermissionDenied, "can't read the memory of a process of ours"};
  }
  std::string line;
  std::vector<char> page(kPage);
  while (std::getline(maps, line)) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, mode) != 3) continue;
    if (mode[0] != 'r' || mode[1] != 'w') continue;
    for (unsigned long at = begin; at < end; at += kPage) {
      const auto size = static_cast<std::streamsize>(std::min<unsigned long>(kPage, end - at));
      memory.clear();
      memory.seekg(static_cast<std::streamoff>(at));
      if (!memory.read(page.data(), size)) break;
      out.write(page.data(), size);
    }
  }
  out.flush();
  if (!out) return Error{ErrorCode::kIo, cat("can't write ", file.string())};
  return {};
}

} // namespace coppice
