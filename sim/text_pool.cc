// SPDX-License-Identifier: Apache-2.0
#include "sim/text_pool.h"

#include <algorithm>
#include <unordered_map>

#include "base/log.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "formats/json.h"
#include "sim/text_rows.h"

namespace coppice {
namespace {

// Enters pieces, and gives users and labels their numbers in order of appearance.
class TableWriter {
 public:
  explicit TableWriter(const TextPoolLimits& limits) : limits_(limits) {}

  struct Place {
    std::uint64_t at = 0;
    std::uint32_t row_bytes = 0;
  };
  Result<void> add(const Piece& piece, const std::vector<std::string>& user,
                   const std::string& label, Place place) {
    if (table_.size() >= limits_.max_rows) {
      return Error{ErrorCode::kTooLarge, cat("at most ", limits_.max_rows, " pieces")};
    }
    // '\x1f' can't be in a name: ("a/b", "c") and ("a", "b/c") are two users.
    const std::uint64_t user_number =
        COPPICE_TRY(number_of(join(user, "\x1f"), join(user, "/"), users_, table_.users, "user"));
    const std::uint64_t label_number =
        COPPICE_TRY(number_of(label, label, labels_, table_.labels, "label"));
    if (label_number >= limits_.max_labels) {
      return Error{ErrorCode::kTooLarge, cat("there are over ", limits_.max_labels, " labels")};
    }
    table_.place.push_back(place.at);
    table_.row_bytes.push_back(place.row_bytes);
    table_.text_bytes.push_back(
        static_cast<std::uint32_t>(piece.text.size() + piece.response.size()));
    table_.user.push_back(static_cast<std::uint32_t>(user_number));
    table_.label.push_back(static_cast<std::uint16_t>(label_number));
    table_.split.push_back(piece.split);
    return {};
  }
  PieceTable take() && { return std::move(table_); }

 private:
  using Numbers = std::unordered_map<std::string, std::uint64_t>;
  static Result<std::uint64_t> number_of(const std::string& key, const std::string& name,
                                         Numbers& numbers, std::vector<std::string>& names,
                                         const char* what) {
    const auto known = numbers.find(key);
    if (known != numbers.end()) return known->second;
    if (!is_plain_name(name)) return bad_name(what);
    const std::uint64_t number = names.size();
    numbers.emplace(key, number);
    names.push_back(name);
    return number;
  }

  TextPoolLimits limits_;
  PieceTable table_;
  Numbers users_;
  Numbers labels_;
};

bool is_blank(const Piece& piece) {
  return trim(piece.text).empty() && trim(piece.response).empty();
}

// Numbers from 0 in the old order, of those that `used` says; `names` shrink with them.
template <typename Number>
void renumber(std::vector<Number>& numbers, std::vector<std::string>& names) {
  std::vector<bool> used(names.size());
  for (const Number number : numbers) used[number] = true;
  std::vector<Number> fresh(names.size());
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < names.size(); ++i) {
    fresh[i] = static_cast<Number>(kept.size());
    if (used[i]) kept.push_back(std::move(names[i]));
  }
  for (Number& number : numbers) number = fresh[number];
  names = std::move(kept);
}

template <typename T>
void keep_only(std::vector<T>& items, const std::vector<bool>& keep) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (keep[i]) items[kept++] = items[i];
  }
  items.resize(kept);
}

// Without the users who have less than `min_bytes` of text.
Result<PieceTable> without_small_users(PieceTable table, std::uint64_t min_bytes) {
  std::vector<std::uint64_t> bytes(table.users.size());
  for (std::size_t i = 0; i < table.size(); ++i) bytes[table.user[i]] += table.text_bytes[i];
  std::vector<bool> keep(table.size());
  for (std::size_t i = 0; i < table.size(); ++i) keep[i] = bytes[table.user[i]] >= min_bytes;
  keep_only(table.place, keep);
  keep_only(table.row_bytes, keep);
  keep_only(table.text_bytes, keep);
  keep_only(table.user, keep);
  keep_only(table.label, keep);
  keep_only(table.split, keep);
  renumber(table.user, table.users);
  renumber(table.label, table.labels);
  if (table.size() == 0) {
    return Error{ErrorCode::kInvalidArgument, cat("there is no text, or nobody has the ", min_bytes,
                                                  " bytes of data.min_bytes")};
  }
  return table;
}

