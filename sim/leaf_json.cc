// SPDX-License-Identifier: Apache-2.0
#include "sim/leaf_json.h"

#include <map>
#include <unordered_map>

#include "base/text.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr std::size_t kSampleBytes = 1000; // of windows that were put together again
constexpr JsonLimits kValueLimits{.max_bytes = std::size_t{256} << 20U};

Error broken(std::size_t at, std::string_view what) {
  return {ErrorCode::kCorrupt, cat("byte ", at, ": ", what)};
}

// Walks an object's members without reading their values: finds only where each begins and ends.
class MemberScanner {
 public:
  // `text` begins with the object; `origin` is where it lies in the file, for errors.
  MemberScanner(std::string_view text, std::size_t origin) : text_(text), origin_(origin) {}

  struct Member {
    std::string key;
    std::string_view value;
    std::size_t at = 0; // of the value in the file
  };
  // The next member, or nothing at the object's end.
  Result<std::optional<Member>> next() {
    if (!open_) {
      COPPICE_TRY(expect('{'));
      open_ = true;
      if (peek() == '}') return end();
    } else {
      if (peek() == '}') return end();
      COPPICE_TRY(expect(','));
    }
    skip_blanks();
    const std::string_view quoted = COPPICE_TRY(take_string());
    const Json key = COPPICE_TRY(parse_json(quoted));
    COPPICE_TRY(expect(':'));
    skip_blanks();
    const std::size_t begin = at_;
    COPPICE_TRY(skip_value());
    return std::optional(Member{.key = key.get<std::string>(),
                                .value = text_.substr(begin, at_ - begin),
                                .at = origin_ + begin});
  }
  // After the end: nothing but blanks may follow.
  Result<void> expect_end() {
    skip_blanks();
    if (at_ == text_.size()) return {};
    return broken(origin_ + at_, "text follows the JSON document");
  }

 private:
  Result<std::optional<Member>> end() {
    ++at_;
    return std::optional<Member>();
  }
  void skip_blanks() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  char peek() {
    skip_blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  Result<void> expect(char wanted) {
    if (peek() != wanted) return broken(origin_ + at_, cat("expected '", wanted, "'"));
    ++at_;
    return {};
  }
  Result<std::string_view> take_string() {
    const std::size_t begin = at_;
    if (peek() != '"') return broken(origin_ + at_, "expected a key in quotes");
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        ++at_;
        return text_.substr(begin, at_ - begin);
      }
    }
    return broken(origin_ + begin, "a string has no end");
  }
  // Brackets are counted, strings stepped over; whether it is JSON is for the parser to say.
  Result<void> skip_value() {
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (depth == 0 && (c == ',' || c == '}')) return {};
      if (c == '"') {
        COPPICE_TRY(take_string());
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') {
        if (depth == 0) break;
        --depth;
      }
      ++at_;
    }
    return broken(origin_ + at_, "the file ends within a value");
  }

  std::string_view text_;
  std::size_t origin_;
  std::size_t at_ = 0;
  bool open_ = false;
};

struct LeafParts {
  std::string_view users;
  std::string_view counts;
  MemberScanner::Member data;
};

Result<LeafParts> find_parts(std::string_view json) {
  std::map<std::string, MemberScanner::Member> members;
  MemberScanner scanner(json, 0);
  for (;;) {
    auto member = COPPICE_TRY(scanner.next());
    if (!member) break;
    const std::size_t at = member->at;
    std::string key = member->key;
    if (!members.emplace(std::move(key), *std::move(member)).second) {
      return broken(at, "a key stands twice");
    }
  }
  COPPICE_TRY(scanner.expect_end());
  for (const char* key : {"users", "num_samples", "user_data"}) {
    if (!members.contains(key)) {
      return Error{ErrorCode::kCorrupt,
                   cat("there is no \"", key, "\": this is no JSON file of LEAF")};
    }
  }
  return LeafParts{.users = members["users"].value,
                   .counts = members["num_samples"].value,
                   .data = members["user_data"]};
}

// How many samples the file says each user has.
Result<std::unordered_map<std::string, std::uint64_t>> stated_counts(const LeafParts& parts) {
  const Json users = COPPICE_TRY(parse_json(parts.users, kValueLimits));
  const Json counts = COPPICE_TRY(parse_json(parts.counts, kValueLimits));
  if (!users.is_array() || !counts.is_array() || users.size() != counts.size()) {
    return Error{ErrorCode::kCorrupt, "users and num_samples must be lists of the same length"};
  }
  std::unordered_map<std::string, std::uint64_t> stated;
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (!users[i].is_string() || !counts[i].is_number_unsigned() ||
        !stated.emplace(users[i].get<std::string>(), counts[i].get<std::uint64_t>()).second) {
      return Error{ErrorCode::kCorrupt,
                   "users must be different names, and num_samples whole numbers"};
    }
  }
  return stated;
}

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

