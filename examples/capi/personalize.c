/* SPDX-License-Identifier: Apache-2.0
 *
 * A device's program in C: trains an adapter on a text, shows what it changed, keeps it, and, given
 * an invite, takes part in a round of the fleet that made it.
 *
 *   personalize MODEL.gguf TEXT.txt ADAPTER [DEVICE_FOLDER INVITE [section.key=value ...]]
 *
 * ADAPTER is NAME.gguf, NAME.coppice, or a folder's name for PEFT.
 */
#include <coppice.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every failure ends this program with coppice's own sentence about it. */
static void check(coppice_status status, const char* doing) {
  if (status == COPPICE_OK) return;
  fprintf(stderr, "%s: %s (%s)\n", doing, coppice_last_error(), coppice_status_name(status));
  exit(1);
}

static char* read_text(const char* path, size_t* bytes) {
  FILE* file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
    perror(path);
    exit(1);
  }
  long size = ftell(file);
  rewind(file);
  char* text = malloc((size_t)size + 1);
  if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size) {
    perror(path);
    exit(1);
  }
  fclose(file);
  *bytes = (size_t)size;
  return text;
}

static int show_step(void* context, uint64_t step, uint64_t steps, double loss) {
  (void)context;
  if (step % 10 == 0) printf("step %d of %d, loss %.3f\n", (int)step, (int)steps, loss);
  return 0; /* go on */
}

static int show_piece(void* context, uint32_t token, const char* piece, size_t bytes) {
  (void)context;
  (void)token;
  fwrite(piece, 1, bytes, stdout);
  return 0;
}

static void show_event(void* context, const char* line) {
  (void)context;
  printf("device: %s\n", line);
}

static double bits_per_byte(coppice_model* model, const coppice_adapter* adapter, const char* text,
                            size_t bytes) {
  coppice_text_score score;
  check(coppice_score(model, &adapter, adapter == NULL ? 0 : 1, text, bytes, &score), "scoring");
  return score.nats / log(2.0) / (double)score.bytes;
}

static void personalize(coppice_model* model, const char* text_path, const char* adapter_path) {
  size_t bytes = 0;
  char* text = read_text(text_path, &bytes);
  printf("before: %.3f bits a byte\n", bits_per_byte(model, NULL, text, bytes));

  coppice_train_options training = {
      .struct_size = sizeof training, .steps = 30, .on_step = show_step};
  coppice_adapter* adapter = NULL;
  coppice_train_report report;
  check(coppice_train(model, NULL, 0, text, bytes, &training, &adapter, &report), "training");
  printf("after: %.3f bits a byte, %d steps\n", bits_per_byte(model, adapter, text, bytes),
         (int)report.steps);
  check(coppice_adapter_save(adapter, adapter_path), "saving the adapter");
  coppice_adapter_close(adapter);
  free(text);

  /* As another program would: from what was kept. */
  check(coppice_adapter_load(model, adapter_path, &adapter), "loading the adapter");
  const coppice_adapter* list[] = {adapter};
  const char* prompt = "Once upon a time";
  coppice_generate_options generation = {
      .struct_size = sizeof generation, .max_tokens = 32, .on_token = show_piece};
  printf("%s", prompt);
  check(coppice_generate(model, list, 1, prompt, strlen(prompt), &generation, NULL, NULL),
        "generating");
  printf("\n");
  coppice_adapter_close(adapter);
}

/* Joins the fleet if it hasn't, and works for it until a release is here. */
static void take_part(const char* model, const char* text, const char* folder, const char* invite,
                      const char* const* settings, int setting_count) {
  coppice_device_options options = {.struct_size = sizeof options,
                                    .model = model,
                                    .data = text,
                                    .settings = settings,
                                    .setting_count = (size_t)setting_count};
  coppice_device* device = NULL;
  check(coppice_device_open(folder, &options, &device), "opening the device");
  if (!coppice_device_is_enrolled(device)) {
    check(coppice_device_enroll(device, invite, 30000), "enrolling");
    printf("enrolled\n");
  }
  coppice_run_options run = {.struct_size = sizeof run,
                             .until_release = 1,
                             .deadline_ms = 10 * 60 * 1000,
                             .on_event = show_event};
  check(coppice_device_run(device, &run), "taking part");
  coppice_adapter* served = NULL;
  coppice_status status = coppice_device_adapter(device, &served);
  if (status == COPPICE_OK) {
    printf("serves with an adapter of %d parameters\n", (int)coppice_adapter_parameters(served));
  } else if (status == COPPICE_NOT_FOUND) {
    printf("serves with the base: the release helped nothing here\n");
  } else {
    check(status, "asking what serves");
  }
  coppice_adapter_close(served);
  coppice_device_close(device);
}

int main(int argc, char** argv) {
  if (argc != 4 && argc < 6) {
    fprintf(stderr, "usage: %s MODEL TEXT ADAPTER [DEVICE_FOLDER INVITE [KEY=VALUE ...]]\n",
            argv[0]);
    return 2;
  }
  if (coppice_abi_version() != COPPICE_ABI_VERSION) {
    fprintf(stderr, "this program was compiled for another coppice than %s\n", coppice_version());
    return 2;
  }
  coppice_model* model = NULL;
  check(coppice_model_open(argv[1], NULL, &model), "opening the model");
  personalize(model, argv[2], argv[3]);
  coppice_model_close(model);
  if (argc >= 6) {
    take_part(argv[1], argv[2], argv[4], argv[5], (const char* const*)&argv[6], argc - 6);
  }
  return 0;
}
