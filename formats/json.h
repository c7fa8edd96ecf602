// SPDX-License-Identifier: Apache-2.0
// JSON with bounds: parsing never throws, nests no deeper and grows no larger than asked, and
// refuses duplicate keys. Typed access to fields, with errors that name them.
//
// Objects keep the order of their keys. Json's own operations throw on misuse; outside formats/ use
// the functions here for anything that came from outside. Thread-compatible.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace coppice {

using Json = nlohmann::ordered_json;

// JSON has no infinity and no NaN.
Json number_or_null(double value);

struct JsonLimits {
  std::size_t max_bytes = std::size_t{16} << 20U;
  std::size_t max_depth = 64;                     // arrays and objects within one another
  std::size_t max_values = std::size_t{1} << 22U; // in the whole document, keys not counted
};

// kTooLarge over a limit; kCorrupt for what is not JSON (line and column are named), for invalid
// UTF-8 and for a key that an object holds twice. No text may follow the value but white space.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});
Result<Json> parse_json(ByteSpan bytes, const JsonLimits& limits = {});

// One line if `indent` is negative. Never throws: bytes that aren't UTF-8 become U+FFFD.
std::string dump_json(const Json& json, int indent = -1);

// Fields of an object: kNotFound if missing, kInvalidArgument if of another type or out of range.
// `at` is the object's own path, for the errors: json_uint(lora, "r", "lora") names "lora.r".
Result<const Json*> json_field(const Json& object, std::string_view key, std::string_view at = {});
Result<const Json*> json_object(const Json& object, std::string_view key, std::string_view at = {});
Result<const Json*> json_array(const Json& object, std::string_view key, std::string_view at = {});
Result<std::string> json_string(const Json& object, std::string_view key, std::string_view at = {});
Result<std::uint64_t> json_uint(const Json& object, std::string_view key, std::string_view at = {});
Result<std::int64_t> json_int(const Json& object, std::string_view key, std::string_view at = {});
Result<double> json_double(const Json& object, std::string_view key, std::string_view at = {});
Result<bool> json_bool(const Json& object, std::string_view key, std::string_view at = {});
Result<std::vector<std::string>> json_string_array(const Json& object, std::string_view key,
                                                   std::string_view at = {});

// Empty if the field is missing or null; another type is still an error.
Result<std::optional<std::string>> json_string_if(const Json& object, std::string_view key,
                                                  std::string_view at = {});
Result<std::optional<std::uint64_t>> json_uint_if(const Json& object, std::string_view key,
                                                  std::string_view at = {});
Result<std::optional<std::int64_t>> json_int_if(const Json& object, std::string_view key,
                                                std::string_view at = {});
Result<std::optional<double>> json_double_if(const Json& object, std::string_view key,
                                             std::string_view at = {});
Result<std::optional<bool>> json_bool_if(const Json& object, std::string_view key,
                                         std::string_view at = {});
Result<std::optional<std::vector<std::string>>> json_string_array_if(const Json& object,
                                                                     std::string_view key,
                                                                     std::string_view at = {});

} // namespace coppice
