// SPDX-License-Identifier: Apache-2.0
// What messages weigh in a simulation. docs/simulation.md says how they were measured; a test
// compares them with real envelopes.
#pragma once

#include <cstdint>

namespace coppice {

inline constexpr std::uint64_t kEnvelopeBytes = 220; // around a message: header, signature, CURVE
inline constexpr std::uint64_t kMessageBytes = 300;  // of any small one, its envelope included
inline constexpr std::uint64_t kUploadOverheadBytes =
    360; // of an upload beside its slots: seal, header

} // namespace coppice
