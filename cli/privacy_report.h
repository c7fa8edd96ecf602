// SPDX-License-Identifier: Apache-2.0
// How `coppice privacy plan` says its answer: lines for people, fields for JSON.
//
// For one thread at a time, as the console is.
#pragma once

#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/privacy_alternatives.h"

namespace coppice {

void print_answer(Console& console, const PrivacyQuestion& question, const PrivacyAnswer& answer);
// What has to stand in aggregator.toml.
void print_settings(Console& console, const PrivacyQuestion& question, const PrivacyAnswer& answer);
// A table, or why there is none.
void print_alternatives(Console& console, const PrivacyQuestion& question,
                        const PrivacyAnswer& answer, const std::vector<Alternative>& found);

// What secure aggregation promises with noise off.
std::string without_noise(const PrivacyAnswer& answer);
// Whether this version has a strategy that trains B alone.
bool has_ffa();
Json answer_json(const PrivacyQuestion& question, const PrivacyAnswer& answer);

} // namespace coppice
