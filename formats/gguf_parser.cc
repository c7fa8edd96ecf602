// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_parser.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "base/text.h"
#include "formats/printable.h"

namespace coppice {
namespace {

constexpr std::uint32_t kMagic = 0x46554747; // "GGUF"
// The fewest bytes that an entry and a tensor's description can take: their names have a byte.
constexpr std::uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

} // namespace

bool gguf_alignment_is_valid(std::uint64_t alignment) {
  return std::has_single_bit(alignment) && alignment >= kGgufMinAlignment &&
         alignment <= kGgufMaxAlignment;
}

std::size_t gguf_scalar_size(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool: return 1;
    case GgufType::kU16:
    case GgufType::kI16: return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32: return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64: return 8;
    case GgufType::kString:
    case GgufType::kArray: break;
  }
  return 0;
}

Result<void> GgufParser::run() {
  COPPICE_TRY(read_magic_and_version());
  const auto tensors = COPPICE_TRY(reader_.take<std::uint64_t>("the number of tensors"));
  const auto entries = COPPICE_TRY(reader_.take<std::uint64_t>("the number of metadata entries"));
  COPPICE_TRY(read_metadata(entries));
  COPPICE_TRY(sort_keys());
  COPPICE_TRY(choose_alignment());
  COPPICE_TRY(read_tensors(tensors));
  COPPICE_TRY(place_tensors());
  return sort_names();
}

Result<void> GgufParser::read_magic_and_version() {
  const auto magic = COPPICE_TRY(reader_.take<std::uint32_t>("the magic number"));
  const auto version = COPPICE_TRY(reader_.take<std::uint32_t>("the version"));
  const Error big_endian{
      ErrorCode::kUnsupported,
      "is a big-endian GGUF file, and only little-endian ones are read; convert the "
      "model again for a little-endian machine"};
  if (magic == 0x47475546) return big_endian;
  if (magic != kMagic) {
    return corrupt_data(
        "is not a GGUF file; give a model in that format, or convert it with llama.cpp's "
        "converter");
  }
  if (version == 1) {
    return Error{
        ErrorCode::kUnsupported,
        "is a GGUF file of version 1, and versions 2 and 3 are read; convert it to version 3 "
        "(by converting the original model again, or with llama.cpp's tools)"};
  }
  if (version != 0 && (version & 0xFFFFU) == 0) return big_endian;
  if (version != 2 && version != 3) {
    return Error{ErrorCode::kUnsupported,
                 cat("is a GGUF file of version ", version,
                     ", and versions 2 and 3 are read; convert it to version 3")};
  }
  file_.version_ = version;
  return {};
}

Result<std::string_view> GgufParser::take_string(std::uint64_t limit, const char* field) {
  const auto length = COPPICE_TRY(reader_.take<std::uint64_t>(field));
  if (length > limit && length <= reader_.left()) {
    return Error{ErrorCode::kTooLarge,
                 cat(field, " has ", length, " bytes, at most ", limit, " are read")};
  }
  return as_text(COPPICE_TRY(reader_.take_raw(length, field)));
}

Result<GgufType> GgufParser::take_type(std::string_view key) {
  const auto number = COPPICE_TRY(reader_.take<std::uint32_t>("a metadata type"));
  if (number > static_cast<std::uint32_t>(GgufType::kF64)) {
    return corrupt_data(cat("metadata \"", printable(key), "\" has the unknown type ", number));
  }
  return static_cast<GgufType>(number);
}

