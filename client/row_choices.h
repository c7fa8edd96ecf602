// SPDX-License-Identifier: Apache-2.0
// The choices of an instruction row, and which of them is right. Pure functions: thread-safe.
#pragma once

#include "client/example_store.h"

namespace coppice {

inline constexpr std::size_t kMostChoices = 32;

// Sets `choices` and `right_choice` of the instruction row that `piece` was made from, if it has
// any: its own field `choices`, an array of 2 to 32 texts, of which `answer` names the right one by
// its number from 0 or by its text, or the response by its text; else those that its prompt numbers
// ("Answer1: a marsh Answer2: a desert"), where the response ends in the right one's name
// ("... answer1"). A row that says otherwise has none, and is an instruction row like any other.
void read_choices(const Json& row, Piece& piece);

} // namespace coppice
