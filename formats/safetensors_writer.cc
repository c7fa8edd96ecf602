// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors_writer.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "formats/printable.h"
#include "formats/safetensors_header.h"

namespace coppice {
namespace {

// As JSON text. The only failure is a byte sequence that isn't UTF-8.
Result<std::string> quote(std::string_view text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("\"", printable(text), "\" is not UTF-8, as safetensors headers must be")};
  }
}

Error twice(std::string_view name) {
  return {ErrorCode::kAlreadyExists, cat("\"", printable(name), "\" was added before")};
}

} // namespace

Result<void> SafetensorsWriter::add_metadata(std::string_view key, std::string_view value) {
  COPPICE_TRY(quote(key));
  COPPICE_TRY(quote(value));
  if (!metadata_keys_.emplace(key).second) return twice(key);
  metadata_.emplace_back(key, value);
  return {};
}

Result<void> SafetensorsWriter::add_tensor(std::string_view name, Dtype dtype,
                                           std::span<const std::uint64_t> shape, ByteSpan data) {
  COPPICE_TRY(quote(name));
  const auto fail = [name](const auto&... words) {
    return Error{ErrorCode::kInvalidArgument, cat("tensor \"", printable(name), "\" ", words...)};
  };
  if (name == "__metadata__") return fail("can't have the name of the metadata");
  if (shape.size() > kSafetensorsMaxDims)
    return fail("has over ", kSafetensorsMaxDims, " dimensions");
  const auto bytes = tensor_bytes(dtype, shape);
  if (!bytes) return fail(bytes.error().message);
  if (*bytes != data.size()) {
    return fail("needs ", *bytes, " bytes by its shape, and ", data.size(), " were given");
  }
  if (!names_.emplace(name).second) return twice(name);
  tensors_.push_back({std::string(name), dtype, {shape.begin(), shape.end()}, data});
  return {};
}

Result<Bytes> SafetensorsWriter::head() const {
  std::string text = "{";
  if (!metadata_.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata_) {
      text += cat(COPPICE_TRY(quote(key)), ":", COPPICE_TRY(quote(value)), ",");
    }
    text.back() = '}';
    text += ',';
  }
  std::uint64_t offset = 0;
  for (const SafeTensor& tensor : tensors_) {
    std::vector<std::string> dims;
    for (const std::uint64_t dim : tensor.shape) dims.push_back(std::to_string(dim));
    const std::uint64_t end = offset + tensor.data.size();
    text += cat(COPPICE_TRY(quote(tensor.name)), ":{\"dtype\":\"", dtype_name(tensor.dtype),
                "\",\"shape\":[", join(dims, ","), "],\"data_offsets\":[", offset, ",", end, "]},");
    offset = end;
  }
  if (text.size() > 1) text.pop_back(); // the last comma
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  ByteWriter out;
  out.put(std::uint64_t{text.size()});
  out.put_raw(as_bytes(text));
  return std::move(out).take();
}

Result<void> SafetensorsWriter::write_file(const fs::path& path) const {
  const Bytes beginning = COPPICE_TRY(head());
  std::vector<ByteSpan> parts{beginning};
  for (const SafeTensor& tensor : tensors_) parts.push_back(tensor.data);
  return write_file_atomically(path, parts);
}

Result<Bytes> SafetensorsWriter::to_bytes() const {
  Bytes bytes = COPPICE_TRY(head());
  for (const SafeTensor& tensor : tensors_) {
    bytes.insert(bytes.end(), tensor.data.begin(), tensor.data.end());
  }
  return bytes;
}

} // namespace coppice
