// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_reader.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <numeric>

#include "base/text.h"
#include "formats/gguf_parser.h"
#include "formats/printable.h"

namespace coppice {
namespace {

struct StoredInteger { // value is `bits`, as signed if `negative`
  std::uint64_t bits = 0;
  bool negative = false;
};

template <typename T>
StoredInteger load_integer(ByteSpan bytes) {
  const T value = load_at<T>(bytes, 0);
  return {static_cast<std::uint64_t>(value), std::is_signed_v<T> && value < T{0}};
}

std::optional<StoredInteger> integer_of(const GgufValue& value) {
  switch (value.type) {
    case GgufType::kU8: return load_integer<std::uint8_t>(value.encoded);
    case GgufType::kI8: return load_integer<std::int8_t>(value.encoded);
    case GgufType::kU16: return load_integer<std::uint16_t>(value.encoded);
    case GgufType::kI16: return load_integer<std::int16_t>(value.encoded);
    case GgufType::kU32: return load_integer<std::uint32_t>(value.encoded);
    case GgufType::kI32: return load_integer<std::int32_t>(value.encoded);
    case GgufType::kU64: return load_integer<std::uint64_t>(value.encoded);
    case GgufType::kI64: return load_integer<std::int64_t>(value.encoded);
    default: return std::nullopt;
  }
}

template <typename Stored, typename Wanted>
std::vector<Wanted> convert_items(const GgufValue& value) {
  std::vector<Wanted> items(value.count);
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i] = static_cast<Wanted>(load_at<Stored>(value.encoded, i * sizeof(Stored)));
  }
  return items;
}

// The bytes of the items of a checked array that begins at `begin`.
std::uint64_t array_bytes(ByteSpan bytes, std::uint64_t begin, GgufType item, std::uint64_t count) {
  if (item != GgufType::kString) return count * gguf_scalar_size(item);
  std::uint64_t at = begin;
  for (std::uint64_t i = 0; i < count; ++i) at += 8 + load_at<std::uint64_t>(bytes, at);
  return at - begin;
}

} // namespace

std::string_view gguf_type_name(GgufType type) {
  constexpr std::array<std::string_view, 13> kNames{"u8",  "i8",  "u16",  "i16",    "u32",
                                                    "i32", "f32", "bool", "string", "array",
                                                    "u64", "i64", "f64"};
  return kNames.at(static_cast<std::size_t>(type));
}

std::uint64_t GgufTensor::elements() const {
  return std::accumulate(dims.begin(), dims.end(), std::uint64_t{1}, std::multiplies<>());
}

Result<GgufFile> GgufFile::open(const fs::path& path) {
  return parse(COPPICE_TRY(MappedFile::open(path)), path.string());
}

Result<GgufFile> GgufFile::parse(std::shared_ptr<const MappedFile> map, std::string_view name) {
  const ByteSpan bytes = map->bytes();
  GgufFile file = COPPICE_TRY(parse(bytes, name));
  file.map_ = std::move(map);
  return file;
}

Result<GgufFile> GgufFile::parse(ByteSpan bytes, std::string_view name) {
  GgufFile file;
  file.bytes_ = bytes;
  file.name_ = name;
  auto checked = GgufParser(file).run();
  if (checked) return file;
  Error error = std::move(checked).error();
  const bool other_file = error.message.starts_with("is "); // not GGUF, or not this kind of it
  error.message = cat(name, other_file ? " " : ": ", error.message);
  if (error.code == ErrorCode::kCorrupt && !other_file) {
    error.message += "; the file is damaged or was cut short: download or convert it again";
  }
  return error;
}

