// SPDX-License-Identifier: Apache-2.0
// `coppice client status | pause | resume | leave | forget | ledger` and `client adapter export`.
#include "adapters/gguf_adapter.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "client/agent.h"
#include "client/enroll.h"
#include "client/linux_conditions.h"
#include "client/settings_file.h"

namespace coppice {
namespace {

struct DeviceOptions {
  std::string directory;
  std::string format = "gguf";
  std::string out;
  std::size_t last = 20;
};

Result<std::optional<Json>> read_optional(const fs::path& path) {
  if (!fs::exists(path)) return std::optional<Json>{};
  const Bytes raw = COPPICE_TRY(read_file(path, std::size_t{1} << 24U));
  return std::optional<Json>{COPPICE_TRY(parse_json(as_text(raw)))};
}

DeviceHistory history_of(const DeviceFolder& folder, const ClientSettings& settings,
                         const DeviceMarks& marks) {
  DeviceHistory history;
  history.paused = folder.paused();
  const Millis now = SystemClock().wall();
  if (marks.last_round_wall.count > 0) history.since_last_round = now - marks.last_round_wall;
  const auto pieces = read_pieces(settings.data, settings.store, nullptr);
  if (pieces.ok()) {
    for (const Piece& piece : *pieces) {
      if (piece.split == Split::kTrain) {
        history.train_bytes += piece.text.size() + piece.response.size();
      }
    }
  }
  const auto entries = read_ledger(folder.ledger_path());
  if (entries.ok()) {
    for (const LedgerEntry& entry : *entries) {
      if (now - entry.wall < Millis{24 * 3600 * 1000}) history.bytes_today += entry.bytes;
    }
  }
  return history;
}

Result<ExitCode> status(Context& context, const DeviceOptions& options) {
  const DeviceFolder folder{fs::path(options.directory)};
  const ClientSettings settings =
      COPPICE_TRY(load_client_settings(options.directory, context.environment, {}));
  const DeviceIdentity identity = COPPICE_TRY(folder.identity());
  const DeviceMarks marks = COPPICE_TRY(folder.marks());
  const bool running = !FileLock::take(folder.directory() / "lock").ok();
  const auto snapshot = COPPICE_TRY(read_optional(folder.directory() / "status.json"));
  const auto report = COPPICE_TRY(read_optional(folder.directory() / "report.json"));
  const auto gate = Serving(folder, settings).last_gate();

  Console& console = context.console;
  console.print(cat("device     ", identity.id, running ? ", running" : ", not running"));
  console.print(cat("fleet      ", folder.membership().ok() ? "enrolled" : "not enrolled"));
  if (running && snapshot) console.print(cat("doing      ", snapshot->value("phase", "")));
  if (gate) {
    console.print(cat("serves     ", served_name(gate->served), " (release ", gate->version, ")"));
  }
  const auto verdicts = check_eligibility(settings.eligibility, LinuxConditions().read(),
                                          history_of(folder, settings, marks));
  Table table({{"condition"}, {"reading"}, {"wanted"}, {"verdict"}});
  Json conditions = Json::array();
  for (const ConditionVerdict& verdict : verdicts) {
    table.add_row(
        {verdict.condition, verdict.reading, verdict.threshold, verdict.met ? "ok" : "not now"});
    conditions.push_back({{"condition", verdict.condition},
                          {"reading", verdict.reading},
                          {"threshold", verdict.threshold},
                          {"met", verdict.met}});
  }
  console.print();
  console.write(table.render());
  Json fields{{"id", identity.id.hex()},
              {"running", running},
              {"enrolled", folder.membership().ok()},
              {"ready", !not_eligible_because(verdicts).has_value()},
              {"conditions", std::move(conditions)}};
  if (gate) fields["serves"] = served_name(gate->served);
  if (report) {
    fields["report"] = *report;
    console.print();
    console.print(cat("own report text, bits per byte (lower is better): base ",
                      fixed(report->value("base", 0.0), 3), ", shared ",
                      fixed(report->value("shared", 0.0), 3), ", with personal ",
                      fixed(report->value("personal", report->value("shared", 0.0)), 3)));
  }
  console.finish("coppice.client_status.v1", fields);
  return ExitCode::kOk;
}

Result<ExitCode> set_paused(Context& context, const DeviceOptions& options, bool paused) {
  const DeviceFolder folder{fs::path(options.directory)};
  COPPICE_TRY(folder.identity());
  COPPICE_TRY(folder.set_paused(paused));
  context.console.print(
      paused ? "Paused: this device computes nothing and answers 'not now' until you resume it."
             : "Resumed.");
  context.console.finish("coppice.client_pause.v1", Json{{"paused", paused}});
  return ExitCode::kOk;
}
Result<ExitCode> pause(Context& context, const DeviceOptions& options) {
  return set_paused(context, options, true);
}
Result<ExitCode> resume(Context& context, const DeviceOptions& options) {
  return set_paused(context, options, false);
}

Result<ExitCode> leave(Context& context, const DeviceOptions& options) {
  const SystemClock clock;
  COPPICE_TRY(leave_fleet(DeviceFolder(options.directory), clock, Millis{10'000}));
  context.console.print(
      "Left the fleet: the aggregator has revoked this device. What it gave to past "
      "releases stays in them.");
  context.console.finish("coppice.client_leave.v1", Json{{"left", true}});
  return ExitCode::kOk;
}

Result<ExitCode> forget(Context& context, const DeviceOptions& options) {
  const DeviceFolder folder{fs::path(options.directory)};
  COPPICE_TRY(folder.identity());
  const FileLock lock = COPPICE_TRY(FileLock::take(folder.directory() / "lock"));
  COPPICE_TRY(folder.forget_personal());
  constexpr const char* kLimits =
      "Shared releases can't forget: what this device's deltas added to them stays averaged in, on "
      "every device that holds them.";
  context.console.print(
      "Erased: the personal adapter, its optimizer's state, what was kept between rounds, what was "
      "served, and all caches.");
  context.console.print(kLimits);
  context.console.finish(
      "coppice.client_forget.v1",
      Json{{"erased", {"personal adapter", "served adapter", "caches"}}, {"limits", kLimits}});
  return ExitCode::kOk;
}

Result<ExitCode> ledger(Context& context, const DeviceOptions& options) {
  const auto entries = COPPICE_TRY(read_ledger(DeviceFolder(options.directory).ledger_path()));
  const Millis now = SystemClock().wall();
  Table table({{"#", Align::kRight},
               {"when"},
               {"socket"},
               {"what"},
               {"round", Align::kRight},
               {"bytes", Align::kRight},
               {"SHA-256"}});
  Json rows = Json::array();
  std::uint64_t total = 0;
  for (const LedgerEntry& entry : entries) {
    total += entry.bytes;
    rows.push_back({{"number", entry.number},
                    {"time_ms", entry.wall.count},
                    {"channel", entry.channel},
                    {"kind", entry.kind},
                    {"round", entry.round.value},
                    {"bytes", entry.bytes},
                    {"sha256", entry.content.hex()}});
    if (entry.number + options.last < entries.size()) continue;
    table.add_row({cat(entry.number), ago(entry.wall, now), entry.channel, entry.kind,
                   entry.round.value == 0 ? std::string("-") : cat(entry.round),
                   grouped(entry.bytes), entry.content.hex().substr(0, 16)});
  }
  context.console.write(table.render());
  context.console.print(cat("\n", grouped(entries.size()), " frames, ", grouped(total),
                            " bytes ever left this device; the chain of entries is whole."));
  context.console.finish("coppice.ledger.v1", Json{{"entries", std::move(rows)}, {"bytes", total}});
  return ExitCode::kOk;
}

Result<ExitCode> export_adapter(Context& context, const DeviceOptions& options) {
  const DeviceFolder folder{fs::path(options.directory)};
  const ClientSettings settings =
      COPPICE_TRY(load_client_settings(options.directory, context.environment, {}));
  const Membership membership = COPPICE_TRY(folder.membership());
  const auto shared = COPPICE_TRY(folder.shared(membership.keys.verify));
  if (!shared) return Error{ErrorCode::kFailedPrecondition, "this device holds no release yet"};
  const auto adapter = COPPICE_TRY(Serving(folder, settings).served_adapter(*shared));
  if (!adapter) {
    return Error{ErrorCode::kFailedPrecondition,
                 "the base alone serves on this device: there is nothing to export"};
  }
  if (options.format == "peft") {
    COPPICE_TRY(write_peft_adapter(options.out, *adapter,
                                   {.base_model = settings.model.filename().string()}));
  } else {
    COPPICE_TRY(write_gguf_adapter(options.out, *adapter));
  }
  context.console.print(cat("Wrote what this device serves with, as one adapter of ",
                            grouped(adapter->spec().parameters()), " parameters, to ", options.out,
                            "."));
  context.console.finish("coppice.client_adapter_export.v1",
                         Json{{"out", options.out},
                              {"format", options.format},
                              {"parameters", adapter->spec().parameters()}});
  return ExitCode::kOk;
}

CommandOptions add(CommandOptions& parent, Context& context, const CommandText& text,
                   Result<ExitCode> (*action)(Context&, const DeviceOptions&),
                   const std::shared_ptr<DeviceOptions>& options) {
  CommandOptions command = new_command(
      parent, context, text, [options, action](Context& at) { return action(at, *options); });
  command.add_option("DIR", options->directory, "The device's folder").required();
  return command;
}

} // namespace

void add_client_status_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "status",
       .summary = "What this device serves with, and whether it may train now",
       .example = "coppice client status phone"},
      status, std::make_shared<DeviceOptions>());
}
void add_client_pause_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "pause", .summary = "Take no part for now", .example = "coppice client pause phone"},
      pause, std::make_shared<DeviceOptions>());
}
void add_client_resume_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "resume", .summary = "Take part again", .example = "coppice client resume phone"},
      resume, std::make_shared<DeviceOptions>());
}
void add_client_leave_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "leave",
       .summary = "Leave the fleet for good",
       .example = "coppice client leave phone"},
      leave, std::make_shared<DeviceOptions>());
}
void add_client_forget_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "forget",
       .summary = "Erase the personal adapter and everything learnt from your text here",
       .example = "coppice client forget phone"},
      forget, std::make_shared<DeviceOptions>());
}
void add_client_ledger_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<DeviceOptions>();
  add(parent, context,
      {.name = "ledger",
       .summary = "Every byte that ever left this device",
       .example = "coppice client ledger phone --last 50"},
      ledger, options)
      .add_option("--last", options->last, "Entries to print")
      .capture_default_str();
}
void add_client_adapter_export_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<DeviceOptions>();
  CommandOptions command =
      add(parent, context,
          {.name = "export",
           .summary = "Write what serves, shared and personal as one adapter",
           .example = "coppice client adapter export phone --out mine.gguf\n"
                      "coppice client adapter export phone --to peft --out my-adapter"},
          export_adapter, options);
  command.add_option("--to", options->format, "gguf or peft")
      .check(one_of({"gguf", "peft"}))
      .capture_default_str();
  command.add_option("--out", options->out, "File (gguf) or folder (peft) to write").required();
}

} // namespace coppice
