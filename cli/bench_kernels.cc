// SPDX-License-Identifier: Apache-2.0
// `coppice bench kernels`: the parts that the engine's speed is made of, one thread each: products
// at every instruction level, blocks to floats, and reading memory.
#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "base/text.h"
#include "cli/bench_speed.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/table.h"
#include "model/native/buffer.h"
#include "model/native/ceiling.h"
#include "model/native/cpu_level.h"
#include "model/quantize_blocks.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

using native::CpuLevel;
using native::kPanelColumns;
using native::Precision;
using native::ProductKernels;

constexpr double kTrySeconds = 0.05; // at least, of each try
constexpr unsigned kTries = 5;

struct KernelOptions {
  ModelOptions model; // for its threads, which read memory together
};

// y (rows, columns) = x (rows, depth) W: what a linear layer of a prompt is.
struct Shape {
  std::size_t rows, depth, columns;
};
constexpr Shape kShapes[] = {
    {512, 2048, 2048}, {128, 2048, 2048}, {16, 2048, 2048}, {512, 512, 1536}, {512, 256, 768}};

struct ProductSpeed {
  CpuLevel level;
  Precision precision;
  Shape shape;
  double gflops = 0;
  double ceiling = 0; // of the level's tiles
};

// Amounts a second: the best of some tries of work() in turn, each giving what it did.
template <typename Work>
double best_rate(const Work& work) {
  double best = 0;
  for (unsigned i = 0; i < kTries && !interrupted(); ++i) {
    const double before = wall_seconds();
    double done = 0;
    double seconds = 0;
    while (seconds < kTrySeconds) {
      done += work();
      seconds = wall_seconds() - before;
    }
    best = std::max(best, done / seconds);
  }
  return best;
}

// Packed panels, one after the other, as the engine meets them; what packing costs is `decode`.
double product_gflops(const ProductKernels& kernels, const Shape& shape) {
  const std::size_t stride = kernels.padded(shape.depth);
  const std::size_t panels = shape.columns / kPanelColumns;
  native::Buffer rows(shape.rows * stride * kernels.element_bytes);
  native::Buffer packed(panels * kernels.panel_bytes(shape.depth));
  std::memset(rows.data(), 0, rows.size());
  std::memset(packed.data(), 0, packed.size());
  std::vector<float> out(shape.rows * shape.columns);
  std::size_t next = 0;
  return best_rate([&] {
           const std::size_t panel = next++ % panels;
           const native::Segment segment{
               .rows = rows.data(),
               .stride = stride,
               .depth = shape.depth,
               .panel = packed.data() + panel * kernels.panel_bytes(shape.depth)};
           kernels.multiply(shape.rows, kPanelColumns, {&segment, 1},
                            out.data() + panel * kPanelColumns, shape.columns, false);
           return 2.0 * static_cast<double>(shape.rows * shape.depth * kPanelColumns);
         }) /
         1e9;
}

std::vector<ProductSpeed> product_speeds() {
  std::vector<ProductSpeed> speeds;
  for (const CpuLevel level : native::supported_cpu_levels()) {
    for (const Precision precision : {Precision::kFloat32, Precision::kBfloat16}) {
      const ProductKernels& kernels = native::product_kernels(level, precision);
      if (kernels.precision != precision) continue; // there is no such product
      // AMX has none of its own in float32.
      if (level == CpuLevel::kAmx && precision == Precision::kFloat32) continue;
      const double before = native::tile_ceiling(kernels, kTries);
      const std::size_t first = speeds.size();
      for (const Shape& shape : kShapes) {
        if (interrupted()) return speeds;
        speeds.push_back({level, precision, shape, product_gflops(kernels, shape)});
      }
      const double ceiling = std::max(before, native::tile_ceiling(kernels, kTries));
      for (std::size_t i = first; i < speeds.size(); ++i) speeds[i].ceiling = ceiling;
    }
  }
  return speeds;
}

struct DecodeSpeed {
  BlockType type;
  double to_float = 0;   // 10^9 weights a second
  double to_element = 0; // and on to what the engine's products take
};

