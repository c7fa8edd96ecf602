// SPDX-License-Identifier: Apache-2.0
// An HTML document around sections: one file that asks nothing of a network. No links, no fonts, no
// scripts; its content security policy allows none either.
//
// Reads in light and dark, on paper, and on a narrow screen. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace coppice {

// `title` is escaped; `body` is markup, of sim/report_parts.h.
std::string report_document(std::string_view title, std::string_view body);

} // namespace coppice