GgufEntry GgufFile::metadata_at(std::size_t index) const {
  COPPICE_CHECK(index < entries_.size());
  std::uint64_t at = entries_[index];
  const auto key_length = load_at<std::uint64_t>(bytes_, at);
  GgufEntry entry{.key = as_text(bytes_.subspan(at + 8, key_length)), .value = {}};
  at += 8 + key_length;
  GgufValue& value = entry.value;
  value.type = static_cast<GgufType>(load_at<std::uint32_t>(bytes_, at));
  value.item_type = value.type;
  at += 4;
  if (value.type == GgufType::kString) {
    value.encoded = bytes_.subspan(at + 8, load_at<std::uint64_t>(bytes_, at));
  } else if (value.type == GgufType::kArray) {
    value.item_type = static_cast<GgufType>(load_at<std::uint32_t>(bytes_, at));
    value.count = load_at<std::uint64_t>(bytes_, at + 4);
    at += 12;
    value.encoded = bytes_.subspan(at, array_bytes(bytes_, at, value.item_type, value.count));
  } else {
    value.encoded = bytes_.subspan(at, gguf_scalar_size(value.type));
  }
  return entry;
}

std::optional<GgufValue> GgufFile::find(std::string_view key) const {
  const auto key_at = [this](std::uint64_t offset) {
    return as_text(bytes_.subspan(offset + 8, load_at<std::uint64_t>(bytes_, offset)));
  };
  const auto found = std::ranges::lower_bound(entries_by_key_, key, {}, key_at);
  if (found == entries_by_key_.end() || key_at(*found) != key) return std::nullopt;
  // Offsets ascend in entries_, so the index is a search away.
  const auto entry = std::ranges::lower_bound(entries_, *found);
  return metadata_at(static_cast<std::size_t>(entry - entries_.begin())).value;
}

Error GgufFile::wrong_type(std::string_view key, const GgufValue& value,
                           std::string_view wanted) const {
  const bool array = value.type == GgufType::kArray;
  return {ErrorCode::kInvalidArgument,
          cat(name_, ": metadata \"", printable(key), "\" is ", array ? "an array of " : "of type ",
              gguf_type_name(value.item_type), ", expected ", wanted)};
}

Result<GgufValue> GgufFile::require(std::string_view key) const {
  const auto value = find(key);
  if (value) return *value;
  return Error{ErrorCode::kNotFound, cat(name_, ": lacks the metadata \"", printable(key), "\"")};
}

Result<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  const auto integer = integer_of(value);
  if (!integer) return wrong_type(key, value, "an unsigned integer");
  if (!integer->negative) return integer->bits;
  return Error{ErrorCode::kInvalidArgument,
               cat(name_, ": metadata \"", printable(key), "\" is negative, expected 0 or more")};
}

Result<std::int64_t> GgufFile::get_int(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  const auto integer = integer_of(value);
  if (!integer) return wrong_type(key, value, "an integer");
  if (integer->negative ||
      integer->bits <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    return static_cast<std::int64_t>(integer->bits);
  }
  return Error{ErrorCode::kInvalidArgument,
               cat(name_, ": metadata \"", printable(key), "\" is larger than 2^63 - 1")};
}

Result<double> GgufFile::get_float(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  if (value.type == GgufType::kF32) return static_cast<double>(load_at<float>(value.encoded, 0));
  if (value.type == GgufType::kF64) return load_at<double>(value.encoded, 0);
  const auto integer = integer_of(value);
  if (!integer) return wrong_type(key, value, "a number");
  return integer->negative ? static_cast<double>(static_cast<std::int64_t>(integer->bits))
                           : static_cast<double>(integer->bits);
}

Result<bool> GgufFile::get_bool(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  if (value.type != GgufType::kBool) return wrong_type(key, value, "a bool");
  return value.encoded[0] != 0;
}

Result<std::string_view> GgufFile::get_string(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  if (value.type != GgufType::kString) return wrong_type(key, value, "a string");
  return as_text(value.encoded);
}

