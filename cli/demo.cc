// SPDX-License-Identifier: Apache-2.0
// `coppice demo`: the main job on this machine, with real processes, keys, sockets and a real
// model.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/demo_privacy.h"
#include "cli/demo_report.h"
#include "cli/engine_choice.h"
#include "cli/work_folder.h"
#include "client/example_store.h"
#include "client/serving.h"
#include "sim/people.h"

namespace coppice {
namespace {

constexpr std::size_t kPersonBytes = 60'000;
constexpr std::size_t kFewestForKills = 8; // fewer can't lose two of them
constexpr std::size_t kSecretBytes =
    48; // of a user's own text, searched for in everything that left

struct DemoOptions {
  std::uint32_t clients = 8;
  std::uint32_t rounds = 3;
  std::string model;
  std::string data;
  std::uint64_t seed = 1;
  std::string keep;
  bool dp = false;
  std::vector<std::string> set;
  std::string engine = kNativeEngine;
};

Result<std::vector<DemoDevice>> invented_people(const DemoOptions& options, const fs::path& root) {
  std::vector<DemoDevice> devices;
  for (const PersonFolder& person : COPPICE_TRY(
           write_population(root / "people", options.seed, options.clients, kPersonBytes))) {
    devices.push_back({person.name, person.folder, {person.canary}, {}, {}, {}});
  }
  return devices;
}

// A stretch from the middle of the first long piece: nothing of it may be found outside the device.
std::vector<std::string> secrets_of(const fs::path& folder) {
  const auto pieces = read_pieces(folder, {}, nullptr);
  if (!pieces.ok()) return {};
  for (const Piece& piece : *pieces) {
    if (piece.text.size() >= 4 * kSecretBytes) {
      return {piece.text.substr(piece.text.size() / 2, kSecretBytes)};
    }
  }
  return {};
}

Result<std::vector<DemoDevice>> users_folders(const DemoOptions& options, Console& console) {
  std::vector<DemoDevice> devices;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(options.data, code)) {
    if (!entry.is_directory()) continue;
    devices.push_back({entry.path().filename().string(),
                       fs::absolute(entry.path()),
                       secrets_of(entry.path()),
                       {},
                       {},
                       {}});
  }
  if (code) {
    return Error{ErrorCode::kNotFound, cat("can't read ", options.data, ": ", code.message())};
  }
  std::ranges::sort(devices, {}, &DemoDevice::name);
  if (devices.size() > options.clients) {
    console.note(cat(options.data, " holds ", devices.size(), " folders; the first ",
                     options.clients, " take part (--clients N takes more)"));
    devices.resize(options.clients);
  }
  if (devices.size() < 3) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(options.data, " must hold a folder for each device, three at least")};
  }
  return devices;
}

// Two devices die in the middle of a round: one is left out, one counts.
std::vector<DemoKill> planned_kills(std::uint32_t round, std::size_t devices) {
  if (devices < kFewestForKills) return {};
  return {{.device = devices - 2,
           .crash_at = cat("client.upload.after:", round),
           .words = "after masking, before its upload",
           .counts = false},
          {.device = devices - 1,
           .crash_at = cat("client.acknowledged:", round),
           .words = "after its upload was acknowledged",
           .counts = true}};
}

std::vector<Override> demo_settings(const DemoOptions& options, std::size_t devices,
                                    const DemoPrivacy* privacy) {
  const std::string count = cat(devices);
  std::vector<Override> overrides{{"round.min_available_nodes", count, "demo"},
                                  {"round.min_train_nodes", count, "demo"},
                                  {"round.min_survivors", "3", "demo"},
                                  {"round.deadline", "5m", "demo"},
                                  {"round.dropout_fraction", "0.25", "demo"},
                                  {"network.heartbeat", "500ms", "demo"},
                                  {"network.lease", "3s", "demo"},
                                  {"training.max_steps", "12", "demo"},
                                  {"training.seed", cat(options.seed), "demo"}};
  if (privacy != nullptr) {
    for (Override& setting : demo_privacy_settings(*privacy)) overrides.push_back(setting);
  }
  for (const std::string& assignment : options.set) {
    const std::size_t equals = assignment.find('=');
    overrides.push_back({assignment.substr(0, equals),
                         assignment.substr(std::min(equals, assignment.size() - 1) + 1), "--set"});
  }
  return overrides;
}

