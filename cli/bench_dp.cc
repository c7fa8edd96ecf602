// SPDX-License-Identifier: Apache-2.0
// `coppice bench dp`: what accounting and noise take on this machine.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "crypto/secret_random.h"
#include "model/engine_module.h"
#include "privacy/accountant.h"
#include "privacy/discrete_noise.h"
#include "privacy/pld.h"
#include "privacy/skellam.h"
#include "protocol/slot_noise.h"

namespace coppice {
namespace {

constexpr unsigned kThreadCeilingTries = 12; // before the work, and again after
constexpr int kPldTimes = 11;
constexpr int kSamplerTimes = 3;

struct DpOptions {
  double multiplier = 0.8;
  double rate = 0.005;
  std::uint64_t rounds = 1000;
  double delta = 1e-6;
  std::uint64_t variance = 10'000;
  std::uint64_t draws = 1'000'000;
};

struct ThreadCeiling {
  LinearCeiling gflops; // bf16 is 0 where it isn't measured
  const char* of = "at::linear, 512 x 2048 x 2048, one thread";
};

// A build without LibTorch has no good product to compare with: what registers alone can do, as
// this file is compiled.
double register_gflops() {
  constexpr std::size_t kLanes = 64;
  constexpr int kSteps = 1 << 20;
  std::array<float, kLanes> sums{};
  volatile float factor = 0.999F; // unknown to the compiler
  const float multiplier = factor;
  const double begin = wall_seconds();
  for (int step = 0; step < kSteps; ++step) {
    for (float& sum : sums) sum = sum * multiplier + 1.0F;
  }
  const double seconds = wall_seconds() - begin;
  volatile float used = 0;
  for (const float sum : sums) used = used + sum;
  return 2.0 * kLanes * kSteps / seconds / 1e9;
}

ThreadCeiling measure_thread_ceiling() {
  const auto linear = measure_linear_ceiling(kThreadCeilingTries);
  if (linear.ok()) return {.gflops = *linear};
  ThreadCeiling ceiling{.gflops = {},
                        .of = "a loop in registers, float32, one thread (no LibTorch here)"};
  for (unsigned i = 0; i < kThreadCeilingTries; ++i) {
    ceiling.gflops.f32_gflops = std::max(ceiling.gflops.f32_gflops, register_gflops());
  }
  return ceiling;
}

struct Timed {
  double best = 0; // seconds
  double middle = 0;
};

// Of several runs: the middle one, so that one interruption doesn't count, and the best.
template <typename Work>
Result<Timed> time_of(int times, Work work) {
  std::vector<double> seconds;
  for (int i = 0; i < times; ++i) {
    const double begin = wall_seconds();
    COPPICE_TRY(work());
    seconds.push_back(wall_seconds() - begin);
  }
  std::ranges::sort(seconds);
  return Timed{seconds.front(), seconds[seconds.size() / 2]};
}

// Seconds for 10^6 draws.
template <typename Sampler>
Result<Timed> time_sampler(const Sampler& sampler, std::uint64_t draws) {
  std::vector<std::int64_t> values(draws);
  SystemBytes source;
  Timed timed = COPPICE_TRY(time_of(kSamplerTimes, [&]() -> Result<void> {
    RandomBits bits(source);
    add_noise(values, sampler, bits);
    return {};
  }));
  const double million = 1e6 / static_cast<double>(draws);
  return Timed{timed.best * million, timed.middle * million};
}

struct DpFigures {
  double epsilon = 0;
  Timed pld;
  Timed calibration;
  Timed gaussian;
  Timed skellam;
};

Result<DpFigures> measure(const DpOptions& options) {
  DpFigures measured;
  const SampledGaussian group{options.multiplier, options.rate, options.rounds};
  measured.pld = COPPICE_TRY(time_of(kPldTimes, [&]() -> Result<void> {
    measured.epsilon = COPPICE_TRY(pld_epsilon({&group, 1}, options.delta));
    return {};
  }));
  measured.calibration = COPPICE_TRY(time_of(kSamplerTimes, [&]() -> Result<void> {
    COPPICE_TRY(noise_multiplier_for({.epsilon = measured.epsilon,
                                      .delta = options.delta,
                                      .sampling_rate = options.rate,
                                      .rounds = options.rounds}));
    return {};
  }));
  measured.gaussian = COPPICE_TRY(
      time_sampler(COPPICE_TRY(DiscreteGaussian::create({options.variance, 1})), options.draws));
  measured.skellam = COPPICE_TRY(
      time_sampler(COPPICE_TRY(SkellamSampler::create(options.variance)), options.draws));
  return measured;
}

Json timed_json(const Timed& timed, double unit) {
  return {{"middle", timed.middle * unit}, {"best", timed.best * unit}};
}

Result<ExitCode> bench_dp(Context& context, const DpOptions& options) {
  ThreadCeiling ceiling = measure_thread_ceiling();
  const DpFigures measured = COPPICE_TRY(measure(options));
  const ThreadCeiling after = measure_thread_ceiling();
  LinearCeiling& gflops = ceiling.gflops;
  gflops.f32_gflops = std::max(gflops.f32_gflops, after.gflops.f32_gflops);
  gflops.bf16_gflops = std::max(gflops.bf16_gflops, after.gflops.bf16_gflops);

  Console& console = context.console;
  Table table({{"lower is better"}, {"middle", Align::kRight}, {"best", Align::kRight}, {""}});
  const auto row = [&table](const std::string& name, const Timed& timed) {
    table.add_row({name, fixed(timed.middle * 1000, 1), fixed(timed.best * 1000, 1), "ms"});
  };
  row("epsilon of one (z, q, T), by PLD", measured.pld);
  row("the multiplier for that epsilon", measured.calibration);
  row("10^6 draws, discrete Gaussian", measured.gaussian);
  row("10^6 draws, Skellam", measured.skellam);
  console.write(table.render());
  console.print(cat("\nz ", options.multiplier, ", q ", options.rate, ", ", grouped(options.rounds),
                    " rounds, delta ", options.delta, ": epsilon ", fixed(measured.epsilon, 4),
                    "; draws of variance ", grouped(options.variance)));
  console.print(cat("ceiling ", fixed(gflops.f32_gflops, 1), " GFLOP/s: ", ceiling.of));
  console.finish(
      "coppice.bench_dp.v1",
      Json{{"pld_ms", timed_json(measured.pld, 1000)},
           {"calibration_ms", timed_json(measured.calibration, 1000)},
           {"discrete_gaussian_ms_per_million", timed_json(measured.gaussian, 1000)},
           {"skellam_ms_per_million", timed_json(measured.skellam, 1000)},
           {"epsilon", measured.epsilon},
           {"noise_multiplier", options.multiplier},
           {"sampling_rate", options.rate},
           {"rounds", options.rounds},
           {"delta", options.delta},
           {"variance", options.variance},
           {"draws", options.draws},
           {"ceiling_gflops", {{"f32", gflops.f32_gflops}, {"bf16", gflops.bf16_gflops}}},
           {"ceiling_of", ceiling.of}});
  return ExitCode::kOk;
}

} // namespace

void add_bench_dp_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<DpOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "dp",
                   .summary = "Time of the accountant, and of drawing noise",
                   .example = "coppice bench dp\n"
                              "coppice bench dp --noise-multiplier 1.1 --sampling-rate 0.01 "
                              "--rounds 10000 --format json"},
                  [options](Context& at) { return bench_dp(at, *options); });
  command.add_option("--noise-multiplier", options->multiplier, "z of the accounted rounds")
      .check(in_range(0.1, 1e3))
      .capture_default_str();
  command.add_option("--sampling-rate", options->rate, "q of the accounted rounds")
      .check(in_range(1e-6, 1.0))
      .capture_default_str();
  command.add_option("--rounds", options->rounds, "T, the accounted rounds")
      .check(in_range(std::uint64_t{1}, std::uint64_t{1'000'000}))
      .capture_default_str();
  command.add_option("--delta", options->delta, "Delta of the epsilon")
      .check(in_range(1e-30, 0.01))
      .capture_default_str();
  command.add_option("--variance", options->variance, "Of the draws")
      .check(in_range(std::uint64_t{1}, std::uint64_t{1} << 40U))
      .capture_default_str();
  command.add_option("--draws", options->draws, "Draws of each sampler, three times")
      .check(in_range(std::uint64_t{1000}, std::uint64_t{100'000'000}))
      .capture_default_str();
}

} // namespace coppice
