// SPDX-License-Identifier: Apache-2.0
// Logs as a simulation writes them, made up: for tests of what reads them.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "base/text.h"
#include "formats/json.h"
#include "sim/run_record.h"

namespace coppice {

struct RecordedRun {
  std::string name = "quickstart";
  std::uint64_t seed = 1;
  std::uint64_t rounds = 40;
  std::uint64_t clients = 60;
  double noise_multiplier = 0; // 0: none, and no field of privacy in any line
  double learns = 1;           // how far the loss falls, of the usual
  bool everything = true;      // fields that a line may leave out
  bool ends = true;
};

// The same numbers on every machine: std::mt19937_64 is specified, its distributions are not.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : engine_(seed) {}
  double uniform() { return static_cast<double>(engine_() >> 11U) * 0x1.0p-53; }
  double normal() { // Box and Muller
    return std::sqrt(-2 * std::log(1 - uniform())) *
           std::cos(2 * 3.14159265358979323846 * uniform());
  }
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }

 private:
  std::mt19937_64 engine_;
};

class RunMaker {
 public:
  explicit RunMaker(const RecordedRun& run) : run_(run), draws_(run.seed) {}

  std::string events() {
    evaluate(0);
    for (std::uint64_t round = 1; round <= run_.rounds; ++round) {
      add_round(round);
      if (round % 5 == 0) evaluate(round);
    }
    if (!run_.ends) return std::move(text_);
    for (std::uint64_t client = 0; client < run_.clients; ++client) add_client(client);
    Json end{{"event", "end"},    {"rounds", run_.rounds},      {"released", version_},
             {"time_s", time_s_}, {"bytes_up", bytes_up_},      {"bytes_down", bytes_down_},
             {"joules", joules_}, {"reason", "all rounds done"}};
    if (noisy()) end["epsilon"] = epsilon(run_.rounds);
    add(end);
    return std::move(text_);
  }

  std::string manifest() const {
    Json settings = Json::array();
    const auto add_setting = [&settings](const char* name, std::string value, const char* origin) {
      settings.push_back({{"name", name}, {"value", std::move(value)}, {"origin", origin}});
    };
    add_setting("name", cat("\"", run_.name, "\""), "scenarios/quickstart.toml:1");
    add_setting("seed", cat(run_.seed), "flag --set");
    add_setting("rounds", cat(run_.rounds), "quickstart.toml:3");
    add_setting("lora.r", "8", "default");
    add_setting("training.lr", "0.02", "quickstart.toml:12");
    add_setting("privacy.noise", noisy() ? "\"central\"" : "\"none\"",
                noisy() ? "quickstart.toml:20" : "default");
    add_setting("privacy.noise_multiplier", cat(run_.noise_multiplier),
                noisy() ? "quickstart.toml:21" : "default");
    add_setting("privacy.delta", "1e-06", "default");
    add_setting("population.trace", "a & b, \"<week>\".trace", "quickstart.toml:30");
    add_setting("report.target_bits_per_byte", "1.9", "quickstart.toml:40");
    Json manifest{{"schema", "coppice.sim_manifest.v1"},
                  {"name", run_.name},
                  {"scenario", std::move(settings)},
                  {"seed", run_.seed},
                  {"program_version", "0.1.0"},
                  {"engine", "native"},
                  {"device", "cpu"},
                  {"instruction_level", "avx512-bf16"},
                  {"base_sha256", std::string(64, 'b')},
                  {"data_sha256", std::string(64, 'd')},
                  {"adapter_sha256", std::string(64, 'a')},
                  {"simulation_only", Json::array()},
                  {"workers", 2},
                  {"host", "laptop, 2 cores"},
                  {"started", "2026-01-02T03:04:05Z"}};
    if (noisy()) {
      manifest["simulation_only"].push_back(
          "noise_cohort: 24 devices train with the noise of a cohort of 5,000");
    }
    return dump_json(manifest, 2);
  }

 private:
  bool noisy() const { return run_.noise_multiplier > 0; }
  double epsilon(std::uint64_t round) const {
    return 2.0 * std::sqrt(static_cast<double>(round)) / run_.noise_multiplier / 2;
  }
  void add(const Json& line) { text_ += dump_json(line) + "\n"; }

  void add_round(std::uint64_t round) {
    const double began = time_s_;
    time_s_ += 5400 + 3600 * draws_.uniform();
    const bool abandoned = round % 13 == 9;
    const std::uint64_t asked = 30;
    const std::uint64_t declined = draws_.below(4);
    const std::uint64_t silent = draws_.below(3);
    const std::uint64_t training = draws_.below(abandoned ? 12 : 3);
    const std::uint64_t uploading = draws_.below(2);
    const std::uint64_t late = draws_.below(2) + (abandoned ? 8 : 0);
    const std::uint64_t accepted = asked - declined - silent;
    const std::uint64_t trained = accepted - training;
    const std::uint64_t counted = abandoned ? 0 : trained - uploading - late;
    const auto up = static_cast<double>(trained) * 389'120;
    const auto down = static_cast<double>(accepted) * 311'296;
    const double joules = static_cast<double>(trained) * 21.5;
    bytes_up_ += up;
    bytes_down_ += down;
    joules_ += joules;
    Json line{{"event", "round"},
              {"round", round},
              {"started_s", began},
              {"time_s", time_s_},
              {"asked", asked},
              {"accepted", accepted},
              {"declined", declined},
              {"trained", trained},
              {"counted", counted},
              {"dropped",
               {{"answer", silent},
                {"training", training},
                {"masking", 0},
                {"uploading", uploading},
                {"unmasking", 0},
                {"late", late}}},
              {"bytes_down", down},
              {"bytes_up", up},
              {"joules", joules},
              {"released", !abandoned},
              {"reason", abandoned ? "fewer than 12 survivors" : ""},
              {"tokens", counted * 1024}};
    if (!abandoned) {
      line["version"] = ++version_;
      line["release_sha256"] = cat(std::string(60, 'e'), 1000 + round);
    }
    if (noisy()) {
      line["epsilon"] = epsilon(round);
      line["noise_multiplier"] = run_.noise_multiplier;
    }
    if (run_.everything && !abandoned) add_updates(line, round);
    add(line);
  }

