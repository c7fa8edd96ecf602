// SPDX-License-Identifier: Apache-2.0
#include "sim/inflect.h"

#include <array>
#include <map>
#include <sstream>

namespace coppice::people {
namespace {

// Base, past, participle.
constexpr std::string_view kIrregular =
    "be was been;have had had;do did done;go went gone;come came come;get got got;give gave given;"
    "take took taken;make made made;see saw seen;find found found;think thought thought;"
    "tell told told;say said said;know knew known;keep kept kept;let let let;begin began begun;"
    "leave left left;feel felt felt;put put put;bring brought brought;write wrote written;"
    "sit sat sat;stand stood stood;lose lost lost;pay paid paid;meet met met;run ran run;"
    "set set set;learn learned learned;lead led led;speak spoke spoken;read read read;"
    "spend spent spent;grow grew grown;win won won;teach taught taught;buy bought bought;"
    "send sent sent;build built built;fall fell fallen;cut cut cut;sell sold sold;"
    "break broke broken;drive drove driven;lie lay lain;lay laid laid;rise rose risen;"
    "hang hung hung;hit hit hit;hide hid hidden;hold held held;hear heard heard;"
    "bite bit bitten;blow blew blown;catch caught caught;choose chose chosen;draw drew drawn;"
    "drink drank drunk;eat ate eaten;feed fed fed;fight fought fought;fly flew flown;"
    "forget forgot forgotten;freeze froze frozen;grind ground ground;ride rode ridden;"
    "ring rang rung;sing sang sung;sink sank sunk;sleep slept slept;slide slid slid;"
    "split split split;spread spread spread;spring sprang sprung;steal stole stolen;"
    "stick stuck stuck;sting stung stung;sweep swept swept;swing swung swung;tear tore torn;"
    "throw threw thrown;wake woke woken;wear wore worn;weep wept wept;wind wound wound;"
    "shut shut shut;shake shook shaken;shoot shot shot;show showed shown;shed shed shed;"
    "creep crept crept;deal dealt dealt;dig dug dug;dream dreamt dreamt;cost cost cost;"
    "bend bent bent;bind bound bound;lend lent lent;light lit lit;quit quit quit;saw sawed sawn;"
    "sew sewed sewn;sow sowed sown;shear sheared shorn;understand understood understood;"
    "beat beat beaten;become became become;burst burst burst;cast cast cast;hurt hurt hurt;"
    "swim swam swum;spin spun spun;hew hewed hewn;mean meant meant;earn earned earned;"
    "shine shone shone;swear swore sworn;bet bet bet;spill spilt spilt;"
    "burn burnt burnt;bleed bled bled;smell smelt smelt;spoil spoilt spoilt;dread dreaded dreaded;"
    "shrink shrank shrunk;cling clung clung;string strung strung;";

// A single-syllable rule can't know these: stressed last syllables and British -l.
constexpr std::string_view kDoubling =
    " admit transfer refer prefer occur refit regret level label shovel travel model cancel unplug "
    "format quarrel signal marvel commit equip forget begin reset recut rerun overrun ";

struct Forms {
  std::string past;
  std::string participle;
};

const std::map<std::string, Forms, std::less<>>& irregular() {
  static const auto table = [] {
    std::map<std::string, Forms, std::less<>> forms;
    std::istringstream in{std::string(kIrregular)};
    for (std::string row; std::getline(in, row, ';');) {
      std::istringstream words(row);
      std::string base, past, participle;
      words >> base >> past >> participle;
      forms[base] = {past, participle};
    }
    return forms;
  }();
  return table;
}

bool is_vowel(char c) { return std::string_view("aeiou").find(c) != std::string_view::npos; }

bool doubles_last(std::string_view word) {
  if (kDoubling.find(std::string(" ").append(word).append(" ")) != std::string_view::npos) {
    return true;
  }
  const std::size_t n = word.size();
  if (n < 3 || is_vowel(word[n - 1]) || !is_vowel(word[n - 2])) return false;
  if (std::string_view("wxyh").find(word[n - 1]) != std::string_view::npos) return false;
  int vowels = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const bool silent_u = word[i] == 'u' && i > 0 && word[i - 1] == 'q';
    const bool y = word[i] == 'y' && i > 0;
    if ((is_vowel(word[i]) && !silent_u) || y) ++vowels;
  }
  return vowels == 1;
}

std::string regular_past(const std::string& word) {
  const char last = word.back();
  if (last == 'e') return word + "d";
  if (last == 'y' && word.size() > 1 && !is_vowel(word[word.size() - 2])) {
    return word.substr(0, word.size() - 1) + "ied";
  }
  return doubles_last(word) ? word + last + "ed" : word + "ed";
}

std::string third_person(const std::string& word) {
  if (word == "be") return "is";
  if (word == "have") return "has";
  return word == "do" || word == "go" ? word + "es" : plural_of(word);
}

std::string gerund(const std::string& word) {
  const std::size_t n = word.size();
  if (word == "be" || word == "see" || word == "free" || word == "agree") return word + "ing";
  if (word == "lie" || word == "die" || word == "tie") return word.substr(0, n - 2) + "ying";
  if (word.back() == 'e' && n > 2 && word[n - 2] != 'e' && word != "dye") {
    return word.substr(0, n - 1) + "ing";
  }
  return doubles_last(word) || word == "begin" || word == "forget" ? word + word.back() + "ing"
                                                                   : word + "ing";
}

// "rebuild" like "build", "overrun" like "run", "star-hop" like "hop".
std::string inflect_word(const std::string& word, VerbForm form) {
  const std::size_t hyphen = word.find('-');
  if (hyphen != std::string::npos && hyphen + 1 < word.size()) {
    return word.substr(0, hyphen + 1) + inflect_word(word.substr(hyphen + 1), form);
  }
  if (form == VerbForm::kBase) return word;
  if (form == VerbForm::kGerund) return gerund(word);
  if (form == VerbForm::kThird) return third_person(word);
  if (word == "be" && form == VerbForm::kFirst) return "am";
  if (word == "be" && form == VerbForm::kPlural) return "are";
  if (word == "be" && form == VerbForm::kPastPlural) return "were";
  if (form == VerbForm::kFirst || form == VerbForm::kPlural) return word;
  auto found = irregular().find(word);
  std::string prefix;
  for (const std::string_view candidate : {"re", "over", "un", "with", "mis", "under", "out"}) {
    if (found != irregular().end() || !word.starts_with(candidate)) continue;
    found = irregular().find(word.substr(candidate.size()));
    if (found != irregular().end()) prefix = candidate;
  }
  if (found == irregular().end()) return regular_past(word);
  return prefix + (form == VerbForm::kParticiple ? found->second.participle : found->second.past);
}

} // namespace

