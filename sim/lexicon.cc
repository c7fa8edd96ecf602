// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

#include "base/check.h"
#include "base/text.h"

namespace coppice::people {
namespace {

Words split_trimmed(std::string_view text, char separator) {
  Words words;
  for (const std::string& part : split(text, separator)) {
    if (const std::string_view word = trim(part); !word.empty()) words.emplace_back(word);
  }
  return words;
}

// Joins continuation lines, drops empty ones.
Words logical_lines(std::string_view table) {
  Words lines;
  for (const std::string& line : split(table, '\n')) {
    if (trim(line).empty()) continue;
    if (line.front() == ' ' && !lines.empty()) {
      lines.back().append(" ").append(trim(line));
    } else {
      lines.emplace_back(trim(line));
    }
  }
  return lines;
}

WordGroup parse_group(char key, std::string_view text) {
  const Words parts = split_trimmed(text, ';');
  COPPICE_CHECK(parts.size() == 4);
  WordGroup group;
  group.kind = key == 'm' ? NounKind::kMass : key == 'h' ? NounKind::kHuman : NounKind::kThing;
  group.nouns = split_trimmed(parts[0], ',');
  group.verbs = split_trimmed(parts[1], ',');
  group.adjectives = split_trimmed(parts[2], ',');
  group.predicates = split_trimmed(parts[3], ',');
  return group;
}

void parse_subjects(std::string_view table, std::vector<SubjectLexicon>& subjects) {
  for (const std::string& line : logical_lines(table)) {
    if (line.front() == '@') {
      SubjectLexicon& fresh = subjects.emplace_back();
      fresh.is_hobby = line.ends_with(" *");
      fresh.name = line.substr(1, line.size() - (fresh.is_hobby ? 3 : 1));
      continue;
    }
    SubjectLexicon& subject = subjects.back();
    const std::string_view rest = std::string_view(line).substr(2);
    switch (line.front()) {
      case 'r': subject.roles = split_trimmed(rest, ','); break;
      case 'p': subject.places = split_trimmed(rest, ','); break;
      case 'u': subject.units = split_trimmed(rest, ','); break;
      case 'n': subject.names = split_trimmed(rest, ','); break;
      case 't': subject.tasks = split_trimmed(rest, '|'); break;
      case 'e': subject.events = split_trimmed(rest, '|'); break;
      case 'f': subject.facts = split_trimmed(rest, '|'); break;
      case 'w': subject.worries = split_trimmed(rest, '|'); break;
      default: subject.groups.push_back(parse_group(line.front(), rest));
    }
  }
}

} // namespace

const std::vector<SubjectLexicon>& subject_lexicons() {
  static const auto lexicons = [] {
    std::vector<SubjectLexicon> all;
    for (const auto table : {kLexiconLand, kLexiconCraft, kLexiconTown, kLexiconCare}) {
      parse_subjects(table, all);
    }
    return all;
  }();
  return lexicons;
}

const SubjectLexicon& home_lexicon() {
  static const auto home = [] {
    std::vector<SubjectLexicon> only;
    parse_subjects(kLexiconHome, only);
    return only.front();
  }();
  return home;
}

const WordLists& shared_lists() {
  static const auto lists = [] {
    WordLists all;
    for (const auto table : {kCommonWords, kGrammarClauses, kGrammarDocuments}) {
      Words* current = nullptr;
      for (const std::string& line : logical_lines(table)) {
        if (line.front() == '@') {
          current = &all[line.substr(1)];
        } else {
          for (std::string& entry : split_trimmed(line, '|')) current->push_back(std::move(entry));
        }
      }
    }
    return all;
  }();
  return lists;
}

} // namespace coppice::people
