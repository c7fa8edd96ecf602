// SPDX-License-Identifier: Apache-2.0
// `coppice bench secagg`: what secure aggregation costs a device and the aggregator beyond the
// keystreams that it can't do without, and how a whole round grows with the devices.
#include <cmath>
#include <thread>

#include "base/text.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/secagg_fleet.h"
#include "cli/table.h"
#include "crypto/primitives.h"
#include "protocol/secagg_masking.h"

namespace coppice {
namespace {

constexpr std::uint32_t kDemoDevices = 8;
constexpr std::uint32_t kDemoElements = 155'648;
constexpr std::size_t kSeedsAtOnce = 256; // of the sum's masks, between two keystreams
constexpr std::size_t kQuickStretches = 2;
constexpr unsigned kDeviceTries = 5;

struct SecaggBenchOptions {
  std::uint32_t clients = 1000;
  std::uint32_t elements = 1U << 16U; // of whole rounds
  std::uint32_t vector = 1U << 20U;   // of the figures of a device and of unmasking
  std::uint32_t bits = 16;
  double corrupt = 0.1;
  double dropout = 0.1;
  bool quick = false;
};

GraphAssumptions assumptions_of(const SecaggBenchOptions& options) {
  return {.corrupt = options.corrupt, .dropout = options.dropout};
}

std::vector<Slot> one_slot(const SecaggBenchOptions& options) {
  std::vector<Slot> slots(1);
  slots[0].elements = options.vector;
  slots[0].bits = RingBits{options.bits};
  return slots;
}

// ---- one device ----

struct DeviceFigures {
  double machine = 0;    // seconds beside the masks: keys, checks, shares, boxes, seeds, answer
  PairedTimes masks;     // beside the keystreams of as many
  PairedTimes by_itself; // the same masks, each in a pass of its own as in `bench mask`
  double ratio() const { return (machine + masks.work) / masks.floor; }
  double ratio_to_masks() const { return ratio() / by_itself.ratio; }
};

DeviceFigures time_device(const SecaggBenchOptions& options, const SecAggFleetRound& round) {
  const std::vector<Slot> slots = one_slot(options);
  std::vector<std::uint32_t> elements(options.vector);
  Bytes keystream(mask_bytes(options.vector, options.bits));
  const auto expand = [&] {
    for (const SignedSeed& mask : round.device_masks) {
      primitives::chacha20_keystream(mask.seed, keystream);
    }
  };
  return {.machine = total_seconds(round.device) - seconds_of_phase(round.device, kMasksOfVector),
          .masks = time_pairs(
              kDeviceTries, [&] { apply_masks(slots, round.device_masks, elements); }, expand),
          .by_itself = time_pairs(
              kDeviceTries,
              [&] {
                for (const SignedSeed& mask : round.device_masks) {
                  add_mask(mask.seed, mask.sign, 0, options.bits, elements);
                }
              },
              expand)};
}

// ---- the aggregator's unmasking ----

struct Cost {
  double processor = 0;
  double wall = 0;
  void add(const std::function<void()>& work) {
    const double before = process_seconds();
    const double start = wall_seconds();
    work();
    wall += wall_seconds() - start;
    processor += process_seconds() - before;
  }
};

struct UnmaskFigures {
  unsigned threads = 1;
  std::size_t masks = 0;
  std::size_t timed = 0; // of them
  double recovery = 0;   // answers, secrets, seeds: on the thread that does most
  Cost unmasking;        // of those timed
  Cost keystreams;       // of as many
  double scale() const { return static_cast<double>(masks) / static_cast<double>(timed); }
  // With all cores to itself.
  double seconds() const { return recovery + scale() * unmasking.processor / threads; }
  double floor() const { return scale() * keystreams.processor / threads; }
  double ratio() const { return seconds() / floor(); }
  double wall_ratio() const {
    return (recovery + scale() * unmasking.wall) / (scale() * keystreams.wall);
  }
};

void expand_all(std::span<const SignedSeed> masks, std::vector<Bytes>& keystreams) {
  const auto expand_share = [&](std::size_t part) {
    for (std::size_t i = part; i < masks.size(); i += keystreams.size()) {
      primitives::chacha20_keystream(masks[i].seed, keystreams[part]);
    }
  };
  std::vector<std::jthread> others;
  for (std::size_t part = 1; part < keystreams.size(); ++part) {
    others.emplace_back(expand_share, part);
  }
  expand_share(0);
}

UnmaskFigures time_unmasking(const SecaggBenchOptions& options, const SecAggFleetRound& round) {
  UnmaskFigures made{.threads = std::max(1U, std::thread::hardware_concurrency()),
                     .masks = round.sum_masks.size(),
                     .recovery = round.recovery,
                     .unmasking = Cost{},
                     .keystreams = Cost{}};
  const std::vector<Slot> slots = one_slot(options);
  std::vector<std::uint32_t> sum(options.vector);
  std::vector<Bytes> keystreams(made.threads, Bytes(mask_bytes(options.vector, options.bits)));
  std::span<const SignedSeed> left = round.sum_masks;
  for (std::size_t stretch = 0; !left.empty(); ++stretch) {
    if (options.quick && stretch == kQuickStretches) break;
    const auto masks = left.first(std::min(left.size(), kSeedsAtOnce));
    left = left.subspan(masks.size());
    made.keystreams.add([&] { expand_all(masks, keystreams); });
    made.unmasking.add([&] { apply_masks(slots, masks, sum, made.threads); });
    made.timed += masks.size();
  }
  return made;
}

// ---- whole rounds ----

struct Rounds {
  std::vector<std::uint32_t> clients; // a quarter, half, all
  std::vector<SecAggFleetRound> rounds;
};

double round_seconds(const SecAggFleetRound& round) {
  return total_seconds(round.devices) + total_seconds(round.server);
}

// How much longer the largest round takes than the smallest, over how much `work` grew.
double growth(const Rounds& rounds, const std::function<double(std::size_t)>& work) {
  const std::size_t last = rounds.rounds.size() - 1;
  const double longer = round_seconds(rounds.rounds[last]) / round_seconds(rounds.rounds[0]);
  return longer / (work(last) / work(0));
}
double growth_by_n_log_n(const Rounds& rounds) {
  return growth(rounds,
                [&](std::size_t i) { return rounds.clients[i] * std::log(rounds.clients[i]); });
}
double growth_by_degree(const Rounds& rounds) {
  return growth(rounds, [&](std::size_t i) {
    return static_cast<double>(rounds.clients[i]) * (rounds.rounds[i].graph.degree + 1);
  });
}

Result<Rounds> run_rounds(Console& console, const SecaggBenchOptions& options) {
  Rounds made;
  for (const std::uint32_t share : {4U, 2U, 1U}) {
    const std::uint32_t clients = options.clients / share;
    console.note(cat("a round of ", clients, " devices"));
    made.clients.push_back(clients);
    made.rounds.push_back(COPPICE_TRY(run_secagg_fleet({.devices = clients,
                                                        .elements = options.elements,
                                                        .bits = options.bits,
                                                        .assumptions = assumptions_of(options)})));
  }
  return made;
}

// ---- what is said of it ----

struct Expansion {
  std::uint64_t bytes = 0; // up, beside the masked vector
  std::uint64_t plain = 0; // bytes of the vector
  double share() const { return static_cast<double>(bytes) / static_cast<double>(plain); }
};

Json phases_json(const PhaseSeconds& phases) {
  Json made = Json::object();
  for (const auto& [name, seconds] : phases) made[name] = seconds;
  return made;
}

void print_rounds(Console& console, const SecaggBenchOptions& options, const Rounds& rounds) {
  std::vector<Column> columns{{"processor seconds"}};
  for (const std::uint32_t clients : rounds.clients) {
    columns.push_back({cat(grouped(clients), " devices"), Align::kRight});
  }
  Table table(std::move(columns));
  table.set_caption(cat("whole rounds of ", grouped(options.elements), " elements of ",
                        options.bits, " bits, one process, no sockets"));
  const auto add_rows = [&](const char* who, PhaseSeconds SecAggFleetRound::*phases) {
    const PhaseSeconds& names = rounds.rounds[0].*phases;
    for (std::size_t phase = 0; phase < names.size(); ++phase) {
      std::vector<std::string> cells{cat(who, ": ", names[phase].first)};
      for (const SecAggFleetRound& round : rounds.rounds) {
        cells.push_back(fixed((round.*phases)[phase].second, 3));
      }
      table.add_row(std::move(cells));
    }
  };
  add_rows("devices", &SecAggFleetRound::devices);
  add_rows("aggregator", &SecAggFleetRound::server);
  table.add_rule();
  std::vector<std::string> all{"all"};
  std::vector<std::string> graphs{"neighbours, threshold"};
  for (const SecAggFleetRound& round : rounds.rounds) {
    all.push_back(fixed(round_seconds(round), 3));
    graphs.push_back(cat(round.graph.degree, ", ", round.graph.threshold));
  }
  table.add_row(std::move(all));
  table.add_row(std::move(graphs));
  console.write(table.render());
  console.print(cat("\nThe time grows ", fixed(growth_by_n_log_n(rounds), 2),
                    " times as n log n, and ", fixed(growth_by_degree(rounds), 2),
                    " times as devices times masks."));
}

void print_figures(Console& console, const SecaggBenchOptions& options, const DeviceFigures& device,
                   const UnmaskFigures& unmask, const SecAggFleetRound& round) {
  Table table({{"", Align::kLeft},
               {"seconds", Align::kRight},
               {"keystreams, s", Align::kRight},
               {"ratio", Align::kRight}});
  table.set_caption(cat("\n", grouped(options.vector), " elements of ", options.bits, " bits, ",
                        grouped(options.clients), " devices, ", round.uploads,
                        " in the sum; lower is better"));
  table.add_row({cat("a device, ", round.device_masks.size(), " masks"),
                 fixed(device.machine + device.masks.work, 4), fixed(device.masks.floor, 4),
                 fixed(device.ratio(), 3)});
  table.add_row({"  of it the masks alone", fixed(device.masks.work, 4),
                 fixed(device.masks.floor, 4), fixed(device.masks.ratio, 3)});
  table.add_row({"  as many masks, one by one", fixed(device.by_itself.work, 4),
                 fixed(device.by_itself.floor, 4), fixed(device.by_itself.ratio, 3)});
  table.add_row({cat("unmasking, ", grouped(unmask.masks), " masks, ", unmask.threads, " threads"),
                 fixed(unmask.seconds(), 3), fixed(unmask.floor(), 3), fixed(unmask.ratio(), 3)});
  table.add_row(
      {"  of it secrets and seeds, the busiest thread", fixed(unmask.recovery, 3), "", ""});
  console.write(table.render());
  if (unmask.timed < unmask.masks) {
    console.print(cat("Of the masks to take off, ", unmask.timed, " were timed (--quick)."));
  }
}

Json device_json(const DeviceFigures& device, const SecAggFleetRound& round) {
  return {{"masks", round.device_masks.size()},
          {"phases_s", phases_json(round.device)},
          {"machine_ms", 1e3 * device.machine},
          {"mask_ms", 1e3 * device.masks.work},
          {"keystream_ms", 1e3 * device.masks.floor},
          {"mask_ratio", device.masks.ratio},
          {"single_mask_ratio", device.by_itself.ratio},
          {"ratio", device.ratio()},
          {"ratio_to_single_masks", device.ratio_to_masks()}};
}

Json unmask_json(const UnmaskFigures& unmask) {
  return {{"masks", unmask.masks},        {"timed", unmask.timed},
          {"threads", unmask.threads},    {"recovery_s", unmask.recovery},
          {"unmask_s", unmask.seconds()}, {"keystream_s", unmask.floor()},
          {"ratio", unmask.ratio()},      {"wall_ratio", unmask.wall_ratio()}};
}

Json rounds_json(const Rounds& rounds) {
  Json made = Json::array();
  for (std::size_t i = 0; i < rounds.rounds.size(); ++i) {
    const SecAggFleetRound& round = rounds.rounds[i];
    made.push_back({{"clients", rounds.clients[i]},
                    {"uploads", round.uploads},
                    {"degree", round.graph.degree},
                    {"threshold", round.graph.threshold},
                    {"seconds", round_seconds(round)},
                    {"devices_s", phases_json(round.devices)},
                    {"aggregator_s", phases_json(round.server)},
                    {"bytes_up", round.bytes_up},
                    {"bytes_down", round.bytes_down}});
  }
  return made;
}

Result<ExitCode> bench_secagg(Context& context, const SecaggBenchOptions& options) {
  const Rounds rounds = COPPICE_TRY(run_rounds(context.console, options));
  const SecAggFleetRound& largest = rounds.rounds.back();
  context.console.note("one device's masks, and the sum's");
  const DeviceFigures device = time_device(options, largest);
  const UnmaskFigures unmask = time_unmasking(options, largest);
  const SecAggFleetRound demo = COPPICE_TRY(
      run_secagg_fleet({.devices = kDemoDevices, .elements = kDemoElements, .assumptions = {}}));
  const Expansion here{.bytes = largest.bytes_up,
                       .plain = std::uint64_t{options.vector} * options.bits / 8};
  const Expansion there{.bytes = demo.bytes_up, .plain = std::uint64_t{kDemoElements} * 2};
  Console& console = context.console;
  print_rounds(console, options, rounds);
  print_figures(console, options, device, unmask, largest);
  console.print(cat("A device sends ", grouped(here.bytes), " bytes beside its vector, ",
                    fixed(100 * here.share(), 2), " % of it, and gets ",
                    grouped(largest.bytes_down), "; with the demo's adapter and ", kDemoDevices,
                    " devices ", grouped(there.bytes), " bytes, ", fixed(100 * there.share(), 2),
                    " %."));
  console.finish("coppice.bench_secagg.v1",
                 Json{{"clients", options.clients},
                      {"elements", options.elements},
                      {"vector", options.vector},
                      {"bits", options.bits},
                      {"ceiling", "ChaCha20 keystreams of libsodium, same cores, same run"},
                      {"device", device_json(device, largest)},
                      {"unmask", unmask_json(unmask)},
                      {"bytes_up", here.bytes},
                      {"bytes_down", largest.bytes_down},
                      {"expansion", here.share()},
                      {"demo", {{"bytes_up", there.bytes}, {"expansion", there.share()}}},
                      {"rounds", rounds_json(rounds)},
                      {"growth_by_n_log_n", growth_by_n_log_n(rounds)},
                      {"growth_by_degree", growth_by_degree(rounds)}});
  return ExitCode::kOk;
}

} // namespace

void add_bench_secagg_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SecaggBenchOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "secagg",
       .summary = "Secure aggregation: a device's side, the unmasking, whole rounds by phase",
       .example = "coppice bench secagg\n"
                  "coppice bench secagg --clients 250 --quick --format json"},
      [options](Context& at) { return bench_secagg(at, *options); });
  const auto count = [&](const char* flag, std::uint32_t& value, std::uint32_t lowest,
                         std::uint32_t highest, const char* help) {
    command.add_option(flag, value, help)
        .type_name("N")
        .check(in_range(lowest, highest))
        .capture_default_str();
  };
  count("--clients", options->clients, 12, limits::kRosterMembers,
        "Devices; rounds of a quarter and of half of them run first");
  count("--elements", options->elements, 1, 1U << 24U, "Ring elements of whole rounds");
  count("--vector", options->vector, 1, 1U << 24U,
        "Ring elements of one device's masks and of the sum's");
  command.add_option("--bits", options->bits, "Bits of the ring")
      .check(one_of({"16", "20", "24", "32"}))
      .capture_default_str();
  const auto share = [&](const char* flag, double& value, const char* help) {
    command.add_option(flag, value, help).check(in_range(0.0, 0.5)).capture_default_str();
  };
  share("--corrupt", options->corrupt, "Share of devices that works with the aggregator");
  share("--dropout", options->dropout, "Share that leaves: after sharing, before its upload");
  command.add_flag("--quick", options->quick, "Time a part of the sum's masks only");
}

} // namespace coppice
