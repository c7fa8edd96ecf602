// SPDX-License-Identifier: Apache-2.0
#include "model/import_files.h"

#include <cmath>

namespace coppice {
namespace {

// Gemma's tokenizer.json takes 34 MB; half a million merges in pairs are 1.5 million values.
constexpr std::size_t kMaxBytes = std::size_t{128} << 20U;
constexpr JsonLimits kLimits = {.max_bytes = kMaxBytes};

} // namespace

Result<Json> read_json(const fs::path& path) {
  const auto bytes = read_file(path, kMaxBytes);
  if (!bytes) return Error(bytes.error());
  auto json = parse_json(*bytes, kLimits);
  if (!json) return std::move(json).error().with_context(path.string());
  if (!json->is_object()) {
    return Error{ErrorCode::kCorrupt, path.string() + " holds no JSON object; get it again"};
  }
  return json;
}

Result<std::optional<Json>> read_json_if(const fs::path& path) {
  std::error_code code;
  if (!fs::exists(path, code)) return std::optional<Json>();
  return std::optional<Json>(COPPICE_TRY(read_json(path)));
}

const Json& member(const Json& json, std::string_view key) {
  static const Json null;
  if (!json.is_object()) return null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

std::optional<std::string> text_of(const Json& json) {
  if (!json.is_string()) return std::nullopt;
  return json.get<std::string>();
}

std::optional<bool> flag_of(const Json& json) {
  if (!json.is_boolean()) return std::nullopt;
  return json.get<bool>();
}

std::optional<std::uint64_t> count_of(const Json& json) {
  if (!json.is_number_unsigned()) return std::nullopt;
  return json.get<std::uint64_t>();
}

std::optional<double> number_of(const Json& json) {
  if (!json.is_number()) return std::nullopt;
  const auto value = json.get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

const Json& first_of(const Json& json) {
  return json.is_array() && !json.empty() ? json.front() : json;
}

} // namespace coppice
