// SPDX-License-Identifier: Apache-2.0
// `coppice aggregator status | pause | resume | keys rotate`, and devices: `clients list | show |
// revoke`.
#include "aggregator/client_registry.h"
#include "aggregator/fleet_folder.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/fleet_status.h"
#include "cli/progress.h"
#include "cli/table.h"

namespace coppice {
namespace {

struct FolderOption {
  std::string directory;
  std::string client;
  bool new_curve = false;
};

CommandOptions folder_command(CommandOptions& parent, Context& context, const CommandText& text,
                              Result<ExitCode> (*action)(Context&, const FolderOption&),
                              const std::shared_ptr<FolderOption>& options) {
  CommandOptions command = new_command(
      parent, context, text, [options, action](Context& at) { return action(at, *options); });
  command.add_option("DIR", options->directory, "The fleet's folder").required();
  return command;
}

void print_round(Console& console, const Json& round) {
  console.print(cat("round        ", round.value("id", 0), ": ", round.value("phase", ""), ", ",
                    round.value("selected", 0), " selected, ", round.value("accepted", 0),
                    " training, ", round.value("reported", 0), " reported, ",
                    round.value("declined", 0), " declined, ", round.value("lost", 0),
                    " lost; needs ", round.value("needed", 0), "; ",
                    fixed(round.value("time_left_s", 0.0), 0), " s left"));
  const Json awaited = round.value("awaited", Json::array());
  if (awaited.empty()) return;
  constexpr std::size_t kMostNamed = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(awaited.size(), kMostNamed); ++i) {
    names += " " + awaited[i].get<std::string>().substr(0, 8);
  }
  console.print(
      cat("awaited      ", awaited.size(), ":", names, awaited.size() > kMostNamed ? " ..." : ""));
}

Result<ExitCode> status(Context& context, const FolderOption& options) {
  const FleetStatus fleet = COPPICE_TRY(read_fleet_status(options.directory));
  Console& console = context.console;
  Json fields = fleet.snapshot.value_or(Json::object());
  fields.erase("schema");
  fields["running"] = fleet.running;
  console.print(cat("service      ", fleet.running ? "running" : "not running"));
  if (fleet.snapshot) {
    const Json& now = *fleet.snapshot;
    console.print(cat("devices      ", now.value("enrolled", 0), " enrolled, ",
                      fleet.running ? now.value("connected", 0) : 0, " connected, ",
                      fleet.running ? now.value("eligible", 0) : 0, " eligible"));
    console.print(cat("release      ", now.value("release", 0)));
    if (now.value("paused", false)) console.print("paused       yes: 'coppice aggregator resume'");
    if (now.contains("round")) print_round(console, now["round"]);
    const std::string waiting = now.value("waiting_for", "");
    if (fleet.running && !waiting.empty()) console.print(cat("waiting      ", waiting));
  }
  console.finish("coppice.aggregator_status.v1", fields);
  return ExitCode::kOk;
}

Result<ExitCode> set_paused(Context& context, const FolderOption& options, bool paused) {
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  COPPICE_TRY(store.set("paused", paused ? "1" : "0"));
  context.console.print(paused ? "Paused: a running round ends, no new one starts."
                               : "Resumed: rounds start again.");
  context.console.finish("coppice.aggregator_pause.v1", Json{{"paused", paused}});
  return ExitCode::kOk;
}
Result<ExitCode> pause(Context& context, const FolderOption& options) {
  return set_paused(context, options, true);
}
Result<ExitCode> resume(Context& context, const FolderOption& options) {
  return set_paused(context, options, false);
}

Result<ExitCode> rotate(Context& context, const FolderOption& options) {
  FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.directory));
  COPPICE_TRY(folder.rotate(options.new_curve));
  const auto number = folder.keys().set.number;
  context.console.print(cat("Key set ", number,
                            " is signed by the fleet key; a running service takes "
                            "it up within a second, devices at their next word "
                            "with it. No device needs to enrol again."));
  if (options.new_curve) {
    context.console.print(
        "The transport's key changed too: restart the service once all devices have "
        "been connected since; those that weren't need a new invite.");
  }
  context.console.finish("coppice.keys_rotate.v1", Json{{"key_set", number.value}});
  return ExitCode::kOk;
}

Json client_json(const ClientRecord& record) {
  return {{"id", record.client.hex()},
          {"enrolled_ms", record.enrolled.count},
          {"last_seen_ms", record.last_seen.count},
          {"revoked", record.revoked}};
}

Result<std::vector<ClientRecord>> records(const std::string& directory) {
  StateStore store = COPPICE_TRY(StateStore::observe(directory));
  ClientRegistry registry = COPPICE_TRY(ClientRegistry::open(store.database()));
  return registry.clients();
}