Result<std::vector<std::string_view>> GgufFile::get_strings(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  if (value.type != GgufType::kArray || value.item_type != GgufType::kString) {
    return wrong_type(key, value, "an array of strings");
  }
  std::vector<std::string_view> strings;
  strings.reserve(value.count);
  std::uint64_t at = 0;
  for (std::uint64_t i = 0; i < value.count; ++i) {
    const auto length = load_at<std::uint64_t>(value.encoded, at);
    strings.push_back(as_text(value.encoded.subspan(at + 8, length)));
    at += 8 + length;
  }
  return strings;
}

Result<std::vector<float>> GgufFile::get_floats(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  if (value.type == GgufType::kArray) {
    if (value.item_type == GgufType::kF32) return convert_items<float, float>(value);
    if (value.item_type == GgufType::kF64) return convert_items<double, float>(value);
  }
  return wrong_type(key, value, "an array of f32 or f64");
}

Result<std::vector<std::int64_t>> GgufFile::get_ints(std::string_view key) const {
  const GgufValue value = COPPICE_TRY(require(key));
  if (value.type == GgufType::kArray) {
    if (value.item_type == GgufType::kU32) return convert_items<std::uint32_t, std::int64_t>(value);
    if (value.item_type == GgufType::kI32) return convert_items<std::int32_t, std::int64_t>(value);
    if (value.item_type == GgufType::kI64) return convert_items<std::int64_t, std::int64_t>(value);
  }
  // Narrower items would take over twice their bytes, and no known key holds them.
  return wrong_type(key, value, "an array of u32, i32 or i64");
}

Result<std::uint64_t> GgufFile::get_uint_or(std::string_view key, std::uint64_t missing) const {
  return has(key) ? get_uint(key) : missing;
}
Result<std::int64_t> GgufFile::get_int_or(std::string_view key, std::int64_t missing) const {
  return has(key) ? get_int(key) : missing;
}
Result<double> GgufFile::get_float_or(std::string_view key, double missing) const {
  return has(key) ? get_float(key) : missing;
}
Result<bool> GgufFile::get_bool_or(std::string_view key, bool missing) const {
  return has(key) ? get_bool(key) : missing;
}
Result<std::string_view> GgufFile::get_string_or(std::string_view key,
                                                 std::string_view missing) const {
  return has(key) ? get_string(key) : missing;
}
Result<std::vector<std::string_view>> GgufFile::get_strings_or(
    std::string_view key, std::vector<std::string_view> missing) const {
  return has(key) ? get_strings(key) : std::move(missing);
}
Result<std::vector<float>> GgufFile::get_floats_or(std::string_view key,
                                                   std::vector<float> missing) const {
  return has(key) ? get_floats(key) : std::move(missing);
}
Result<std::vector<std::int64_t>> GgufFile::get_ints_or(std::string_view key,
                                                        std::vector<std::int64_t> missing) const {
  return has(key) ? get_ints(key) : std::move(missing);
}

bool GgufFile::has_tensor(std::string_view name) const {
  return std::ranges::binary_search(tensors_by_name_, name, {}, [this](std::uint32_t i) {
    return std::string_view(tensors_[i].name);
  });
}

Result<const GgufTensor*> GgufFile::find_tensor(std::string_view name) const {
  const auto found = std::ranges::lower_bound(tensors_by_name_, name, {}, [this](std::uint32_t i) {
    return std::string_view(tensors_[i].name);
  });
  if (found != tensors_by_name_.end() && tensors_[*found].name == name) return &tensors_[*found];
  std::vector<std::string> names; // of a length that can be near
  for (const GgufTensor& tensor : tensors_) {
    if (tensor.name.size() <= 2 * name.size()) names.push_back(tensor.name);
  }
  const std::string nearest = nearest_name(name, names);
  return Error{
      ErrorCode::kNotFound,
      cat(name_, ": holds no tensor \"", printable(name), "\"",
          nearest.empty() ? "" : cat("; the nearest name is \"", printable(nearest), "\""))};
}

} // namespace coppice
