// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_report_files.h"

#include <cmath>

#include "base/file.h"
#include "base/text.h"
#include "cli/table.h"
#include "sim/report_page.h"
#include "sim/run_csv.h"
#include "sim/run_figures.h"
#include "sim/run_log.h"
#include "sim/run_tensorboard.h"

namespace coppice {
namespace {

using Files = std::vector<std::string>;

Result<void> write(const fs::path& path, ByteSpan bytes, Files& written) {
  COPPICE_TRY(write_file_atomically(path, bytes));
  written.push_back(path.string());
  return {};
}

Result<void> make_folder(const fs::path& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (!failed) return {};
  return Error{ErrorCode::kIo,
               cat("can't make the folder ", path.string(), ": ", failed.message())};
}

} // namespace

Result<std::vector<std::string>> write_report_files(const ReportFiles& options,
                                                    const std::vector<RunRecord>& runs) {
  Files written;
  const fs::path page =
      options.out.empty() ? runs.front().folder / kReportFile : fs::path(options.out);
  COPPICE_TRY(write(page, as_bytes(report_page(runs)), written));
  for (const RunRecord& run : runs) {
    if (options.csv) {
      COPPICE_TRY(write(run.folder / kRoundsTable, as_bytes(rounds_csv(run)), written));
      COPPICE_TRY(write(run.folder / kEvaluationsTable, as_bytes(evaluations_csv(run)), written));
      COPPICE_TRY(write(run.folder / kClientsTable, as_bytes(clients_csv(run)), written));
    }
    if (!options.tensorboard) continue;
    for (const TensorBoardRun& axis : tensorboard_runs(run)) {
      const fs::path folder = run.folder / kTensorBoardFolder / axis.folder;
      COPPICE_TRY(make_folder(folder));
      COPPICE_TRY(write(folder / kTensorBoardFile, axis.events, written));
    }
  }
  return written;
}

double bits_at_end(const RunRecord& run, std::string_view set, std::string_view adapter) {
  const auto found = last_evaluation(run, set, adapter);
  return found ? found->bits_per_byte : NAN;
}

void print_report(Console& console, const ReportRuns& runs) {
  Table table({{"run"},
               {"rounds", Align::kRight},
               {"base", Align::kRight},
               {"shared", Align::kRight},
               {"gain", Align::kRight},
               {"harmed", Align::kRight},
               {"virtual time", Align::kRight},
               {"uploaded", Align::kRight},
               {"epsilon", Align::kRight}});
  table.set_caption("bits per byte on all clients' report text, lower is better");
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    const double base = bits_at_end(run, "global", "base");
    const double shared = bits_at_end(run, "global", "shared");
    const HarmShare harm = harm_of(last_clients(run));
    table.add_row({runs.names[i], cat(run.end.released, " of ", run.end.rounds), bits_text(base),
                   bits_text(shared), std::isfinite(shared) ? gain_percent(base, shared) : "-",
                   part_text(harm.harmed, harm.clients),
                   value_text(AxisUnit::kSeconds, run.end.time_s),
                   value_text(AxisUnit::kBytes, run.end.bytes_up),
                   value_text(AxisUnit::kPlain, run.end.epsilon)});
  }
  console.write(table.render());
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    for (const std::string& reason : run.manifest.simulation_only) {
      console.print(cat("Simulation only, ", runs.names[i], ": ", reason));
    }
    if (!run.ended) console.print(cat("Not ended: ", runs.names[i]));
  }
}

} // namespace coppice
