// SPDX-License-Identifier: Apache-2.0
#include "model/quantize_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <thread>

#include "base/text.h"
#include "formats/gguf_writer.h"
#include "model/quantize_blocks.h"
#include "model/weight_rows.h"

namespace coppice {
namespace {

constexpr std::string_view kFileType = "general.file_type";
constexpr std::string_view kQuantizationVersion = "general.quantization_version";
constexpr std::uint32_t kBlockLayouts = 2; // of ggml, since its Q4 and Q8 took their present form
constexpr float kLargestHalf = 65504.0F;

// A type that matrices can be stored in: its number in llama.cpp's table of file types (-1: none),
// and what takes its place where rows are no whole blocks.
struct StorageRow {
  BlockType type;
  std::int32_t file_type;
  BlockType instead;
};
constexpr StorageRow kStorages[] = {
    {BlockType::kF32, 0, BlockType::kF32},        {BlockType::kF16, 1, BlockType::kF16},
    {BlockType::kBF16, 32, BlockType::kBF16},     {BlockType::kQ8_0, 7, BlockType::kF16},
    {BlockType::kQ4_0, 2, BlockType::kF16},       {BlockType::kQ4_1, 3, BlockType::kF16},
    {BlockType::kQ5_0, 8, BlockType::kF16},       {BlockType::kQ5_1, 9, BlockType::kF16},
    {BlockType::kQ2_K, 10, BlockType::kIQ4_NL},   {BlockType::kQ3_K, 11, BlockType::kIQ4_NL},
    {BlockType::kQ4_K, 14, BlockType::kQ5_0},     {BlockType::kQ5_K, 16, BlockType::kQ5_1},
    {BlockType::kQ6_K, 18, BlockType::kQ8_0},     {BlockType::kIQ4_NL, 25, BlockType::kF16},
    {BlockType::kIQ4_XS, 30, BlockType::kIQ4_NL}, {BlockType::kTQ1_0, 36, BlockType::kQ4_0},
    {BlockType::kTQ2_0, 37, BlockType::kQ4_0},    {BlockType::kI8, -1, BlockType::kIQ4_NL},
};

const StorageRow& storage_row(BlockType type) {
  const auto* const found = std::ranges::find(kStorages, type, &StorageRow::type);
  COPPICE_CHECK(found != std::end(kStorages));
  return *found;
}

// Calls body(first, last) for about equal shares of [0, count), each on a thread of its own.
void in_shares(std::size_t count, unsigned threads,
               const std::function<void(std::size_t, std::size_t)>& body) {
  const std::size_t shares = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(count, 1));
  std::vector<std::jthread> workers;
  for (std::size_t i = 1; i < shares; ++i) {
    workers.emplace_back([&, i] { body(count * i / shares, count * (i + 1) / shares); });
  }
  body(0, count / shares);
}

// What became of a row: summed in the order of rows afterwards, whichever thread made it.
struct RowErrors {
  double error = 0.0;
  double square = 0.0;
  bool fits = true; // all weights are finite and within the type's reach
};

void measure(std::span<const float> from, std::span<const float> to, RowErrors& errors) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    const double difference = double{to[i]} - double{from[i]};
    errors.error += difference * difference;
    errors.square += double{from[i]} * double{from[i]};
  }
}

bool within_reach(std::span<const float> row, BlockType type) {
  const bool wide = type == BlockType::kF32 || type == BlockType::kBF16 || type == BlockType::kI8;
  const float limit = wide ? std::numeric_limits<float>::max() : kLargestHalf;
  return std::ranges::all_of(row, [limit](float weight) { return std::abs(weight) <= limit; });
}

// Makes the new data of one tensor, and says what it cost in `report`.
class TensorEncoder {
 public:
  TensorEncoder(WeightRows rows, std::span<const float> importance, unsigned threads,
                QuantizedTensor& report)
      : rows_(rows),
        importance_(importance),
        threads_(threads),
        report_(report),
        errors_(rows.rows()) {}

  Result<Bytes> encode() {
    const std::size_t row_size = row_bytes(report_.to, rows_.columns());
    Bytes blocks(rows_.rows() * row_size);
    each_row([&](std::size_t index, std::span<const float> row, std::span<float> back) {
      const auto to = std::span(blocks).subspan(index * row_size, row_size);
      quantize_row(report_.to, row, importance_, to);
      dequantize_row(report_.to, to, back);
      measure(row, back, errors_[index]);
    });
    COPPICE_TRY(sum_up());
    return blocks;
  }

