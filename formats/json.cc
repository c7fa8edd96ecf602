// SPDX-License-Identifier: Apache-2.0
#include "formats/json.h"

#include <cmath>
#include <deque>
#include <limits>
#include <unordered_set>

#include "base/text.h"
#include "formats/printable.h"

namespace coppice {
namespace {

// Builds the document as nlohmann's own handler would, and stops at a limit or a duplicate key.
// Containers under construction are held by value and moved into their parent when they close.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override {
    return refuse(ErrorCode::kInternal, "JSON has no binary values");
  }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (!level.keys.insert(name).second) {
      return refuse(ErrorCode::kCorrupt,
                    cat("holds the key \"", printable(name), "\" twice in one object; keep one"));
    }
    level.key = std::move(name);
    return true;
  }

  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& what) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    std::string_view words(what.what());
    const std::size_t end = words.find("] ");
    if (end != std::string_view::npos) words.remove_prefix(end + 2);
    return refuse(ErrorCode::kCorrupt, cat("is not valid JSON: ", words));
  }

  Json& document() { return document_; }
  const Error& error() const { return error_; }

 private:
  struct Level {
    Json container;
    std::string key; // under which the next value goes
    std::unordered_set<std::string> keys;
  };

  bool refuse(ErrorCode code, std::string message) {
    error_ = {code, std::move(message)};
    return false;
  }

  bool count() {
    if (++values_ <= limits_.max_values) return true;
    return refuse(ErrorCode::kTooLarge, cat("holds over ", limits_.max_values, " JSON values"));
  }

  bool add(Json value) {
    if (!count()) return false;
    place(std::move(value));
    return true;
  }

  void place(Json value) {
    if (levels_.empty()) {
      document_ = std::move(value);
    } else if (levels_.back().container.is_array()) {
      levels_.back().container.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      // Not through operator[]: it searches all keys, and those are known to differ.
      Level& level = levels_.back();
      level.container.get_ref<Json::object_t&>().emplace_back(std::move(level.key),
                                                              std::move(value));
    }
  }

  bool open(Json container) {
    if (!count()) return false;
    if (levels_.size() >= limits_.max_depth) {
      return refuse(ErrorCode::kTooLarge, cat("nests deeper than ", limits_.max_depth, " levels"));
    }
    levels_.push_back({std::move(container), {}, {}});
    return true;
  }

  bool close() {
    Json done = std::move(levels_.back().container);
    levels_.pop_back();
    place(std::move(done));
    return true;
  }

  const JsonLimits& limits_;
  std::size_t values_ = 0;
  std::deque<Level> levels_; // not a vector: that would move them all to grow
  Json document_;
  Error error_{ErrorCode::kCorrupt, "is not valid JSON"};
};

std::string full_name(std::string_view key, std::string_view at) {
  return at.empty() ? std::string(key) : cat(at, ".", key);
}

Error wrong_type(const Json& value, std::string_view wanted, std::string_view key,
                 std::string_view at) {
  return {ErrorCode::kInvalidArgument,
          cat("field \"", full_name(key, at), "\" is ", value.type_name(), ", expected ", wanted)};
}

const Json* find_field(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  for (const auto& [name, value] : object.get_ref<const Json::object_t&>()) {
    if (name == key) return &value;
  }
  return nullptr;
}

// Calls `get` unless the field is missing or null.
template <typename Get>
auto get_if(Get get, const Json& object, std::string_view key, std::string_view at)
    -> Result<std::optional<typename decltype(get(object, key, at))::value_type>> {
  const Json* const value = find_field(object, key);
  using Value = typename decltype(get(object, key, at))::value_type;
  if (object.is_object() && (value == nullptr || value->is_null())) return std::optional<Value>();
  return std::optional<Value>(COPPICE_TRY(get(object, key, at)));
}

} // namespace

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Error{ErrorCode::kTooLarge, cat("has ", text.size(), " bytes, at most ",
                                           limits.max_bytes, " are read as JSON")};
  }
  Builder builder(limits);
  if (Json::sax_parse(text, &builder)) return std::move(builder.document());
  return builder.error();
}

Result<Json> parse_json(ByteSpan bytes, const JsonLimits& limits) {
  return parse_json(as_text(bytes), limits);
}

