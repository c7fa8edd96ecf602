// SPDX-License-Identifier: Apache-2.0
// GGUF: whatever parses can be walked whole, and every getter answers every key.
#include "base/check.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

void walk(const GgufFile& file) {
  for (std::size_t i = 0; i < file.metadata_count(); ++i) {
    const std::string_view key = file.metadata_at(i).key;
    COPPICE_CHECK(file.has(key));
    const int answers = int{file.get_uint(key).ok()} + int{file.get_int(key).ok()} +
                        int{file.get_float(key).ok()} + int{file.get_bool(key).ok()} +
                        int{file.get_string(key).ok()} + int{file.get_strings(key).ok()} +
                        int{file.get_floats(key).ok()} + int{file.get_ints(key).ok()};
    COPPICE_CHECK(answers <=
                  3); // an integer is one of three kinds of number, anything else is itself
  }
  std::uint64_t sum = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    COPPICE_CHECK(*file.find_tensor(tensor.name) == &tensor);
    COPPICE_CHECK(tensor.elements() > 0);
    sum += tensor.data.front() + std::uint64_t{tensor.data.back()};
  }
  COPPICE_CHECK(sum <= file.tensors().size() * 510);
}

Bytes small_model(std::uint64_t alignment, BlockType type) {
  static const Bytes data(encoded_size(type, std::array<std::uint64_t, 2>{256, 2}).value(), 1);
  static const Bytes norm(32, 2);
  GgufWriter writer = GgufWriter::create(alignment).value();
  writer.add_metadata("general.architecture", std::string("llama")).value();
  writer.add_metadata("llama.block_count", std::uint32_t{1}).value();
  writer.add_metadata("llama.rope.freq_base", 10000.0F).value();
  writer.add_metadata("tokenizer.ggml.add_bos_token", true).value();
  writer.add_metadata("tokenizer.ggml.tokens", std::vector<std::string>{"<s>", "", "a b"}).value();
  writer.add_metadata("tokenizer.ggml.scores", std::vector<float>{0.0F, -1.5F, 2.0F}).value();
  writer.add_metadata("tokenizer.ggml.token_type", std::vector<std::int32_t>{3, 1, 1}).value();
  writer.add_metadata("x.i64", std::int64_t{-1}).value();
  writer.add_tensor("blk.0.attn_q.weight", std::array<std::uint64_t, 2>{256, 2}, type, data)
      .value();
  writer.add_tensor("output_norm.weight", std::array<std::uint64_t, 1>{8}, BlockType::kF32, norm)
      .value();
  return writer.to_bytes();
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {small_model(32, BlockType::kQ4_0), small_model(64, BlockType::kQ4_0),
          GgufWriter::create().value().to_bytes()};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const AllocationLimit limit(AllocationLimit::twice(size));
  const auto file = GgufFile::parse(ByteSpan(data, size));
  if (file) walk(*file);
  return 0;
}
