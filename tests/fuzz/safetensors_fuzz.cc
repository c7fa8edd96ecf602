// SPDX-License-Identifier: Apache-2.0
// Safetensors: whatever parses covers its data exactly, and is written back with the same tensors.
#include <algorithm>

#include "base/check.h"
#include "formats/safetensors_reader.h"
#include "formats/safetensors_writer.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

Bytes written_back(const SafetensorsFile& file) {
  SafetensorsWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.add_metadata(key, value).value();
  for (const SafeTensor& tensor : file.tensors()) {
    writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, tensor.data).value();
  }
  return writer.to_bytes().value();
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  static const Bytes data(24, 1);
  SafetensorsWriter writer;
  writer.add_metadata("format", "pt").value();
  writer.add_tensor("a.lora_A.weight", Dtype::kF32, std::array<std::uint64_t, 2>{2, 3}, data)
      .value();
  writer.add_tensor("b", Dtype::kBF16, std::array<std::uint64_t, 1>{12}, data).value();
  writer.add_tensor("none", Dtype::kU8, std::array<std::uint64_t, 2>{0, 5}, {}).value();
  writer.add_tensor("scalar", Dtype::kI64, {}, ByteSpan(data).first(8)).value();
  return {writer.to_bytes().value(), SafetensorsWriter().to_bytes().value()};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  std::optional<SafetensorsFile> file;
  {
    const AllocationLimit limit(AllocationLimit::twice(size));
    auto parsed = SafetensorsFile::parse(ByteSpan(data, size));
    if (!parsed) return 0;
    file = *std::move(parsed);
  }
  std::size_t covered = 0;
  for (const SafeTensor& tensor : file->tensors()) covered += tensor.data.size();
  COPPICE_CHECK(covered < size);
  const Bytes again = written_back(*file);
  const auto reread = SafetensorsFile::parse(again);
  COPPICE_CHECK(reread.ok() && reread->tensors().size() == file->tensors().size());
  for (std::size_t i = 0; i < file->tensors().size(); ++i) {
    COPPICE_CHECK(std::ranges::equal(reread->tensors()[i].data, file->tensors()[i].data));
  }
  return 0;
}
