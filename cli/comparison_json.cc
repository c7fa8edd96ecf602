// SPDX-License-Identifier: Apache-2.0
#include "cli/comparison_json.h"

#include <cmath>

namespace coppice {
namespace {

Json interval_json(const MeanInterval& interval) {
  return {{"seeds", interval.count},
          {"mean", number_or_null(interval.mean)},
          {"ci95", {number_or_null(interval.low()), number_or_null(interval.high())}}};
}

Json numbers_json(const std::vector<double>& values) {
  Json numbers = Json::array();
  for (const double value : values) numbers.push_back(number_or_null(value));
  return numbers;
}

Json measures_json(const Comparison& comparison, std::size_t scenario) {
  Json measures = Json::array();
  for (const ComparedMeasure& measure : comparison.measures) {
    const ComparedFigure& figure = measure.figures[scenario];
    Json row{{"measure", measure.name}, {"at", compared_at_name(measure.at)}};
    row["by_seed"] = numbers_json(figure.by_seed);
    row.update(interval_json(figure.value));
    row["to_first"] = interval_json(figure.to_first);
    row["to_best"] = interval_json(figure.to_best);
    row["best"] = comparison.names[measure.best];
    measures.push_back(std::move(row));
  }
  return measures;
}

} // namespace

Json comparison_json(const Comparison& comparison) {
  Json scenarios = Json::array();
  for (std::size_t i = 0; i < comparison.names.size(); ++i) {
    Json settings = Json::object();
    for (const DifferingSetting& setting : comparison.settings) {
      settings[setting.name] = setting.values[i];
    }
    Json tuned;
    if (const auto& budget = comparison.tuned[i]) {
      tuned = {{"values", budget->values},
               {"seeds", budget->seeds},
               {"rounds", budget->rounds},
               {"tokens", budget->tokens}};
    }
    scenarios.push_back({{"name", comparison.names[i]},
                         {"strategy", comparison.strategies[i]},
                         {"reference", static_cast<bool>(comparison.references[i])},
                         {"settings", std::move(settings)},
                         {"tuned", std::move(tuned)},
                         {"measures", measures_json(comparison, i)}});
  }
  return {{"seeds", comparison.seeds},
          {"equal_round", comparison.equal_round},
          {"equal_bytes", comparison.equal_bytes},
          {"scenarios", std::move(scenarios)}};
}

Json robustness_json(const Robustness& robust) {
  Json rows = Json::array();
  for (const RobustRow& row : robust.rows) {
    Json made{{"scenario", robust.names[row.scenario]},
              {"strategy", robust.strategies[row.scenario]},
              {"attack", row.attack},
              {"fraction", row.fraction},
              {"strength", row.strength},
              {"hostile_devices", row.hostile},
              {"clients", row.evaluated},
              {"honest_clients", row.honest},
              {"refused", row.refused.empty() ? Json() : Json(row.refused)}};
    for (const RobustMeasure measure : {RobustMeasure::kShared, RobustMeasure::kServed}) {
      const RobustFigure& figure = figure_of(row, measure);
      Json of = interval_json(figure.value);
      of["by_seed"] = numbers_json(figure.by_seed);
      of["clean_by_seed"] = numbers_json(figure.clean_by_seed);
      of["clean"] = interval_json(figure.clean);
      of["loss"] = interval_json(figure.loss);
      made[std::string(robust_measure_name(measure))] = std::move(of);
    }
    rows.push_back(std::move(made));
  }
  return rows;
}

} // namespace coppice
