// SPDX-License-Identifier: Apache-2.0
// `coppice sim trace`: a file of weeks in which phones can be asked, drawn by a model.
#include <array>
#include <numeric>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "sim/availability.h"

namespace coppice {
namespace {

constexpr std::size_t kHours = 24;
constexpr std::size_t kWeekdays = 5;
constexpr std::size_t kDays = 7;

struct TraceOptions {
  std::string out;
  std::string kind = "hours";
  std::uint32_t devices = 4096;
  std::uint64_t seed = 1;
};

// Means over days of a week.
struct DayShares {
  std::array<double, kHours> weekday{};
  std::array<double, kHours> weekend{};
};

DayShares by_day(const std::vector<double>& hours_of_week) {
  DayShares shares;
  for (std::size_t i = 0; i < hours_of_week.size(); ++i) {
    const bool weekday = i / kHours < kWeekdays;
    auto& day = weekday ? shares.weekday : shares.weekend;
    day[i % kHours] +=
        hours_of_week[i] / static_cast<double>(weekday ? kWeekdays : kDays - kWeekdays);
  }
  return shares;
}

Result<ExitCode> trace(Context& context, const TraceOptions& options) {
  const Availability made = Availability::by_hours(options.seed, options.devices);
  COPPICE_TRY(made.write(options.out));
  const std::vector<double> hours = made.share_by_hour();
  const DayShares shares = by_day(hours);
  const double mean =
      std::accumulate(hours.begin(), hours.end(), 0.0) / static_cast<double>(hours.size());

  Table table({{"local hour", Align::kRight},
               {"Monday to Friday", Align::kRight},
               {"weekend", Align::kRight}});
  table.set_caption("share of the devices that are idle, charging and on an unmetered network");
  for (std::size_t hour = 0; hour < kHours; ++hour) {
    table.add_row({cat(hour), percent(shares.weekday[hour]), percent(shares.weekend[hour])});
  }
  context.console.write(table.render());
  context.console.print(cat("\nWrote ", options.out, ": a week of ", grouped(options.devices),
                            " devices, ", percent(mean), " of it available"));
  context.console.finish("coppice.sim_trace.v1", {{"out", options.out},
                                                  {"kind", options.kind},
                                                  {"devices", options.devices},
                                                  {"seed", options.seed},
                                                  {"period_seconds", made.period_seconds()},
                                                  {"share", mean},
                                                  {"weekday_shares", shares.weekday},
                                                  {"weekend_shares", shares.weekend}});
  return ExitCode::kOk;
}

} // namespace

void add_sim_trace_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<TraceOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "trace",
       .summary = "Write a file of when devices can be asked, and show their share by hour",
       .example = "coppice sim trace --out phones.trace --devices 10000"},
      [options](Context& at) { return trace(at, *options); });
  command.add_option("--out", options->out, "The file").required().type_name("FILE");
  command
      .add_option("--kind", options->kind,
                  "The model: hours (phones: charging overnight, short plug-ins by day)")
      .check(one_of({"hours"}))
      .capture_default_str();
  command.add_option("--devices", options->devices, "How many traces, a week each")
      .check(in_range(1U, 1'000'000U))
      .capture_default_str();
  command.add_option("--seed", options->seed, "The same seed gives the same file")
      .capture_default_str();
}

} // namespace coppice
