// SPDX-License-Identifier: Apache-2.0
// The tensors of a Hugging Face model folder under GGUF's names and in its order of rows; private
// to the import.
#pragma once

#include <deque>
#include <span>
#include <unordered_map>

#include "formats/safetensors_reader.h"
#include "model/import_config.h"

namespace coppice {

// The safetensors files of a folder, mapped.
class ImportShards {
 public:
  // model.safetensors, or what model.safetensors.index.json lists. kCorrupt for an index that names
  // files outside the folder; kAlreadyExists for a tensor that two files have.
  static Result<ImportShards> open(const fs::path& folder);
  // In the order of the files and of their data.
  const std::vector<const SafeTensor*>& tensors() const { return tensors_; }
  const SafeTensor* find(std::string_view name) const; // nullptr if there is none

 private:
  Result<void> add(const fs::path& path);
  std::deque<SafetensorsFile> files_;
  std::vector<const SafeTensor*> tensors_;
  std::unordered_map<std::string_view, const SafeTensor*> by_name_;
};

// One tensor of the GGUF file to be.
struct ImportedTensor {
  std::string name;
  std::uint64_t rows = 1;
  std::uint64_t columns = 0;
  bool matrix = false;
  const SafeTensor* source = nullptr;
  std::uint32_t pair_heads = 0;      // of rows that come to lie in adjacent pairs; 0: as they are
  bool plus_one = false;             // added to every element
  bool ternary = false;              // stored as `ImportPlan::ternary` says
  const SafeTensor* scale = nullptr; // of packed ones

  // Row `row` as floats; `out` has `columns`. Exact but for packed ones, which are a product.
  void read_row(std::uint64_t row, TernaryStorage storage, float magnitude,
                std::span<float> out) const;
  // What read_row wants as `magnitude`: the one number of a ternary tensor, else 1.
  Result<float> magnitude(TernaryStorage storage) const;
};

// kUnsupported, by name, for tensors that the architecture hasn't, and for elements that are no
// floating-point numbers; kNotFound for an embedding that is missing.
Result<std::vector<ImportedTensor>> plan_tensors(const ImportShards& shards,
                                                 const ImportPlan& plan);

} // namespace coppice