// At blanks, into parts of at most kSampleBytes; within a word where there is no blank.
void cut_at_blanks(std::string_view text, std::vector<LeafSample>& samples) {
  while (text.size() > kSampleBytes) {
    std::size_t end = text.find_last_of(" \n", kSampleBytes - 1);
    end = end == std::string_view::npos || end < kSampleBytes / 2 ? kSampleBytes : end + 1;
    while (end > 1 && continues_character(text[end])) --end;
    samples.push_back({.text = std::string(text.substr(0, end)), .label = {}});
    text.remove_prefix(end);
  }
  if (!text.empty()) samples.push_back({.text = std::string(text), .label = {}});
}

std::size_t first_character(std::string_view text) {
  std::size_t size = 1;
  while (size < text.size() && continues_character(text[size])) ++size;
  return size;
}

// Puts texts together where each goes on from the one before.
class WindowJoiner {
 public:
  explicit WindowJoiner(std::vector<LeafSample>& samples) : samples_(samples) {}
  void add(const std::string& x, const std::string& y) {
    if (!run_.empty() && x == next_) {
      run_ += y;
    } else {
      flush();
      run_ = x + y;
    }
    next_ = x + y;
    next_.erase(0, first_character(next_));
  }
  void flush() {
    cut_at_blanks(run_, samples_);
    run_.clear();
  }

 private:
  std::vector<LeafSample>& samples_;
  std::string run_;
  std::string next_; // the x that goes on
};

Result<std::string> text_of(const Json& x, const LeafColumns& columns) {
  const Json* text = &x;
  if (columns.text_place >= 0 && x.is_array() &&
      static_cast<std::size_t>(columns.text_place) < x.size()) {
    text = &x[static_cast<std::size_t>(columns.text_place)];
  }
  if (text->is_string()) return text->get<std::string>();
  return Error{ErrorCode::kInvalidArgument,
               x.is_array() ? "x are lists; say at which place of them, from 0, their text is"
                            : "x must be text, or lists with a text in them"};
}

Result<std::vector<LeafSample>> samples_of(const Json& x, const Json& y,
                                           const LeafColumns& columns) {
  std::vector<LeafSample> samples;
  WindowJoiner joiner(samples);
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::string text = COPPICE_TRY(text_of(x[i], columns));
    if (columns.label_is_y) {
      if (!y[i].is_string() && !y[i].is_number()) {
        return Error{ErrorCode::kInvalidArgument, "y must be text or numbers to be classes"};
      }
      samples.push_back({.text = std::move(text),
                         .label = y[i].is_string() ? y[i].get<std::string>() : dump_json(y[i])});
    } else if (y[i].is_string() && columns.text_place < 0) {
      joiner.add(text, y[i].get<std::string>());
    } else {
      samples.push_back({.text = std::move(text), .label = {}});
    }
  }
  joiner.flush();
  return samples;
}

} // namespace

Result<void> read_leaf(std::string_view json, const LeafColumns& columns,
                       const TakeLeafUser& take) {
  const LeafParts parts = COPPICE_TRY(find_parts(json));
  auto stated = COPPICE_TRY(stated_counts(parts));
  MemberScanner users(parts.data.value, parts.data.at);
  for (;;) {
    const auto user = COPPICE_TRY(users.next());
    if (!user) break;
    const auto count = stated.find(user->key);
    if (count == stated.end()) {
      return broken(user->at, "user_data has a user twice, or one that users doesn't name");
    }
    auto parsed = parse_json(user->value, kValueLimits);
    if (!parsed) {
      return std::move(parsed).error().with_context(cat("the user that begins at byte ", user->at));
    }
    if (!parsed->is_object()) return broken(user->at, "a user's data must be an object");
    const Json& x = *COPPICE_TRY(json_array(*parsed, "x", user->key));
    const Json& y = *COPPICE_TRY(json_array(*parsed, "y", user->key));
    if (x.size() != y.size() || x.size() != count->second) {
      return broken(user->at, "x, y and num_samples of a user must be equally many");
    }
    auto samples = samples_of(x, y, columns);
    if (!samples) return std::move(samples).error().with_context(cat("byte ", user->at));
    COPPICE_TRY(take(user->key, *samples));
    stated.erase(count);
  }
  COPPICE_TRY(users.expect_end());
  if (stated.empty()) return {};
  return Error{ErrorCode::kCorrupt, cat(stated.size(), " of the users have no user_data")};
}

} // namespace coppice