Result<void> GgufParser::skip_array(std::string_view key) {
  const GgufType type = COPPICE_TRY(take_type(key));
  const auto count = COPPICE_TRY(reader_.take<std::uint64_t>("the length of a metadata array"));
  if (type == GgufType::kArray) {
    return Error{
        ErrorCode::kUnsupported,
        cat("metadata \"", printable(key), "\" is an array of arrays, which no known model uses")};
  }
  const std::uint64_t least = type == GgufType::kString ? 8 : gguf_scalar_size(type);
  if (count > reader_.left() / least) {
    return corrupt_data(cat("metadata \"", printable(key), "\" claims ", count, " items, and only ",
                            reader_.left(), " bytes are left"));
  }
  if (type != GgufType::kString) {
    const ByteSpan items = COPPICE_TRY(reader_.take_raw(count * least, "a metadata array"));
    if (type == GgufType::kBool && std::ranges::any_of(items, [](auto item) { return item > 1; })) {
      return corrupt_data(
          cat("metadata \"", printable(key), "\" holds a bool that is neither 0 nor 1"));
    }
    return {};
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    COPPICE_TRY(take_string(kGgufMaxStringBytes, "a string of a metadata array"));
  }
  return {};
}

Result<void> GgufParser::skip_value(std::string_view key) {
  const GgufType type = COPPICE_TRY(take_type(key));
  if (type == GgufType::kArray) return skip_array(key);
  if (type == GgufType::kString) {
    COPPICE_TRY(take_string(kGgufMaxStringBytes, "a metadata string"));
    return {};
  }
  const ByteSpan value = COPPICE_TRY(reader_.take_raw(gguf_scalar_size(type), "a metadata value"));
  if (type == GgufType::kBool && value[0] > 1) {
    return corrupt_data(cat("metadata \"", printable(key), "\" is a bool that is neither 0 nor 1"));
  }
  return {};
}

Result<void> GgufParser::read_metadata(std::uint64_t count) {
  if (count > reader_.left() / kMinEntryBytes) {
    return corrupt_data(
        cat("claims ", count, " metadata entries, and only ", reader_.left(), " bytes are left"));
  }
  file_.entries_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    file_.entries_.push_back(reader_.position());
    const std::string_view key = COPPICE_TRY(take_string(kGgufMaxKeyBytes, "a metadata key"));
    if (key.empty()) return corrupt_data(cat("metadata entry ", i, " has an empty key"));
    auto skipped = skip_value(key);
    if (!skipped) {
      return std::move(skipped).error().with_context(cat("metadata \"", printable(key), "\""));
    }
  }
  return {};
}

Result<void> GgufParser::sort_keys() {
  const auto key_at = [this](std::uint64_t offset) {
    const auto length = load_at<std::uint64_t>(file_.bytes_, offset);
    return as_text(file_.bytes_.subspan(offset + 8, length));
  };
  file_.entries_by_key_ = file_.entries_;
  std::ranges::sort(file_.entries_by_key_, {}, key_at);
  const auto twin = std::ranges::adjacent_find(file_.entries_by_key_, {}, key_at);
  if (twin == file_.entries_by_key_.end()) return {};
  return corrupt_data(cat("holds the metadata key \"", printable(key_at(*twin)), "\" twice"));
}

Result<void> GgufParser::choose_alignment() {
  file_.alignment_ = COPPICE_TRY(file_.get_uint_or("general.alignment", 32));
  if (gguf_alignment_is_valid(file_.alignment_)) return {};
  return corrupt_data(cat("has general.alignment ", file_.alignment_,
                          ", which is not a power of two from 8 to 1,048,576"));
}

Result<void> GgufParser::read_tensors(std::uint64_t count) {
  // Each tensor but the last takes `alignment` bytes of data or more besides its description.
  const std::uint64_t left = reader_.left();
  const std::uint64_t most =
      left < kMinTensorBytes + 1
          ? 0
          : 1 + (left - kMinTensorBytes - 1) / (kMinTensorBytes + file_.alignment_);
  if (count > most) {
    return corrupt_data(cat("claims ", count, " tensors, and only ", left, " bytes are left"));
  }
  file_.tensors_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) COPPICE_TRY(read_tensor());
  return {};
}

