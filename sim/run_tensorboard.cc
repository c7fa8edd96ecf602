// SPDX-License-Identifier: Apache-2.0
#include "sim/run_tensorboard.h"

#include <cmath>

#include "base/text.h"
#include "sim/event_file.h"

namespace coppice {
namespace {

// Where a line stands on the three axes.
struct Place {
  double round = 0;
  double time_s = 0;
  double bytes = 0;
};
using StepOf = double (*)(const Place& place);

struct StepAxis {
  const char* folder;
  StepOf step_of;
};
constexpr StepAxis kAxes[] = {
    {"by_round", [](const Place& place) { return place.round; }},
    {"by_virtual_seconds", [](const Place& place) { return place.time_s; }},
    {"by_bytes", [](const Place& place) { return place.bytes; }},
};
constexpr double kMostStep = 9e18; // what an int64 holds

class ScalarWriter {
 public:
  explicit ScalarWriter(StepOf step_of) : step_of_(step_of) {}
  void move_to(const Place& place) { place_ = place; }
  void add(const std::string& tag, double value) {
    if (!std::isfinite(value)) return;
    const double step = std::fmin(std::fmax(step_of_(place_), 0), kMostStep);
    file_.add_scalar(tag, std::llround(step), place_.time_s, value);
  }
  Bytes take() && { return std::move(file_).take(); }

 private:
  StepOf step_of_;
  Place place_;
  EventFile file_;
};

void add_round(const PlayedRoundEvent& round, ScalarWriter& out) {
  const auto count = [&out](const char* name, std::uint64_t value) {
    out.add(cat("round/", name), static_cast<double>(value));
  };
  count("asked", round.asked);
  count("counted", round.counted);
  count("declined", round.declined);
  count("dropped", round.dropped.total());
  count("tokens", round.tokens);
  out.add("round/released", round.released ? 1 : 0);
  out.add("round/seconds", round.time_s - round.started_s);
  out.add("round/bytes_down", round.bytes_down);
  out.add("round/bytes_up", round.bytes_up);
  out.add("round/joules", round.joules);
  out.add("round/epsilon", round.epsilon);
  out.add("round/clipped", round.clipped);
  out.add("round/clamped", round.clamped);
  out.add("round/cosine_mean", round.cosine_mean);
  out.add("round/product_gap", round.product_gap);
  out.add("round/participation_gini", round.participation_gini);
  for (const auto& [name, value] : round.metrics) out.add(cat("metrics/", name), value);
}

void add_evaluation(const EvaluationEvent& evaluation, ScalarWriter& out) {
  const auto add = [&](const char* measure, double value) {
    out.add(cat(evaluation.set, "/", measure, "/", evaluation.adapter), value);
  };
  add("bits_per_byte", evaluation.bits_per_byte);
  add("nats_per_token", evaluation.nats_per_token);
  add("token_accuracy", evaluation.token_accuracy);
  add("choice_accuracy", evaluation.choice_accuracy);
  add("choice_accuracy_by_byte", evaluation.choice_accuracy_by_byte);
  add("exact_match", evaluation.exact_match);
  add("rouge_l", evaluation.rouge_l);
}

Bytes events_by(const RunRecord& run, StepOf step_of) {
  ScalarWriter out(step_of);
  double bytes = 0;
  for (const PlayedRoundEvent& round : run.rounds) {
    bytes += round.bytes_down + round.bytes_up;
    out.move_to({static_cast<double>(round.round), round.time_s, bytes});
    add_round(round, out);
  }
  for (const EvaluationEvent& evaluation : run.evaluations) {
    out.move_to({static_cast<double>(evaluation.round), evaluation.time_s,
                 evaluation.bytes_up + evaluation.bytes_down});
    add_evaluation(evaluation, out);
  }
  return std::move(out).take();
}

} // namespace

std::vector<TensorBoardRun> tensorboard_runs(const RunRecord& run) {
  std::vector<TensorBoardRun> runs;
  for (const StepAxis& axis : kAxes) runs.push_back({axis.folder, events_by(run, axis.step_of)});
  return runs;
}

} // namespace coppice
