// SPDX-License-Identifier: Apache-2.0
// `coppice adapter info` and `coppice adapter diff`.
#include <algorithm>
#include <cmath>
#include <set>

#include "adapters/adapter_stats.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/table.h"

namespace coppice {
namespace {

struct AdapterInfoOptions {
  ModelOptions model;
  std::string adapter;
  std::string other; // of diff
};

// Checked against the base model where one is named.
Result<std::shared_ptr<const BaseModel>> base_if_named(const ModelOptions& options) {
  if (options.model.empty()) return std::shared_ptr<const BaseModel>{};
  return open_base(options);
}

// "8", or "4 to 16".
template <typename Value>
std::string range_text(const std::set<Value>& values) {
  if (values.size() == 1) return cat(*values.begin());
  return cat(*values.begin(), " to ", *values.rbegin());
}

const char* scaling_name(LoraScaling scaling) {
  return scaling == LoraScaling::kStandard ? "alpha / r" : "alpha / sqrt(r)";
}

Json module_json(const AdapterTarget& target, const TargetNorms& norms) {
  return {{"tensor", target.tensor}, {"in", target.in},
          {"out", target.out},       {"rank", target.rank},
          {"alpha", target.alpha},   {"norm_a", norms.a},
          {"norm_b", norms.b},       {"norm_product", norms.product}};
}

Result<ExitCode> show_adapter(Context& context, const AdapterInfoOptions& options) {
  const auto base = COPPICE_TRY(base_if_named(options.model));
  const PeftRows rows = COPPICE_TRY(parse_rows(options.model.rows));
  const LoadedAdapter loaded = COPPICE_TRY(load_adapter(options.adapter, base.get(), rows));
  const AdapterSpec& spec = loaded.adapter.spec();
  const auto norms = target_norms(loaded.adapter);

  std::set<std::uint32_t> ranks;
  std::set<float> alphas;
  Table table({{"module"},
               {"shape", Align::kRight},
               {"rank", Align::kRight},
               {"|A|", Align::kRight},
               {"|B|", Align::kRight},
               {"|scale B A|", Align::kRight}});
  Json modules = Json::array();
  double squares = 0;
  for (std::size_t i = 0; i < spec.targets.size(); ++i) {
    const AdapterTarget& target = spec.targets[i];
    ranks.insert(target.rank);
    alphas.insert(target.alpha);
    squares += norms[i].product * norms[i].product;
    table.add_row({target.tensor, cat(target.out, " x ", target.in), cat(target.rank),
                   fixed(norms[i].a, 4), fixed(norms[i].b, 4), fixed(norms[i].product, 4)});
    modules.push_back(module_json(target, norms[i]));
  }
  Console& console = context.console;
  const char* format = adapter_format_name(loaded.format);
  console.print(cat("adapter       ", options.adapter, " (", format, ")"));
  console.print(cat("architecture  ", spec.architecture));
  console.print(cat("rank          ", range_text(ranks), ", alpha ", range_text(alphas), ", scale ",
                    scaling_name(spec.scaling)));
  console.print(
      cat("parameters    ", grouped(spec.parameters()), " in ", spec.targets.size(), " modules"));
  console.print(
      cat("moves by      ", fixed(std::sqrt(squares), 4), " (Frobenius norm over all modules)"));
  if (base) console.print(cat("fits          ", options.model.model));
  console.print();
  console.write(table.render());
  console.finish("coppice.adapter_info.v1", Json{{"adapter", options.adapter},
                                                 {"kind", format},
                                                 {"architecture", spec.architecture},
                                                 {"scaling", scaling_name(spec.scaling)},
                                                 {"rank", *ranks.rbegin()},
                                                 {"alpha", *alphas.rbegin()},
                                                 {"parameters", spec.parameters()},
                                                 {"norm", std::sqrt(squares)},
                                                 {"modules", std::move(modules)}});
  return ExitCode::kOk;
}

Result<ExitCode> diff(Context& context, const AdapterInfoOptions& options) {
  const auto base = COPPICE_TRY(base_if_named(options.model));
  const PeftRows rows = COPPICE_TRY(parse_rows(options.model.rows));
  const LoadedAdapter left = COPPICE_TRY(load_adapter(options.adapter, base.get(), rows));
  const LoadedAdapter right = COPPICE_TRY(load_adapter(options.other, base.get(), rows));
  if (left.base_order != right.base_order) {
    return Error{
        ErrorCode::kFailedPrecondition,
        "a PEFT folder and another kind of file have q's and k's rows in different orders: "
        "give --model FILE, or --rows gguf if this folder has them in GGUF order"};
  }
  Table table({{"module"},
               {"left", Align::kRight},
               {"right", Align::kRight},
               {"difference", Align::kRight},
               {"share", Align::kRight}});
  table.set_caption("Frobenius norms of scale B A; share: of the left one");
  Json modules = Json::array();
  double left_squares = 0;
  double right_squares = 0;
  double squares = 0;
  const auto share = [](double part, double whole) {
    return whole > 0 ? cat(fixed(part / whole * 100, 1), " %") : std::string("-");
  };
  for (const TargetDifference& row : COPPICE_TRY(target_differences(left.adapter, right.adapter))) {
    left_squares += row.left * row.left;
    right_squares += row.right * row.right;
    squares += row.difference * row.difference;
    table.add_row({row.tensor, fixed(row.left, 4), fixed(row.right, 4), fixed(row.difference, 4),
                   share(row.difference, row.left)});
    modules.push_back({{"tensor", row.tensor},
                       {"left", row.left},
                       {"right", row.right},
                       {"difference", row.difference}});
  }
  table.add_rule();
  table.add_row({"all", fixed(std::sqrt(left_squares), 4), fixed(std::sqrt(right_squares), 4),
                 fixed(std::sqrt(squares), 4), share(std::sqrt(squares), std::sqrt(left_squares))});
  const bool equal = left.adapter.spec() == right.adapter.spec() &&
                     std::ranges::equal(left.adapter.values(), right.adapter.values());
  Console& console = context.console;
  console.write(table.render());
  console.print();
  console.print(equal ? "the same values, bit for bit"
                      : (squares == 0 ? "the same effect, in other values" : "different"));
  console.finish("coppice.adapter_diff.v1", Json{{"left", options.adapter},
                                                 {"right", options.other},
                                                 {"equal", equal},
                                                 {"norm_left", std::sqrt(left_squares)},
                                                 {"norm_right", std::sqrt(right_squares)},
                                                 {"norm_difference", std::sqrt(squares)},
                                                 {"modules", std::move(modules)}});
  return ExitCode::kOk;
}

} // namespace

void add_adapter_info_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<AdapterInfoOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "info",
                   .summary = "Kind, rank, targets, parameters, and norms of each module",
                   .example = "coppice adapter info my-adapter\n"
                              "coppice adapter info my.gguf --model base.gguf"},
                  [options](Context& at) { return show_adapter(at, *options); });
  command.add_option("PATH,--adapter", options->adapter, "A PEFT folder, a GGUF file or our own")
      .type_name("PATH")
      .required();
  add_model_option(command, options->model, false);
  add_rows_option(command, options->model);
}

void add_adapter_diff_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<AdapterInfoOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "diff",
                   .summary = "How far two adapters lie apart, module by module",
                   .example = "coppice adapter diff monday.gguf friday.gguf\n"
                              "coppice adapter diff peft-folder converted.gguf --model base.gguf"},
                  [options](Context& at) { return diff(at, *options); });
  command.add_option("LEFT", options->adapter, "One adapter").required();
  command.add_option("RIGHT", options->other, "Another, of any kind").required();
  add_model_option(command, options->model, false);
  add_rows_option(command, options->model);
}

} // namespace coppice
