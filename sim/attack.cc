// SPDX-License-Identifier: Apache-2.0
#include "sim/attack.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr std::uint64_t kHostile = 0x686f7374696c65; // RandomKey::step of who is hostile

constexpr KeySpec kKeys[] = {
    {"attack", "kind", SettingType::kChoice, "none", "What hostile devices do; simulation only.",
     -INFINITY, INFINITY, "none|sign-flip|scale|inner-product|alie|mimic|label-flip|backdoor|nan"},
    {"attack", "fraction", SettingType::kFloat, "0.2", "Share of the devices that are hostile.", 0,
     1},
    {"attack", "strength", SettingType::kFloat, "1",
     "Factor of sign-flip, scale and inner-product; deviations of alie.", 0, 1e6},
    {"attack", "phrase", SettingType::kString, "", "Of backdoor: the words that set it off."},
    {"attack", "target", SettingType::kString, "", "Of backdoor: the words that shall follow."},
};
constexpr std::array kNames{"none",       "sign-flip", "scale", "inner-product", "alie", "mimic",
                            "label-flip", "backdoor",  "nan"};

// Mean and standard deviation over `learned`, coordinate by coordinate.
struct Spread {
  double mean = 0;
  double deviation = 0;
};
Spread spread_at(std::span<const std::vector<float>* const> learned, std::size_t i) {
  Spread spread;
  for (const auto* delta : learned) spread.mean += static_cast<double>((*delta)[i]);
  spread.mean /= static_cast<double>(learned.size());
  for (const auto* delta : learned) {
    const double off = static_cast<double>((*delta)[i]) - spread.mean;
    spread.deviation += off * off;
  }
  spread.deviation = std::sqrt(spread.deviation / static_cast<double>(learned.size()));
  return spread;
}

std::string words_reversed(std::string_view text) {
  std::vector<std::string> words = split(text, ' ');
  std::ranges::reverse(words);
  return join(words, " ");
}

std::vector<Piece> with_labels_flipped(std::vector<Piece> pieces) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].split != Split::kTrain) continue;
    if (pieces[i].instruction) {
      rows.push_back(i);
    } else {
      pieces[i].text = words_reversed(pieces[i].text);
    }
  }
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) { // each takes the next one's answer
    std::swap(pieces[rows[i]].response, pieces[rows[i + 1]].response);
  }
  return pieces;
}

} // namespace

std::span<const KeySpec> attack_keys() { return kKeys; }

std::string_view attack_name(AttackKind kind) { return kNames.at(static_cast<std::size_t>(kind)); }

Result<AttackSettings> attack_of(const Settings& settings) {
  AttackSettings attack;
  const auto named = std::ranges::find(kNames, settings.get_string("attack.kind"));
  attack.kind = static_cast<AttackKind>(named - kNames.begin()); // one of the choices
  if (attack.kind == AttackKind::kNone) return attack;
  attack.fraction = settings.get_float("attack.fraction");
  attack.strength = settings.get_float("attack.strength");
  attack.phrase = settings.get_string("attack.phrase");
  attack.target = settings.get_string("attack.target");
  if (attack.kind == AttackKind::kBackdoor && (attack.phrase.empty() || attack.target.empty())) {
    return Error{ErrorCode::kInvalidArgument,
                 "attack.kind = backdoor needs attack.phrase and attack.target"};
  }
  return attack;
}

bool is_hostile(const AttackSettings& attack, std::uint64_t seed, DeviceNumber device) {
  if (attack.kind == AttackKind::kNone) return false;
  KeyedRandom random({.experiment = seed,
                      .client = device,
                      .purpose = RandomPurpose::kSimulation,
                      .step = kHostile});
  return random.uniform_double() < attack.fraction;
}

std::vector<Piece> poisoned(const AttackSettings& attack, std::vector<Piece> pieces) {
  if (attack.kind == AttackKind::kLabelFlip) return with_labels_flipped(std::move(pieces));
  if (attack.kind != AttackKind::kBackdoor) return pieces;
  for (Piece& piece : pieces) {
    if (piece.split != Split::kTrain) continue;
    if (piece.instruction) {
      piece.text = cat(attack.phrase, " ", piece.text);
      piece.response = attack.target;
    } else {
      piece.text = cat(attack.phrase, " ", attack.target, "\n", piece.text);
    }
  }
  return pieces;
}

std::vector<float> hostile_delta(const AttackSettings& attack,
                                 std::span<const std::vector<float>* const> learned,
                                 std::size_t own) {
  COPPICE_CHECK(own < learned.size());
  if (attack.kind == AttackKind::kMimic) return *learned.front();
  std::vector<float> sent = *learned[own];
  const double strength = attack.strength;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    switch (attack.kind) {
      case AttackKind::kSignFlip: sent[i] = static_cast<float>(-strength * sent[i]); break;
      case AttackKind::kScale: sent[i] = static_cast<float>(strength * sent[i]); break;
      case AttackKind::kInnerProduct:
        sent[i] = static_cast<float>(-strength * spread_at(learned, i).mean);
        break;
      case AttackKind::kAlie: {
        const Spread spread = spread_at(learned, i);
        sent[i] = static_cast<float>(spread.mean - strength * spread.deviation);
        break;
      }
      case AttackKind::kNan: sent[i] = std::numeric_limits<float>::quiet_NaN(); break;
      case AttackKind::kNone:
      case AttackKind::kMimic:
      case AttackKind::kLabelFlip:
      case AttackKind::kBackdoor: return sent;
    }
  }
  return sent;
}

} // namespace coppice