// Why there is no noise in so small a fleet: noise norm over clip norm is z sqrt(d) / n.
std::string noise_line(std::size_t devices) {
  constexpr double kParameters = 155'648; // of the demo's adapter: rank 8 on all seven modules
  constexpr double kLargeCohort = 5'000;
  const double here = std::sqrt(kParameters) / static_cast<double>(devices);
  return cat("Noise is off: with a noise multiplier of z it would be ", fixed(here, 0),
             " z times the clip norm for ", devices, " devices, and nothing could learn; for ",
             fixed(kLargeCohort, 0), " devices it is ",
             fixed(std::sqrt(kParameters) / kLargeCohort, 2),
             " z (coppice privacy plan; coppice demo --dp runs with noise all the same).");
}

struct Samples {
  std::string before;
  std::string after;
};

// The same prompt, a stretch of the first device's report text, with the base and with what serves
// there.
Result<Samples> sample_text(const DemoDevice& device, const fs::path& model,
                            const std::string& engine_name) {
  const auto engine = COPPICE_TRY(engine_factory(engine_name, model, {.threads = 1})());
  const Tokenizer& tokenizer = engine->base().tokenizer();
  std::string prompt;
  for (const Piece& piece : COPPICE_TRY(read_pieces(device.data, {}, nullptr))) {
    if (piece.split != Split::kReport || piece.instruction || piece.text.size() < 80) continue;
    prompt = piece.text.substr(0, piece.text.find(' ', 40));
    break;
  }
  if (prompt.empty()) return Samples{};
  const DeviceFolder folder(device.folder);
  const Membership membership = COPPICE_TRY(folder.membership());
  const auto shared = COPPICE_TRY(folder.shared(membership.keys.verify));
  if (!shared) return Error{ErrorCode::kInternal, "the device holds no release"};
  const auto served = COPPICE_TRY(Serving(folder, ClientSettings{}).served_adapter(*shared));
  GenerateRequest request{.adapters = {},
                          .prompt = tokenizer.encode(prompt, {.add_bos = tokenizer.add_bos()}),
                          .max_tokens = 48,
                          .sampler = {.temperature = 0.7F, .seed = 1},
                          .on_token = {}};
  const auto before = COPPICE_TRY(engine->generate(request));
  if (served) request.adapters = {{&*served, 1.0F}};
  const auto after = COPPICE_TRY(engine->generate(request));
  return Samples{prompt + tokenizer.decode(before.tokens), prompt + tokenizer.decode(after.tokens)};
}

std::string on_one_line(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string& line : split(text, '\n')) {
    if (!trim(line).empty()) lines.emplace_back(trim(line));
  }
  return join(lines, " / ");
}

void print_samples(Console& console, const DemoReport& report, const std::string& name) {
  if (report.sample_before.empty()) return;
  console.print(cat("\nThe same beginning, taken from ", name, "'s report text:"));
  console.print(cat("  base alone:      ", on_one_line(report.sample_before)));
  console.print(cat("  what serves now: ", on_one_line(report.sample_after)));
}

DemoFleetOptions fleet_options(const DemoOptions& options, const fs::path& root,
                               const fs::path& model, std::size_t devices,
                               const DemoPrivacy* privacy, Console& console) {
  DemoFleetOptions made;
  made.program = this_program();
  made.root = root;
  made.model = model;
  made.rounds = privacy == nullptr ? options.rounds : privacy->rounds_paid;
  made.aggregator = demo_settings(options, devices, privacy);
  made.engine = options.engine;
  made.device_arguments = {"--set", "personal.max_steps=40", "--set",
                           "resources.engine=" + options.engine};
  made.kill_round = std::min(2U, made.rounds);
  made.kills = planned_kills(made.kill_round, devices);
  if (privacy != nullptr) { // it would go on, if its budget let it
    made.aggregator_rounds = 10 * privacy->rounds_paid;
    made.aggregator_status = static_cast<int>(ExitCode::kBudgetSpent);
  }
  made.on_line = [&console](const std::string& line) { console.print("  " + line); };
  return made;
}

void print_beginning(Console& console, const DemoFleetOptions& options, std::size_t devices,
                     const DemoPrivacy* privacy) {
  console.print(cat(devices, " devices, ", options.rounds, " rounds, base ",
                    options.model.filename().string(),
                    ". CURVE, ZAP, signatures, seals and secure aggregation are on: the aggregator "
                    "sees the devices' sum alone."));
  if (privacy == nullptr) return console.print(noise_line(devices));
  console.print(
      cat("Noise is on, multiplier ", fixed(privacy->noise_multiplier, 2),
          ", with a budget of epsilon ", fixed(privacy->epsilon_budget, 2), " that pays for ",
          privacy->rounds_paid,
          " rounds. It drowns what eight devices learn: this run is about the accounting."));
}

