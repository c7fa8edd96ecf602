// SPDX-License-Identifier: Apache-2.0
// A model's file with its matrices stored in another type: `coppice model quantize`.
//
// Works on the file alone: any architecture, as long as its tensors have one or two dimensions and
// types that can be read.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "formats/gguf_reader.h"

namespace coppice {

// A type to store matrices in; NF4 has no id of its own and is I8, as in WeightRows. kUnsupported
// names the ones that can be made.
Result<BlockType> parse_storage(std::string_view name);
std::string_view storage_text(BlockType type); // "Q4_K", "NF4"

// The type for rows of `columns` weights where `wanted` is asked for: itself if they are whole
// blocks of it, else what llama.cpp puts in its place: Q4_K Q5_0, Q5_K Q5_1, Q6_K Q8_0, TQ1_0 and
// TQ2_0 Q4_0, the other types of 256, and NF4, IQ4_NL; and F16 where that doesn't fit either.
BlockType storage_for(BlockType wanted, std::uint64_t columns);

// By matrix ("blk.0.attn_q.weight"), for each column how much its squared error counts: the mean
// square of what the matrix is multiplied with, as a rule. A matrix that isn't listed counts all
// columns alike.
using ColumnImportance = std::unordered_map<std::string, std::vector<float>>;

struct QuantizeOptions {
  BlockType type = BlockType::kQ8_0;
  unsigned threads = 1; // the bytes don't depend on it
  const ColumnImportance* importance = nullptr;
  // Called after each tensor with the weights done so far.
  std::function<void(std::uint64_t done)> progress = {};
};

struct QuantizedTensor {
  std::string name;
  std::string_view from; // storage_name()
  BlockType to = BlockType::kF32;
  std::uint64_t weights = 0;
  std::uint64_t columns = 0;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes = 0;
  double square_error = 0.0; // summed over the weights, against what `from` says they are
  double square = 0.0;       // of the weights themselves
};

// Writes `out`, the old file or the whole new one, one tensor in memory at a time. Matrices are
// stored as storage_for(options.type), all else as F32; metadata is copied, but for
// general.file_type, general.quantization_version and coppice.nf4.*, which tell of the new file.
// Answers with the tensors in the order of the file. kInvalidArgument: `out` is the file itself, or
// importance of another number of columns; kUnsupported: a tensor that can't be read, or a weight
// that is not finite or too large for the type's float16 scales.
Result<std::vector<QuantizedTensor>> quantize_model(const GgufFile& file, const fs::path& out,
                                                    const QuantizeOptions& options);

} // namespace coppice
