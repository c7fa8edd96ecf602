// SPDX-License-Identifier: Apache-2.0
// `coppice aggregator round list | show | watch | abort` and `release list | show | revert`.
#include <chrono>
#include <thread>

#include "aggregator/fleet_folder.h"
#include "aggregator/service.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/fleet_setup.h"
#include "cli/fleet_status.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/table.h"

namespace coppice {
namespace {

struct RoundOptions {
  std::string directory;
  std::uint64_t number = 0;
  std::uint32_t last = 20;
};

Json record_json(const RoundRecord& record) {
  Json json{{"round", record.round.value},
            {"status", round_status_name(record.status)},
            {"selected", record.members},
            {"participants", record.counted},
            {"started_ms", record.started_wall.count},
            {"ended_ms", record.ended_wall.count}};
  if (record.version) json["release"] = record.version->value;
  if (!record.reason.empty()) json["reason"] = record.reason;
  if (!record.metrics.empty()) {
    const auto metrics = parse_json(record.metrics);
    if (metrics.ok()) json["metrics"] = *metrics;
  }
  return json;
}

std::string took(const RoundRecord& record) {
  if (record.ended_wall.count == 0) return "-";
  return cat(fixed(static_cast<double>((record.ended_wall - record.started_wall).count) / 1000, 1),
             " s");
}

Result<ExitCode> list_rounds(Context& context, const RoundOptions& options) {
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  Table table({{"round", Align::kRight},
               {"status"},
               {"reports", Align::kRight},
               {"asked", Align::kRight},
               {"took", Align::kRight},
               {"release", Align::kRight},
               {"why"}});
  Json rows = Json::array();
  for (const RoundRecord& record : COPPICE_TRY(store.rounds(options.last))) {
    table.add_row({cat(record.round), round_status_name(record.status), cat(record.counted),
                   cat(record.members), took(record),
                   record.version ? cat(*record.version) : std::string("-"), record.reason});
    rows.push_back(record_json(record));
  }
  context.console.write(table.render());
  context.console.finish("coppice.rounds.v1", Json{{"rounds", std::move(rows)}});
  return ExitCode::kOk;
}

Result<ExitCode> show_round(Context& context, const RoundOptions& options) {
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  for (const RoundRecord& record : COPPICE_TRY(store.rounds(1'000'000))) {
    if (record.round.value != options.number) continue;
    Console& console = context.console;
    console.print(cat("round     ", record.round, ", ", round_status_name(record.status),
                      record.reason.empty() ? "" : ": ", record.reason));
    console.print(cat("devices   ", record.counted, " reported of ", record.members, " asked"));
    console.print(cat("took      ", took(record)));
    if (record.version) console.print(cat("release   ", *record.version));
    if (!record.metrics.empty()) console.print(cat("means     ", record.metrics));
    Json fields = record_json(record);
    fields["counted"] = Json::array();
    for (const ClientId& client : COPPICE_TRY(store.taking_part(record.round))) {
      console.print(cat("counted   ", client));
      fields["counted"].push_back(client.hex());
    }
    console.finish("coppice.round.v1", fields);
    return ExitCode::kOk;
  }
  return Error{ErrorCode::kNotFound,
               cat("there is no round ", options.number, "; see 'coppice aggregator round list'")};
}

// Until the running round ends, or Ctrl-C.
Result<ExitCode> watch(Context& context, const RoundOptions& options) {
  std::string last;
  Json fields;
  while (!interrupted().load()) {
    const FleetStatus status = COPPICE_TRY(read_fleet_status(options.directory));
    if (!status.running) {
      return Error{ErrorCode::kUnavailable,
                   "the service doesn't run; start it with "
                   "'coppice aggregator run'"};
    }
    if (status.snapshot && status.snapshot->contains("round")) {
      fields = (*status.snapshot)["round"];
      const std::string line =
          cat("round ", fields.value("id", 0), "  ", fields.value("phase", ""), "  ",
              fields.value("reported", 0), "/", fields.value("selected", 0), " reported");
      if (line != last) context.console.print(line);
      last = line;
    } else if (!last.empty()) {
      context.console.print("ended");
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  context.console.finish("coppice.round_watch.v1", Json{{"round", fields}});
  return ExitCode::kOk;
}

Result<ExitCode> abort_round(Context& context, const RoundOptions& options) {
  const FleetStatus status = COPPICE_TRY(read_fleet_status(options.directory));
  if (!status.running || !status.snapshot || !status.snapshot->contains("round")) {
    return Error{ErrorCode::kFailedPrecondition, "no round is running"};
  }
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  COPPICE_TRY(store.set("request.abort", "aborted by the operator"));
  context.console.print("The round is abandoned within a second; nothing of it is used.");
  context.console.finish("coppice.round_abort.v1", Json{{"requested", true}});
  return ExitCode::kOk;
}

// A release signed by any of the folder's key sets.
Result<Release> decode_release(const FleetFolder& folder, const SignedRelease& release) {
  for (std::uint64_t number = folder.keys().set.number.value; number > 0; --number) {
    const AggregatorKeys* const keys = folder.keys(KeySetNumber{number});
    if (keys == nullptr) continue;
    auto verified = verify_release(keys->set.verify, release);
    if (verified.ok()) return verified;
  }
  return Error{ErrorCode::kUnauthenticated, "a stored release is signed by none of the key sets"};
}

const char* reason_name(ReleaseReason reason) {
  switch (reason) {
    case ReleaseReason::kInitial: return "initial";
    case ReleaseReason::kRound: return "round";
    case ReleaseReason::kRevert: return "revert";
  }
  return "unknown";
}

Json release_json(const Release& release) {
  return {{"version", release.version.value},
          {"reason", reason_name(release.reason)},
          {"round", release.round.value},
          {"participants", release.participants},
          {"adapter_sha256", release.adapter_hash.hex()},
          {"parent_sha256", release.parent_hash.hex()},
          {"step_bytes", release.step_bytes},
          {"adapter_bytes", release.adapter_bytes},
          {"created_ms", release.created.count}};
}

Result<ExitCode> list_releases(Context& context, const RoundOptions& options) {
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.directory));
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  const Millis now = SystemClock().wall();
  Table table({{"version", Align::kRight},
               {"made by"},
               {"devices", Align::kRight},
               {"step", Align::kRight},
               {"adapter"},
               {"made"}});
  Json rows = Json::array();
  for (const SignedRelease& signed_release : COPPICE_TRY(store.releases(options.last))) {
    const Release release = COPPICE_TRY(decode_release(folder, signed_release));
    std::string made_by = reason_name(release.reason);
    if (release.reason == ReleaseReason::kRound) made_by = cat("round ", release.round);
    if (release.reason == ReleaseReason::kRevert) made_by = cat("revert to ", release.reverted_to);
    table.add_row({cat(release.version), made_by, cat(release.participants),
                   human_bytes(static_cast<double>(release.step_bytes)),
                   release.adapter_hash.hex().substr(0, 16), ago(release.created, now)});
    rows.push_back(release_json(release));
  }
  context.console.write(table.render());
  context.console.finish("coppice.releases.v1", Json{{"releases", std::move(rows)}});
  return ExitCode::kOk;
}

Result<ExitCode> show_release(Context& context, const RoundOptions& options) {
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.directory));
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  const auto stored = COPPICE_TRY(store.release(AdapterVersion{options.number}));
  const Json fields = release_json(COPPICE_TRY(decode_release(folder, stored.signed_release)));
  for (const auto& [key, value] : fields.items()) {
    context.console.print(cat(key, std::string(16 - std::min<std::size_t>(15, key.size()), ' '),
                              value.is_string() ? value.get<std::string>() : dump_json(value)));
  }
  context.console.finish("coppice.release.v1", fields);
  return ExitCode::kOk;
}

