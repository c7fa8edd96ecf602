// SPDX-License-Identifier: Apache-2.0
// `coppice client init | enroll | run`: a device joins a fleet and works for it.
#include <thread>

#include "base/text.h"
#include "cli/audit_log.h"
#include "cli/commands.h"
#include "cli/engine_choice.h"
#include "cli/interrupt.h"
#include "client/agent.h"
#include "client/device_setup.h"
#include "client/enroll.h"
#include "client/linux_conditions.h"
#include "client/settings_file.h"
#include "config/overrides.h"
#include "config/units.h"

namespace coppice {
namespace {

struct ClientInitOptions {
  std::string directory;
  std::string model;
  std::string data;
  std::optional<std::string> threads;
  std::vector<std::string> set;
};

Result<ExitCode> init_client(Context& context, const ClientInitOptions& options) {
  const fs::path directory = options.directory;
  DeviceSetup setup{.directory = directory,
                    .model = options.model,
                    .data = options.data,
                    .overrides = COPPICE_TRY(parse_overrides(options.set))};
  if (options.threads) {
    setup.overrides.push_back({"resources.threads", *options.threads, "--threads"});
  }
  const DeviceIdentity identity = COPPICE_TRY(set_up_device(std::move(setup)));
  context.console.print(cat("Made device ", identity.id, " in ", options.directory, "."));
  context.console.print(cat("Your floors and conditions are in ",
                            (directory / "client.toml").string(), "; no plan can lower them."));
  context.console.print();
  context.console.print(cat("Next: coppice client enroll ", options.directory, " INVITE"));
  context.console.finish("coppice.client_init.v1",
                         Json{{"directory", options.directory}, {"id", identity.id.hex()}});
  return ExitCode::kOk;
}

struct EnrollOptions {
  std::string directory;
  std::string invite;
  std::string timeout = "30s";
};

Result<ExitCode> enroll_device(Context& context, const EnrollOptions& options) {
  const DeviceFolder folder{fs::path(options.directory)};
  const ClientSettings settings =
      COPPICE_TRY(load_client_settings(options.directory, context.environment, {}));
  // An invite may also be the name of a file that holds one.
  std::string text = options.invite;
  std::error_code no_name; // an invite is too long to be one
  if (fs::exists(text, no_name)) {
    const Bytes raw = COPPICE_TRY(read_file(text, 1 << 16));
    text = std::string(trim(as_text(raw)));
  }
  const Invite invite = COPPICE_TRY(decode_invite(text));
  Ledger ledger = COPPICE_TRY(Ledger::open(folder.ledger_path()));
  const Membership membership =
      COPPICE_TRY(enroll(folder, invite, settings.model, ledger, SystemClock(),
                         COPPICE_TRY(parse_duration(options.timeout))));
  context.console.print("Enrolled: the fleet's key and this device's certificate are stored.");
  context.console.print();
  context.console.print(cat("Next: coppice client run ", options.directory));
  context.console.finish(
      "coppice.client_enroll.v1",
      Json{{"fleet", membership.fleet.hex()}, {"key_set", membership.keys.number.value}});
  return ExitCode::kOk;
}

struct ClientRunOptions {
  std::string directory;
  std::optional<std::uint64_t> until_release;
  std::string timeout = "0";
  std::string audit_log;
  std::string audit_deltas;
  std::optional<float> constant_delta;
  std::vector<std::string> set;
};

Result<ExitCode> run_client(Context& context, const ClientRunOptions& options) {
  const auto overrides = COPPICE_TRY(parse_overrides(options.set));
  AgentOptions agent_options;
  agent_options.settings =
      COPPICE_TRY(load_client_settings(options.directory, context.environment, overrides));
  agent_options.conditions = std::make_unique<LinuxConditions>();
  agent_options.on_event = [&](const std::string& line) { context.console.print(line); };
  if (!options.audit_log.empty()) {
    agent_options.tap = COPPICE_TRY(open_audit_log(options.audit_log));
  }
  if (!options.audit_deltas.empty()) {
    agent_options.delta_tap = COPPICE_TRY(open_audit_deltas(options.audit_deltas));
  }
  if (options.constant_delta) {
    agent_options.trainer = constant_trainer(*options.constant_delta);
  } else {
    const ResourceSettings& resources = agent_options.settings.resources;
    agent_options.engine = engine_factory(resources.engine, agent_options.settings.model,
                                          {.threads = resources.threads,
                                           .activation_bytes = resources.memory_bytes,
                                           .precision = resources.precision});
  }
  const SystemClock clock;
  auto agent =
      COPPICE_TRY(Agent::open(DeviceFolder(options.directory), std::move(agent_options), clock));
  AgentLimits limits;
  if (options.until_release) limits.until_release = AdapterVersion{*options.until_release};
  limits.timeout = COPPICE_TRY(parse_duration(options.timeout));
  std::atomic<bool> done{false};
  std::thread watch([&] { // the first Ctrl-C becomes a stop()
    while (!done.load() && !interrupted().load()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    if (!done.load()) agent->stop();
  });
  const auto end = agent->run(limits);
  done.store(true);
  watch.join();
  if (!end.ok()) return end.error();
  const char* const word = *end == AgentEnd::kReleaseReached ? "release reached"
                           : *end == AgentEnd::kStopped      ? "stopped"
                                                             : "timed out";
  context.console.print(word);
  context.console.finish("coppice.client_run.v1", Json{{"end", word}});
  return *end == AgentEnd::kTimedOut ? ExitCode::kUnavailable : ExitCode::kOk;
}

} // namespace

void add_client_init_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ClientInitOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "init",
                   .summary = "Make a device: keys, folders and client.toml",
                   .example = "coppice client init phone --model base.gguf --data ~/notes"},
                  [options](Context& at) { return init_client(at, *options); });
  command.add_option("DIR", options->directory, "Folder to make").required();
  command.add_option("-m,--model", options->model, "Base model, the fleet's GGUF file")
      .required()
      .type_name("FILE");
  command.add_option("--data", options->data, "Folder of your own .txt, .md and .jsonl files")
      .required()
      .type_name("DIR");
  command.add_option("-t,--threads", options->threads, "Threads of training (resources.threads)");
  command.add_option("--set", options->set, "Any setting: section.key=value")
      .type_name("KEY=VALUE");
}

