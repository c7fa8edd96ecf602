// SPDX-License-Identifier: Apache-2.0
// What a reader of XML insists on, for the pages and pictures that we write.
#pragma once

#include <string>
#include <vector>

namespace coppice {

// Every tag closed by its own, one root, and no bare '&' or '<'. A document type may stand first.
inline bool is_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  std::size_t roots = 0;
  for (std::size_t at = 0; at < xml.size(); ++at) {
    if (xml[at] == '&') {
      const std::string entity = xml.substr(at, xml.find(';', at) - at + 1);
      if (entity != "&amp;" && entity != "&lt;" && entity != "&gt;" && entity != "&quot;")
        return false;
    }
    if (xml[at] != '<') continue;
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    if (tag.find('<') != std::string::npos) return false;
    const std::string name = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (tag.starts_with("/")) {
      if (open.empty() || "/" + open.back() != tag) return false;
      open.pop_back();
    } else if (!tag.starts_with("!DOCTYPE")) {
      roots += open.empty() ? 1 : 0;
      if (!tag.ends_with("/")) open.push_back(name);
    }
    at = end;
  }
  return open.empty() && roots == 1;
}

} // namespace coppice