// A running service is asked; without one it is done here, under the folder's lock.
Result<ExitCode> revert(Context& context, const RoundOptions& options) {
  const FleetStatus status = COPPICE_TRY(read_fleet_status(options.directory));
  if (status.running) {
    StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
    COPPICE_TRY(store.release(AdapterVersion{options.number})); // it must be there
    COPPICE_TRY(store.set("request.revert", cat(options.number)));
    context.console.print(cat("The service publishes release ", options.number,
                              "'s content as a new, higher version once no round is running."));
  } else {
    FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.directory));
    const FileLock lock = COPPICE_TRY(FileLock::take(folder.directory() / "lock"));
    StateStore store = COPPICE_TRY(StateStore::open(options.directory));
    const Release made = COPPICE_TRY(
        revert_release(folder, store, AdapterVersion{options.number}, SystemClock().wall()));
    context.console.print(
        cat("Release ", made.version, " has the content of release ", options.number, "."));
  }
  context.console.finish("coppice.release_revert.v1",
                         Json{{"to", options.number}, {"by_service", status.running}});
  return ExitCode::kOk;
}

std::shared_ptr<RoundOptions> add(CommandOptions& parent, Context& context, const CommandText& text,
                                  Result<ExitCode> (*action)(Context&, const RoundOptions&),
                                  const char* number) {
  auto options = std::make_shared<RoundOptions>();
  CommandOptions command = new_command(
      parent, context, text, [options, action](Context& at) { return action(at, *options); });
  command.add_option("DIR", options->directory, "The fleet's folder").required();
  if (number != nullptr) command.add_option(number, options->number, "Its number").required();
  if (text.name == "list") {
    command.add_option("--last", options->last, "How many, newest first").capture_default_str();
  }
  return options;
}

} // namespace

void add_aggregator_round_list_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "list",
       .summary = "Rounds, newest first",
       .example = "coppice aggregator round list fleet"},
      list_rounds, nullptr);
}
void add_aggregator_round_show_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "show",
       .summary = "One round: who counted, and the means of its metrics",
       .example = "coppice aggregator round show fleet 3"},
      show_round, "ROUND");
}
void add_aggregator_round_watch_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "watch",
       .summary = "Follow the running round to its end",
       .example = "coppice aggregator round watch fleet"},
      watch, nullptr);
}
void add_aggregator_round_abort_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "abort",
       .summary = "Abandon the running round, whole",
       .example = "coppice aggregator round abort fleet"},
      abort_round, nullptr);
}
void add_aggregator_release_list_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "list",
       .summary = "Releases, newest first",
       .example = "coppice aggregator release list fleet"},
      list_releases, nullptr);
}
void add_aggregator_release_show_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "show",
       .summary = "One release",
       .example = "coppice aggregator release show fleet 3"},
      show_release, "VERSION");
}
void add_aggregator_release_revert_command(CommandOptions& parent, Context& context) {
  add(parent, context,
      {.name = "revert",
       .summary = "Publish an earlier release's content as a new, higher, signed version",
       .example = "coppice aggregator release revert fleet 2"},
      revert, "VERSION");
}

} // namespace coppice