struct DemoOutcome {
  DemoReport report;
  std::optional<DemoPrivacyReport> privacy;
  std::vector<std::string> failures() const {
    if (!privacy) return report.failures();
    auto found = report.safety_failures();
    for (std::string& failure : privacy->failures()) found.push_back(std::move(failure));
    return found;
  }
};

Result<DemoOutcome> collect(const DemoFleet& fleet, const DemoFleetOptions& options,
                            const DemoPrivacy* privacy) {
  DemoOutcome outcome;
  outcome.report = COPPICE_TRY(collect_demo(fleet, options.rounds));
  outcome.report.audit = COPPICE_TRY(audit_demo(fleet));
  if (privacy != nullptr) {
    outcome.privacy = COPPICE_TRY(collect_demo_privacy(fleet, *privacy, true));
  } else {
    const Samples samples =
        COPPICE_TRY(sample_text(fleet.devices().front(), options.model, options.engine));
    outcome.report.sample_before = samples.before;
    outcome.report.sample_after = samples.after;
  }
  outcome.report.root = options.root;
  return outcome;
}

Result<ExitCode> demo(Context& context, const DemoOptions& options) {
  const SystemClock clock;
  const Millis started = clock.monotonic();
  Console& console = context.console;
  WorkFolder work = COPPICE_TRY(WorkFolder::make(options.keep));
  const fs::path model =
      options.model.empty() ? COPPICE_TRY(default_model()) : fs::absolute(options.model);
  auto devices = options.data.empty() ? COPPICE_TRY(invented_people(options, work.path()))
                                      : COPPICE_TRY(users_folders(options, console));
  const DemoPrivacy planned = COPPICE_TRY(plan_demo_privacy());
  const DemoPrivacy* const privacy = options.dp ? &planned : nullptr;
  const DemoFleetOptions settings =
      fleet_options(options, work.path(), model, devices.size(), privacy, console);
  print_beginning(console, settings, devices.size(), privacy);
  auto fleet = COPPICE_TRY(DemoFleet::start(settings, std::move(devices)));
  const auto ran = fleet->run();
  if (!ran.ok()) {
    work.keep();
    return ran.error();
  }
  DemoOutcome outcome = COPPICE_TRY(collect(*fleet, settings, privacy));
  outcome.report.seconds = static_cast<double>((clock.monotonic() - started).count) / 1000.0;
  console.print();
  console.write(demo_table(outcome.report));
  if (outcome.privacy) console.write(demo_privacy_table(*outcome.privacy));
  print_samples(console, outcome.report, fleet->devices().front().name);
  console.print(options.keep.empty()
                    ? std::string("\nNothing was kept; --keep DIR keeps every folder and adapter.")
                    : cat("\nEach device's adapter is in ", (work.path() / "devices").string(),
                          "/NAME/current/adapter.gguf, for an unmodified llama.cpp."));
  console.print(cat("Took ", fixed(outcome.report.seconds, 1), " s."));
  Json json = demo_json(outcome.report);
  const auto failures = outcome.failures();
  json["failures"] = failures;
  if (outcome.privacy) json["privacy"] = demo_privacy_json(*outcome.privacy);
  console.finish("coppice.demo.v1", std::move(json));
  for (const std::string& failure : failures) console.note(cat("failed: ", failure));
  return failures.empty() ? ExitCode::kOk : ExitCode::kFailed;
}

} // namespace

void add_demo_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<DemoOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "demo",
       .summary = "The whole job on this machine: a fleet of processes personalizes a model",
       .example = "coppice demo\n"
                  "coppice demo --data my-folders --keep /tmp/fleet\n"
                  "coppice demo --clients 4 --rounds 2 --format json\n"
                  "coppice demo --dp"},
      [options](Context& at) { return demo(at, *options); });
  command.add_option("--clients", options->clients, "Devices, one process each")
      .check(in_range(3, 64))
      .capture_default_str();
  command.add_option("--rounds", options->rounds, "Rounds before the personal adapters")
      .check(in_range(1, 1000))
      .capture_default_str();
  command.add_option("-m,--model", options->model, "Base model (default: the one in assets/)")
      .type_name("FILE");
  command
      .add_option("--data", options->data,
                  "A folder of folders of your own texts, one device each, in place of the "
                  "invented people")
      .type_name("DIR");
  command.add_option("--seed", options->seed, "Of the invented people and the batches")
      .capture_default_str();
  command.add_option("--keep", options->keep, "Keep every process's folder here").type_name("DIR");
  command.add_flag("--dp", options->dp,
                   "With noise: spend a small privacy budget, and show that it stays spent");
  add_engine_option(command, options->engine);
  command.add_option("--set", options->set, "Any setting of aggregator.toml: section.key=value")
      .type_name("KEY=VALUE");
}

} // namespace coppice
