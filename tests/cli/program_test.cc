// SPDX-License-Identifier: Apache-2.0
// What every command shares, tried on the program itself.
#include "cli/exit_codes.h"
#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

std::string docs(const char* name) {
  const auto bytes = read_file(fs::path(COPPICE_SOURCE_DIR) / "docs" / name, std::size_t{1} << 20U);
  return bytes.ok() ? std::string(as_text(*bytes)) : std::string();
}

// Names below "Commands:" of a help page; empty for a command that has none below it.
std::vector<std::string> commands_in(const std::string& help) {
  std::vector<std::string> names;
  bool inside = false;
  for (const std::string& line : split(help, '\n')) {
    if (line == "Commands:") {
      inside = true;
    } else if (inside && line.empty()) {
      break;
    } else if (inside && line.size() > 2 && line[2] != ' ') {
      names.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return names;
}

void walk_help(const std::vector<std::string>& path, std::size_t& leaves) {
  std::vector<std::string> arguments = path;
  arguments.push_back("--help");
  const Ran ran = run_coppice(arguments);
  const std::string name = "coppice " + join(path, " ");
  ASSERT_EQ(ran.exit, 0) << name;
  EXPECT_EQ(ran.error, "") << name;
  const auto below = commands_in(ran.out);
  if (below.empty()) {
    leaves += 1;
    EXPECT_NE(ran.out.find("Example:\n"), std::string::npos) << name << " has no example";
    EXPECT_NE(ran.out.find(name), ran.out.rfind(name)) << "no example names " << name;
    EXPECT_NE(ran.out.find("--format"), std::string::npos) << name;
  }
  for (const std::string& command : below) {
    std::vector<std::string> inner = path;
    inner.push_back(command);
    walk_help(inner, leaves);
  }
}

TEST(Program, EveryCommandHasHelpWithAnExampleOfItself) {
  std::size_t leaves = 0;
  walk_help({}, leaves);
  EXPECT_GE(leaves, 40U);
}

TEST(Program, TellsItsVersion) {
  const Ran ran = run_coppice({"--version"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_TRUE(ran.out.starts_with("coppice 0.")) << ran.out;
  EXPECT_EQ(run_coppice({"train", "--version"}).out, ran.out);
}

TEST(Program, AMisspeltFlagIsNamedWithTheNearestOne) {
  const Ran ran = run_coppice({"train", "--stepz", "3"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.error,
            "coppice: 'coppice train' knows no option '--stepz'; did you mean '--steps'? "
            "Try 'coppice train --help'.\n");
}

TEST(Program, AMisspeltCommandIsNamedWithTheNearestOne) {
  const Ran ran = run_coppice({"adapter", "convrt"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_NE(ran.error.find("did you mean 'convert'?"), std::string::npos) << ran.error;
}

TEST(Program, AWrongValueSaysWhatWouldDo) {
  const Ran ran = run_coppice({"generate", "-m", "x", "--temp", "-1"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_TRUE(ran.error.starts_with("coppice: --temp takes a number from 0 to 100, not '-1'."))
      << ran.error;
}

TEST(Program, InJsonModeAnErrorIsADocumentToo) {
  const Ran broken_line = run_coppice({"evaluate", "--format", "json"});
  EXPECT_EQ(broken_line.exit, 2);
  EXPECT_EQ(broken_line.json()["error"]["exit"], "usage");
  const Ran missing = run_coppice({"model", "info", "no-such-file.gguf", "--format", "json"});
  EXPECT_EQ(missing.exit, 2);
  EXPECT_EQ(missing.json()["schema"], "coppice.error.v1");
  EXPECT_NE(missing.error.find("no-such-file.gguf"), std::string::npos);
}

TEST(Program, ATornModelIsBadInput) {
  const TestFolder folder;
  const auto whole = read_file(small_model(), std::size_t{1} << 26U);
  ASSERT_TRUE(whole.ok());
  ASSERT_TRUE(write_file_atomically(folder / "torn.gguf", ByteSpan(*whole).first(100'000)).ok());
  const Ran ran = run_coppice({"model", "info", (folder / "torn.gguf").string()});
  EXPECT_EQ(ran.exit, 4) << ran.error;
  EXPECT_NE(ran.error.find("torn.gguf"), std::string::npos);
}

TEST(Program, LinksNoLibTorch) {
  const TestFolder folder;
  const std::string line = "ldd " + quoted(std::string(COPPICE_BINARY_DIR) + "/coppice") + " >" +
                           quoted((folder / "ldd").string());
  ASSERT_EQ(std::system(line.c_str()), 0);
  const auto listed = read_file(folder / "ldd", std::size_t{1} << 20U);
  ASSERT_TRUE(listed.ok());
  EXPECT_NE(as_text(*listed).find("libzmq"), std::string_view::npos); // it is the right list
  EXPECT_EQ(as_text(*listed).find("torch"), std::string_view::npos);
  EXPECT_EQ(as_text(*listed).find("libc10"), std::string_view::npos);
}

TEST(Documents, ConfigurationIsWhatTheTablesSay) {
  const Ran ran = run_coppice({"config", "markdown"});
  ASSERT_EQ(ran.exit, 0);
  EXPECT_EQ(docs("configuration.md"), ran.out)
      << "run: coppice config markdown > docs/configuration.md";
}

TEST(Documents, ExitCodesAreWhatTheTableSays) {
  EXPECT_EQ(docs("exit-codes.md"), exit_codes_markdown());
}

TEST(ConfigShow, SaysWhereEachValueComesFrom) {
  const TestFolder folder;
  write_text(folder / "aggregator.toml", "[lora]\nr = 4\n");
  const std::vector<std::string> line{
      "config", "show", "--origin", "--aggregator", folder.path().string(), "--format", "json"};
  const Json document = run_coppice(line, "COPPICE_LORA_LORA_ALPHA=32").json();
  const auto find = [&document](std::string_view name) {
    for (const Json& row : document["settings"]) {
      if (row["name"] == name) return row;
    }
    return Json::object();
  };
  EXPECT_EQ(find("lora.r")["value"], "4");
  EXPECT_TRUE(find("lora.r")["origin"].get<std::string>().ends_with("aggregator.toml:2"));
  EXPECT_NE(find("lora.lora_alpha")["origin"].get<std::string>().find("COPPICE_LORA_LORA_ALPHA"),
            std::string::npos);
  EXPECT_EQ(find("lora.use_rslora")["origin"], "default");
}

TEST(ConfigShow, AnUnknownKeyIsAnErrorThatNamesTheNearest) {
  const TestFolder folder;
  write_text(folder / "aggregator.toml", "[training]\nlearning_rte = 0.1\n");
  const Ran ran = run_coppice({"config", "show", "--aggregator", folder.path().string()});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_NE(ran.error.find("training.learning_rate"), std::string::npos) << ran.error;
}

TEST(Doctor, NamesAFaultAndItsMend) {
  const TestFolder folder;
  const Ran good = run_coppice({"doctor", "--model", small_model(), "--format", "json"});
  EXPECT_EQ(good.json()["schema"], "coppice.doctor.v1");
  write_text(folder / "model.gguf", "not a model");
  const Ran bad =
      run_coppice({"doctor", "--model", (folder / "model.gguf").string(), "--format", "json"});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_EQ(bad.json()["faults"].get<int>(), good.json()["faults"].get<int>() + 1);
}

TEST(Doctor, SeesAKeyThatOthersCanRead) {
  const TestFolder folder;
  const std::string device = (folder / "device").string();
  write_text(folder / "notes.txt", some_text(20));
  const Ran made = run_coppice({"client", "init", device, "--model", small_model(), "--data",
                                (folder / "notes.txt").string()});
  ASSERT_EQ(made.exit, 0) << made.error;
  const fs::path key = fs::path(device) / "keys" / "signing.key";
  fs::permissions(key, fs::perms::group_read, fs::perm_options::add);
  const Ran ran = run_coppice({"doctor", "--client", device});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_NE(ran.out.find("-> chmod 600 " + key.string()), std::string::npos) << ran.out;
}

} // namespace
} // namespace coppice