  void add_updates(Json& line, std::uint64_t round) {
    const auto at = static_cast<double>(round);
    const double loss = 2.9 + 0.6 * std::exp(-at / 12) + 0.02 * draws_.normal();
    line["metrics"] = {{"loss_before", loss},
                       {"loss_after", loss - 0.11 - 0.02 * draws_.uniform()},
                       {"kept", 0.8 + 0.1 * draws_.uniform()}};
    line["clip_norm"] = 0.5;
    line["clipped"] = 0.7 * std::exp(-at / 15) + 0.05 * draws_.uniform();
    line["clamped"] = 0.0;
    const double cosine = 0.55 * std::exp(-at / 30) + 0.02 * draws_.normal();
    line["cosine_mean"] = cosine;
    line["cosine_p10"] = cosine - 0.08;
    line["cosine_p90"] = cosine + 0.07;
    line["participants"] = 25 + round;
    line["participation_gini"] = 0.9 * std::exp(-at / 60);
    line["product_gap"] = 0.12 + 0.1 * (1 - std::exp(-at / 10));
  }

  void evaluate(std::uint64_t round) {
    const double way = 1 - std::exp(-static_cast<double>(round) / 14);
    const auto add_one = [&](const char* set, const char* adapter, double bits, bool detailed) {
      Json line{{"event", "evaluation"},
                {"round", round},
                {"time_s", time_s_},
                {"bytes_up", bytes_up_},
                {"bytes_down", bytes_down_},
                {"joules", joules_},
                {"set", set},
                {"adapter", adapter},
                {"bits_per_byte", bits}};
      if (noisy()) line["epsilon"] = round == 0 ? 0 : epsilon(round);
      if (run_.everything && detailed) {
        line["nats_per_token"] = bits * 1.62;
        line["tokens"] = 51'234;
        line["token_accuracy"] = 0.71 - 0.2 * bits;
      }
      add(line);
    };
    const double fall = 0.34 * run_.learns * way;
    if (round == 0) {
      add_one("global", "base", 2.214, true);
      add_one("public", "base", 1.874, true);
      add_one("unseen", "base", 2.251, true);
    }
    add_one("global", "shared", 2.214 - fall + 0.003 * draws_.normal(), true);
    add_one("unseen", "shared", 2.251 - 0.86 * fall, true);
    if (run_.everything) add_one("public", "shared", 1.874 + 0.031 * way, true);
    if (run_.everything && round == run_.rounds) add_one("global", "centralized", 1.795, true);
  }

  void add_client(std::uint64_t client) {
    const double base = 2.21 + 0.22 * draws_.normal();
    const double shared = base - 0.3 * run_.learns + 0.16 * draws_.normal();
    const bool spoiled = client % 17 == 5; // by a personal adapter that its gate text took to
    const double personal =
        spoiled ? base + 0.06 : std::min(base, shared) - 0.08 + 0.12 * draws_.normal();
    // The gate sees other text, and errs now and then.
    const double seen = 0.1 * draws_.normal();
    const char* served = personal + seen < std::min(base, shared) ? "personal" : "shared";
    if (shared + seen > base && personal + seen > base) served = "base";
    if (spoiled) served = "personal";
    const double serves = served == std::string("base")     ? base
                          : served == std::string("shared") ? shared
                                                            : personal;
    Json line{
        {"event", "client"},
        {"round", run_.rounds},
        {"client", client},
        {"name", client % 9 == 0 ? cat("O'Neill, \"Kit\" <", client, ">") : cat("person ", client)},
        {"class", client % 3 == 0 ? "phone" : "laptop"},
        {"seen", client % 10 != 7},
        {"train_bytes", static_cast<std::uint64_t>(std::exp(9.5 + draws_.normal()))},
        {"report_bytes", 4'000 + draws_.below(2'000)},
        {"base", base},
        {"shared", shared},
        {"served", served},
        {"harmed", serves > base}};
    if (run_.everything) {
      line["personal"] = personal;
      line["local"] = base - 0.08 + 0.1 * draws_.normal();
    } else if (served == std::string("personal")) {
      line["personal"] = personal;
    }
    add(line);
  }

  RecordedRun run_;
  Draws draws_;
  std::string text_;
  double time_s_ = 0;
  double bytes_up_ = 0;
  double bytes_down_ = 0;
  double joules_ = 0;
  std::uint64_t version_ = 0;
};

inline std::string recorded_events(const RecordedRun& run) { return RunMaker(run).events(); }
inline std::string recorded_manifest(const RecordedRun& run) { return RunMaker(run).manifest(); }
inline RunRecord read_recorded(const RecordedRun& run) {
  return parse_run(recorded_events(run), recorded_manifest(run)).value();
}

} // namespace coppice
