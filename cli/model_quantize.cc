// SPDX-License-Identifier: Apache-2.0
// `coppice model quantize`: a base model's matrices in another type, and what that costs.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/text_documents.h"
#include "model/native/importance.h"
#include "model/quantize_blocks.h"
#include "model/quantize_model.h"
#include "model/weight_rows.h"

namespace coppice {
namespace {

struct ModelQuantizeOptions {
  std::string in;
  std::string out;
  std::string type;
  std::string imatrix_from;
  std::uint32_t imatrix_tokens = 32768;
  ModelOptions model; // for its threads
};

constexpr std::size_t kImportanceWindow = 512; // tokens read together, as llama.cpp's imatrix does

// Tensors that went from one type to another, together.
struct Change {
  std::string_view from;
  BlockType to = BlockType::kF32;
  std::size_t tensors = 0;
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;
  double square_error = 0.0;
  double square = 0.0;
  double relative_rmse() const { return square > 0.0 ? std::sqrt(square_error / square) : 0.0; }
};

std::vector<Change> changes_of(const std::vector<QuantizedTensor>& tensors) {
  std::vector<Change> changes;
  for (const QuantizedTensor& tensor : tensors) {
    auto change = std::ranges::find_if(changes, [&tensor](const Change& known) {
      return known.from == tensor.from && known.to == tensor.to;
    });
    if (change == changes.end()) {
      change = changes.insert(change, {.from = tensor.from, .to = tensor.to});
    }
    change->tensors += 1;
    change->weights += tensor.weights;
    change->bytes += tensor.bytes;
    change->square_error += tensor.square_error;
    change->square += tensor.square;
  }
  std::ranges::stable_sort(changes, std::ranges::greater(), &Change::weights);
  return changes;
}

// Matrices that are no whole blocks of the type, by number of columns: one line each.
std::vector<std::string> fallbacks_of(const std::vector<QuantizedTensor>& tensors, BlockType type) {
  std::vector<std::string> lines;
  for (const QuantizedTensor& tensor : tensors) {
    if (tensor.to == type || storage_for(type, tensor.columns) == type) continue;
    if (tensor.to != storage_for(type, tensor.columns)) continue; // no matrix
    const std::string line =
        cat("rows of ", tensor.columns, " are no whole blocks of ", storage_text(type), ": ",
            storage_text(tensor.to), " instead, as in ", tensor.name);
    const std::string begin = line.substr(0, line.rfind(", as in"));
    const bool known = std::ranges::any_of(
        lines, [&begin](const std::string& other) { return other.starts_with(begin); });
    if (!known) lines.push_back(line);
  }
  return lines;
}

struct Source {
  std::uint64_t bytes_before = 0;
  std::uint64_t imatrix_tokens = 0; // 0: all columns counted alike
};

void tell(Console& console, const ModelQuantizeOptions& options, BlockType type,
          const std::vector<QuantizedTensor>& tensors, const Source& source) {
  Table table({{"stored as"},
               {"now"},
               {"tensors", Align::kRight},
               {"weights", Align::kRight},
               {"size", Align::kRight},
               {"relative RMSE", Align::kRight}});
  Json changes = Json::array();
  for (const Change& change : changes_of(tensors)) {
    table.add_row({std::string(change.from), std::string(storage_text(change.to)),
                   cat(change.tensors), grouped(change.weights),
                   human_bytes(static_cast<double>(change.bytes)),
                   fixed(change.relative_rmse(), 6)});
    changes.push_back({{"from", change.from},
                       {"to", storage_text(change.to)},
                       {"tensors", change.tensors},
                       {"weights", change.weights},
                       {"bytes", change.bytes},
                       {"relative_rmse", change.relative_rmse()}});
  }
  const std::vector<std::string> fallbacks = fallbacks_of(tensors, type);
  std::error_code code;
  const auto bytes = fs::file_size(options.out, code);
  console.write(table.render());
  console.print();
  for (const std::string& line : fallbacks) console.print(line);
  console.print(cat(options.out, ": ", human_bytes(code ? 0.0 : static_cast<double>(bytes)), " of ",
                    human_bytes(static_cast<double>(source.bytes_before))));
  console.finish("coppice.model_quantize.v1", Json{{"in", options.in},
                                                   {"out", options.out},
                                                   {"type", storage_text(type)},
                                                   {"bytes_before", source.bytes_before},
                                                   {"bytes", code ? 0 : bytes},
                                                   {"imatrix_tokens", source.imatrix_tokens},
                                                   {"changes", std::move(changes)},
                                                   {"fallbacks", fallbacks}});
}

// What the text makes of each column's weight, and how much of the text was read.
struct TextImportance {
  ColumnImportance columns;
  std::uint64_t tokens = 0;
};

// Of windows spread over all the text, so that a part of it speaks for the whole.
Result<TextImportance> measure_importance(Context& context, const ModelQuantizeOptions& options) {
  const auto base = COPPICE_TRY(BaseModel::open(options.in));
  const TextDocuments text = COPPICE_TRY(read_documents(options.imatrix_from, *base));
  std::vector<Sequence> windows;
  for (const TokenizedDocument& document : text.documents) {
    const std::size_t window = std::min<std::size_t>(kImportanceWindow, base->config().context);
    for (Sequence& sequence : scoring_windows(document, window)) {
      windows.push_back(std::move(sequence));
    }
  }
  std::uint64_t all = 0;
  for (const Sequence& window : windows) all += window.tokens.size();
  const double share = std::min(1.0, options.imatrix_tokens / static_cast<double>(all));
  const auto meter = COPPICE_TRY(native::ImportanceMeter::make(base, threads_of(options.model)));
  const SystemClock clock;
  Progress progress(context.console, {"reading the text", "tokens"},
                    std::min<std::uint64_t>(all, options.imatrix_tokens), clock);
  std::uint64_t passed = 0;
  for (const Sequence& window : windows) {
    passed += window.tokens.size();
    if (static_cast<double>(meter->tokens()) >= share * static_cast<double>(passed)) continue;
    if (interrupted()) return Error{ErrorCode::kCancelled, "quantizing was stopped"};
    COPPICE_TRY(meter->add(window.tokens));
    progress.update(meter->tokens());
  }
  progress.finish();
  if (meter->tokens() == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the text in ", options.imatrix_from, " is too short to say what matters")};
  }
  return TextImportance{.columns = meter->importance(), .tokens = meter->tokens()};
}

Result<ExitCode> quantize(Context& context, const ModelQuantizeOptions& options) {
  const BlockType type = COPPICE_TRY(parse_storage(options.type));
  const bool weighted = !options.imatrix_from.empty();
  if (weighted && !heeds_importance(type)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(storage_text(type),
                     " doesn't heed importance: leave out --imatrix-from, or "
                     "take one of Q2_K to Q6_K, IQ4_NL and IQ4_XS")};
  }
  TextImportance importance;
  if (weighted) importance = COPPICE_TRY(measure_importance(context, options));
  const GgufFile file = COPPICE_TRY(GgufFile::open(options.in));
  std::uint64_t weights = 0;
  for (const GgufTensor& tensor : file.tensors()) weights += weight_count(file, tensor);
  const SystemClock clock;
  Progress progress(context.console, {"quantizing", "weights"}, weights, clock);
  const auto tensors = COPPICE_TRY(
      quantize_model(file, options.out,
                     {.type = type,
                      .threads = threads_of(options.model),
                      .importance = weighted ? &importance.columns : nullptr,
                      .progress = [&progress](std::uint64_t done) { progress.update(done); }}));
  progress.finish();
  tell(context.console, options, type, tensors,
       {.bytes_before = file.bytes().size(), .imatrix_tokens = importance.tokens});
  return ExitCode::kOk;
}

} // namespace

