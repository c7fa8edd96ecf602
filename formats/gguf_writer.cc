// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_writer.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/atomic_file.h"
#include "base/text.h"
#include "formats/gguf_parser.h"
#include "formats/printable.h"

namespace coppice {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::string_view kAlignmentKey = "general.alignment";

void put_string(ByteWriter& out, std::string_view text) {
  out.put(std::uint64_t{text.size()});
  out.put_raw(as_bytes(text));
}

void put_type(ByteWriter& out, GgufType type) { out.put(static_cast<std::uint32_t>(type)); }

template <typename T>
constexpr GgufType type_of() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return GgufType::kU8;
  if constexpr (std::is_same_v<T, std::int8_t>) return GgufType::kI8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return GgufType::kU16;
  if constexpr (std::is_same_v<T, std::int16_t>) return GgufType::kI16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return GgufType::kU32;
  if constexpr (std::is_same_v<T, std::int32_t>) return GgufType::kI32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return GgufType::kU64;
  if constexpr (std::is_same_v<T, std::int64_t>) return GgufType::kI64;
  if constexpr (std::is_same_v<T, float>) return GgufType::kF32;
  if constexpr (std::is_same_v<T, double>) return GgufType::kF64;
  if constexpr (std::is_same_v<T, bool>) return GgufType::kBool;
  if constexpr (std::is_same_v<T, std::string>) return GgufType::kString;
}

struct PutValue {
  ByteWriter& out;

  template <typename T>
  void operator()(const T& value) {
    put_type(out, type_of<T>());
    put_item(value);
  }
  template <typename T>
  void operator()(const std::vector<T>& items) {
    put_type(out, GgufType::kArray);
    put_type(out, type_of<T>());
    out.put(std::uint64_t{items.size()});
    for (const T& item : items) put_item(item);
  }
  void put_item(const std::string& text) { put_string(out, text); }
  template <typename T>
  void put_item(T value) {
    out.put(value);
  }
};

bool equals(const GgufMetadata& value, std::uint64_t number) {
  return std::visit(
      [number](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_integral_v<Held> && !std::is_same_v<Held, bool>) {
          return std::cmp_equal(held, number);
        } else {
          return false;
        }
      },
      value);
}

std::uint64_t padding_after(std::uint64_t size, std::uint64_t alignment) {
  return (alignment - size % alignment) % alignment;
}

} // namespace

Result<GgufWriter> GgufWriter::create(std::uint64_t alignment) {
  if (gguf_alignment_is_valid(alignment)) return GgufWriter(alignment);
  return Error{ErrorCode::kInvalidArgument,
               cat("an alignment of ", alignment, " is no power of two from 8 to 1,048,576")};
}

Result<void> GgufWriter::begin_entry(std::string_view key) {
  if (key.empty() || key.size() > kGgufMaxKeyBytes) {
    return Error{
        ErrorCode::kInvalidArgument,
        cat("a metadata key has ", key.size(), " bytes, 1 to ", kGgufMaxKeyBytes, " are possible")};
  }
  if (!keys_.emplace(key).second) {
    return Error{ErrorCode::kAlreadyExists,
                 cat("metadata \"", printable(key), "\" was added before")};
  }
  put_string(metadata_, key);
  return {};
}

Result<void> GgufWriter::add_metadata(std::string_view key, const GgufMetadata& value) {
  if (key == kAlignmentKey && !equals(value, alignment_)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(kAlignmentKey, " differs from the alignment ", alignment_, " of this writer")};
  }
  COPPICE_TRY(begin_entry(key));
  std::visit(PutValue{metadata_}, value);
  return {};
}

Result<void> GgufWriter::add_metadata(std::string_view key, const GgufValue& value) {
  if (key == kAlignmentKey) {
    std::uint64_t stored = 0;
    std::memcpy(&stored, value.encoded.data(), std::min(sizeof stored, value.encoded.size()));
    if (stored != alignment_) {
      return Error{ErrorCode::kInvalidArgument, cat(kAlignmentKey, " differs from the alignment ",
                                                    alignment_, " of this writer")};
    }
  }
  COPPICE_TRY(begin_entry(key));
  put_type(metadata_, value.type);
  if (value.type == GgufType::kString) {
    put_string(metadata_, as_text(value.encoded));
    return {};
  }
  if (value.type == GgufType::kArray) {
    put_type(metadata_, value.item_type);
    metadata_.put(value.count);
  }
  metadata_.put_raw(value.encoded);
  return {};
}

