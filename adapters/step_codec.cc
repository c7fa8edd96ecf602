// SPDX-License-Identifier: Apache-2.0
#include "adapters/step_codec.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::uint32_t kStepMagic = 0x54535043; // "CPST"
constexpr std::uint32_t kStepVersion = 1;
constexpr int kLargest = 32767;

// Elements of each slot in ring order: A and B of each target.
std::vector<std::size_t> slot_sizes(const AdapterSpec& spec) {
  std::vector<std::size_t> sizes;
  sizes.reserve(2 * spec.targets.size());
  for (const AdapterTarget& target : spec.targets) {
    sizes.push_back(target.a_elements());
    sizes.push_back(target.b_elements());
  }
  return sizes;
}

Result<void> check_shape(const EncodedStep& step, const std::vector<std::size_t>& sizes,
                         std::size_t parameters) {
  if (step.scales.size() != sizes.size() || step.integers.size() != parameters) {
    return invalid_argument(cat("a step of ", step.scales.size(), " slots and ",
                                step.integers.size(), " parameters doesn't fit an adapter of ",
                                sizes.size(), " slots and ", parameters, " parameters"));
  }
  return {};
}

Result<float> slot_scale(std::span<const double> step) {
  double largest = 0;
  for (const double value : step) {
    if (!std::isfinite(value))
      return invalid_argument("a step with NaN or infinity can't be encoded");
    largest = std::max(largest, std::abs(value));
  }
  if (largest == 0) return 0.0F;
  auto scale = static_cast<float>(largest / kLargest);
  // Only where scale is subnormal can rounding it to nearest lose more than half a unit of q.
  if (static_cast<double>(scale) * (kLargest + 0.5) < largest) {
    scale = std::nextafter(scale, std::numeric_limits<float>::infinity());
  }
  if (!std::isfinite(scale * static_cast<float>(kLargest))) {
    return invalid_argument(cat("a step of ", largest, " is beyond what a parameter can hold"));
  }
  return scale;
}

// Calls visit(scale, integers, start) slot by slot. Shapes were checked.
template <typename Visit>
void for_each_slot(const EncodedStep& step, const std::vector<std::size_t>& sizes, Visit visit) {
  std::size_t at = 0;
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    visit(step.scales[s], std::span(step.integers).subspan(at, sizes[s]), at);
    at += sizes[s];
  }
}

Result<void> check_values(const EncodedStep& step, const std::vector<std::size_t>& sizes) {
  for (const float scale : step.scales) {
    if (!std::isfinite(scale) || std::signbit(scale)) {
      return corrupt_data("a step's scale is not a number from zero up; get the release again");
    }
  }
  bool fits = true;
  for_each_slot(step, sizes, [&](float scale, std::span<const std::int16_t> integers, std::size_t) {
    const int most = scale == 0.0F ? 0 : kLargest;
    fits = fits && std::ranges::all_of(integers,
                                       [most](std::int16_t q) { return q >= -most && q <= most; });
  });
  if (!fits) return corrupt_data("a step's integer is outside its range; get the release again");
  return {};
}

} // namespace

StepEncoder::StepEncoder(const AdapterSpec& spec) : sizes_(slot_sizes(spec)) {
  encoded_.scales.reserve(sizes_.size());
  encoded_.integers.reserve(spec.parameters());
}

Result<void> StepEncoder::add(std::span<const double> slot) {
  const std::size_t place = encoded_.scales.size();
  if (place == sizes_.size() || slot.size() != sizes_[place]) {
    return invalid_argument(cat("slot ", place, " of a step has ", slot.size(),
                                " values, which doesn't fit an adapter of ", sizes_.size(),
                                " slots"));
  }
  const float scale = COPPICE_TRY(slot_scale(slot));
  encoded_.scales.push_back(scale);
  for (const double value : slot) {
    const double units = scale == 0.0F ? 0.0 : std::round(value / static_cast<double>(scale));
    const double most = kLargest;
    encoded_.integers.push_back(static_cast<std::int16_t>(std::clamp(units, -most, most)));
  }
  return {};
}

