// SPDX-License-Identifier: Apache-2.0
#include "model/merge.h"

#include <cmath>
#include <unordered_map>

#include "base/sum_of_squares.h"
#include "base/text.h"
#include "formats/gguf_writer.h"
#include "formats/half.h"
#include "model/weight_rows.h"

namespace coppice {
namespace {

constexpr std::string_view kFileType = "general.file_type";

// The number of llama.cpp's table of file types whose matrices are mostly stored so.
Result<std::uint32_t> file_type_of(BlockType type) {
  switch (type) {
    case BlockType::kF32: return 0U;
    case BlockType::kF16: return 1U;
    case BlockType::kBF16: return 32U;
    default:
      return Error{ErrorCode::kInvalidArgument,
                   cat("merged tensors can't be stored as ", type, "; use F16, BF16 or F32")};
  }
}

Result<void> check_target(const AdaptableModules& modules, const AdapterTarget& target) {
  for (const AdapterTarget& module : modules) {
    if (module.tensor == target.tensor && module.in == target.in && module.out == target.out) {
      return {};
    }
  }
  return Error{ErrorCode::kInvalidArgument,
               cat("the adapter's target ", target.tensor, " (", target.out, " x ", target.in,
                   ") is no module of this base model; use the base that it was trained on")};
}

// w += scale B A, for w of shape (out, in).
void add_product(const AdapterUse& use, std::size_t index, std::span<float> w) {
  const AdapterTarget& target = use.adapter->spec().targets[index];
  const double scale = double{use.strength} * double{use.adapter->spec().scale(index)};
  const std::span<const float> a = use.adapter->a(index);
  const std::span<const float> b = use.adapter->b(index);
  std::vector<double> row(target.in);
  for (std::size_t out = 0; out < target.out; ++out) {
    std::fill(row.begin(), row.end(), 0.0);
    for (std::size_t r = 0; r < target.rank; ++r) {
      const double factor = scale * double{b[out * target.rank + r]};
      for (std::size_t in = 0; in < target.in; ++in) {
        row[in] += factor * double{a[r * target.in + in]};
      }
    }
    for (std::size_t in = 0; in < target.in; ++in) {
      float& weight = w[out * target.in + in];
      weight = static_cast<float>(double{weight} + row[in]);
    }
  }
}

// `finite` falls to false if a weight doesn't fit.
void put_weight(ByteWriter& writer, BlockType type, float weight, bool& finite) {
  float stored = weight;
  if (type == BlockType::kF32) {
    writer.put(weight);
  } else {
    const bool half = type == BlockType::kF16;
    const std::uint16_t bits = half ? float_to_half(weight) : float_to_bfloat16(weight);
    stored = half ? half_to_float(bits) : bfloat16_to_float(bits);
    writer.put(bits);
  }
  finite = finite && std::isfinite(stored);
}

// What is done to a tensor: adapters are added, each with the index of its target, and its rows may
// then be set to lengths.
struct TensorPlan {
  std::vector<std::pair<const AdapterUse*, std::size_t>> products;
  const std::vector<float>* magnitudes = nullptr; // (out)
};
using MergePlan = std::unordered_map<std::string, TensorPlan>;

Result<void> set_row_lengths(const std::string& tensor, std::span<const float> lengths,
                             std::span<float> w) {
  const std::size_t columns = w.size() / lengths.size();
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    const std::span<float> values = w.subspan(row * columns, columns);
    const double squares = sum_of_squares(values);
    if (!(squares > 0)) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("row ", row, " of ", tensor,
                       " is zero with the adapter added, and has no direction; use the base that "
                       "the adapter was trained on")};
    }
    const double factor = double{lengths[row]} / std::sqrt(squares);
    for (float& value : values) value = static_cast<float>(double{value} * factor);
  }
  return {};
}