void add_client_enroll_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<EnrollOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "enroll",
                   .summary = "Join a fleet with an invite",
                   .example = "coppice client enroll phone coppice1-...\n"
                              "coppice client enroll phone invite.txt"},
                  [options](Context& at) { return enroll_device(at, *options); });
  command.add_option("DIR", options->directory, "The device's folder").required();
  command.add_option("INVITE", options->invite, "The invite, or a file that holds it").required();
  command.add_option("--timeout", options->timeout, "Wait for the aggregator's answer this long")
      .capture_default_str();
}

void add_client_run_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ClientRunOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "run",
                   .summary = "Take part: train when asked and allowed, keep what helps",
                   .example = "coppice client run phone\n"
                              "coppice client run phone --audit-log sent.log"},
                  [options](Context& at) { return run_client(at, *options); });
  command.add_option("DIR", options->directory, "The device's folder").required();
  command.add_option("--until-release", options->until_release,
                     "End once this release is here, judged, and the personal adapter trained");
  command
      .add_option("--timeout", options->timeout,
                  "End after this long without a word from the aggregator (exit status 5)")
      .capture_default_str();
  command
      .add_option("--audit-log", options->audit_log,
                  "Write every frame that leaves, in plain, to this file")
      .type_name("FILE");
  command
      .add_option("--audit-deltas", options->audit_deltas,
                  "Write what was trained, in plain, to this file: it must not be found elsewhere")
      .type_name("FILE");
  command.add_option("--constant-delta", options->constant_delta,
                     "Send this value in place of training: for measuring, never for a real fleet");
  command.add_option("--set", options->set, "Any setting: section.key=value")
      .type_name("KEY=VALUE");
}

} // namespace coppice