class RowPool final : public TextPool {
 public:
  RowPool(PieceTable table, Sha256 hash, RowReader reader, std::shared_ptr<const MappedFile> file)
      : TextPool(std::move(table), hash), reader_(std::move(reader)), file_(std::move(file)) {}
  Result<Piece> piece(std::uint32_t number) const override {
    const std::string_view line =
        as_text(file_->bytes().subspan(table().place[number], table().row_bytes[number]));
    auto row = reader_.read(line);
    if (!row) return std::move(row).error().with_context("a row changed since it was first read");
    return std::move(row->piece);
  }

 private:
  RowReader reader_;
  std::shared_ptr<const MappedFile> file_;
};

class FolderPool final : public TextPool {
 public:
  FolderPool(PieceTable table, Sha256 hash, std::vector<Piece> pieces)
      : TextPool(std::move(table), hash), pieces_(std::move(pieces)) {}
  Result<Piece> piece(std::uint32_t number) const override {
    return pieces_[table().place[number]];
  }

 private:
  std::vector<Piece> pieces_;
};

Result<std::vector<fs::path>> client_folders(const fs::path& folder) {
  std::error_code code;
  if (!fs::is_directory(folder, code)) {
    return Error{ErrorCode::kNotFound,
                 cat("there is no folder ", folder.string(), " with a folder a client")};
  }
  std::vector<fs::path> found;
  auto entries = fs::directory_iterator(folder, code);
  for (; !code && entries != fs::directory_iterator(); entries.increment(code)) {
    std::error_code ignored; // what can't be looked at is no client's
    if (entries->is_directory(ignored) && !entries->is_symlink(ignored)) {
      found.push_back(entries->path());
    }
  }
  if (code) {
    return Error{ErrorCode::kIo, cat("can't list ", folder.string(), ": ", code.message())};
  }
  std::ranges::sort(found);
  return found;
}

void hash_text(Sha256Hasher& hasher, std::string_view text) {
  const std::uint64_t size = text.size();
  hasher.update(as_bytes(std::span(&size, 1)));
  hasher.update(as_bytes(text));
}

struct Opened {
  PieceTable table;
  Sha256 hash;
};

Result<Opened> read_folders(const fs::path& path, const TextPoolLimits& limits,
                            std::vector<Piece>& pieces) {
  ExampleStoreLimits left;
  TableWriter writer(limits);
  Sha256Hasher hasher;
  std::vector<std::string> skipped;
  for (const fs::path& folder : COPPICE_TRY(client_folders(path))) {
    const std::string name = folder.filename().string();
    hash_text(hasher, name);
    for (Piece& piece : COPPICE_TRY(read_pieces(folder, left, &skipped))) {
      hash_text(hasher, piece.text);
      hash_text(hasher, piece.response);
      if (is_blank(piece)) continue;
      const std::uint64_t size = piece.text.size() + piece.response.size();
      if (size > left.max_total_bytes) {
        return Error{ErrorCode::kTooLarge,
                     cat(path.string(), " holds over ", ExampleStoreLimits().max_total_bytes,
                         " bytes of text; make one JSONL file of it with coppice sim import")};
      }
      left.max_total_bytes -= size;
      COPPICE_TRY(writer.add(piece, {name}, name, {.at = pieces.size()}));
      pieces.push_back(std::move(piece));
    }
  }
  if (!skipped.empty()) {
    log::warning("left out of ", path.string(), ": ", skipped.front(), "; ", skipped.size(),
                 " files and rows in all");
  }
  return Opened{std::move(writer).take(), hasher.finish()};
}

Result<void> refuse_packed(const fs::path& path, std::string_view text) {
  const bool xz = text.starts_with(std::string_view("\xfd\x37zXZ\0", 6));
  if (!xz && !text.starts_with("\x1f\x8b")) return {};
  return Error{ErrorCode::kUnsupported, cat(path.string(), " is packed; unpack it first: ",
                                            xz ? "xz -dk " : "gunzip -k ", path.string())};
}

// Goes over the lines of mapped rows: calls row(line, place, number) for each that isn't blank.
template <typename Row>
Result<void> each_line(std::string_view text, std::size_t begin, std::uint64_t number,
                       const TextPoolLimits& limits, Row&& row) {
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (line.size() > limits.max_row_bytes) {
      return Error{ErrorCode::kTooLarge, cat("line ", number, " has ", line.size(),
                                             " bytes, at most ", limits.max_row_bytes)};
    }
    if (!trim(line).empty()) {
      auto taken = row(line, TableWriter::Place{begin, static_cast<std::uint32_t>(line.size())});
      if (!taken) return std::move(taken).error().with_context(cat("line ", number));
    }
    begin = end + 1;
  }
  return {};
}

