// SPDX-License-Identifier: Apache-2.0
// `coppice privacy curve`: epsilon over rounds or over delta, as a table and a picture.
#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "privacy/gaussian_curve.h"
#include "privacy/pld.h"
#include "sim/chart.h"

namespace coppice {
namespace {

constexpr std::size_t kMostLines = 6;

struct CurveOptions {
  std::vector<double> multipliers;
  double sampling_rate = 0;
  std::uint64_t rounds = 0;
  std::vector<double> deltas{1e-6};
  std::string over = "rounds";
  std::uint32_t points = 16;
  std::string out;
};

struct Curve {
  double multiplier = 0;
  double delta = 0; // over rounds only
  std::string name;
  std::vector<double> epsilons = {}; // one a place of the horizontal axis
};

Result<double> epsilon_of(double multiplier, double rate, std::uint64_t rounds, double delta) {
  if (rate == 1) {
    return gaussian_epsilon(delta, std::sqrt(static_cast<double>(rounds)) / multiplier);
  }
  const SampledGaussian group{multiplier, rate, rounds};
  return pld_epsilon({&group, 1}, delta);
}

bool over_rounds(const CurveOptions& options) { return options.over == "rounds"; }

// To two digits, nearest.
double two_digits(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
  return std::round(value / unit) * unit;
}

// Rounds, closer together where epsilon rises fast; or deltas, a decade apart, from the smallest
// given to 10^-2.
std::vector<double> places_of(const CurveOptions& options) {
  std::vector<double> places;
  if (over_rounds(options)) {
    const auto rounds = static_cast<double>(options.rounds);
    for (std::uint32_t i = 1; i < options.points; ++i) {
      const double share = static_cast<double>(i) / options.points;
      const double at = std::max(1.0, std::round(two_digits(rounds * share * share)));
      if (at < rounds && (places.empty() || at > places.back())) places.push_back(at);
    }
    places.push_back(rounds);
    return places;
  }
  const double least = *std::ranges::min_element(options.deltas);
  for (double delta = least; delta < 0.011; delta *= 10) places.push_back(delta);
  return places;
}

Result<std::vector<Curve>> curves_of(const CurveOptions& options,
                                     const std::vector<double>& places) {
  const std::vector<double> deltas = over_rounds(options) ? options.deltas : std::vector<double>{0};
  if (options.multipliers.size() * deltas.size() > kMostLines) {
    return Error{ErrorCode::kInvalidArgument, cat("at most ", kMostLines,
                                                  " lines fit one picture; give fewer "
                                                  "--noise-multiplier or --delta")};
  }
  std::vector<Curve> curves;
  for (const double multiplier : options.multipliers) {
    for (const double delta : deltas) {
      Curve& curve = curves.emplace_back(
          Curve{.multiplier = multiplier, .delta = delta, .name = cat("z = ", multiplier)});
      if (deltas.size() > 1) curve.name += cat(", delta ", delta);
      for (const double place : places) {
        const std::uint64_t rounds =
            over_rounds(options) ? static_cast<std::uint64_t>(place) : options.rounds;
        curve.epsilons.push_back(COPPICE_TRY(epsilon_of(multiplier, options.sampling_rate, rounds,
                                                        over_rounds(options) ? delta : place)));
      }
    }
  }
  return curves;
}

std::string title_of(const CurveOptions& options) {
  std::string title = cat("Privacy spent, sampling rate ", options.sampling_rate);
  if (!over_rounds(options)) return title + cat(", ", grouped(options.rounds), " rounds");
  if (options.deltas.size() == 1) title += cat(", delta ", options.deltas.front());
  return title;
}

Result<void> write_plot(const CurveOptions& options, const std::vector<double>& places,
                        const std::vector<Curve>& curves) {
  LineChart chart{.title = title_of(options),
                  .x_label = over_rounds(options) ? "rounds" : "delta",
                  .y_label = "epsilon",
                  .log_x = !over_rounds(options),
                  .lines = {}};
  for (const Curve& curve : curves) {
    const auto color = static_cast<unsigned>(chart.lines.size());
    ChartLine& line =
        chart.lines.emplace_back(ChartLine{.name = curve.name, .points = {}, .color = color});
    for (std::size_t i = 0; i < places.size(); ++i) {
      line.points.push_back({places[i], curve.epsilons[i]});
    }
  }
  return write_file_atomically(options.out, as_bytes(line_chart_file(chart)));
}

void print_table(Console& console, const CurveOptions& options, const std::vector<double>& places,
                 const std::vector<Curve>& curves) {
  std::vector<Column> columns{{over_rounds(options) ? "rounds" : "delta", Align::kRight}};
  for (const Curve& curve : curves) columns.push_back({curve.name, Align::kRight});
  Table table(std::move(columns));
  table.set_caption(title_of(options) + ": epsilon, lower is better");
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::vector<std::string> row{
        over_rounds(options) ? grouped(static_cast<std::uint64_t>(places[i])) : cat(places[i])};
    for (const Curve& curve : curves) row.push_back(fixed(curve.epsilons[i], 3));
    table.add_row(std::move(row));
  }
  console.write(table.render());
}

Result<ExitCode> curve(Context& context, const CurveOptions& options) {
  const std::vector<double> places = places_of(options);
  const std::vector<Curve> curves = COPPICE_TRY(curves_of(options, places));
  print_table(context.console, options, places, curves);
  if (!options.out.empty()) {
    COPPICE_TRY(write_plot(options, places, curves));
    context.console.print(cat("\nWrote ", options.out));
  }
  Json fields{{"sampling_rate", options.sampling_rate},
              {"over", options.over},
              {over_rounds(options) ? "rounds" : "deltas", places},
              {"curves", Json::array()}};
  for (const Curve& line : curves) {
    Json row{{"noise_multiplier", line.multiplier}, {"epsilon", line.epsilons}};
    if (over_rounds(options)) {
      row["delta"] = line.delta;
    } else {
      row["rounds"] = options.rounds;
    }
    fields["curves"].push_back(std::move(row));
  }
  if (!options.out.empty()) fields["picture"] = options.out;
  context.console.finish("coppice.privacy_curve.v1", fields);
  return ExitCode::kOk;
}

} // namespace