std::string dump_json(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<const Json*> json_field(const Json& object, std::string_view key, std::string_view at) {
  if (!object.is_object()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(at.empty() ? "the document" : cat("field \"", at, "\""), " is ",
                     object.type_name(), ", expected an object with the field \"", key, "\"")};
  }
  const Json* const value = find_field(object, key);
  if (value != nullptr) return value;
  return Error{ErrorCode::kNotFound, cat("field \"", full_name(key, at), "\" is missing")};
}

Result<const Json*> json_object(const Json& object, std::string_view key, std::string_view at) {
  const Json* const value = COPPICE_TRY(json_field(object, key, at));
  if (!value->is_object()) return wrong_type(*value, "an object", key, at);
  return value;
}

Result<const Json*> json_array(const Json& object, std::string_view key, std::string_view at) {
  const Json* const value = COPPICE_TRY(json_field(object, key, at));
  if (!value->is_array()) return wrong_type(*value, "an array", key, at);
  return value;
}

Result<std::string> json_string(const Json& object, std::string_view key, std::string_view at) {
  const Json* const value = COPPICE_TRY(json_field(object, key, at));
  if (!value->is_string()) return wrong_type(*value, "a string", key, at);
  return value->get_ref<const std::string&>();
}

Result<std::uint64_t> json_uint(const Json& object, std::string_view key, std::string_view at) {
  const Json* const value = COPPICE_TRY(json_field(object, key, at));
  if (value->is_number_unsigned()) return value->get<std::uint64_t>();
  // A document built in memory holds small signed numbers where a parsed one holds unsigned.
  if (value->is_number_integer() && value->get<std::int64_t>() >= 0)
    return value->get<std::uint64_t>();
  return wrong_type(*value, "a whole number, 0 or more", key, at);
}

Result<std::int64_t> json_int(const Json& object, std::string_view key, std::string_view at) {
  const Json* const value = COPPICE_TRY(json_field(object, key, at));
  const bool fits =
      !value->is_number_unsigned() ||
      value->get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
  if (value->is_number_integer() && fits) return value->get<std::int64_t>();
  return wrong_type(*value, "a whole number below 2^63", key, at);
}

Result<double> json_double(const Json& object, std::string_view key, std::string_view at) {
  const Json* const value = COPPICE_TRY(json_field(object, key, at));
  if (!value->is_number()) return wrong_type(*value, "a number", key, at);
  return value->get<double>();
}

Result<bool> json_bool(const Json& object, std::string_view key, std::string_view at) {
  const Json* const value = COPPICE_TRY(json_field(object, key, at));
  if (!value->is_boolean()) return wrong_type(*value, "true or false", key, at);
  return value->get<bool>();
}

Result<std::vector<std::string>> json_string_array(const Json& object, std::string_view key,
                                                   std::string_view at) {
  const Json* const value = COPPICE_TRY(json_array(object, key, at));
  std::vector<std::string> strings;
  for (const Json& item : *value) {
    if (!item.is_string()) return wrong_type(item, "an array of strings only", key, at);
    strings.push_back(item.get_ref<const std::string&>());
  }
  return strings;
}

Result<std::optional<std::string>> json_string_if(const Json& object, std::string_view key,
                                                  std::string_view at) {
  return get_if(json_string, object, key, at);
}
Result<std::optional<std::uint64_t>> json_uint_if(const Json& object, std::string_view key,
                                                  std::string_view at) {
  return get_if(json_uint, object, key, at);
}
Result<std::optional<std::int64_t>> json_int_if(const Json& object, std::string_view key,
                                                std::string_view at) {
  return get_if(json_int, object, key, at);
}
Result<std::optional<double>> json_double_if(const Json& object, std::string_view key,
                                             std::string_view at) {
  return get_if(json_double, object, key, at);
}
Result<std::optional<bool>> json_bool_if(const Json& object, std::string_view key,
                                         std::string_view at) {
  return get_if(json_bool, object, key, at);
}
Result<std::optional<std::vector<std::string>>> json_string_array_if(const Json& object,
                                                                     std::string_view key,
                                                                     std::string_view at) {
  return get_if(json_string_array, object, key, at);
}

} // namespace coppice
