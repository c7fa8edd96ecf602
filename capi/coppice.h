/* SPDX-License-Identifier: Apache-2.0
 *
 * coppice for programs on devices, in C: open a base model, train an adapter on the owner's text,
 * generate, and take part in a fleet's rounds. Text never leaves the device through anything here.
 *
 * Rules that hold for every function:
 * - It returns a status; COPPICE_OK is 0. What went wrong, and what to do about it, is a sentence
 * in coppice_last_error(), of the calling thread. Outputs are written only on success.
 * - Nothing is thrown across this border. A bug of coppice's own ends the process with a line on
 *   stderr, as an assertion would.
 * - Handles are opaque. A null handle or a null required pointer is COPPICE_INVALID_ARGUMENT;
 * closing null does nothing. A handle serves one thread at a time unless it says otherwise;
 * different handles are independent. A model must outlive what was made from it.
 * - Structs of options begin with their size, so that they can grow. Zero means the default:
 *     coppice_train_options options = {.struct_size = sizeof options, .steps = 50};
 *   A null pointer in place of options stands for defaults throughout.
 * - Text is UTF-8, as a pointer and a length in bytes; paths and names end with a zero.
 * - Memory that a function hands out is given back with coppice_free().
 * - Callbacks run on the calling thread, before the function returns, but for the log's, which may
 *   come from any thread, one at a time. They must not throw, longjmp, or close what is in use.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define COPPICE_API __attribute__((visibility("default")))
#else
#define COPPICE_API
#endif

/* ---- Version and status ---------------------------------------------------------------------- */

/* Rises when a program that was compiled against an older header would no longer work. */
#define COPPICE_ABI_VERSION 1

COPPICE_API uint32_t coppice_abi_version(void); /* of the library; compare with the header's */
COPPICE_API const char* coppice_version(void);  /* "0.1.0" */

typedef enum coppice_status {
  COPPICE_OK = 0,
  COPPICE_INVALID_ARGUMENT = 1, /* change what was passed */
  COPPICE_NOT_FOUND = 2,
  COPPICE_ALREADY_EXISTS = 3,
  COPPICE_PERMISSION_DENIED = 4,
  COPPICE_UNAUTHENTICATED = 5, /* a signature, key or invite was refused */
  COPPICE_CORRUPT = 6,         /* bytes that break their format */
  COPPICE_TOO_LARGE = 7,
  COPPICE_UNSUPPORTED = 8,
  COPPICE_UNAVAILABLE = 9, /* try again later */
  COPPICE_DEADLINE_EXCEEDED = 10,
  COPPICE_FAILED_PRECONDITION = 11, /* right request, wrong state */
  COPPICE_RESOURCE_EXHAUSTED = 12,  /* memory, disk, budget */
  COPPICE_IO = 13,
  COPPICE_CANCELLED = 14,
  COPPICE_INTERNAL = 15 /* a bug of coppice's that was contained */
} coppice_status;

COPPICE_API const char* coppice_status_name(coppice_status status); /* "not found" */
/* A sentence about this thread's last failure; valid until its next call of the library. */
COPPICE_API const char* coppice_last_error(void);

/* ---- Memory and log -------------------------------------------------------------------------- */

/* Where the memory comes from that functions hand out (texts, tokens), not what the library uses
 * inside. `allocate` returns null when there is none. Set it before the first call that hands
 * memory out, and not while another thread is in the library. Null: malloc and free. */
typedef struct coppice_allocator {
  void* (*allocate)(void* context, size_t bytes);
  void (*release)(void* context, void* memory);
  void* context;
} coppice_allocator;

COPPICE_API coppice_status coppice_set_allocator(const coppice_allocator* allocator);
COPPICE_API void coppice_free(void* memory);

typedef enum coppice_log_level {
  COPPICE_LOG_DEBUG = 0,
  COPPICE_LOG_INFO = 1,
  COPPICE_LOG_WARNING = 2,
  COPPICE_LOG_ERROR = 3,
  COPPICE_LOG_OFF = 4
} coppice_log_level;

typedef void (*coppice_log_callback)(void* context, coppice_log_level level, const char* line);

