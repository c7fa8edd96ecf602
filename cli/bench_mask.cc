// SPDX-License-Identifier: Apache-2.0
// `coppice bench mask`: a pairwise mask, beside libsodium's keystream of the same bytes.
#include "base/text.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "crypto/mask_stream.h"
#include "crypto/primitives.h"
#include "crypto/secret_random.h"

namespace coppice {
namespace {

struct MaskBenchOptions {
  std::uint32_t elements = 1U << 20U;
  std::uint32_t tries = 51;
};

struct MaskTimes {
  std::uint32_t bits = 0;
  std::uint64_t bytes = 0;
  PairedTimes times;
};

MaskTimes time_mask(const MaskBenchOptions& options, std::uint32_t bits) {
  const auto seed = SecretRandom().secret<32>();
  std::vector<std::uint32_t> elements(options.elements);
  MaskTimes made{.bits = bits, .bytes = mask_bytes(options.elements, bits), .times = PairedTimes{}};
  Bytes keystream(made.bytes);
  made.times = time_pairs(
      options.tries, [&] { add_mask(seed, MaskSign::kAdd, 0, bits, elements); },
      [&] { primitives::chacha20_keystream(seed, keystream); });
  return made;
}

double ceiling_of(const MaskTimes& mask) {
  return static_cast<double>(mask.bytes) / mask.times.floor / 1e9;
}

Json mask_json(const MaskTimes& mask) {
  return {{"bits", mask.bits},
          {"bytes", mask.bytes},
          {"mask_ms", 1e3 * mask.times.work},
          {"keystream_ms", 1e3 * mask.times.floor},
          {"ratio", mask.times.ratio},
          {"ceiling_gb_per_s", ceiling_of(mask)}};
}

Result<ExitCode> bench_mask(Context& context, const MaskBenchOptions& options) {
  std::vector<MaskTimes> masks;
  for (const std::uint32_t bits : {32U, 16U}) masks.push_back(time_mask(options, bits));
  Table table({{"ring"},
               {"mask, ms", Align::kRight},
               {"keystream, ms", Align::kRight},
               {"ratio", Align::kRight},
               {"ceiling, GB/s", Align::kRight}});
  table.set_caption(
      cat("one pairwise mask over ", grouped(options.elements), " elements, lower is better"));
  for (const MaskTimes& mask : masks) {
    table.add_row({cat(mask.bits, " bits"), fixed(1e3 * mask.times.work, 3),
                   fixed(1e3 * mask.times.floor, 3), fixed(mask.times.ratio, 3),
                   fixed(ceiling_of(mask), 2)});
  }
  context.console.write(table.render());
  context.console.print(cat("\nThe ceiling is libsodium's ChaCha20 keystream of as many bytes, on ",
                            "the same core, by turns: ", options.tries,
                            " pairs, medians, processor time."));
  Json fields = mask_json(masks.front());
  fields["ceiling"] = "ChaCha20 keystream of libsodium, one core, same run";
  fields["elements"] = options.elements;
  fields["tries"] = options.tries;
  fields["rings"] = Json::array();
  for (const MaskTimes& mask : masks) fields["rings"].push_back(mask_json(mask));
  context.console.finish("coppice.bench_mask.v1", fields);
  return ExitCode::kOk;
}

} // namespace

void add_bench_mask_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<MaskBenchOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "mask",
                   .summary = "A mask of secure aggregation, beside the keystream that it is of",
                   .example = "coppice bench mask\n"
                              "coppice bench mask --elements 155648 --format json"},
                  [options](Context& at) { return bench_mask(at, *options); });
  command.add_option("--elements", options->elements, "Ring elements to mask")
      .type_name("N")
      .check(in_range(1U, 1U << 28U))
      .capture_default_str();
  command.add_option("--tries", options->tries, "Pairs of mask and keystream; the middle counts")
      .type_name("N")
      .check(in_range(1U, 10'000U))
      .capture_default_str();
}

} // namespace coppice