// Reads one description. Until place_tensors() knows where the data begin, `data` spans the right
// number of bytes at the right offset from the file's first byte instead.
Result<void> GgufParser::read_tensor() {
  GgufTensor tensor;
  tensor.name = COPPICE_TRY(take_string(kGgufMaxNameBytes, "a tensor's name"));
  if (tensor.name.empty())
    return corrupt_data(cat("tensor ", file_.tensors_.size(), " has no name"));
  const auto fail = [&tensor](Error error) {
    error.message = cat("tensor \"", printable(tensor.name), "\" ", error.message);
    return error;
  };
  const auto rank = COPPICE_TRY(reader_.take<std::uint32_t>("a tensor's number of dimensions"));
  if (rank < 1 || rank > 4) {
    return fail(corrupt_data(cat("has ", rank, " dimensions, one to four are possible")));
  }
  tensor.dims.resize(rank);
  for (std::uint64_t& dim : tensor.dims) {
    dim = COPPICE_TRY(reader_.take<std::uint64_t>("a tensor's dimension"));
  }
  const auto type = block_type_from_id(COPPICE_TRY(reader_.take<std::uint32_t>("a tensor's type")));
  if (!type)
    return Error(type.error()).with_context(cat("tensor \"", printable(tensor.name), "\""));
  tensor.type = *type;
  const auto size = encoded_size(tensor.type, tensor.dims);
  if (!size) return fail(size.error());
  const auto offset = COPPICE_TRY(reader_.take<std::uint64_t>("a tensor's offset"));
  if (offset % file_.alignment_ != 0) {
    return fail(corrupt_data(cat("begins at offset ", offset,
                                 ", which is no multiple of the alignment ", file_.alignment_)));
  }
  if (offset > file_.bytes_.size() || *size > file_.bytes_.size() - offset) {
    return fail(
        corrupt_data(cat("needs ", *size, " bytes at offset ", offset,
                         " of the data, and the whole ", "file has ", file_.bytes_.size())));
  }
  tensor.data = file_.bytes_.subspan(offset, *size);
  file_.tensors_.push_back(std::move(tensor));
  return {};
}

Result<void> GgufParser::place_tensors() {
  if (file_.tensors_.empty()) return {};
  const ByteSpan bytes = file_.bytes_;
  const std::uint64_t mask = file_.alignment_ - 1;
  const std::uint64_t start = (reader_.position() + mask) & ~mask;
  for (GgufTensor& tensor : file_.tensors_) {
    const auto offset = static_cast<std::uint64_t>(tensor.data.data() - bytes.data());
    if (start > bytes.size() || offset + tensor.data.size() > bytes.size() - start) {
      return corrupt_data(cat("tensor \"", printable(tensor.name), "\" needs the bytes up to ",
                              start + offset + tensor.data.size(), ", and the file ends at ",
                              bytes.size()));
    }
    tensor.data = bytes.subspan(start + offset, tensor.data.size());
  }
  std::vector<std::uint32_t> order(file_.tensors_.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto begin_of = [this](std::uint32_t i) { return file_.tensors_[i].data.data(); };
  std::ranges::sort(order, {}, begin_of);
  for (std::size_t i = 1; i < order.size(); ++i) {
    const GgufTensor& before = file_.tensors_[order[i - 1]];
    const GgufTensor& after = file_.tensors_[order[i]];
    if (before.data.data() + before.data.size() > after.data.data()) {
      return corrupt_data(cat("tensors \"", printable(before.name), "\" and \"",
                              printable(after.name), "\" overlap"));
    }
  }
  return {};
}

Result<void> GgufParser::sort_names() {
  const auto name_of = [this](std::uint32_t i) -> const std::string& {
    return file_.tensors_[i].name;
  };
  file_.tensors_by_name_.resize(file_.tensors_.size());
  std::iota(file_.tensors_by_name_.begin(), file_.tensors_by_name_.end(), 0U);
  std::ranges::sort(file_.tensors_by_name_, {}, name_of);
  const auto twin = std::ranges::adjacent_find(file_.tensors_by_name_, {}, name_of);
  if (twin == file_.tensors_by_name_.end()) return {};
  return corrupt_data(cat("holds two tensors named \"", printable(name_of(*twin)), "\""));
}

} // namespace coppice
