// SPDX-License-Identifier: Apache-2.0
// `coppice bench table`: every figure beside its bar. Each run is a process of its own, so that
// memory at its peak is that run's, with ceilings of its own.
#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "cli/bench_table.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/subprocess.h"
#include "cli/table.h"
#include "cli/work_folder.h"
#include "model/model_info.h"

namespace coppice {
namespace {

constexpr Millis kLongestRun{30 * 60 * 1000};
constexpr Millis kLookAround{100}; // for Ctrl-C
constexpr std::size_t kMaxOutput = std::size_t{1} << 20U;

struct TableOptions {
  std::vector<std::string> models; // files and folders
  std::vector<std::string> peers;  // NAME=VALUE
  std::string peers_file;
  std::vector<std::string> only;
  unsigned threads = 2; // what the bars were set for
};

Error unknown_peer(const std::string& name) {
  std::string known;
  for (const FigurePeer& peer : figure_peers()) known += cat(known.empty() ? "" : ", ", peer.name);
  return Error{ErrorCode::kInvalidArgument,
               cat("\"", name, "\" is no figure of a peer: take NAME=VALUE, with one of ", known)};
}

bool is_peer(const std::string& name) {
  return std::ranges::find(figure_peers(), name, &FigurePeer::name) != figure_peers().end();
}

Result<std::map<std::string, double>> given_peers(const TableOptions& options) {
  std::map<std::string, double> peers;
  if (!options.peers_file.empty()) {
    const Bytes raw = COPPICE_TRY(read_file(options.peers_file, kMaxOutput));
    const Json json = COPPICE_TRY(parse_json(raw));
    if (!json.is_object()) return unknown_peer(options.peers_file);
    for (const auto& [name, value] : json.items()) {
      if (!is_peer(name) || !value.is_number()) return unknown_peer(name);
      peers[name] = value.get<double>();
    }
  }
  for (const std::string& peer : options.peers) {
    const std::size_t equals = peer.find('=');
    const std::string name = peer.substr(0, equals);
    if (equals == std::string::npos || !is_peer(name)) return unknown_peer(peer);
    double value = 0;
    const char* const end = peer.data() + peer.size();
    const auto read = std::from_chars(peer.data() + equals + 1, end, value);
    if (read.ec != std::errc() || read.ptr != end || !(value > 0)) {
      return unknown_peer(peer);
    }
    peers[name] = value;
  }
  return peers;
}

// By the name of figure_models(): the first file of its shape, stored as Q4_0.
std::map<std::string_view, fs::path> find_models(const std::vector<std::string>& places) {
  std::vector<fs::path> files;
  for (const std::string& place : places) {
    std::error_code code;
    if (!fs::is_directory(place, code)) {
      files.emplace_back(place);
      continue;
    }
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(place, code)) {
      if (entry.path().extension() == ".gguf") found.push_back(entry.path());
    }
    std::ranges::sort(found);
    files.insert(files.end(), found.begin(), found.end());
  }
  std::map<std::string_view, fs::path> models;
  for (const fs::path& file : files) {
    const auto base = BaseModel::open(file);
    if (!base || !quantization_summary((*base)->file()).starts_with("Q4_0")) continue;
    const ModelConfig& config = (*base)->config();
    for (const FigureModel& model : figure_models()) {
      if (config.layers == model.layers && config.width == model.width &&
          config.feed_forward == model.feed_forward) {
        models.emplace(model.name, file);
      }
    }
  }
  return models;
}

// What `coppice bench ARGUMENTS --format json` prints, as a process of its own.
Result<Json> run_bench(const FigureRun& run, const fs::path& model, unsigned threads,
                       const fs::path& output) {
  std::vector<std::string> line{this_program().string(), "bench"};
  line.insert(line.end(), run.arguments.begin(), run.arguments.end());
  line.insert(line.end(), {"-m", model.string(), "--threads", cat(threads), "--format", "json"});
  ChildProcess child =
      COPPICE_TRY(ChildProcess::start({.arguments = line, .output = output, .environment = {}}));
  const SystemClock clock;
  const Millis start = clock.monotonic();
  std::optional<int> status;
  while (!status) {
    if (interrupted()) return Error{ErrorCode::kCancelled, "the benchmark was stopped"};
    if (clock.monotonic() - start > kLongestRun) {
      return Error{ErrorCode::kDeadlineExceeded, cat("bench ", run.name, " took half an hour")};
    }
    const auto ended = child.wait(kLookAround);
    if (ended) {
      status = *ended;
    } else if (ended.error().code != ErrorCode::kDeadlineExceeded) {
      return ended.error();
    }
  }
  const Bytes raw = COPPICE_TRY(read_file(output, kMaxOutput));
  const std::string_view text = as_text(raw);
  const std::size_t begin = text.find('{');
  if (*status != 0 || begin == std::string_view::npos) {
    return Error{ErrorCode::kInternal, std::string(text.substr(0, text.find('\n')))};
  }
  return parse_json(text.substr(begin));
}

std::string bar_text(const FigureResult& figure, int digits) {
  const std::string sign = figure.at_least ? ">= " : "<= ";
  if (figure.peer.empty()) return cat(sign, fixed(figure.bar, digits));
  return cat(sign, fixed(figure.bar, digits), " (", fixed(figure.factor, 2), " x ",
             fixed(figure.peer_value, digits), figure.peer_given ? ", given)" : ", recorded)");
}

Json row_json(const FigureResult& figure) {
  Json row{{"name", figure.name},         {"figure", figure.what},
           {"measured", figure.measured}, {"unit", figure.unit},
           {"bar", figure.bar},           {"bar_is", figure.at_least ? "at least" : "at most"},
           {"run", figure.run},           {"result", figure.passes ? "pass" : "short"}};
  if (!figure.peer.empty()) {
    row["peer"] = {{"name", figure.peer},
                   {"value", figure.peer_value},
                   {"factor", figure.factor},
                   {"source", figure.peer_given ? "given" : "recorded"}};
  }
  return row;
}

void tell(Console& console, const TableOptions& options, const std::map<std::string, Json>& runs,
          const std::vector<FigureResult>& figures, const std::vector<std::string>& missing) {
  Table table({{"figure"}, {"measured", Align::kRight}, {""}, {"bar"}, {""}});
  Json rows = Json::array();
  std::size_t passed = 0;
  for (const FigureResult& figure : figures) {
    const int digits = figure.measured < 10 ? 3 : figure.measured < 1000 ? 1 : 0;
    table.add_row({std::string(figure.what), fixed(figure.measured, digits),
                   std::string(figure.unit), bar_text(figure, digits),
                   figure.passes ? "pass" : "short"});
    rows.push_back(row_json(figure));
    if (figure.passes) ++passed;
  }
  console.write(table.render());
  console.print(cat("\n", passed, " of ", figures.size(), " pass, with ", options.threads,
                    " threads; \"recorded\" peers are of docs/benchmarks.md, not of this machine"));
  for (const std::string& line : missing) console.print(line);
  console.finish("coppice.bench_table.v1", Json{{"rows", std::move(rows)},
                                                {"passed", passed},
                                                {"threads", options.threads},
                                                {"missing", missing},
                                                {"runs", runs}});
}

Result<ExitCode> bench_table(Context& context, const TableOptions& options) {
  const auto peers = COPPICE_TRY(given_peers(options));
  const auto models = find_models(options.models);
  WorkFolder work = COPPICE_TRY(WorkFolder::make(""));
  std::map<std::string, Json> runs;
  std::vector<std::string> missing; // runs without figures, each with its reason
  for (const FigureRun& run : figure_runs()) {
    const std::string name(run.name);
    if (!options.only.empty() && std::ranges::find(options.only, name) == options.only.end()) {
      continue;
    }
    const auto model = models.find(run.model);
    if (model == models.end()) {
      missing.push_back(cat(name, ": --models has no Q4_0 file of the shape ", run.model));
      continue;
    }
    context.console.note(cat("bench ", name));
    auto ran = run_bench(run, model->second, options.threads, work.path() / cat(name, ".json"));
    if (ran.ok()) {
      runs[name] = std::move(ran).value();
    } else if (ran.error().code == ErrorCode::kInternal) { // the others have figures all the same
      missing.push_back(cat(name, ": short, it can't run here: ", ran.error().message));
    } else {
      return ran.error();
    }
  }
  if (runs.empty()) {
    return missing.empty() ? invalid_argument("--only names no run of the table")
                           : Error{ErrorCode::kFailedPrecondition,
                                   cat("no run of the table can be made (docs/benchmarks.md): ",
                                       join(missing, "; "))};
  }
  const auto figures = COPPICE_TRY(judge_figures(runs, peers));
  tell(context.console, options, runs, figures, missing);
  return ExitCode::kOk;
}

} // namespace

void add_bench_table_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<TableOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "table",
                   .summary = "The engine's figures beside their bars: pass or short",
                   .example = "coppice bench table --models models\n"
                              "coppice bench table --models models --models llama-1b.q4_0.gguf "
                              "--peer peft-27m=1100\n"
                              "coppice bench table --models models --only train-27m --format json"},
                  [options](Context& at) { return bench_table(at, *options); });
  command
      .add_option(
          "--models", options->models,
          "Files, or folders of them, with the figures' models; what isn't there is left out")
      .type_name("DIR")
      .required();
  command
      .add_option("--peer", options->peers,
                  "A peer's tokens a second, measured beside this; several")
      .type_name("NAME=VALUE");
  command.add_option("--peers", options->peers_file, "The same as a JSON object").type_name("FILE");
  std::vector<std::string> runs;
  for (const FigureRun& run : figure_runs()) runs.emplace_back(run.name);
  command
      .add_option("--only", options->only, "Runs of the table to make, such as train-27m; several")
      .type_name("RUN")
      .check(one_of(runs));
  command.add_option("--threads", options->threads, "Threads; the bars are for two")
      .type_name("N")
      .check(in_range(1U, 256U))
      .capture_default_str();
}

} // namespace coppice
