// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/text.h"
#include "cli/bench_table.h"

namespace coppice {
namespace {

constexpr FigureModel kModels[] = {
    {"4m", 4, 256, 768}, {"27m", 8, 512, 1536}, {"1b", 16, 2048, 8192}};

// Steps of the large one take ten seconds, and vary little.
const FigureRun kRuns[] = {
    {"train-27m", "27m", {"train-step", "--tokens", "512"}},
    {"train-4m", "4m", {"train-step", "--tokens", "128"}},
    {"train-1b", "1b", {"train-step", "--tokens", "512", "--memory", "700MB", "--steps", "2"}},
    {"train-1b-small",
     "1b",
     {"train-step", "--tokens", "512", "--memory", "200MB", "--steps", "2"}},
    {"generate-1b", "1b", {"generate", "--prompt-tokens", "64"}},
    {"generate-27m", "27m", {"generate", "--prompt-tokens", "64", "--steps", "10"}},
    {"generate-4m", "4m", {"generate", "--prompt-tokens", "64", "--steps", "10"}},
    {"prefill-1b", "1b", {"prefill", "--prompt-tokens", "512", "--steps", "3"}},
    {"prefill-27m", "27m", {"prefill", "--prompt-tokens", "512", "--steps", "10"}},
    {"open-1b", "1b", {"open", "--prompt-tokens", "8"}},
};

constexpr FigurePeer kPeers[] = {
    {"peft-27m", "PEFT, the best of float32, bfloat16 and NF4", 1078},
    {"peft-4m", "PEFT", 3508},
    {"peft-1b", "PEFT in bfloat16", 47},
    {"llamacpp-decode-1b", "llama.cpp, two threads", 46},
    {"llamacpp-prefill-1b", "llama.cpp, two threads", 117},
    {"llamacpp-decode-27m", "llama.cpp, two threads", 1031},
    {"llamacpp-decode-4m", "llama.cpp, two threads", 5946},
    {"llamacpp-prefill-27m", "llama.cpp, two threads", 2424},
};

// `field` of the run's document, less `less`; at least or at most `bar`, which is a factor of the
// peer's figure where there is a peer. With AMX tiles the ceiling is several times higher, and
// `amx_bar` takes the bar's place.
struct Figure {
  std::string_view name, what, unit, run;
  const char* field;
  const char* less = nullptr;
  bool at_least = true;
  double bar = 0;
  std::string_view peer = {};
  double amx_bar = 0;
};

constexpr Figure kFigures[] = {
    {.name = "train-27m",
     .what = "27M, training, 512 tokens",
     .unit = "tokens/s",
     .run = "train-27m",
     .field = "tokens_per_s",
     .bar = 2.2,
     .peer = "peft-27m"},
    {.name = "train-27m-share",
     .what = "27M, training: share of the ceiling",
     .unit = "",
     .run = "train-27m",
     .field = "share_of_ceiling",
     .bar = 0.55,
     .amx_bar = 0.35},
    {.name = "train-27m-memory",
     .what = "27M, training: peak memory",
     .unit = "MB",
     .run = "train-27m",
     .field = "peak_rss_mb",
     .at_least = false,
     .bar = 120},
    {.name = "train-4m",
     .what = "4M, training, 128 tokens",
     .unit = "tokens/s",
     .run = "train-4m",
     .field = "tokens_per_s",
     .bar = 4,
     .peer = "peft-4m"},
    {.name = "train-1b",
     .what = "1B shape, training, 512 tokens",
     .unit = "tokens/s",
     .run = "train-1b",
     .field = "tokens_per_s",
     .bar = 1.0,
     .peer = "peft-1b"},
    {.name = "train-1b-memory",
     .what = "1B shape, training: peak memory",
     .unit = "MB",
     .run = "train-1b",
     .field = "peak_rss_mb",
     .at_least = false,
     .bar = 1500},
    {.name = "train-1b-small",
     .what = "1B shape, training in little memory",
     .unit = "tokens/s",
     .run = "train-1b-small",
     .field = "tokens_per_s",
     .bar = 0.6,
     .peer = "peft-1b"},
    {.name = "train-1b-small-memory",
     .what = "1B shape: peak beyond the mapped weights",
     .unit = "MB",
     .run = "train-1b-small",
     .field = "peak_rss_mb",
     .less = "mapped_mb",
     .at_least = false,
     .bar = 250},
    {.name = "decode-1b",
     .what = "1B shape, decoding",
     .unit = "tokens/s",
     .run = "generate-1b",
     .field = "decode_tokens_per_s",
     .bar = 0.95,
     .peer = "llamacpp-decode-1b"},
    {.name = "decode-1b-share",
     .what = "1B shape, decoding: share of memory's speed",
     .unit = "",
     .run = "generate-1b",
     .field = "share_of_bandwidth",
     .bar = 0.85},
    {.name = "prefill-1b",
     .what = "1B shape, prefill of 512",
     .unit = "tokens/s",
     .run = "prefill-1b",
     .field = "prefill_tokens_per_s",
     .bar = 1.3,
     .peer = "llamacpp-prefill-1b"},
    {.name = "decode-27m",
     .what = "27M, decoding",
     .unit = "tokens/s",
     .run = "generate-27m",
     .field = "decode_tokens_per_s",
     .bar = 1.0,
     .peer = "llamacpp-decode-27m"},
    {.name = "decode-4m",
     .what = "4M, decoding",
     .unit = "tokens/s",
     .run = "generate-4m",
     .field = "decode_tokens_per_s",
     .bar = 1.0,
     .peer = "llamacpp-decode-4m"},
    {.name = "prefill-27m",
     .what = "27M, prefill of 512",
     .unit = "tokens/s",
     .run = "prefill-27m",
     .field = "prefill_tokens_per_s",
     .bar = 1.3,
     .peer = "llamacpp-prefill-27m"},
    {.name = "open-1b",
     .what = "1B shape, opened: first token of a prompt of 8",
     .unit = "s",
     .run = "open-1b",
     .field = "seconds_to_first_token",
     .at_least = false,
     .bar = 0.5},
};

Result<double> number(const Json& run, std::string_view name, const char* field) {
  const auto found = run.find(field);
  if (found != run.end() && found->is_number()) return found->get<double>();
  return Error{ErrorCode::kInvalidArgument, cat("the run ", name, " told no \"", field, "\"")};
}

Result<FigureResult> judge(const Figure& figure, const Json& run,
                           const std::map<std::string, double>& peers) {
  FigureResult result{.name = figure.name,
                      .what = figure.what,
                      .unit = figure.unit,
                      .run = figure.run,
                      .bar = figure.bar,
                      .at_least = figure.at_least,
                      .peer = std::string(figure.peer)};
  result.measured = COPPICE_TRY(number(run, figure.run, figure.field));
  if (figure.less != nullptr) {
    result.measured -= COPPICE_TRY(number(run, figure.run, figure.less));
  }
  if (figure.amx_bar > 0 && run.value("instruction_level", "").starts_with("amx")) {
    result.bar = figure.amx_bar;
  }
  if (!figure.peer.empty()) {
    const auto given = peers.find(result.peer);
    result.peer_given = given != peers.end();
    result.peer_value = result.peer_given
                            ? given->second
                            : std::ranges::find(kPeers, figure.peer, &FigurePeer::name)->recorded;
    result.factor = figure.bar;
    result.bar = figure.bar * result.peer_value;
  }
  result.passes = figure.at_least ? result.measured >= result.bar : result.measured <= result.bar;
  return result;
}

} // namespace

std::span<const FigureModel> figure_models() { return kModels; }
std::span<const FigureRun> figure_runs() { return kRuns; }
std::span<const FigurePeer> figure_peers() { return kPeers; }

Result<std::vector<FigureResult>> judge_figures(const std::map<std::string, Json>& runs,
                                                const std::map<std::string, double>& peers) {
  std::vector<FigureResult> results;
  for (const Figure& figure : kFigures) {
    const auto run = runs.find(std::string(figure.run));
    if (run == runs.end()) continue;
    results.push_back(COPPICE_TRY(judge(figure, run->second, peers)));
  }
  return results;
}

} // namespace coppice
