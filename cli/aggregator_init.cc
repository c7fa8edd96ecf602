// SPDX-License-Identifier: Apache-2.0
// `coppice aggregator init` and `coppice aggregator invite`.
#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/fleet_setup.h"
#include "cli/fleet_status.h"
#include "config/overrides.h"
#include "config/units.h"

namespace coppice {
namespace {

struct AggregatorInitOptions {
  std::string directory;
  std::string model;
  std::string adapter;
  std::optional<std::string> rank;
  std::optional<std::string> alpha;
  std::optional<std::string> targets;
  std::vector<std::string> set;
};

Result<ExitCode> init_aggregator(Context& context, const AggregatorInitOptions& options) {
  FleetInit request{.directory = options.directory,
                    .model = options.model,
                    .adapter = {},
                    .overrides = COPPICE_TRY(parse_overrides(options.set))};
  if (!options.adapter.empty()) request.adapter = options.adapter;
  if (options.rank) request.overrides.push_back({"lora.r", *options.rank, "--rank"});
  if (options.alpha) request.overrides.push_back({"lora.lora_alpha", *options.alpha, "--alpha"});
  if (options.targets) {
    request.overrides.push_back({"lora.target_modules", *options.targets, "--targets"});
  }
  const FleetInitResult made = COPPICE_TRY(init_fleet(request));
  Console& console = context.console;
  console.print(cat("Made a fleet in ", options.directory, ":"));
  console.print(cat("  base model   ", made.facts.base_name, ", ",
                    human_bytes(static_cast<double>(made.facts.base_bytes)), ", SHA-256 ",
                    made.facts.base_hash.hex().substr(0, 16), "..."));
  console.print(cat("  adapter      ", made.spec.targets.size(), " modules, ",
                    made.spec.parameters(), " parameters, release 0"));
  console.print(cat("  settings     ", (fs::path(options.directory) / "aggregator.toml").string()));
  console.print(cat("  fleet key    ",
                    (fs::path(options.directory) / "keys" / "fleet.key").string(),
                    ": move it offline once your devices are enrolled"));
  console.print();
  console.print(cat("Next: coppice aggregator run ", options.directory));
  console.print(cat("      coppice aggregator invite ", options.directory, " --count 8"));
  console.finish("coppice.aggregator_init.v1", Json{{"directory", options.directory},
                                                    {"base_sha256", made.facts.base_hash.hex()},
                                                    {"modules", made.spec.targets.size()},
                                                    {"parameters", made.spec.parameters()},
                                                    {"release", made.version.value}});
  return ExitCode::kOk;
}

struct InviteOptions {
  std::string directory;
  std::uint32_t count = 1;
  std::string expires = "7d";
  std::string out;
};

// "tcp://0.0.0.0:7410" as devices must dial it.
Result<std::string> dialled(const std::string& endpoint, const std::string& public_host) {
  const std::size_t colon = endpoint.rfind(':');
  const std::string host = endpoint.substr(0, colon);
  if (!public_host.empty()) return cat("tcp://", public_host, endpoint.substr(colon));
  if (host == "tcp://*" || host == "tcp://0.0.0.0") {
    return Error{
        ErrorCode::kInvalidArgument,
        "the sockets listen on every address; set network.public_host in aggregator.toml to "
        "the name that devices should dial"};
  }
  return endpoint;
}

Result<ExitCode> invite(Context& context, const InviteOptions& options) {
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.directory));
  const Settings settings =
      COPPICE_TRY(load_aggregator_settings(options.directory, context.environment, {}));
  const AggregatorSettings typed = COPPICE_TRY(aggregator_settings(settings));
  // Ports that the service chose itself (":0") are known from its status.
  const ServerEndpoints bound = COPPICE_TRY(fleet_endpoints(options.directory, typed));
  InviteRequest request;
  request.count = options.count;
  request.expires_after = COPPICE_TRY(parse_duration(options.expires));
  request.endpoints = {COPPICE_TRY(dialled(bound.control, typed.public_host)),
                       COPPICE_TRY(dialled(bound.bulk, typed.public_host)),
                       COPPICE_TRY(dialled(bound.enroll, typed.public_host))};
  StateStore store = COPPICE_TRY(StateStore::observe(options.directory));
  ClientRegistry registry = COPPICE_TRY(ClientRegistry::open(store.database()));
  const auto invites = COPPICE_TRY(make_invites(folder, registry, request, SystemClock().wall()));
  const std::string text = join(invites, "\n") + "\n";
  if (!options.out.empty()) {
    COPPICE_TRY(write_file_atomically(options.out, as_bytes(text), FileMode::kPrivate));
    context.console.print(cat("Wrote ", invites.size(), " invites to ", options.out,
                              ", one a line; each lets one device in, once, within ",
                              options.expires, "."));
  } else {
    context.console.write(text);
  }
  Json fields{{"count", invites.size()}, {"expires", options.expires}};
  if (options.out.empty()) {
    fields["invites"] = invites;
  } else {
    fields["file"] = options.out;
  }
  context.console.finish("coppice.invites.v1", fields);
  return ExitCode::kOk;
}

} // namespace

void add_aggregator_init_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<AggregatorInitOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "init",
       .summary = "Make a fleet: keys, the adapter's shape, release 0 and aggregator.toml",
       .example = "coppice aggregator init fleet --model base.gguf --rank 8 --alpha 16\n"
                  "coppice aggregator init fleet --model base.gguf --adapter my-peft-folder"},
      [options](Context& at) { return init_aggregator(at, *options); });
  command.add_option("DIR", options->directory, "Folder to make").required();
  command.add_option("-m,--model", options->model, "Base model, a GGUF file")
      .required()
      .type_name("FILE");
  CommandOption adapter =
      command.add_option("--adapter", options->adapter, "PEFT folder that becomes release 0");
  adapter.type_name("DIR");
  command.add_option("--rank", options->rank, "Rank of the adapter (lora.r)").excludes(adapter);
  command.add_option("--alpha", options->alpha, "Its alpha (lora.lora_alpha)").excludes(adapter);
  command.add_option("--targets", options->targets, "Modules, separated by commas")
      .excludes(adapter);
  command.add_option("--set", options->set, "Any setting: section.key=value")
      .type_name("KEY=VALUE");
}

void add_aggregator_invite_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<InviteOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "invite",
                   .summary = "Make invites: each lets one device into the fleet, once",
                   .example = "coppice aggregator invite fleet\n"
                              "coppice aggregator invite fleet --count 500 --out invites.txt"},
                  [options](Context& at) { return invite(at, *options); });
  command.add_option("DIR", options->directory, "The fleet's folder").required();
  command.add_option("--count", options->count, "How many")
      .check(in_range(1, 100'000))
      .capture_default_str();
  command.add_option("--expires", options->expires, "Useless after").capture_default_str();
  command.add_option("--out", options->out, "Write them to a file (mode 0600), one a line")
      .type_name("FILE");
}

} // namespace coppice
