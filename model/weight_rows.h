// SPDX-License-Identifier: Apache-2.0
// A weight matrix as the file holds it, whatever the type: shape, bytes of a row, and rows as
// float32 on demand. Hides that an NF4 matrix takes three tensors, and that a ternary matrix of
// llama.cpp's BitNet files has its magnitude in a tensor of its own (NAME.scale beside
// NAME.weight).
//
// A view into the mapped file, as long-lived as the file; cheap to copy; thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "formats/gguf_reader.h"
#include "model/nf4.h"
#include "model/quantized_blocks.h"

namespace coppice {

// Tensors that belong to an NF4 matrix, and what they are named after it.
inline constexpr std::string_view kNf4CodesSuffix = ".nf4_absmax";
inline constexpr std::string_view kNf4ScalesSuffix = ".nf4_scales";
// The name of the matrix in `file` that the tensor `name` belongs to, being no weight of its own:
// one of the two above, or a ".scale". Empty for all others.
std::string matrix_of_companion(const GgufFile& file, std::string_view name);
// Whether the tensor is the matrix of the three.
bool is_nf4(const GgufFile& file, const GgufTensor& tensor);
// Shape in weights: the tensor's own, but for NF4, where a stored byte is two.
std::vector<std::uint64_t> weight_dims(const GgufFile& file, const GgufTensor& tensor);
// Their product; 0 for a companion.
std::uint64_t weight_count(const GgufFile& file, const GgufTensor& tensor);
// "Q4_0", "NF4": how the tensor is stored.
std::string_view storage_name(const GgufFile& file, const GgufTensor& tensor);

class WeightRows {
 public:
  WeightRows() = default; // no rows
  // The tensor `name`, of one dimension (then it is one row) or two. kNotFound; kUnsupported for a
  // type that can't be read, more dimensions, or NF4 with other tables or blocks than ours;
  // kCorrupt for an NF4 matrix whose companions are missing or of another shape, and for a ".scale"
  // that is no finite F32 number.
  static Result<WeightRows> open(const GgufFile& file, std::string_view name);

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  bool is_nf4() const { return type_ == BlockType::kI8; }
  BlockType type() const { return type_; }          // kI8 if NF4
  std::size_t column_step() const { return step_; } // the weights of a block
  std::size_t row_bytes() const { return row_bytes_; }
  const std::uint8_t* row(std::size_t index) const { return data_ + index * row_bytes_; }
  // What every weight of the blocks is multiplied by; dequantize() has done it.
  float scale() const { return scale_; }
  // Of an NF4 matrix: block b of row r has the magnitude magnitudes().at(r columns / 64 + b).
  const Nf4Magnitudes& magnitudes() const { return magnitudes_; }
  // Bytes in the file, companions included.
  std::size_t bytes() const;

  // out.size() weights of a row from `column` on; both multiples of column_step(), within the row.
  void dequantize(std::size_t row, std::size_t column, std::span<float> out) const;
  // The whole row: out.size() == columns().
  void dequantize(std::size_t row, std::span<float> out) const { dequantize(row, 0, out); }

 private:
  static Result<WeightRows> open_blocks(const GgufFile& file, const GgufTensor& tensor);
  static Result<WeightRows> open_nf4(const GgufFile& file, const GgufTensor& tensor);

  const std::uint8_t* data_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::size_t step_ = 1;
  std::size_t row_bytes_ = 0;
  BlockType type_ = BlockType::kF32;
  float scale_ = 1.0F;
  DequantizeRow* dequantize_ = nullptr; // not for NF4
  Nf4Magnitudes magnitudes_;
};

// What a file with NF4 matrices says of them in its metadata.
inline constexpr std::string_view kNf4BlockKey = "coppice.nf4.block";              // u32, 64
inline constexpr std::string_view kNf4NestedBlockKey = "coppice.nf4.nested_block"; // u32, 256
inline constexpr std::string_view kNf4LevelsKey = "coppice.nf4.levels";            // f32 x 16
inline constexpr std::string_view kNf4MagnitudesKey = "coppice.nf4.absmax_levels"; // f32 x 256

} // namespace coppice