Result<EncodedStep> StepEncoder::finish() && {
  if (encoded_.scales.size() != sizes_.size()) {
    return invalid_argument(cat("a step of ", encoded_.scales.size(),
                                " slots doesn't fit an adapter of ", sizes_.size()));
  }
  return std::move(encoded_);
}

Result<EncodedStep> encode_step(const AdapterSpec& spec, std::span<const double> step) {
  if (step.size() != spec.parameters()) {
    return invalid_argument(cat("a step of ", step.size(), " values doesn't fit an adapter of ",
                                spec.parameters(), " parameters"));
  }
  StepEncoder encoder(spec);
  std::size_t at = 0;
  for (const std::size_t size : slot_sizes(spec)) {
    COPPICE_TRY(encoder.add(step.subspan(at, size)));
    at += size;
  }
  return std::move(encoder).finish();
}

Result<void> apply_step(Adapter& adapter, const EncodedStep& step) {
  const auto sizes = slot_sizes(adapter.spec());
  const std::span<float> values = adapter.values();
  COPPICE_TRY(check_shape(step, sizes, values.size()));
  // Looked at first, then done: no second copy of the adapter.
  const auto moved = [&](float scale, std::int16_t integer, float value) {
    const float move = static_cast<float>(integer) * scale;
    return value + move;
  };
  bool finite = true;
  for_each_slot(step, sizes, [&](float scale, auto integers, std::size_t start) {
    for (std::size_t i = 0; i < integers.size(); ++i) {
      finite = finite && std::isfinite(moved(scale, integers[i], values[start + i]));
    }
  });
  if (!finite) {
    return invalid_argument(
        "a step would take a parameter beyond what float32 holds; it is not applied");
  }
  for_each_slot(step, sizes, [&](float scale, auto integers, std::size_t start) {
    for (std::size_t i = 0; i < integers.size(); ++i) {
      values[start + i] = moved(scale, integers[i], values[start + i]);
    }
  });
  return {};
}

Bytes serialize_step(const EncodedStep& step) {
  ByteWriter writer;
  writer.put(kStepMagic);
  writer.put(kStepVersion);
  writer.put(static_cast<std::uint32_t>(step.scales.size()));
  writer.put(static_cast<std::uint64_t>(step.integers.size()));
  writer.put_raw(as_bytes(std::span<const float>(step.scales)));
  writer.put_raw(as_bytes(std::span<const std::int16_t>(step.integers)));
  return std::move(writer).take();
}

Result<EncodedStep> parse_step(ByteSpan bytes, const AdapterSpec& spec) {
  ByteReader reader(bytes);
  const auto magic = COPPICE_TRY(reader.take<std::uint32_t>("the step's magic"));
  if (magic != kStepMagic) return corrupt_data("these bytes are not a step; get the release again");
  const auto version = COPPICE_TRY(reader.take<std::uint32_t>("the step's version"));
  if (version != kStepVersion) {
    return Error{ErrorCode::kUnsupported,
                 cat("the step has version ", version, ", this program reads version ",
                     kStepVersion, "; update coppice")};
  }
  const auto slots = COPPICE_TRY(reader.take<std::uint32_t>("the number of slots"));
  const auto parameters = COPPICE_TRY(reader.take<std::uint64_t>("the number of parameters"));
  const auto sizes = slot_sizes(spec);
  if (slots != sizes.size() || parameters != spec.parameters()) {
    return corrupt_data(cat("the step is for ", slots, " slots and ", parameters,
                            " parameters, not ", sizes.size(), " and ", spec.parameters(),
                            "; it belongs to another adapter"));
  }
  const auto scales = COPPICE_TRY(reader.take_raw(slots * sizeof(float), "the step's scales"));
  const auto integers =
      COPPICE_TRY(reader.take_raw(parameters * sizeof(std::int16_t), "the step's integers"));
  COPPICE_TRY(reader.expect_end("the step"));
  EncodedStep step;
  step.scales.resize(sizes.size());
  std::memcpy(step.scales.data(), scales.data(), scales.size());
  step.integers.resize(parameters);
  std::memcpy(step.integers.data(), integers.data(), integers.size());
  COPPICE_TRY(check_values(step, sizes));
  return step;
}

} // namespace coppice