Result<Bytes> merge_tensor(const GgufFile& file, const GgufTensor& tensor, const TensorPlan& plan,
                           BlockType type) {
  const WeightRows rows = COPPICE_TRY(WeightRows::open(file, tensor.name));
  std::vector<float> weights(rows.rows() * rows.columns());
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    rows.dequantize(row, std::span(weights).subspan(row * rows.columns(), rows.columns()));
  }
  for (const auto& [use, target] : plan.products) add_product(*use, target, weights);
  if (plan.magnitudes != nullptr) {
    COPPICE_TRY(set_row_lengths(tensor.name, *plan.magnitudes, weights));
  }
  ByteWriter writer;
  bool finite = true;
  for (const float weight : weights) put_weight(writer, type, weight, finite);
  if (!finite) {
    return Error{ErrorCode::kUnsupported, cat("a merged weight of ", tensor.name,
                                              " is too large for ", type, "; store it as F32")};
  }
  return std::move(writer).take();
}

// Whether the tensor holds scales of a matrix that will be stored in another way.
bool belongs_to_merged(const GgufFile& file, std::string_view name, const MergePlan& plan) {
  return plan.contains(matrix_of_companion(file, name));
}

Result<MergePlan> plan_merge(const BaseModel& base, std::span<const AdapterUse> adapters) {
  MergePlan plan;
  const AdaptableModules modules = base.adaptable_modules();
  for (const AdapterUse& use : adapters) {
    const AdapterSpec& spec = use.adapter->spec();
    for (std::size_t index = 0; index < spec.targets.size(); ++index) {
      COPPICE_TRY(check_target(modules, spec.targets[index]));
      const std::string name = spec.targets[index].tensor + ".weight";
      plan[name].products.emplace_back(&use, index);
    }
  }
  return plan;
}

Result<void> write_merged(const BaseModel& base, const MergePlan& plan, const fs::path& out,
                          BlockType type) {
  const std::uint32_t file_type = COPPICE_TRY(file_type_of(type));
  const GgufFile& file = base.file();
  auto writer = COPPICE_TRY(GgufWriter::create(file.alignment()));
  for (std::size_t i = 0; i < file.metadata_count(); ++i) {
    const GgufEntry entry = file.metadata_at(i);
    if (entry.key == kFileType && !plan.empty()) {
      COPPICE_TRY(writer.add_metadata(kFileType, file_type));
    } else {
      COPPICE_TRY(writer.add_metadata(entry.key, entry.value));
    }
  }
  std::vector<Bytes> merged; // what the writer reads from must live until the file is written
  merged.reserve(plan.size());
  for (const GgufTensor& tensor : file.tensors()) {
    if (belongs_to_merged(file, tensor.name, plan)) continue;
    const auto found = plan.find(tensor.name);
    if (found == plan.end()) {
      COPPICE_TRY(writer.add_tensor(tensor.name, tensor.dims, tensor.type, tensor.data));
      continue;
    }
    merged.push_back(COPPICE_TRY(merge_tensor(file, tensor, found->second, type)));
    COPPICE_TRY(writer.add_tensor(tensor.name, weight_dims(file, tensor), type, merged.back()));
  }
  return writer.write_file(out);
}

} // namespace

Result<void> write_merged_model(const BaseModel& base, std::span<const AdapterUse> adapters,
                                const fs::path& out, BlockType type) {
  return write_merged(base, COPPICE_TRY(plan_merge(base, adapters)), out, type);
}

Result<void> write_merged_dora(const BaseModel& base, const DoraAdapter& dora, const fs::path& out,
                               BlockType type) {
  const AdapterUse use{.adapter = &dora.adapter};
  MergePlan plan = COPPICE_TRY(plan_merge(base, {&use, 1}));
  for (std::size_t t = 0; t < dora.adapter.targets(); ++t) {
    plan[dora.adapter.spec().targets[t].tensor + ".weight"].magnitudes = &dora.magnitudes[t];
  }
  return write_merged(base, plan, out, type);
}

} // namespace coppice