void add_privacy_curve_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<CurveOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "curve",
       .summary = "Epsilon over rounds or delta, of noise against whoever sees the releases",
       .example = "coppice privacy curve --noise-multiplier 0.8 --noise-multiplier 1.2 "
                  "--sampling-rate 0.005 --rounds 2000 --out curve.svg\n"
                  "coppice privacy curve --noise-multiplier 0.8 --sampling-rate 0.005 "
                  "--rounds 1000 --delta 1e-10 --over delta"},
      [options](Context& at) { return curve(at, *options); });
  command
      .add_option("--noise-multiplier", options->multipliers,
                  "Noise over sensitivity; several give several lines")
      .check(in_range(0.01, 1e6))
      .allow_extra_args(false)
      .type_name("Z")
      .required();
  command
      .add_option("--sampling-rate", options->sampling_rate,
                  "With which each device is drawn into a round; 1: no amplification")
      .check(in_range(1e-9, 1.0))
      .type_name("Q")
      .required();
  command.add_option("--rounds", options->rounds, "Up to how many rounds")
      .check(in_range(std::uint64_t{1}, std::uint64_t{10'000'000}))
      .type_name("T")
      .required();
  command
      .add_option("--delta", options->deltas,
                  "Several give several lines; with --over delta, where the axis begins")
      .check(in_range(1e-30, 0.01))
      .allow_extra_args(false)
      .default_str("1e-6");
  command.add_option("--over", options->over, "The horizontal axis: rounds or delta")
      .check(one_of({"rounds", "delta"}))
      .capture_default_str();
  command.add_option("--points", options->points, "Rows of the table, over rounds")
      .check(in_range(2U, 1000U))
      .capture_default_str();
  command.add_option("--out", options->out, "Also draw it: an SVG picture").type_name("FILE");
}

} // namespace coppice
