// SPDX-License-Identifier: Apache-2.0
#include "model/weight_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";
constexpr std::string_view kScaleSuffix = ".scale";

Error corrupt(const GgufFile& file, std::string_view name, std::string_view what) {
  return {ErrorCode::kCorrupt, cat(file.name(), ": ", name, " ", what, "; get the file again")};
}

// Whether the file's tables and blocks are the ones that nf4.h computes with.
Result<void> check_nf4_keys(const GgufFile& file) {
  const std::uint64_t block = COPPICE_TRY(file.get_uint(kNf4BlockKey));
  const std::uint64_t nested = COPPICE_TRY(file.get_uint(kNf4NestedBlockKey));
  const std::vector<float> levels = COPPICE_TRY(file.get_floats(kNf4LevelsKey));
  const std::vector<float> magnitudes = COPPICE_TRY(file.get_floats(kNf4MagnitudesKey));
  if (block != kNf4Block || nested != kNf4NestedBlock ||
      !std::ranges::equal(levels, nf4_levels()) ||
      !std::ranges::equal(magnitudes, nf4_magnitude_levels())) {
    return Error{ErrorCode::kUnsupported,
                 cat(file.name(), ": NF4 with other tables than those of blocks of ", kNf4Block,
                     " and ", kNf4NestedBlock, " is not read here; quantize the model again")};
  }
  return {};
}

// What the tensor beside the matrix says that its weights are multiplied by; 1 without one.
Result<float> read_scale(const GgufFile& file, std::string_view matrix) {
  if (!matrix.ends_with(kWeightSuffix)) return 1.0F;
  const std::string name =
      cat(matrix.substr(0, matrix.size() - kWeightSuffix.size()), kScaleSuffix);
  if (!file.has_tensor(name)) return 1.0F;
  const GgufTensor& tensor = *COPPICE_TRY(file.find_tensor(name));
  if (tensor.type != BlockType::kF32 || tensor.elements() != 1) {
    return corrupt(file, name, "is not one F32 number");
  }
  float scale;
  std::memcpy(&scale, tensor.data.data(), sizeof scale);
  if (!std::isfinite(scale)) return corrupt(file, name, "is no finite number");
  return scale;
}

} // namespace

std::string matrix_of_companion(const GgufFile& file, std::string_view name) {
  const auto without = [name](std::string_view suffix) {
    return std::string(name.substr(0, name.size() - suffix.size()));
  };
  std::string matrix;
  if (name.ends_with(kNf4CodesSuffix)) matrix = without(kNf4CodesSuffix);
  if (name.ends_with(kNf4ScalesSuffix)) matrix = without(kNf4ScalesSuffix);
  if (name.ends_with(kScaleSuffix)) matrix = without(kScaleSuffix) + std::string(kWeightSuffix);
  const auto found = file.find_tensor(matrix);
  return found.ok() && (*found)->dims.size() == 2 ? matrix : std::string();
}

bool is_nf4(const GgufFile& file, const GgufTensor& tensor) {
  return tensor.type == BlockType::kI8 && file.has_tensor(cat(tensor.name, kNf4CodesSuffix));
}

std::vector<std::uint64_t> weight_dims(const GgufFile& file, const GgufTensor& tensor) {
  std::vector<std::uint64_t> dims = tensor.dims;
  if (is_nf4(file, tensor)) dims[0] *= 2;
  return dims;
}

std::uint64_t weight_count(const GgufFile& file, const GgufTensor& tensor) {
  if (!matrix_of_companion(file, tensor.name).empty()) return 0;
  return is_nf4(file, tensor) ? tensor.elements() * 2 : tensor.elements();
}

std::string_view storage_name(const GgufFile& file, const GgufTensor& tensor) {
  return is_nf4(file, tensor) ? "NF4" : block_type_name(tensor.type);
}

