// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "formats/printable.h"

namespace coppice {
namespace {

// {"__metadata__": {KEY: TEXT, ...}, NAME: {"dtype": D, "shape": [..], "data_offsets": [b, e]},
// ...}
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return misplaced("null"); }
  bool boolean(bool) override { return misplaced("true or false"); }
  bool number_integer(number_integer_t) override { return misplaced("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return misplaced("a fraction"); }
  bool binary(binary_t&) override { return misplaced("binary"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) return misplaced("a number");
    const std::size_t most = place_ == Place::kShape ? kSafetensorsMaxDims : 2;
    if (numbers_.size() == most)
      return refuse(cat("has over ", most, " numbers in \"", field_, "\""));
    numbers_.push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      if (header_.metadata.size() == kSafetensorsMaxMetadata) {
        code_ = ErrorCode::kTooLarge;
        return refuse(cat("has over ", kSafetensorsMaxMetadata, " entries"));
      }
      header_.metadata.emplace_back(std::move(field_), std::move(value));
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") return misplaced("a string");
    const auto dtype = dtype_from_name(value);
    if (!dtype) {
      code_ = ErrorCode::kUnsupported;
      return refuse(
          cat("has the dtype \"", printable(value), "\", which is not known to this version"));
    }
    tensor().tensor.dtype = *dtype;
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kBefore) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return misplaced("an object");
    place_ = in_metadata_ ? Place::kMetadata : Place::kTensor;
    if (!in_metadata_) {
      header_.tensors.emplace_back().tensor.name = std::move(name_);
      name_ = header_.tensors.back().tensor.name;
    }
    seen_.fill(false);
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::kTop) {
      in_metadata_ = name == "__metadata__";
      if (in_metadata_ && had_metadata_) return refuse("is there twice", name);
      had_metadata_ = had_metadata_ || in_metadata_;
      name_ = std::move(name);
      return true;
    }
    field_ = std::move(name);
    if (place_ == Place::kMetadata) return true;
    const auto* const known = std::ranges::find(kFields, field_);
    if (known == kFields.end())
      return refuse(cat("has the unknown field \"", printable(field_), "\""));
    bool& seen = seen_.at(static_cast<std::size_t>(known - kFields.begin()));
    if (seen) return refuse(cat("has the field \"", field_, "\" twice"));
    seen = true;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor && !std::ranges::all_of(seen_, std::identity())) {
      return refuse("lacks one of the fields dtype, shape and data_offsets");
    }
    place_ = place_ == Place::kTop ? Place::kAfter : Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") return misplaced("an array");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kShape) {
      tensor().tensor.shape = numbers_;
    } else {
      if (numbers_.size() != 2) return refuse("needs two data_offsets");
      tensor().begin = numbers_[0];
      tensor().end = numbers_[1];
    }
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    message_ = cat("the header is not valid JSON at byte ", at);
    return false;
  }

  SafetensorsHeader& header() { return header_; }
  Error error() const { return {code_, message_}; }

 private:
  enum class Place { kBefore, kTop, kMetadata, kTensor, kShape, kOffsets, kAfter };
  static constexpr std::array<std::string_view, 3> kFields{"dtype", "shape", "data_offsets"};

  PendingTensor& tensor() { return header_.tensors.back(); }
  bool refuse(std::string_view problem) { return refuse(problem, name_); }
  bool refuse(std::string_view problem, std::string_view where) {
    message_ = cat("the header's entry \"", printable(where), "\" ", problem);
    return false;
  }
  bool misplaced(std::string_view what) {
    if (place_ == Place::kBefore) {
      message_ = "the header is not a JSON object";
      return false;
    }
    return refuse(cat("holds ", what, " where it may not"));
  }

  Place place_ = Place::kBefore;
  bool in_metadata_ = false;
  bool had_metadata_ = false;
  std::string name_;  // of the entry
  std::string field_; // of the entry's object
  std::array<bool, kFields.size()> seen_{};
  std::vector<std::uint64_t> numbers_;
  SafetensorsHeader header_;
  ErrorCode code_ = ErrorCode::kCorrupt;
  std::string message_ = "the header is not valid JSON";
};

Result<void> refuse_equal_keys(const SafetensorsMetadata& metadata) {
  std::vector<std::string_view> keys;
  keys.reserve(metadata.size());
  for (const auto& [key, value] : metadata) keys.emplace_back(key);
  std::ranges::sort(keys);
  const auto twin = std::ranges::adjacent_find(keys);
  if (twin == keys.end()) return {};
  return Error{ErrorCode::kCorrupt, cat("__metadata__ holds \"", printable(*twin), "\" twice")};
}

} // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::string_view text) {
  HeaderHandler handler;
  if (!nlohmann::json::sax_parse(text, &handler)) return handler.error();
  COPPICE_TRY(refuse_equal_keys(handler.header().metadata));
  return std::move(handler.header());
}

} // namespace coppice
