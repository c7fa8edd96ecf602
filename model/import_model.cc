// SPDX-License-Identifier: Apache-2.0
#include "model/import_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "model/import_tensors.h"
#include "model/import_tokenizer.h"
#include "model/quantize_blocks.h"
#include "model/quantize_model.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

constexpr float kLargestHalf = 65504.0F;

// llama.cpp's number for a file whose matrices are stored so.
std::uint32_t file_type(BlockType type) {
  return type == BlockType::kF16 ? 1 : type == BlockType::kBF16 ? 32 : 0;
}

// Written as they are; all other types are made of such a file.
bool is_plain(BlockType type) {
  return type == BlockType::kF32 || type == BlockType::kF16 || type == BlockType::kBF16;
}

// False for a number that the type can't hold.
bool encode_row(BlockType type, std::span<const float> row, std::span<std::uint8_t> out) {
  const float limit = type == BlockType::kF16 ? kLargestHalf : std::numeric_limits<float>::max();
  if (!std::ranges::all_of(row, [limit](float x) { return std::abs(x) <= limit; })) return false;
  quantize_row(type, row, {}, out);
  return true;
}

Result<Bytes> encode_tensor(const ImportedTensor& tensor, TernaryStorage storage, BlockType type) {
  const std::size_t row_size = row_bytes(type, tensor.columns);
  const float magnitude = COPPICE_TRY(tensor.magnitude(storage));
  Bytes bytes(tensor.rows * row_size);
  std::vector<float> row(tensor.columns);
  for (std::uint64_t i = 0; i < tensor.rows; ++i) {
    tensor.read_row(i, storage, magnitude, row);
    if (encode_row(type, row, std::span(bytes).subspan(i * row_size, row_size))) continue;
    return Error{ErrorCode::kUnsupported, cat("row ", i, " of ", tensor.name,
                                              " has a weight that is not finite, or too "
                                              "large for ",
                                              type, "; import the model as BF16 or F32")};
  }
  return bytes;
}

// What most weights of matrices are stored as.
BlockType usual_type(std::span<const ImportedTensor> tensors) {
  std::uint64_t halves = 0;
  std::uint64_t bfloats = 0;
  std::uint64_t others = 0;
  for (const ImportedTensor& tensor : tensors) {
    const Dtype dtype = tensor.source->dtype;
    std::uint64_t& count = dtype == Dtype::kF16 ? halves : dtype == Dtype::kBF16 ? bfloats : others;
    if (tensor.matrix) count += tensor.rows * tensor.columns;
  }
  if (bfloats >= halves && bfloats > others) return BlockType::kBF16;
  return halves > others ? BlockType::kF16 : BlockType::kF32;
}

Result<void> check_embedding(std::span<const ImportedTensor> tensors, const ImportPlan& plan) {
  const auto found = std::ranges::find(tensors, "token_embd.weight", &ImportedTensor::name);
  if (found == tensors.end()) {
    return Error{ErrorCode::kNotFound, "there is no tensor embed_tokens.weight"};
  }
  if (found->rows == plan.rows) return {};
  return Error{ErrorCode::kCorrupt, cat("the embedding has ", found->rows,
                                        " rows, and config.json a vocab_size of ", plan.rows)};
}

// Rope tables first, then the tensors in the folder's order.
Result<void> add_tensors(GgufWriter& writer, const ImportPlan& plan,
                         std::span<const ImportedTensor> tensors, BlockType type,
                         const ImportOptions& options) {
  for (const auto& [name, factors] : plan.rope_tables) {
    const std::uint64_t size = factors.size();
    COPPICE_TRY(writer.add_tensor(name, std::span(&size, 1), BlockType::kF32,
                                  as_bytes(std::span<const float>(factors))));
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const ImportedTensor& tensor = tensors[i];
    std::vector<std::uint64_t> dims = {tensor.columns};
    if (tensor.matrix) dims.push_back(tensor.rows);
    const BlockType stored = tensor.matrix ? type : BlockType::kF32;
    const auto make = [&tensor, &plan, &options, stored, i, all = tensors.size()]() {
      if (options.progress) options.progress(i, all);
      return encode_tensor(tensor, plan.ternary, stored);
    };
    COPPICE_TRY(writer.add_tensor(tensor.name, dims, stored, make));
  }
  return {};
}

// Removes the file that was written first, if it is still there.
class Temporary {
 public:
  explicit Temporary(fs::path path) : path_(std::move(path)) {}
  Temporary(const Temporary&) = delete;
  ~Temporary() {
    std::error_code code;
    fs::remove(path_, code);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Result<ImportedModel> run(const fs::path& folder, const fs::path& out,
                          const ImportOptions& options) {
  const Json config = COPPICE_TRY(read_json(folder / "config.json"));
  const std::string name = fs::absolute(folder / "").parent_path().filename().string();
  const ImportPlan plan = COPPICE_TRY(plan_import(config, name));
  const ImportShards shards = COPPICE_TRY(ImportShards::open(folder));
  const auto tensors = COPPICE_TRY(plan_tensors(shards, plan));
  COPPICE_TRY(check_embedding(tensors, plan)); // its rows bound what the tokenizer may allocate
  const GgufEntries tokenizer = COPPICE_TRY(import_tokenizer(folder, plan.config, plan.rows));
  const BlockType type = options.type.value_or(usual_type(tensors));
  if (!can_quantize(type) && type != BlockType::kI8) {
    return Error{ErrorCode::kUnsupported, cat("matrices can't be stored as ", type)};
  }
  // Ternary weights are multiples of a float32 number.
  const BlockType plain = is_plain(type)                          ? type
                          : plan.ternary == TernaryStorage::kNone ? usual_type(tensors)
                                                                  : BlockType::kF32;
  GgufWriter writer = COPPICE_TRY(GgufWriter::create());
  for (const auto& [key, value] : plan.entries) COPPICE_TRY(writer.add_metadata(key, value));
  COPPICE_TRY(writer.add_metadata("general.file_type", file_type(plain)));
  for (const auto& [key, value] : tokenizer) COPPICE_TRY(writer.add_metadata(key, value));
  COPPICE_TRY(add_tensors(writer, plan, tensors, plain, options));

  const Temporary written(out.string() + ".importing");
  COPPICE_TRY(writer.write_file(written.path()));
  const Temporary quantized(out.string() + ".quantizing");
  if (!is_plain(type)) {
    const GgufFile file = COPPICE_TRY(GgufFile::open(written.path()));
    COPPICE_TRY(quantize_model(file, quantized.path(), {.type = type, .threads = options.threads}));
  }
  const fs::path& made = is_plain(type) ? written.path() : quantized.path();
  const auto base = COPPICE_TRY(BaseModel::open(made));
  std::error_code code;
  fs::rename(made, out, code);
  if (code) {
    return Error{ErrorCode::kIo,
                 cat("can't rename the file to ", out.string(), ": ", code.message())};
  }
  COPPICE_TRY(sync_directory(out.has_parent_path() ? out.parent_path() : fs::path(".")));
  return ImportedModel{.architecture = plan.architecture,
                       .parameters = base->parameters(),
                       .tensors = base->file().tensors().size(),
                       .type = type};
}

} // namespace

Result<ImportedModel> import_model(const fs::path& folder, const fs::path& out,
                                   const ImportOptions& options) {
  std::error_code code;
  if (fs::exists(out, code)) {
    return Error{ErrorCode::kAlreadyExists, cat(out.string(), " is there; remove it first")};
  }
  auto made = run(folder, out, options);
  if (!made) return std::move(made).error().with_context(folder.string());
  return made;
}

} // namespace coppice