void add_model_quantize_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ModelQuantizeOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "quantize",
                   .summary = "A model's matrices in another type, as a new file",
                   .example = "coppice model quantize base.f16.gguf base.q4_k.gguf --type Q4_K\n"
                              "coppice model quantize base.f16.gguf base.nf4.gguf --type NF4\n"
                              "coppice model quantize base.f16.gguf base.q2_k.gguf --type Q2_K "
                              "--imatrix-from notes"},
                  [options](Context& at) { return quantize(at, *options); });
  command.add_option("IN", options->in, "The model's GGUF file").type_name("FILE").required();
  command.add_option("OUT", options->out, "The new file").type_name("FILE").required();
  command
      .add_option("--type", options->type,
                  "How matrices are stored: Q4_K, Q8_0, F16, NF4, ...; norms and biases are F32")
      .type_name("TYPE")
      .required();
  command
      .add_option("--imatrix-from", options->imatrix_from,
                  "File or folder of text that says which columns matter: the model reads it, and "
                  "their mean squares weigh the errors (Q2_K to Q6_K, IQ4_NL, IQ4_XS)")
      .type_name("DIR");
  command
      .add_option("--imatrix-tokens", options->imatrix_tokens,
                  "Tokens of that text to read, spread over all of it")
      .type_name("N")
      .check(in_range(1U, 1U << 30U))
      .capture_default_str();
  add_threads_option(command, options->model);
}

} // namespace coppice
