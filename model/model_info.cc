// SPDX-License-Identifier: Apache-2.0
#include "model/model_info.h"

#include <algorithm>

#include "base/text.h"
#include "model/weight_rows.h"

namespace coppice {
namespace {

// A companion is counted with its matrix.
std::string_view storage_of(const GgufFile& file, const GgufTensor& tensor) {
  const std::string matrix = matrix_of_companion(file, tensor.name);
  return storage_name(file, matrix.empty() ? tensor : *file.find_tensor(matrix).value());
}

std::vector<StorageShare> shares_of(const GgufFile& file, bool matrices_only) {
  std::vector<StorageShare> shares;
  for (const GgufTensor& tensor : file.tensors()) {
    if (matrices_only && tensor.dims.size() < 2) continue;
    const std::string_view type = storage_of(file, tensor);
    auto share = std::ranges::find(shares, type, &StorageShare::type);
    if (share == shares.end()) share = shares.insert(share, {.type = type});
    if (matrix_of_companion(file, tensor.name).empty()) share->tensors += 1;
    share->elements += weight_count(file, tensor);
    share->bytes += tensor.data.size();
  }
  std::ranges::stable_sort(shares, std::ranges::greater(), &StorageShare::elements);
  return shares;
}

} // namespace

std::vector<StorageShare> storage_shares(const GgufFile& file) { return shares_of(file, false); }

std::string quantization_summary(const GgufFile& file) {
  std::vector<std::string> names;
  for (const StorageShare& share : shares_of(file, true)) {
    names.emplace_back(share.type);
  }
  return join(names, " + ");
}

std::uint64_t tensor_bytes(const GgufFile& file) {
  std::uint64_t bytes = 0;
  for (const StorageShare& share : storage_shares(file)) bytes += share.bytes;
  return bytes;
}

double bits_per_weight(const GgufFile& file) {
  std::uint64_t elements = 0;
  for (const StorageShare& share : storage_shares(file)) elements += share.elements;
  return elements == 0
             ? 0.0
             : 8.0 * static_cast<double>(tensor_bytes(file)) / static_cast<double>(elements);
}

} // namespace coppice