Result<ExitCode> list(Context& context, const FolderOption& options) {
  const Millis now = SystemClock().wall();
  Table table({{"device"}, {"enrolled"}, {"last seen"}, {"state"}});
  Json rows = Json::array();
  for (const ClientRecord& record : COPPICE_TRY(records(options.directory))) {
    table.add_row({record.client.hex(), ago(record.enrolled, now), ago(record.last_seen, now),
                   record.revoked ? "revoked" : "enrolled"});
    rows.push_back(client_json(record));
  }
  context.console.write(table.render());
  context.console.finish("coppice.clients.v1", Json{{"clients", std::move(rows)}});
  return ExitCode::kOk;
}

// Devices may be named by the beginning of their id.
Result<ClientRecord> find_client(const FolderOption& options) {
  std::optional<ClientRecord> found;
  for (const ClientRecord& record : COPPICE_TRY(records(options.directory))) {
    if (!record.client.hex().starts_with(options.client)) continue;
    if (found) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("several devices begin with '", options.client, "'; give more of the id")};
    }
    found = record;
  }
  if (found) return *found;
  return Error{ErrorCode::kNotFound, cat("no device begins with '", options.client,
                                         "'; see 'coppice aggregator clients list'")};
}

Result<ExitCode> show(Context& context, const FolderOption& options) {
  const ClientRecord record = COPPICE_TRY(find_client(options));
  const Millis now = SystemClock().wall();
  context.console.print(cat("device       ", record.client));
  context.console.print(cat("signing key  ", record.verify));
  context.console.print(cat("enrolled     ", ago(record.enrolled, now)));
  context.console.print(cat("last seen    ", ago(record.last_seen, now)));
  context.console.print(cat("state        ", record.revoked ? "revoked" : "enrolled"));
  context.console.finish("coppice.client.v1", client_json(record));
  return ExitCode::kOk;
}

Result<ExitCode> revoke(Context& context, const FolderOption& options) {
  const ClientRecord record = COPPICE_TRY(find_client(options));
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  ClientRegistry registry = COPPICE_TRY(ClientRegistry::open(store.database()));
  COPPICE_TRY(registry.revoke(record.client, SystemClock().wall()));
  context.console.print(cat("Revoked ", record.client,
                            ": a running service refuses it from now on. "
                            "What it gave to past releases stays in them."));
  context.console.finish("coppice.client_revoke.v1", Json{{"id", record.client.hex()}});
  return ExitCode::kOk;
}

} // namespace

void add_aggregator_status_command(CommandOptions& parent, Context& context) {
  folder_command(parent, context,
                 {.name = "status",
                  .summary = "Devices, the running round, and what is waited for",
                  .example = "coppice aggregator status fleet"},
                 status, std::make_shared<FolderOption>());
}
void add_aggregator_pause_command(CommandOptions& parent, Context& context) {
  folder_command(parent, context,
                 {.name = "pause",
                  .summary = "Start no new rounds; works on a running service",
                  .example = "coppice aggregator pause fleet"},
                 pause, std::make_shared<FolderOption>());
}
void add_aggregator_resume_command(CommandOptions& parent, Context& context) {
  folder_command(parent, context,
                 {.name = "resume",
                  .summary = "Start rounds again after a pause",
                  .example = "coppice aggregator resume fleet"},
                 resume, std::make_shared<FolderOption>());
}
void add_aggregator_keys_rotate_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<FolderOption>();
  folder_command(parent, context,
                 {.name = "rotate",
                  .summary = "Sign a new key set with the fleet key; devices need not enrol again",
                  .example = "coppice aggregator keys rotate fleet"},
                 rotate, options)
      .add_flag("--with-transport", options->new_curve,
                "Change the sockets' CURVE key too (devices that are away then need an invite)");
}
void add_aggregator_clients_list_command(CommandOptions& parent, Context& context) {
  folder_command(parent, context,
                 {.name = "list",
                  .summary = "Every device that was ever enrolled",
                  .example = "coppice aggregator clients list fleet"},
                 list, std::make_shared<FolderOption>());
}
void add_aggregator_clients_show_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<FolderOption>();
  folder_command(parent, context,
                 {.name = "show",
                  .summary = "One device",
                  .example = "coppice aggregator clients show fleet 3fa9"},
                 show, options)
      .add_option("ID", options->client, "The device's id, or its beginning")
      .required();
}
void add_aggregator_clients_revoke_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<FolderOption>();
  folder_command(parent, context,
                 {.name = "revoke",
                  .summary = "Shut a device out, at once",
                  .example = "coppice aggregator clients revoke fleet 3fa9"},
                 revoke, options)
      .add_option("ID", options->client, "The device's id, or its beginning")
      .required();
}

} // namespace coppice