std::string inflect_verb(std::string_view phrase, VerbForm form) {
  const std::size_t space = phrase.find(' ');
  const std::string first(phrase.substr(0, space));
  std::string result = inflect_word(first, form);
  if (space != std::string_view::npos) result += phrase.substr(space);
  return result;
}

std::string plural_of(std::string_view noun) {
  for (const std::string_view joint : {" of ", " from ", " in ", " with ", " by ", " on "}) {
    const std::size_t at = noun.find(joint);
    if (at != std::string_view::npos) {
      return plural_of(noun.substr(0, at)) + std::string(noun.substr(at));
    }
  }
  static const std::map<std::string, std::string, std::less<>> odd = {
      {"foot", "feet"},     {"tooth", "teeth"},       {"loaf", "loaves"},
      {"shelf", "shelves"}, {"leaf", "leaves"},       {"knife", "knives"},
      {"calf", "calves"},   {"child", "children"},    {"sheep", "sheep"},
      {"cod", "cod"},       {"ling", "ling"},         {"pollack", "pollack"},
      {"moss", "mosses"},   {"mackerel", "mackerel"}, {"nebula", "nebulae"},
      {"scarf", "scarves"}, {"focaccia", "focaccias"}};
  const std::size_t space = noun.rfind(' ');
  const std::string head(noun.substr(space == std::string_view::npos ? 0 : space + 1));
  std::string result(noun.substr(0, noun.size() - head.size()));
  if (const auto found = odd.find(head); found != odd.end()) return result + found->second;
  const std::size_t n = head.size();
  const bool hiss = head.ends_with("s") || head.ends_with("x") || head.ends_with("z") ||
                    head.ends_with("ch") || head.ends_with("sh");
  if (hiss) return result + head + "es";
  if (n > 1 && head.back() == 'y' && !is_vowel(head[n - 2])) {
    return result + head.substr(0, n - 1) + "ies";
  }
  return result + head + (head == "tomato" || head == "potato" ? "es" : "s");
}

std::string with_article(std::string_view words) {
  const bool silent_h = words.starts_with("hour") || words.starts_with("honest");
  const bool you_sound = words.starts_with("uni") || words.starts_with("use") ||
                         words.starts_with("one") || words.starts_with("eu");
  const bool an = silent_h || words.starts_with("X-") || words.starts_with("off-by") ||
                  (!words.empty() && !you_sound && is_vowel(words.front()));
  const bool really_an =
      words.starts_with("unin") || words.starts_with("unid") || words.starts_with("unim");
  return std::string(an || really_an ? "an " : "a ").append(words);
}

std::string number_in_words(int value) {
  static constexpr std::array<std::string_view, 20> kSmall = {
      "no",       "one",     "two",     "three",     "four",     "five",    "six",
      "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
      "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  static constexpr std::array<std::string_view, 10> kTens = {
      "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
  if (value < 0 || value > 999) return std::to_string(value);
  const auto n = static_cast<std::size_t>(value);
  if (n < 20) return std::string(kSmall[n]);
  if (n < 100) {
    std::string words(kTens[n / 10]);
    return n % 10 == 0 ? words : words + "-" + std::string(kSmall[n % 10]);
  }
  const std::string hundreds = std::string(kSmall[n / 100]) + " hundred";
  return n % 100 == 0 ? hundreds : hundreds + " and " + number_in_words(value % 100);
}

} // namespace coppice::people