/* Lines at `lowest` and above go to `callback`, never secrets nor users' text. Null: to stderr. Set
 * it while no other thread is in the library. */
COPPICE_API coppice_status coppice_set_log(coppice_log_callback callback, void* context,
                                           coppice_log_level lowest);

/* ---- Models ---------------------------------------------------------------------------------- */

typedef struct coppice_model coppice_model;

typedef struct coppice_model_options {
  size_t struct_size;
  uint32_t threads; /* that compute; 0: one a core */
} coppice_model_options;

/* Opens a GGUF file. Its weights are mapped, not read. */
COPPICE_API coppice_status coppice_model_open(const char* path,
                                              const coppice_model_options* options,
                                              coppice_model** model);
COPPICE_API void coppice_model_close(coppice_model* model);

typedef struct coppice_model_info {
  size_t struct_size; /* set by the caller, as of options */
  uint64_t parameters;
  uint32_t context;    /* tokens that the model was made for */
  uint32_t vocabulary; /* tokens that there are */
} coppice_model_info;

COPPICE_API coppice_status coppice_model_get_info(const coppice_model* model,
                                                  coppice_model_info* info);

/* Any bytes can be tokenized. With `begin`, the token that begins a text comes first if the model's
 * file asks for it. */
COPPICE_API coppice_status coppice_tokenize(const coppice_model* model, const char* text,
                                            size_t bytes, int begin, uint32_t** tokens,
                                            size_t* count);
/* The text of tokens; a zero follows its `bytes`. */
COPPICE_API coppice_status coppice_detokenize(const coppice_model* model, const uint32_t* tokens,
                                              size_t count, char** text, size_t* bytes);

/* ---- Adapters -------------------------------------------------------------------------------- */

typedef struct coppice_adapter coppice_adapter;

/* A PEFT folder, a GGUF file, or coppice's own kind: what is there decides. */
COPPICE_API coppice_status coppice_adapter_load(const coppice_model* model, const char* path,
                                                coppice_adapter** adapter);
/* NAME.gguf, NAME.coppice, or a folder's name for PEFT. */
COPPICE_API coppice_status coppice_adapter_save(const coppice_adapter* adapter, const char* path);
COPPICE_API uint64_t coppice_adapter_parameters(const coppice_adapter* adapter); /* 0 for null */
COPPICE_API void coppice_adapter_close(coppice_adapter* adapter);

/* ---- Score, generate, train ------------------------------------------------------------------ */

/* Everything below takes an ordered list of adapters, which add up; none: the base alone. */

typedef struct coppice_text_score {
  double nats;     /* summed over the predicted tokens */
  uint64_t tokens; /* predicted */
  uint64_t bytes;  /* of the text: bits per byte is nats / ln 2 / bytes */
} coppice_text_score;

COPPICE_API coppice_status coppice_score(coppice_model* model,
                                         const coppice_adapter* const* adapters,
                                         size_t adapter_count, const char* text, size_t bytes,
                                         coppice_text_score* score);

/* One token's text, not necessarily whole UTF-8. Returning anything but 0 ends the generation. */
typedef int (*coppice_token_callback)(void* context, uint32_t token, const char* piece,
                                      size_t bytes);

typedef struct coppice_generate_options {
  size_t struct_size;
  uint32_t max_tokens; /* 0: 128 */
  float temperature;   /* 0: the likeliest token always */
  uint32_t top_k;      /* 0: all */
  float top_p;         /* 0: 1, all */
  uint64_t seed;
  coppice_token_callback on_token; /* may be null */
  void* context;                   /* of on_token */
} coppice_generate_options;

/* Continues `prompt`. `text` (a zero follows its bytes) may be null if on_token takes the pieces;
 * `text_bytes` may be null. */
COPPICE_API coppice_status coppice_generate(coppice_model* model,
                                            const coppice_adapter* const* adapters,
                                            size_t adapter_count, const char* prompt,
                                            size_t prompt_bytes,
                                            const coppice_generate_options* options, char** text,
                                            size_t* text_bytes);

