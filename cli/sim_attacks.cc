// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_attacks.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.h"
#include "cli/sim_scenario.h"

namespace coppice {
namespace {

std::vector<std::string> attack_names() {
  std::vector<std::string> names;
  for (const KeySpec& key : attack_keys()) {
    if (key.key == "kind") names = split(key.choices, '|');
  }
  std::erase(names, attack_name(AttackKind::kNone));
  return names;
}

Result<double> parse_strength(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool whole = !text.empty() && end == text.c_str() + text.size();
  if (whole && value >= 0 && value <= 1e6) return value; // attack.strength's own range
  return Error{ErrorCode::kInvalidArgument,
               cat("--attacks: a strength is a number from 0 to 1000000, not '", text, "'")};
}

// Whether the file or a flag says it, and no default does.
bool is_set(const LoadedScenario& loaded, std::string_view name) {
  return std::ranges::any_of(loaded.settings.show_origin(), [name](const Settings::Row& row) {
    return row.name == name && row.origin != "default";
  });
}

Result<LoadedScenario> load_clean(const StudyScenario& scenario, const Environment& environment) {
  LoadedScenario clean = COPPICE_TRY(load_scenario(scenario.file, scenario.set, environment));
  if (clean.scenario.attack.kind == AttackKind::kNone) return clean;
  return Error{ErrorCode::kInvalidArgument,
               cat(scenario.name, " sets attack.kind = ", attack_name(clean.scenario.attack.kind),
                   ", and --attacks plays each scenario without an attack too: leave it out")};
}

// Fills in what an attack is, and gives what the study plays for it; a refusal in the row where it
// can't be played.
std::optional<StudyScenario> attack_one(const StudyScenario& scenario, const LoadedScenario& clean,
                                        const NamedAttack& attack, const Environment& environment,
                                        AttackedScenario& row) {
  StudyScenario made = scenario;
  made.name = cat(scenario.name, " under ", attack.name);
  made.folder = folder_name(cat(scenario.folder.string(), "+", attack.name));
  made.set.push_back(cat("attack.kind=", attack.name));
  if (attack.strength || !is_set(clean, "attack.strength")) {
    made.set.push_back(
        cat("attack.strength=", attack.strength.value_or(usual_strength(attack.name))));
  }
  const auto loaded = load_scenario(made.file, made.set, environment);
  row.fraction = clean.settings.get_float("attack.fraction");
  row.strength = attack.strength.value_or(usual_strength(attack.name));
  if (!loaded.ok()) {
    row.refused = loaded.error().message;
    return {};
  }
  row.strength = loaded->scenario.attack.strength;
  if (row.fraction == 0) row.refused = "attack.fraction is 0: nobody would be hostile";
  if (loaded->scenario.training == TrainingKind::kNone) {
    row.refused = "training.kind is none: nobody learns anything that could be spoiled";
  }
  if (!row.refused.empty()) return {};
  return made;
}

} // namespace

double usual_strength(std::string_view attack) {
  struct Usual {
    AttackKind kind;
    double strength;
  };
  constexpr std::array kUsual{Usual{AttackKind::kSignFlip, 4}, Usual{AttackKind::kScale, 10},
                              Usual{AttackKind::kInnerProduct, 2}, Usual{AttackKind::kAlie, 1.5}};
  for (const Usual& usual : kUsual) {
    if (attack_name(usual.kind) == attack) return usual.strength;
  }
  return 1;
}

Result<std::vector<NamedAttack>> parse_attacks(const std::string& text) {
  std::vector<NamedAttack> attacks;
  if (text.empty()) return attacks;
  const std::vector<std::string> known = attack_names();
  for (const std::string& part : split(text, ',')) {
    const std::string each(trim(part));
    const std::size_t colon = each.find(':');
    NamedAttack attack{.name = each.substr(0, colon), .strength = {}};
    if (std::ranges::find(known, attack.name) == known.end()) {
      return Error{ErrorCode::kInvalidArgument, cat("--attacks: no attack is called '", attack.name,
                                                    "'; known: ", join(known, ", "))};
    }
    if (std::ranges::find(attacks, attack.name, &NamedAttack::name) != attacks.end()) {
      return Error{ErrorCode::kInvalidArgument, cat("--attacks names ", attack.name, " twice")};
    }
    if (colon != std::string::npos) {
      attack.strength = COPPICE_TRY(parse_strength(each.substr(colon + 1)));
    }
    attacks.push_back(std::move(attack));
  }
  return attacks;
}

Result<AttackedStudy> attacked_study(const std::vector<StudyScenario>& scenarios,
                                     std::span<const NamedAttack> attacks,
                                     const Environment& environment) {
  AttackedStudy study;
  if (attacks.empty()) return study;
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    const LoadedScenario clean = COPPICE_TRY(load_clean(scenarios[i], environment));
    for (const NamedAttack& attack : attacks) {
      AttackedScenario row{.scenario = i, .attack = attack.name};
      auto made = attack_one(scenarios[i], clean, attack, environment, row);
      if (made) study.scenarios.push_back(std::move(*made));
      study.attacked.push_back(std::move(row));
    }
  }
  return study;
}

} // namespace coppice