// Weights that stay in the first-level cache, as a row of them does that has just been read.
DecodeSpeed decode_speed(BlockType type, const ProductKernels& kernels) {
  constexpr std::size_t kWeights = 2048;
  std::vector<float> floats(kWeights);
  KeyedRandom random({.purpose = RandomPurpose::kTest});
  for (float& value : floats) value = random.uniform_float() - 0.5F;
  Bytes blocks(row_bytes(type, kWeights));
  quantize_row(type, floats, {}, blocks);
  std::vector<std::byte> elements(kWeights * kernels.element_bytes);
  DequantizeRow* const decode = dequantizer(type);
  const auto rate = [&](bool convert) {
    return best_rate([&] {
             for (int i = 0; i < 64; ++i) {
               decode(blocks.data(), kWeights, floats.data());
               if (convert) kernels.from_float(floats.data(), kWeights, elements.data());
             }
             return 64.0 * kWeights;
           }) /
           1e9;
  };
  return {.type = type, .to_float = rate(false), .to_element = rate(true)};
}

const char* precision_name(Precision precision) {
  return precision == Precision::kBfloat16 ? "bf16" : "f32";
}

Json tell_products(Console& console, const std::vector<ProductSpeed>& speeds) {
  Table table({{"level"},
               {"product"},
               {"rows x depth x columns"},
               {"GFLOP/s", Align::kRight},
               {"its ceiling", Align::kRight},
               {"share", Align::kRight}});
  Json told = Json::array();
  for (const ProductSpeed& speed : speeds) {
    const std::string level(native::cpu_level_name(speed.level));
    const double share = speed.gflops / speed.ceiling;
    table.add_row({level, precision_name(speed.precision),
                   cat(speed.shape.rows, " x ", speed.shape.depth, " x ", speed.shape.columns),
                   fixed(speed.gflops, 1), fixed(speed.ceiling, 1),
                   cat(fixed(100 * share, 1), " %")});
    told.push_back({{"level", level},
                    {"precision", precision_name(speed.precision)},
                    {"rows", speed.shape.rows},
                    {"depth", speed.shape.depth},
                    {"columns", speed.shape.columns},
                    {"gflops", speed.gflops},
                    {"ceiling_gflops", speed.ceiling},
                    {"share_of_ceiling", share}});
  }
  console.write(table.render());
  return told;
}

Result<ExitCode> bench_kernels(Context& context, const KernelOptions& options) {
  const CpuLevel level = COPPICE_TRY(native::choose_cpu_level());
  const ProductKernels& kernels = native::product_kernels(level, Precision::kBfloat16);
  const std::vector<ProductSpeed> products = product_speeds();
  std::vector<DecodeSpeed> decodes;
  for (const BlockTypeInfo& info : block_types()) {
    if (can_quantize(info.type)) decodes.push_back(decode_speed(info.type, kernels));
  }
  if (interrupted()) return Error{ErrorCode::kCancelled, "the benchmark was stopped"};
  const unsigned threads = threads_of(options.model);
  const double alone = native::measure_read_bandwidth(1, kBandwidthTries);
  const double together = native::measure_read_bandwidth(threads, kBandwidthTries);

  Console& console = context.console;
  Json products_told = tell_products(console, products);
  console.print();
  Table table({{"block type"},
               {"to floats, 10^9 weights/s", Align::kRight},
               {cat("to ", precision_name(kernels.precision)), Align::kRight}});
  Json decodes_told = Json::array();
  for (const DecodeSpeed& speed : decodes) {
    table.add_row({std::string(block_type_name(speed.type)), fixed(speed.to_float, 2),
                   fixed(speed.to_element, 2)});
    decodes_told.push_back({{"type", block_type_name(speed.type)},
                            {"float_gweights_per_s", speed.to_float},
                            {"element_gweights_per_s", speed.to_element}});
  }
  console.write(table.render());
  console.print(cat("\nreading memory: ", fixed(alone, 2), " GB/s by one thread, ",
                    fixed(together, 2), " GB/s by ", threads_text(options.model),
                    "; all else is of one thread"));
  console.finish("coppice.bench_kernels.v1",
                 Json{{"products", std::move(products_told)},
                      {"decode", std::move(decodes_told)},
                      {"element", precision_name(kernels.precision)},
                      {"ceiling", "each level's own tiles, operands in the first cache"},
                      {"bandwidth_gb_per_s", together},
                      {"bandwidth_of_one_thread_gb_per_s", alone},
                      {"threads", threads},
                      {"instruction_level", native::cpu_level_name(level)}});
  return ExitCode::kOk;
}

} // namespace

void add_bench_kernels_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<KernelOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "kernels",
       .summary = "Products at each instruction level, block decoding, and memory's speed",
       .example = "coppice bench kernels\ncoppice bench kernels --threads 1 --format json"},
      [options](Context& at) { return bench_kernels(at, *options); });
  add_threads_option(command, options->model);
}

} // namespace coppice
