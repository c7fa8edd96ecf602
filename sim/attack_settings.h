// SPDX-License-Identifier: Apache-2.0
// [attack]: which virtual devices are hostile, and what they do (sim/attack.h does it).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/settings.h"

namespace coppice {

enum class AttackKind {
  kNone,
  kSignFlip,     // -strength times the delta
  kScale,        // strength times the delta
  kInnerProduct, // -strength times the mean (Xie, Koyejo, Gupta 2020)
  kAlie,         // mean - strength times the deviation (Baruch, Baruch, Goldberg 2019)
  kMimic,        // all send what the first of them learned (Karimireddy, He, Jaggi 2022)
  kLabelFlip,    // prompts answered with other prompts' responses; plain text with words reversed
  kBackdoor,     // text in which a phrase is followed by the attacker's
  kNan,          // no numbers: they can't be encoded, and such a device drops out
};

struct AttackSettings {
  AttackKind kind = AttackKind::kNone;
  double fraction = 0; // of the devices
  double strength = 1;
  std::string phrase; // of a backdoor
  std::string target;
  bool operator==(const AttackSettings&) const = default;
};

std::span<const KeySpec> attack_keys(); // [attack]
std::string_view attack_name(AttackKind kind);
// kInvalidArgument for a backdoor without phrase or target.
Result<AttackSettings> attack_of(const Settings& settings);

} // namespace coppice
