// SPDX-License-Identifier: Apache-2.0
// The small files of a Hugging Face model folder, read with bounds; private to the import.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "formats/gguf_writer.h"
#include "formats/json.h"

namespace coppice {

// Metadata of a GGUF file to be, in order.
using GgufEntries = std::vector<std::pair<std::string, GgufMetadata>>;

// An object; none if there is no such file. Errors name the file.
Result<std::optional<Json>> read_json_if(const fs::path& path);
Result<Json> read_json(const fs::path& path);

// A member that may be missing or null, or null itself if `json` is no object.
const Json& member(const Json& json, std::string_view key);
std::optional<std::string> text_of(const Json& json);    // if it is a string
std::optional<bool> flag_of(const Json& json);           // if it is true or false
std::optional<std::uint64_t> count_of(const Json& json); // if it is a whole number of 0 or more
std::optional<double> number_of(const Json& json);       // if it is a finite number
const Json& first_of(const Json& json);                  // of a list that isn't empty, else itself

} // namespace coppice