Result<RowReader> reader_of(const DataSettings& settings, std::string_view header) {
  if (settings.source == DataSource::kJsonl) return RowReader::jsonl(settings);
  return RowReader::tsv(settings, header);
}

// What split.json of an imported folder says its rows hash to.
Result<Sha256> stated_hash(const fs::path& folder) {
  constexpr std::size_t kMaxSplitBytes = std::size_t{1} << 20U;
  const fs::path path = folder / kSplitFile;
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxSplitBytes));
  const auto stated = [&]() -> Result<std::string> {
    const Json json = COPPICE_TRY(parse_json(ByteSpan(raw)));
    if (!json.is_object()) return Error{ErrorCode::kCorrupt, "not a JSON object"};
    return json_string(json, "sha256");
  }();
  if (!stated) return Error(stated.error()).with_context(path.string());
  return Sha256::parse_hex(*stated, "sha256 of split.json");
}

// What the source's hash must be, and who says so.
struct Pin {
  Sha256 hash;
  std::string_view where;
};
Result<void> check_pins(const fs::path& path, const Sha256& is, std::span<const Pin> pins) {
  const auto broken = std::ranges::find_if(pins, [&](const Pin& pin) { return pin.hash != is; });
  if (broken == pins.end()) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat(path.string(), " has the SHA-256 ", is.hex(), ", ", broken->where, " says ",
                   broken->hash.hex(), "; take the file that was meant, or pin this one")};
}

Result<std::unique_ptr<const TextPool>> open_rows(const DataSettings& settings,
                                                  const fs::path& path, std::span<const Pin> pins,
                                                  const TextPoolLimits& limits) {
  const auto file = COPPICE_TRY(MappedFile::open(path));
  const Sha256 hash = sha256(file->bytes());
  COPPICE_TRY(check_pins(path, hash, pins));
  const std::string_view text = as_text(file->bytes());
  COPPICE_TRY(refuse_packed(path, text));
  const bool headed = settings.source == DataSource::kTsv;
  std::string_view header = headed ? text.substr(0, text.find('\n')) : std::string_view();
  if (header.size() > limits.max_row_bytes) {
    return Error{ErrorCode::kTooLarge, cat(path.string(), ": the first line is too long")};
  }
  const std::size_t begin = headed ? header.size() + 1 : 0;
  if (header.ends_with('\r')) header.remove_suffix(1);
  RowReader reader = COPPICE_TRY(reader_of(settings, header));
  TableWriter writer(limits);
  auto read = each_line(text, begin, headed ? 1 : 0, limits,
                        [&](std::string_view line, TableWriter::Place place) -> Result<void> {
                          const TextRow row = COPPICE_TRY(reader.read(line));
                          if (is_blank(row.piece)) return {};
                          return writer.add(row.piece, row.user, row.label, place);
                        });
  if (!read) return std::move(read).error().with_context(path.string());
  auto table = COPPICE_TRY(without_small_users(std::move(writer).take(), settings.min_bytes));
  return std::unique_ptr<const TextPool>(
      std::make_unique<RowPool>(std::move(table), hash, std::move(reader), file));
}

} // namespace

Result<std::unique_ptr<const TextPool>> open_text_pool(const DataSettings& settings,
                                                       const fs::path& base_folder,
                                                       const TextPoolLimits& limits) {
  COPPICE_CHECK(settings.source != DataSource::kPeople);
  if (settings.path.empty()) {
    return Error{ErrorCode::kInvalidArgument, "data.path is empty; name the data's file or folder"};
  }
  fs::path path = base_folder / settings.path;
  std::vector<Pin> pins;
  if (!settings.sha256.empty()) {
    pins.push_back({COPPICE_TRY(Sha256::parse_hex(settings.sha256, "data.sha256")), "data.sha256"});
  }
  if (settings.source != DataSource::kFolder) {
    std::error_code code; // what can't be looked at can't be read either, and is named then
    if (settings.source == DataSource::kJsonl && fs::is_directory(path, code)) {
      pins.push_back({COPPICE_TRY(stated_hash(path)), kSplitFile});
      path /= kSplitRowsFile;
    }
    return open_rows(settings, path, pins, limits);
  }
  std::vector<Piece> pieces;
  Opened opened = COPPICE_TRY(read_folders(path, limits, pieces));
  COPPICE_TRY(check_pins(path, opened.hash, pins));
  auto table = COPPICE_TRY(without_small_users(std::move(opened.table), settings.min_bytes));
  return std::unique_ptr<const TextPool>(
      std::make_unique<FolderPool>(std::move(table), opened.hash, std::move(pieces)));
}

} // namespace coppice