Result<WeightRows> WeightRows::open(const GgufFile& file, std::string_view name) {
  const GgufTensor& tensor = *COPPICE_TRY(file.find_tensor(name));
  if (tensor.dims.size() > 2) {
    return Error{ErrorCode::kUnsupported, cat(file.name(), ": ", name, " has ", tensor.dims.size(),
                                              " dimensions, and only matrices are computed with")};
  }
  WeightRows rows = COPPICE_TRY(coppice::is_nf4(file, tensor) ? open_nf4(file, tensor)
                                                              : open_blocks(file, tensor));
  if (tensor.dims.size() == 2) rows.scale_ = COPPICE_TRY(read_scale(file, name));
  return rows;
}

Result<WeightRows> WeightRows::open_blocks(const GgufFile& file, const GgufTensor& tensor) {
  if (!can_dequantize(tensor.type)) {
    return Error{ErrorCode::kUnsupported,
                 cat(file.name(), ": ", tensor.name, " is stored as ", tensor.type,
                     ", which is not read here; ", readable_types(), " and NF4 are")};
  }
  WeightRows rows;
  rows.data_ = tensor.data.data();
  rows.columns_ = tensor.dims[0];
  rows.rows_ = tensor.dims.size() == 2 ? tensor.dims[1] : 1;
  rows.step_ = block_type_info(tensor.type).block_elements;
  rows.row_bytes_ = coppice::row_bytes(tensor.type, rows.columns_);
  rows.type_ = tensor.type;
  rows.dequantize_ = dequantizer(tensor.type);
  return rows;
}

Result<WeightRows> WeightRows::open_nf4(const GgufFile& file, const GgufTensor& tensor) {
  COPPICE_TRY(check_nf4_keys(file));
  WeightRows rows;
  rows.data_ = tensor.data.data();
  rows.row_bytes_ = tensor.dims[0];
  rows.columns_ = tensor.dims[0] * 2;
  rows.rows_ = tensor.dims.size() == 2 ? tensor.dims[1] : 1;
  rows.step_ = kNf4Block;
  rows.type_ = BlockType::kI8;
  if (rows.columns_ % kNf4Block != 0) {
    return corrupt(file, tensor.name,
                   cat("has rows of ", rows.columns_, " weights, no whole number of NF4's blocks"));
  }
  const std::size_t blocks = tensor.data.size() * 2 / kNf4Block;
  const std::size_t nested = (blocks + kNf4NestedBlock - 1) / kNf4NestedBlock;
  const std::string codes_name = cat(tensor.name, kNf4CodesSuffix);
  const std::string scales_name = cat(tensor.name, kNf4ScalesSuffix);
  const GgufTensor& codes = *COPPICE_TRY(file.find_tensor(codes_name));
  const GgufTensor& scales = *COPPICE_TRY(file.find_tensor(scales_name));
  if (codes.type != BlockType::kI8 || codes.elements() != blocks) {
    return corrupt(file, codes_name,
                   cat("is not the ", blocks, " int8 that ", tensor.name, " needs"));
  }
  if (scales.type != BlockType::kF32 || scales.elements() != nested + 1) {
    return corrupt(file, scales_name,
                   cat("is not the ", nested + 1, " floats that ", tensor.name, " needs"));
  }
  // Tensors begin at multiples of the file's alignment, 8 bytes at least.
  const auto* const floats = reinterpret_cast<const float*>(scales.data.data());
  rows.magnitudes_ = {.offset = floats[0], .scales = {floats + 1, nested}, .codes = codes.data};
  return rows;
}

std::size_t WeightRows::bytes() const {
  return rows_ * row_bytes_ + magnitudes_.codes.size() +
         (is_nf4() ? (magnitudes_.scales.size() + 1) * sizeof(float) : 0);
}

void WeightRows::dequantize(std::size_t row, std::size_t column, std::span<float> out) const {
  COPPICE_CHECK(row < rows_ && column % step_ == 0 && out.size() % step_ == 0 &&
                column + out.size() <= columns_);
  const std::uint8_t* const from = this->row(row) + column * row_bytes_ / columns_;
  if (is_nf4()) {
    dequantize_nf4({from, out.size() / 2}, magnitudes_, (row * columns_ + column) / kNf4Block, out);
  } else {
    dequantize_(from, out.size(), out.data());
  }
  if (scale_ == 1.0F) return;
  for (float& weight : out) weight *= scale_;
}

} // namespace coppice