  // The codes; magnitudes come out beside them.
  Result<Bytes> encode_nf4(QuantizedNf4Magnitudes& magnitudes) {
    const std::size_t columns = rows_.columns();
    Bytes packed(rows_.rows() * columns / 2);
    std::vector<float> exact(rows_.rows() * columns / kNf4Block);
    const auto codes_of = [&](std::size_t index) {
      return std::span(packed).subspan(index * columns / 2, columns / 2);
    };
    each_row([&](std::size_t index, std::span<const float> row, std::span<float>) {
      const std::size_t blocks = columns / kNf4Block;
      quantize_nf4(row, codes_of(index), std::span(exact).subspan(index * blocks, blocks));
    });
    magnitudes = quantize_nf4_magnitudes(exact);
    each_row([&](std::size_t index, std::span<const float> row, std::span<float> back) {
      dequantize_nf4(codes_of(index), magnitudes.view(), index * columns / kNf4Block, back);
      measure(row, back, errors_[index]);
    });
    COPPICE_TRY(sum_up());
    return packed;
  }

 private:
  // Calls body(index, row, room for another row) for each row that fits.
  template <typename Body>
  void each_row(const Body& body) {
    in_shares(rows_.rows(), threads_, [&](std::size_t first, std::size_t last) {
      std::vector<float> row(rows_.columns());
      std::vector<float> back(rows_.columns());
      for (std::size_t index = first; index < last; ++index) {
        rows_.dequantize(index, row);
        errors_[index].fits = within_reach(row, report_.to);
        if (errors_[index].fits) body(index, std::span<const float>(row), std::span<float>(back));
      }
    });
  }

  Result<void> sum_up() {
    for (std::size_t index = 0; index < errors_.size(); ++index) {
      if (!errors_[index].fits) {
        return Error{ErrorCode::kUnsupported,
                     cat("row ", index, " of ", report_.name,
                         " has a weight that is not finite, or too large for ",
                         storage_text(report_.to), "; keep the model as BF16 or F32")};
      }
      report_.square_error += errors_[index].error;
      report_.square += errors_[index].square;
    }
    return {};
  }

  WeightRows rows_;
  std::span<const float> importance_;
  unsigned threads_;
  QuantizedTensor& report_;
  std::vector<RowErrors> errors_;
};

class ModelQuantizer {
 public:
  ModelQuantizer(const GgufFile& file, const QuantizeOptions& options, GgufWriter writer)
      : file_(file), options_(options), writer_(std::move(writer)) {}

  Result<std::vector<QuantizedTensor>> write(const fs::path& out) {
    reports_.reserve(file_.tensors().size()); // the tensors' makers hold references
    for (const GgufTensor& tensor : file_.tensors()) {
      // What belongs to a matrix goes into its new blocks.
      if (matrix_of_companion(file_, tensor.name).empty()) COPPICE_TRY(plan_tensor(tensor));
    }
    COPPICE_TRY(add_metadata());
    COPPICE_TRY(writer_.write_file(out));
    return std::move(reports_);
  }

 private:
  Result<std::span<const float>> importance_of(const GgufTensor& tensor, std::size_t columns) {
    if (options_.importance == nullptr) return std::span<const float>();
    const auto found = options_.importance->find(tensor.name);
    if (found == options_.importance->end()) return std::span<const float>();
    if (found->second.size() == columns) return std::span<const float>(found->second);
    return Error{ErrorCode::kInvalidArgument,
                 cat(tensor.name, " has ", columns, " columns, and the importance of ",
                     found->second.size(), " was given")};
  }

  Result<void> plan_tensor(const GgufTensor& tensor) {
    const WeightRows rows = COPPICE_TRY(WeightRows::open(file_, tensor.name));
    const bool matrix = tensor.dims.size() == 2;
    reports_.push_back({.name = tensor.name,
                        .from = storage_name(file_, tensor),
                        .to = matrix ? storage_for(options_.type, rows.columns()) : BlockType::kF32,
                        .weights = rows.rows() * rows.columns(),
                        .columns = rows.columns(),
                        .bytes_before = rows.bytes()});
    QuantizedTensor& report = reports_.back();
    const auto importance = COPPICE_TRY(importance_of(tensor, rows.columns()));
    const auto encoder =
        std::make_shared<TensorEncoder>(rows, importance, options_.threads, report);
    if (report.to == BlockType::kI8) return plan_nf4(tensor, rows, encoder, report);
    report.bytes = rows.rows() * row_bytes(report.to, rows.columns());
    return writer_.add_tensor(tensor.name, weight_dims(file_, tensor), report.to,
                              [this, encoder, &report]() -> Result<Bytes> {
                                Bytes blocks = COPPICE_TRY(encoder->encode());
                                tell(report);
                                return blocks;
                              });
  }