/* After each step. Returning anything but 0 ends the training there: it still succeeds, with the
 * adapter as it is. `steps` is 0 where only time bounds it. */
typedef int (*coppice_step_callback)(void* context, uint64_t step, uint64_t steps, double loss);

typedef struct coppice_train_options {
  size_t struct_size;
  uint32_t steps;        /* optimizer steps; 0: 100 */
  uint32_t seconds;      /* at most; 0: no bound */
  uint64_t memory_bytes; /* of a step, beside weights and adapter; 0: 256 MiB */
  uint32_t rank;         /* of a new adapter; 0: 8 */
  float alpha;           /* of a new adapter, whose scale is alpha / rank; 0: twice the rank */
  float learning_rate;   /* of AdamW; 0: 0.002 */
  uint32_t batch_tokens; /* of one step; 0: 512 */
  uint32_t window;       /* longest sequence; 0: 128 */
  uint64_t seed;         /* of a new adapter's values and of the text's order */
  const coppice_adapter* start;  /* trained further; null: a new one */
  coppice_step_callback on_step; /* may be null */
  void* context;                 /* of on_step */
} coppice_train_options;

typedef struct coppice_train_report {
  uint64_t steps;
  uint64_t tokens;
  double loss_first; /* nats a token of the first step's text, before it */
  double loss_last;
  double seconds; /* of the steps alone */
} coppice_train_report;

/* Trains on `text`, on top of `adapters`, which stay as they are. `report` may be null. */
COPPICE_API coppice_status coppice_train(coppice_model* model,
                                         const coppice_adapter* const* adapters,
                                         size_t adapter_count, const char* text, size_t bytes,
                                         const coppice_train_options* options,
                                         coppice_adapter** trained, coppice_train_report* report);

/* ---- Devices of a fleet ---------------------------------------------------------------------- */

typedef struct coppice_device coppice_device;

typedef struct coppice_device_options {
  size_t struct_size;
  const char* model;           /* the fleet's base model; needed where no folder is there yet */
  const char* data;            /* folder of the owner's .txt, .md and .jsonl files; likewise */
  const char* const* settings; /* "section.key=value", as in client.toml */
  size_t setting_count;
} coppice_device_options;

/* Opens a device's folder, or makes it: keys and client.toml, where the owner's floors stand, which
 * no plan can lower. `settings` of a folder that is there hold while it is open. */
COPPICE_API coppice_status coppice_device_open(const char* directory,
                                               const coppice_device_options* options,
                                               coppice_device** device);
COPPICE_API void coppice_device_close(coppice_device* device);

/* Joins the fleet that made the invite. Repeating it after a lost reply is safe. */
COPPICE_API coppice_status coppice_device_enroll(coppice_device* device, const char* invite,
                                                 uint32_t timeout_ms);
COPPICE_API int coppice_device_is_enrolled(const coppice_device* device); /* 1 or 0 */

/* A sentence about what the device does: "accepted round 3". */
typedef void (*coppice_event_callback)(void* context, const char* line);

typedef struct coppice_run_options {
  size_t struct_size;
  uint64_t until_release; /* ends once this release is here, judged and personalized; 0: any end */
  uint32_t silence_ms;    /* ends after this long without a word from the aggregator; 0: never */
  uint32_t deadline_ms;   /* ends after this long; 0: never */
  coppice_event_callback on_event; /* may be null; from the thread of coppice_device_run() */
  void* context;                   /* of on_event */
} coppice_run_options;

/* Takes part in rounds until one of those ends. COPPICE_OK if the release is reached or the device
 * was stopped, COPPICE_DEADLINE_EXCEEDED otherwise. */
COPPICE_API coppice_status coppice_device_run(coppice_device* device,
                                              const coppice_run_options* options);
/* Ends a run soon; from any thread. Does nothing where none runs. */
COPPICE_API coppice_status coppice_device_stop(coppice_device* device);

/* What serves on the device now (shared, personal, or both as one). COPPICE_NOT_FOUND where the
 * base alone serves. */
COPPICE_API coppice_status coppice_device_adapter(coppice_device* device,
                                                  coppice_adapter** adapter);

#ifdef __cplusplus
}
#endif