Result<void> GgufWriter::add_tensor(std::string_view name, std::span<const std::uint64_t> dims,
                                    BlockType type, ByteSpan data) {
  return add({std::string(name), {dims.begin(), dims.end()}, type, data.size(), data, {}});
}

Result<void> GgufWriter::add_tensor(std::string_view name, std::span<const std::uint64_t> dims,
                                    BlockType type, std::function<Result<Bytes>()> make) {
  const std::uint64_t size = encoded_size(type, dims) ? *encoded_size(type, dims) : 0;
  return add({std::string(name), {dims.begin(), dims.end()}, type, size, {}, std::move(make)});
}

Result<void> GgufWriter::add(Tensor tensor) {
  const std::string name = printable(tensor.name);
  if (tensor.name.empty() || tensor.name.size() > kGgufMaxNameBytes) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a tensor's name has ", tensor.name.size(), " bytes, 1 to ", kGgufMaxNameBytes,
                     " are possible")};
  }
  const auto size = encoded_size(tensor.type, tensor.dims);
  if (!size) {
    return Error{ErrorCode::kInvalidArgument, cat("tensor \"", name, "\" ", size.error().message)};
  }
  if (*size != tensor.size) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("tensor \"", name, "\" takes ", *size, " bytes as ", tensor.type, ", and ",
                     tensor.size, " were given")};
  }
  if (!names_.insert(tensor.name).second) {
    return Error{ErrorCode::kAlreadyExists, cat("tensor \"", name, "\" was added before")};
  }
  tensors_.push_back(std::move(tensor));
  return {};
}

Bytes GgufWriter::head() const {
  const bool name_alignment =
      alignment_ != kDefaultAlignment && !keys_.contains(std::string(kAlignmentKey));
  ByteWriter out;
  out.put_raw(as_bytes("GGUF"));
  out.put(kVersion);
  out.put(std::uint64_t{tensors_.size()});
  out.put(std::uint64_t{keys_.size() + (name_alignment ? 1 : 0)});
  out.put_raw(metadata_.bytes());
  if (name_alignment) {
    put_string(out, kAlignmentKey);
    PutValue{out}(static_cast<std::uint32_t>(alignment_));
  }
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    put_string(out, tensor.name);
    out.put(static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::uint64_t dim : tensor.dims) out.put(dim);
    out.put(static_cast<std::uint32_t>(tensor.type));
    out.put(offset);
    offset += tensor.size + padding_after(tensor.size, alignment_);
  }
  const Bytes zeros(tensors_.empty() ? 0 : padding_after(out.size(), alignment_));
  out.put_raw(zeros);
  return std::move(out).take();
}

Result<void> GgufWriter::write_file(const fs::path& path) const {
  AtomicFile file = COPPICE_TRY(AtomicFile::create(path));
  COPPICE_TRY(file.append(head()));
  const Bytes zeros(alignment_);
  for (const Tensor& tensor : tensors_) {
    if (tensor.make) {
      const Bytes made = COPPICE_TRY(tensor.make());
      if (made.size() != tensor.size) {
        return Error{ErrorCode::kInternal,
                     cat("tensor \"", printable(tensor.name), "\" takes ", tensor.size,
                         " bytes, and ", made.size(), " were made")};
      }
      COPPICE_TRY(file.append(made));
    } else {
      COPPICE_TRY(file.append(tensor.data));
    }
    COPPICE_TRY(file.append(ByteSpan(zeros).first(padding_after(tensor.size, alignment_))));
  }
  return file.commit();
}

Bytes GgufWriter::to_bytes() const {
  Bytes bytes = head();
  for (const Tensor& tensor : tensors_) {
    COPPICE_CHECK(!tensor.make);
    bytes.insert(bytes.end(), tensor.data.begin(), tensor.data.end());
    bytes.resize(bytes.size() + padding_after(tensor.size, alignment_));
  }
  return bytes;
}

} // namespace coppice
