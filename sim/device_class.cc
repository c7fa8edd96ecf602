// SPDX-License-Identifier: Apache-2.0
#include "sim/device_class.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/text.h"
#include "config/units.h"

namespace coppice {
namespace {

struct Field {
  std::string_view key;
  double least;
  double most;
  bool size = false; // written as a size
  bool required = false;
};
constexpr std::array<Field, 9> kFields{{
    {.key = "share", .least = 1e-9, .most = 1e9, .required = true},
    {.key = "tokens_per_s", .least = 1e-3, .most = 1e9, .required = true},
    {.key = "down", .least = 1, .most = 1e12, .size = true, .required = true},
    {.key = "up", .least = 1, .most = 1e12, .size = true, .required = true},
    {.key = "latency_ms", .least = 0, .most = 1e6},
    {.key = "spread", .least = 0, .most = 3},
    {.key = "train_w", .least = 0, .most = 1e4},
    {.key = "radio_j_per_mb", .least = 0, .most = 1e4},
    {.key = "max_rank", .least = 0, .most = 1024},
}};

Error wrong(std::string_view name, const std::string& why) {
  return {ErrorCode::kInvalidArgument, cat("device class '", name, "': ", why)};
}

Result<double> number_of(std::string_view name, const Field& field, std::string_view text) {
  double value = 0;
  if (field.size) {
    const auto bytes = parse_size(text);
    if (!bytes.ok()) return wrong(name, cat(field.key, ": ", bytes.error().message));
    value = static_cast<double>(*bytes);
  } else {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size()) {
      return wrong(name, cat(field.key, " is no number: '", text, "'"));
    }
  }
  if (!(value >= field.least && value <= field.most)) {
    return wrong(name, cat(field.key, " must be from ", field.least, " to ", field.most));
  }
  return value;
}

} // namespace

Result<DeviceClass> parse_device_class(std::string_view text) {
  std::array<std::optional<double>, kFields.size()> values;
  DeviceClass made;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    const std::size_t equals = word.find('=');
    if (made.name.empty() && equals == std::string::npos) {
      made.name = word;
      continue;
    }
    const std::string_view key = std::string_view(word).substr(0, equals);
    std::size_t at = 0;
    while (at < kFields.size() && kFields[at].key != key) ++at;
    if (at == kFields.size() || equals == std::string::npos) {
      return wrong(made.name, cat("'", word, "' is none of its constants"));
    }
    values[at] =
        COPPICE_TRY(number_of(made.name, kFields[at], std::string_view(word).substr(equals + 1)));
  }
  if (made.name.empty()) return wrong("", "a name comes first");
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    if (kFields[i].required && !values[i])
      return wrong(made.name, cat(kFields[i].key, " is missing"));
  }
  made.share = *values[0];
  made.tokens_per_second = *values[1];
  made.down_bytes_per_second = *values[2];
  made.up_bytes_per_second = *values[3];
  made.latency = nanos_of_seconds(values[4].value_or(0) / 1000);
  made.spread = values[5].value_or(0);
  made.train_watts = values[6].value_or(0);
  made.radio_joules_per_megabyte = values[7].value_or(0);
  const double rank = values[8].value_or(0);
  if (rank != std::floor(rank)) return wrong(made.name, "max_rank must be a whole number");
  made.max_rank = static_cast<std::uint32_t>(rank);
  return made;
}

} // namespace coppice
