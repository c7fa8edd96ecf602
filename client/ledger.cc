// SPDX-License-Identifier: Apache-2.0
#include "client/ledger.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxLedgerBytes = std::size_t{256} << 20U;
constexpr Millis kDay{24 * 3600 * 1000};

std::string to_line(const LedgerEntry& entry, const Sha256& previous) {
  Json json;
  json["number"] = entry.number;
  json["time_ms"] = entry.wall.count;
  json["channel"] = entry.channel;
  json["kind"] = entry.kind;
  json["bytes"] = entry.bytes;
  json["round"] = entry.round.value;
  json["sha256"] = entry.content.hex();
  json["previous"] = previous.hex();
  return dump_json(json) + "\n";
}

Result<LedgerEntry> from_line(std::string_view line, const Sha256& previous) {
  const Json json = COPPICE_TRY(parse_json(line));
  LedgerEntry entry;
  entry.number = COPPICE_TRY(json_uint(json, "number"));
  entry.wall = Millis{static_cast<std::int64_t>(COPPICE_TRY(json_uint(json, "time_ms")))};
  entry.channel = COPPICE_TRY(json_string(json, "channel"));
  entry.kind = COPPICE_TRY(json_string(json, "kind"));
  entry.bytes = COPPICE_TRY(json_uint(json, "bytes"));
  entry.round = RoundId{COPPICE_TRY(json_uint(json, "round"))};
  entry.content =
      COPPICE_TRY(Sha256::parse_hex(COPPICE_TRY(json_string(json, "sha256")), "sha256"));
  const auto chained =
      COPPICE_TRY(Sha256::parse_hex(COPPICE_TRY(json_string(json, "previous")), "previous"));
  if (chained != previous) return Error{ErrorCode::kCorrupt, "the chain is broken"};
  return entry;
}

struct Chain {
  std::vector<LedgerEntry> entries;
  Sha256 last;
  std::size_t good_bytes = 0; // up to the last whole line
};

Result<Chain> read_chain(const fs::path& path) {
  Chain chain;
  if (!fs::exists(path)) return chain;
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxLedgerBytes));
  std::string_view text = as_text(raw);
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    const std::string_view line = text.substr(0, end + 1);
    auto entry = from_line(line, chain.last);
    if (!entry.ok()) {
      return std::move(entry).error().with_context(
          cat(path.string(), ", line ", chain.entries.size() + 1));
    }
    chain.entries.push_back(std::move(entry).value());
    chain.last = sha256(as_bytes(line));
    chain.good_bytes += line.size();
    text.remove_prefix(end + 1);
  }
  return chain;
}

} // namespace

Ledger::Ledger(AppendFile file, std::vector<LedgerEntry> past, Sha256 last)
    : file_(std::move(file)), next_(past.size()), last_(last) {
  for (const LedgerEntry& entry : past) recent_.emplace_back(entry.wall, entry.bytes);
}

Result<Ledger> Ledger::open(const fs::path& path) {
  Chain chain = COPPICE_TRY(read_chain(path));
  std::error_code code;
  if (fs::exists(path) && fs::file_size(path, code) != chain.good_bytes) {
    fs::resize_file(path, chain.good_bytes,
                    code); // a kill tore the last line; nothing of it had left
    if (code) return Error{ErrorCode::kIo, cat("can't mend ", path.string(), ": ", code.message())};
  }
  AppendFile file = COPPICE_TRY(AppendFile::open(path));
  return Ledger(std::move(file), std::move(chain.entries), chain.last);
}

Result<void> Ledger::record(LedgerEntry entry) {
  entry.number = next_;
  const std::string line = to_line(entry, last_);
  COPPICE_TRY(file_.append(as_bytes(line)));
  next_ += 1;
  last_ = sha256(as_bytes(line));
  recent_.emplace_back(entry.wall, entry.bytes);
  std::erase_if(recent_, [&](const auto& past) { return entry.wall - past.first > kDay; });
  return {};
}

std::uint64_t Ledger::bytes_since(Millis wall) const {
  std::uint64_t total = 0;
  for (const auto& [when, bytes] : recent_) total += when >= wall ? bytes : 0;
  return total;
}

Result<std::vector<LedgerEntry>> read_ledger(const fs::path& path) {
  return COPPICE_TRY(read_chain(path)).entries;
}

} // namespace coppice
