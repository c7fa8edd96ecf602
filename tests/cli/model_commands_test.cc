// SPDX-License-Identifier: Apache-2.0
// Commands that compute, on the model in the repository.
#include <gmock/gmock.h>

#include "client/answers.h"
#include "crypto/hash.h"
#include "model/native/native_engine.h"
#include "tests/cli/run_coppice.h"
#include "tests/model/hugging_face_folder.h"

namespace coppice {
namespace {

TEST(ModelInfo, TellsWhatTheFileHolds) {
  const Json document = run_coppice({"model", "info", small_model(), "--format", "json"}).json();
  EXPECT_EQ(document["schema"], "coppice.model_info.v1");
  EXPECT_EQ(document["architecture"], "llama");
  EXPECT_EQ(document["parameters"], 4'196'608);
  EXPECT_EQ(document["quantization"], "Q4_0");
  EXPECT_EQ(document["sha256"], sha256_file(small_model())->hex());
  EXPECT_EQ(document["shapes"]["width"], 256);
  EXPECT_EQ(document["tensors"].size(), 38U);
}

TEST(ModelQuantize, StoresMatricesInTheTypeAndSaysWhatItCost) {
  const TestFolder folder;
  const std::string out = (folder / "small.gguf").string();
  const Ran ran =
      run_coppice({"model", "quantize", small_model(), out, "--type", "q6_k", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json document = ran.json();
  EXPECT_EQ(document["schema"], "coppice.model_quantize.v1");
  EXPECT_EQ(document["changes"][0]["from"], "Q4_0");
  EXPECT_EQ(document["changes"][0]["to"], "Q6_K");
  EXPECT_LT(document["changes"][0]["relative_rmse"].get<double>(), 0.02);
  EXPECT_TRUE(document["fallbacks"].empty());
  const Json info = run_coppice({"model", "info", out, "--format", "json"}).json();
  EXPECT_EQ(info["quantization"], "Q6_K");
  EXPECT_EQ(info["parameters"], 4'196'608);
  EXPECT_NE(run_coppice({"model", "quantize", out, out, "--type", "Q8_0"}).exit, 0);
  const Ran unknown = run_coppice({"model", "quantize", small_model(), out, "--type", "Q7"});
  EXPECT_NE(unknown.exit, 0);
  EXPECT_NE(unknown.error.find("NF4"), std::string::npos) << unknown.error;
}

TEST(ModelQuantize, ReadsATextForWhatMattersInTheMatrices) {
  const TestFolder folder;
  std::string text;
  for (int i = 0; i < 200; ++i) text += cat("It was the ", i, "th of the long evenings. ");
  ASSERT_TRUE(write_file_atomically(folder / "notes.txt", as_bytes(text)).ok());
  const auto quantized = [&](const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> line{"model",  "quantize", small_model(), (folder / name).string(),
                                  "--type", "Q2_K",     "--format",    "json"};
    line.insert(line.end(), more.begin(), more.end());
    const Ran ran = run_coppice(line);
    EXPECT_EQ(ran.exit, 0) << ran.error;
    return ran.json();
  };
  const std::string from = (folder / "notes.txt").string();
  const Json plain = quantized("plain.gguf", {});
  const Json weighted =
      quantized("weighted.gguf", {"--imatrix-from", from, "--imatrix-tokens", "600"});
  EXPECT_EQ(plain["imatrix_tokens"], 0);
  EXPECT_GE(weighted["imatrix_tokens"], 600); // whole windows of 512
  EXPECT_LE(weighted["imatrix_tokens"], 600 + 512);
  EXPECT_EQ(plain["bytes"], weighted["bytes"]);
  EXPECT_LT(plain["changes"][0]["relative_rmse"], weighted["changes"][0]["relative_rmse"]);
  const Ran refused = run_coppice({"model", "quantize", small_model(), (folder / "x").string(),
                                   "--type", "Q4_0", "--imatrix-from", from});
  EXPECT_NE(refused.exit, 0);
  EXPECT_THAT(refused.error, testing::HasSubstr("Q2_K to Q6_K"));
}

TEST(Generate, ContinuesEachPromptOfAFileAsItWouldAlone) {
  const TestFolder folder;
  ASSERT_TRUE(
      write_file_atomically(folder / "some.txt", as_bytes("Once upon\n\nDear\r\nThe old ship\n"))
          .ok());
  ASSERT_TRUE(write_file_atomically(folder / "some.jsonl",
                                    as_bytes("{\"prompt\": \"Once upon\"}\n{\"prompt\":\"a\\nb\"}"))
                  .ok());
  const std::vector<std::string> common{"-m",     small_model(), "-n",       "12",
                                        "--seed", "5",           "--format", "json"};
  const auto generated = [&](std::vector<std::string> line) {
    line.insert(line.begin(), "generate");
    line.insert(line.end(), common.begin(), common.end());
    const Ran ran = run_coppice(line);
    EXPECT_EQ(ran.exit, 0) << ran.error;
    return ran.json();
  };
  const Json together = generated({"--prompts", (folder / "some.txt").string(), "--parallel", "2"});
  ASSERT_EQ(together["texts"].size(), 3U);
  for (const Json& text : together["texts"]) {
    const Json alone = generated({"--prompt", text["prompt"].get<std::string>()});
    EXPECT_EQ(text["text"], alone["text"]);
    EXPECT_EQ(text["stop"], alone["stop"]);
  }
  const Json rows = generated({"--prompts", (folder / "some.jsonl").string()});
  EXPECT_EQ(rows["texts"][0]["text"], together["texts"][0]["text"]);
  EXPECT_EQ(rows["texts"][1]["prompt"], "a\nb");
  EXPECT_NE(
      run_coppice({"generate", "-m", small_model(), "--prompts", (folder / "no").string()}).exit,
      0);
}

TEST(ModelImport, MakesAFileOfAFolderThatOpens) {
  const HuggingFaceFolder from("llama");
  from.write(2);
  const Ran ran = run_coppice({"model", "import", from.path().string(), from.out().string(),
                               "--type", "f16", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  EXPECT_EQ(ran.json()["schema"], "coppice.model_import.v1");
  EXPECT_EQ(ran.json()["architecture"], "llama");
  EXPECT_EQ(ran.json()["type"], "F16");
  const Json info = run_coppice({"model", "info", from.out().string(), "--format", "json"}).json();
  EXPECT_EQ(info["parameters"], ran.json()["parameters"]);
  EXPECT_EQ(info["chat_format"], "chatml");
  const Ran again = run_coppice({"model", "import", from.path().string(), from.out().string()});
  EXPECT_NE(again.exit, 0);
  EXPECT_THAT(again.error, testing::HasSubstr("is there"));
}

TEST(Evaluate, EqualsTheEngineAsked) {
  COPPICE_NEEDS_ENGINE();
  const TestFolder folder;
  const std::string text = some_text(30);
  write_text(folder / "a.txt", text);
  const Ran ran = run_coppice(
      {"evaluate", "-m", small_model(), "--data", folder.path().string(), "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json document = ran.json();

  const auto base = BaseModel::open(small_model());
  ASSERT_TRUE(base.ok());
  const auto engine = open_native_engine(*base, {.threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const std::vector<TokenizedDocument> documents{tokenize_text((*base)->tokenizer(), text)};
  const auto scored = score_documents(**engine, {}, documents);
  ASSERT_TRUE(scored.ok());
  EXPECT_EQ(document["tokens"], scored->score.tokens);
  EXPECT_EQ(document["bytes"], text.size());
  // Results don't depend on threads; only the sum of windows may be taken in another order.
  EXPECT_NEAR(document["loss_nats_per_token"].get<double>(),
              scored->score.nats / static_cast<double>(scored->score.tokens), 1e-12);
  EXPECT_NEAR(document["bits_per_byte"].get<double>(), bits_per_byte(scored->score, text.size()),
              1e-12);
  EXPECT_EQ(document["token_accuracy"],
            static_cast<double>(scored->score.correct) / static_cast<double>(scored->score.tokens));
  EXPECT_GT(document["token_accuracy"], 0.0);
  EXPECT_EQ(document["answers"], 0);
  EXPECT_FALSE(document.contains("exact_match"));
}

// One row expects what the model writes, the other what it doesn't; and the two choices' losses,
// asked for as texts of their own, say which is the likelier.
TEST(Evaluate, AnswersRowsAndChooses) {
  COPPICE_NEEDS_ENGINE();
  const TestFolder folder;
  const auto base = BaseModel::open(small_model()).value();
  const auto engine = open_native_engine(base, {.threads = 1}).value();
  const std::string prompt = "Tell me of the sea.";
  const Question asked =
      question_of(parse_row(Json({{"prompt", prompt}, {"response", "x"}}).dump()).value(), *base)
          .value();
  const GenerateRequest request{
      .adapters = {}, .prompt = asked.prompt, .max_tokens = kMostAnswerTokens};
  const std::string written = base->tokenizer().decode(engine->generate(request)->tokens);
  const std::vector<std::string> choices{"the sea is wide", "qxz"};
  const auto nats = [&](const std::string& choice) {
    const TokenizedDocument document = tokenize_instruction(*base, prompt, choice);
    return score_documents(*engine, {}, {&document, 1})->score.nats;
  };
  const int likelier = nats(choices[0]) <= nats(choices[1]) ? 0 : 1;
  const Json right{
      {"prompt", prompt}, {"response", written}, {"choices", choices}, {"answer", likelier}};
  const Json wrong{
      {"prompt", prompt}, {"response", "0 0 0 0"}, {"choices", choices}, {"answer", 1 - likelier}};
  write_text(folder / "rows.jsonl", cat(right.dump(), "\n", wrong.dump(), "\n"));
  const auto evaluate = [&](const char* answers) {
    const Ran ran =
        run_coppice({"evaluate", "-m", small_model(), "--data", (folder / "rows.jsonl").string(),
                     "--answers", answers, "--format", "json"});
    EXPECT_EQ(ran.exit, 0) << ran.error;
    return ran.json();
  };
  const Json both = evaluate("2");
  EXPECT_EQ(both["answers"], 2);
  EXPECT_EQ(both["exact_match"], 0.5);
  EXPECT_EQ(both["rouge_l"], 0.5);
  EXPECT_EQ(both["choices"], 2);
  EXPECT_EQ(both["choice_accuracy"], 0.5);
  const Json first = evaluate("1");
  EXPECT_EQ(first["exact_match"], 1.0);
  EXPECT_EQ(first["choice_accuracy"], 1.0);
  EXPECT_EQ(evaluate("0")["answers"], 0);
}

TEST(Generate, GreedyTextRepeatsAndLlamaCppsFlagsWork) {
  COPPICE_NEEDS_ENGINE();
  const Ran one = run_coppice({"generate", "-m", small_model(), "-p", "Once upon a time", "-n",
                               "16", "--temp", "0", "--format", "json"});
  ASSERT_EQ(one.exit, 0) << one.error;
  EXPECT_EQ(one.json()["tokens"], 16);
  EXPECT_GT(one.json()["tokens_per_s"].get<double>(), 0.0);
  const Ran two = run_coppice({"generate", "--model", small_model(), "--prompt", "Once upon a time",
                               "--max-tokens", "16", "--temp", "0", "--threads", "1"});
  EXPECT_EQ(two.out, "Once upon a time" + one.json()["text"].get<std::string>() + "\n");
}

TEST(Generate, ASeedFixesSampledText) {
  COPPICE_NEEDS_ENGINE();
  const auto text = [](const char* seed) {
    return run_coppice({"generate", "-m", small_model(), "-p", "The", "-n", "24", "--seed", seed})
        .out;
  };
  EXPECT_EQ(text("5"), text("5"));
  EXPECT_NE(text("5"), text("6"));
}

TEST(Generate, APromptLongerThanTheContextIsRefused) {
  COPPICE_NEEDS_ENGINE();
  const Ran ran = run_coppice({"generate", "-m", small_model(), "-p", some_text(20)});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_NE(ran.error.find("context only 512: shorten it"), std::string::npos) << ran.error;
}

TEST(Train, LowersTheLossAndItsAdapterWorksInEveryKind) {
  COPPICE_NEEDS_ENGINE();
  const TestFolder folder;
  fs::create_directories(folder / "notes");
  write_text(folder / "notes" / "a.txt", some_text(90));
  const std::string trained = (folder / "a.gguf").string();
  const Ran ran =
      run_coppice({"train", "-m", small_model(), "--data", (folder / "notes").string(), "--out",
                   trained, "--steps", "4", "--rank", "4", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json document = ran.json();
  EXPECT_EQ(document["schema"], "coppice.train.v1");
  EXPECT_EQ(document["steps"], 4);
  EXPECT_LT(document["loss_last"].get<double>(), document["loss_first"].get<double>());
  EXPECT_LT(document["report"]["after"].get<double>(), document["report"]["before"].get<double>());
  for (const char* kind : {"a-peft", "a.coppice"}) {
    const Ran made = run_coppice({"adapter", "convert", "--adapter", trained, "--out",
                                  (folder / kind).string(), "-m", small_model()});
    ASSERT_EQ(made.exit, 0) << made.error;
  }

  const auto bits = [&folder](const char* adapter) {
    const Json found =
        run_coppice({"evaluate", "-m", small_model(), "--data", (folder / "notes").string(),
                     "--adapter", (folder / adapter).string(), "--format", "json"})
            .json();
    EXPECT_GT(found["gain_percent"].get<double>(), 0.0);
    return found["bits_per_byte"].get<double>();
  };
  // Each kind holds the same values exactly.
  EXPECT_EQ(bits("a.gguf"), bits("a-peft"));
  EXPECT_EQ(bits("a.gguf"), bits("a.coppice"));
}

TEST(Train, RefusesAnOutputThatHasNoPlaceBeforeItTrains) {
  const TestFolder folder;
  const Ran ran = run_coppice({"train", "-m", small_model(), "--data", folder.path().string(),
                               "--out", (folder / "none").string() + "/deep/a.gguf"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_NE(ran.error.find("make it first"), std::string::npos) << ran.error;
}

TEST(Merge, GivesOneFileThatPredictsAsBaseAndAdapterDo) {
  COPPICE_NEEDS_ENGINE();
  const TestFolder folder;
  write_text(folder / "a.txt", some_text(60));
  const std::string adapter = (folder / "a.gguf").string();
  ASSERT_EQ(run_coppice({"train", "-m", small_model(), "--data", (folder / "a.txt").string(),
                         "--out", adapter, "--steps", "4", "--targets", "q_proj,v_proj"})
                .exit,
            0);
  const Ran ran =
      run_coppice({"adapter", "merge", "-m", small_model(), "--adapter", adapter, "--out",
                   (folder / "merged.gguf").string(), "--type", "F32", "--data",
                   (folder / "a.txt").string(), "--precision", "float32", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  // F32 keeps 24 bits of each weight, so of a loss of about 5 nats some 1e-6 may differ; 1e-4
  // leaves two orders for the depth of the network.
  EXPECT_NEAR(ran.json()["loss_change"].get<double>(), 0.0, 1e-4);
  EXPECT_LT(ran.json()["merged"]["loss_nats_per_token"].get<double>(),
            ran.json()["base"]["loss_nats_per_token"].get<double>());
}

TEST(Bench, TrainStepAndGenerateTellTheirFigures) {
  COPPICE_NEEDS_ENGINE();
  const Json step = run_coppice({"bench", "train-step", "-m", small_model(), "--tokens", "64",
                                 "--steps", "1", "--format", "json"})
                        .json();
  EXPECT_GT(step["tokens_per_s"].get<double>(), 0.0);
  EXPECT_GT(step["peak_rss_mb"].get<double>(), 10.0);
  const double best = std::max(step["ceiling_gflops"]["f32"].get<double>(),
                               step["ceiling_gflops"]["bf16"].get<double>());
  EXPECT_GT(best, 0.0);
  EXPECT_NEAR(step["share_of_ceiling"].get<double>(),
              4.0 * 4'196'608 * step["tokens_per_s"].get<double>() / 1e9 / best, 1e-9);
  const Json made = run_coppice({"bench", "generate", "-m", small_model(), "-n", "8",
                                 "--prompt-tokens", "16", "--steps", "1", "--format", "json"})
                        .json();
  EXPECT_GT(made["decode_tokens_per_s"].get<double>(), 0.0);
  EXPECT_GT(made["prefill_tokens_per_s"].get<double>(), 0.0);
  EXPECT_GT(made["read_gb_per_s"].get<double>(), 0.0);
}

TEST(Bench, PackTrainsClientsSideBySideAndOneAtATime) {
  const Json ran = run_coppice({"bench", "pack", "-m", small_model(), "--clients", "2",
                                "--sequences", "2", "--length", "16", "--format", "json"})
                       .json();
  EXPECT_GT(ran["clients_per_s"].get<double>(), ran["whole_clients_per_s"].get<double>());
  EXPECT_GT(ran["alone_clients_per_s"].get<double>(), 0.0);
  // The first client of the pack and the one alone are the same; random tokens are hard.
  EXPECT_NEAR(ran["loss"].get<double>(), ran["alone_loss"].get<double>(), 1e-5);
  EXPECT_GT(ran["loss"].get<double>(), 5.0);
  const auto nowhere = run_coppice({"bench", "pack", "-m", small_model(), "--device", "cuda:0"});
  EXPECT_NE(nowhere.exit, 0);
  EXPECT_THAT(nowhere.error, ::testing::HasSubstr("the native engine computes on the CPU"));
}

} // namespace
} // namespace coppice
