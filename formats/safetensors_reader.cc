// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors_reader.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <numeric>

#include "base/text.h"
#include "formats/printable.h"
#include "formats/safetensors_header.h"

namespace coppice {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000; // as in the reference

struct DtypeInfo {
  Dtype dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array kDtypes{
    DtypeInfo{Dtype::kBool, "BOOL", 1},      DtypeInfo{Dtype::kU8, "U8", 1},
    DtypeInfo{Dtype::kI8, "I8", 1},          DtypeInfo{Dtype::kF8E5M2, "F8_E5M2", 1},
    DtypeInfo{Dtype::kF8E4M3, "F8_E4M3", 1}, DtypeInfo{Dtype::kU16, "U16", 2},
    DtypeInfo{Dtype::kI16, "I16", 2},        DtypeInfo{Dtype::kF16, "F16", 2},
    DtypeInfo{Dtype::kBF16, "BF16", 2},      DtypeInfo{Dtype::kU32, "U32", 4},
    DtypeInfo{Dtype::kI32, "I32", 4},        DtypeInfo{Dtype::kF32, "F32", 4},
    DtypeInfo{Dtype::kU64, "U64", 8},        DtypeInfo{Dtype::kI64, "I64", 8},
    DtypeInfo{Dtype::kF64, "F64", 8},
};

const DtypeInfo& info_of(Dtype dtype) { return kDtypes.at(static_cast<std::size_t>(dtype)); }

} // namespace

std::string_view dtype_name(Dtype dtype) { return info_of(dtype).name; }
std::size_t dtype_size(Dtype dtype) { return info_of(dtype).size; }

std::optional<Dtype> dtype_from_name(std::string_view name) {
  const auto* const found = std::ranges::find(kDtypes, name, &DtypeInfo::name);
  if (found == kDtypes.end()) return std::nullopt;
  return found->dtype;
}

Result<std::uint64_t> tensor_bytes(Dtype dtype, std::span<const std::uint64_t> shape) {
  std::uint64_t bytes = dtype_size(dtype);
  if (std::ranges::find(shape, 0U) != shape.end()) return std::uint64_t{0};
  for (const std::uint64_t dim : shape) {
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / dim) {
      return Error{ErrorCode::kCorrupt, "has more bytes than any file can hold"};
    }
    bytes *= dim;
  }
  return bytes;
}

std::uint64_t SafeTensor::elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
}

// Fills a SafetensorsFile from a parsed header: places the tensors, checks names and coverage.
class SafetensorsParser {
 public:
  SafetensorsParser(SafetensorsFile& file, ByteSpan bytes) : file_(file), bytes_(bytes) {}

  Result<void> run() {
    ByteReader reader(bytes_);
    const auto length = COPPICE_TRY(reader.take<std::uint64_t>("the length of the header"));
    if (length > kMaxHeaderBytes) {
      return Error{ErrorCode::kTooLarge,
                   cat("claims a header of ", length, " bytes, at most ", kMaxHeaderBytes,
                       " are read; it may be another format")};
    }
    const ByteSpan header = COPPICE_TRY(reader.take_raw(length, "the header"));
    SafetensorsHeader parsed = COPPICE_TRY(parse_safetensors_header(as_text(header)));
    COPPICE_TRY(place(parsed.tensors, bytes_.subspan(reader.position())));
    file_.metadata_ = std::move(parsed.metadata);
    return {};
  }

 private:
  Result<void> place(std::deque<PendingTensor>& pending, ByteSpan data) {
    std::vector<std::uint32_t> order(pending.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(
        order, {}, [&](std::uint32_t i) { return std::pair(pending[i].begin, pending[i].end); });
    std::uint64_t at = 0;
    file_.tensors_.reserve(pending.size());
    for (const std::uint32_t i : order) {
      PendingTensor& next = pending[i];
      COPPICE_TRY(check_extent(next, at, data.size()));
      next.tensor.data = data.subspan(next.begin, next.end - next.begin);
      at = next.end;
      file_.tensors_.push_back(std::move(next.tensor));
    }
    if (at != data.size()) {
      return Error{ErrorCode::kCorrupt,
                   cat("has ", data.size() - at, " bytes that belong to no tensor")};
    }
    return index_names(std::move(order));
  }

  static Result<void> check_extent(const PendingTensor& next, std::uint64_t at,
                                   std::uint64_t size) {
    const auto fail = [&next](const auto&... words) {
      return Error{ErrorCode::kCorrupt,
                   cat("tensor \"", printable(next.tensor.name), "\" ", words...)};
    };
    if (next.begin > next.end || next.end > size) {
      return fail("has the offsets ", next.begin, " and ", next.end, ", and the data have ", size,
                  " bytes");
    }
    if (next.begin != at) {
      return fail("begins at ", next.begin, ", and the one before ends at ", at,
                  ": there must be neither gap nor overlap");
    }
    const auto bytes = tensor_bytes(next.tensor.dtype, next.tensor.shape);
    if (!bytes) return fail(bytes.error().message);
    if (*bytes == next.end - next.begin) return {};
    return fail("needs ", *bytes, " bytes by its shape, and has ", next.end - next.begin);
  }

  Result<void> index_names(std::vector<std::uint32_t> indices) {
    std::iota(indices.begin(), indices.end(), 0U);
    const auto name_of = [this](std::uint32_t i) -> const std::string& {
      return file_.tensors_[i].name;
    };
    std::ranges::sort(indices, {}, name_of);
    const auto twin = std::ranges::adjacent_find(indices, {}, name_of);
    if (twin != indices.end()) {
      return Error{ErrorCode::kCorrupt,
                   cat("holds two tensors named \"", printable(name_of(*twin)), "\"")};
    }
    file_.by_name_ = std::move(indices);
    return {};
  }

  SafetensorsFile& file_;
  ByteSpan bytes_;
};

Result<SafetensorsFile> SafetensorsFile::open(const fs::path& path) {
  auto map = COPPICE_TRY(MappedFile::open(path));
  SafetensorsFile file = COPPICE_TRY(parse(map->bytes(), path.string()));
  file.map_ = std::move(map);
  return file;
}

Result<SafetensorsFile> SafetensorsFile::parse(ByteSpan bytes, std::string_view name) {
  SafetensorsFile file;
  file.name_ = name;
  auto parsed = SafetensorsParser(file, bytes).run();
  if (parsed) return file;
  Error error = std::move(parsed).error().with_context(name);
  if (error.code == ErrorCode::kCorrupt) {
    error.message += "; the file is damaged or was cut short: download or export it again";
  }
  return error;
}

bool SafetensorsFile::has_tensor(std::string_view name) const {
  return std::ranges::binary_search(
      by_name_, name, {}, [this](std::uint32_t i) { return std::string_view(tensors_[i].name); });
}

Result<const SafeTensor*> SafetensorsFile::find_tensor(std::string_view name) const {
  const auto found = std::ranges::lower_bound(
      by_name_, name, {}, [this](std::uint32_t i) { return std::string_view(tensors_[i].name); });
  if (found != by_name_.end() && tensors_[*found].name == name) return &tensors_[*found];
  return Error{ErrorCode::kNotFound, cat(name_, ": holds no tensor \"", printable(name), "\"")};
}

} // namespace coppice