  // Three tensors; the two small ones are kept from when the first is written.
  Result<void> plan_nf4(const GgufTensor& tensor, const WeightRows& rows,
                        const std::shared_ptr<TensorEncoder>& encoder, QuantizedTensor& report) {
    const std::uint64_t row_blocks = rows.columns() / kNf4Block;
    const std::uint64_t blocks = rows.rows() * row_blocks;
    const std::uint64_t scales = 1 + (blocks + kNf4NestedBlock - 1) / kNf4NestedBlock;
    report.bytes = rows.rows() * rows.columns() / 2 + blocks + scales * sizeof(float);
    const auto magnitudes = std::make_shared<QuantizedNf4Magnitudes>();
    const std::uint64_t packed_dims[] = {rows.columns() / 2, rows.rows()};
    const std::uint64_t code_dims[] = {row_blocks, rows.rows()};
    COPPICE_TRY(writer_.add_tensor(tensor.name, packed_dims, BlockType::kI8,
                                   [this, encoder, magnitudes, &report]() -> Result<Bytes> {
                                     Bytes packed = COPPICE_TRY(encoder->encode_nf4(*magnitudes));
                                     tell(report);
                                     return packed;
                                   }));
    COPPICE_TRY(writer_.add_tensor(
        cat(tensor.name, kNf4CodesSuffix), code_dims, BlockType::kI8,
        [magnitudes]() -> Result<Bytes> { return std::move(magnitudes->codes); }));
    return writer_.add_tensor(cat(tensor.name, kNf4ScalesSuffix), std::span(&scales, 1),
                              BlockType::kF32, [magnitudes]() -> Result<Bytes> {
                                ByteWriter bytes;
                                bytes.put(magnitudes->offset);
                                for (const float scale : magnitudes->scales) bytes.put(scale);
                                return std::move(bytes).take();
                              });
  }

  void tell(const QuantizedTensor& report) {
    done_ += report.weights;
    if (options_.progress) options_.progress(done_);
  }

  Result<void> add_metadata() {
    for (std::size_t i = 0; i < file_.metadata_count(); ++i) {
      const GgufEntry entry = file_.metadata_at(i);
      if (entry.key == kFileType || entry.key == kQuantizationVersion) continue;
      if (entry.key.starts_with("coppice.nf4.")) continue;
      COPPICE_TRY(writer_.add_metadata(entry.key, entry.value));
    }
    const std::int32_t file_type = storage_row(options_.type).file_type;
    if (file_type >= 0) {
      COPPICE_TRY(writer_.add_metadata(kFileType, static_cast<std::uint32_t>(file_type)));
    }
    COPPICE_TRY(writer_.add_metadata(kQuantizationVersion, kBlockLayouts));
    const bool nf4 = std::ranges::any_of(
        reports_, [](const QuantizedTensor& tensor) { return tensor.to == BlockType::kI8; });
    if (!nf4) return {};
    const auto levels = nf4_levels();
    const auto magnitudes = nf4_magnitude_levels();
    COPPICE_TRY(writer_.add_metadata(kNf4BlockKey, std::uint32_t{kNf4Block}));
    COPPICE_TRY(writer_.add_metadata(kNf4NestedBlockKey, std::uint32_t{kNf4NestedBlock}));
    COPPICE_TRY(
        writer_.add_metadata(kNf4LevelsKey, std::vector<float>(levels.begin(), levels.end())));
    return writer_.add_metadata(kNf4MagnitudesKey,
                                std::vector<float>(magnitudes.begin(), magnitudes.end()));
  }

  const GgufFile& file_;
  const QuantizeOptions& options_;
  GgufWriter writer_;
  std::vector<QuantizedTensor> reports_;
  std::uint64_t done_ = 0;
};

} // namespace

std::string_view storage_text(BlockType type) {
  return type == BlockType::kI8 ? "NF4" : block_type_name(type);
}

Result<BlockType> parse_storage(std::string_view name) {
  const auto upper = [](char letter) {
    return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
  };
  std::vector<std::string> names;
  for (const StorageRow& row : kStorages) {
    const std::string_view known = storage_text(row.type);
    if (std::ranges::equal(known, name, {}, upper, upper)) return row.type;
    names.emplace_back(known);
  }
  return Error{ErrorCode::kUnsupported,
               cat("matrices can't be stored as \"", name, "\"; they can as ", join(names, ", "))};
}

BlockType storage_for(BlockType wanted, std::uint64_t columns) {
  for (BlockType type : {wanted, storage_row(wanted).instead}) {
    const std::uint64_t block =
        type == BlockType::kI8 ? kNf4Block : block_type_info(type).block_elements;
    if (columns % block == 0) return type;
  }
  return BlockType::kF16;
}

Result<std::vector<QuantizedTensor>> quantize_model(const GgufFile& file, const fs::path& out,
                                                    const QuantizeOptions& options) {
  std::error_code code;
  if (fs::equivalent(file.name(), out, code)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(out.string(), " is the model itself; write to another file")};
  }
  GgufWriter writer = COPPICE_TRY(GgufWriter::create(file.alignment()));
  return ModelQuantizer(file, options, std::move(writer)).write(out);
}

} // namespace coppice
