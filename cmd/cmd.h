/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cmd: the command line
 *
 * A command is one constant row (struct command): its words, its operands, its options, its help
 * and the function that runs it. Everything else follows from the rows: parsing, --help,
 * suggestions for typing errors, and the machine-readable list that completions and manual pages
 * are held against. The list of the rows, in the order of the help, is commands.def.
 *
 * A command parses nothing and decides nothing by itself: it gets its options as a struct and its
 * operands as words, calls the library, and hands every value once to `emit`.
 */

#include "emit.h"
#include "settings.h"

#include "util/util.h"

/* What the process ends with. The output format never changes it. */
enum exit_status {
	EXIT_CLEAN = 0,       /* nothing to report, or done */
	EXIT_CORRECTED = 1,   /* problems were found, and all were corrected */
	EXIT_PROBLEMS = 4,    /* problems are left */
	EXIT_OPERATIONAL = 8, /* could not be done: cannot read, locked, no space */
	EXIT_USAGE = 16,      /* the command line makes no sense */
	EXIT_CANCELLED = 32,  /* cancelled, or not confirmed */
};

/* ---- options: one row each ---- */

enum opt_kind {
	OPT_KIND_END,
	OPT_KIND_FLAG, /* bool: no argument */
	OPT_KIND_SET, /* unsigned: no argument; stores the row's value (--quick is --level quick) */
	OPT_KIND_TEXT,   /* const char * */
	OPT_KIND_FILE,   /* const char *: the path of a file */
	OPT_KIND_DIR,    /* const char *: the path of a directory */
	OPT_KIND_NUMBER, /* uint64_t */
	OPT_KIND_CHOICE, /* unsigned: index of the word in `words` */
};

struct opt {
	const char *name; /* without the dashes */
	char letter;      /* 0: none */
	bool is_hidden;   /* left out of --help */
	bool is_above_0;  /* NUMBER: 0 makes no sense, and stands for nothing given in the field */
	enum opt_kind kind;
	const char *words; /* the argument's name in the help; for a choice its words: "a|b|c" */
	const char *help;
	size_t offset;  /* of the field in the command's options */
	uint64_t value; /* SET: what is stored. NUMBER: the largest accepted */
};

/* The offset of a field, and a compile error when it has not the type its kind of option stores. */
#define OPT_FIELD(type, field, c_type)                                                             \
	_Generic(((type *)NULL)->field, c_type : offsetof(type, field))

#define OPT_FLAG(name_, letter_, type, field, help_)                                               \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = OPT_KIND_FLAG, .help = (help_),      \
		.offset = OPT_FIELD(type, field, bool)                                             \
	}
#define OPT_SET(name_, letter_, type, field, value_, help_)                                        \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = OPT_KIND_SET, .help = (help_),       \
		.offset = OPT_FIELD(type, field, unsigned), .value = (value_)                      \
	}
#define OPT_STRING_(kind_, name_, letter_, type, field, arg_, help_)                               \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = (kind_), .words = (arg_),            \
		.help = (help_), .offset = OPT_FIELD(type, field, const char *)                    \
	}
#define OPT_TEXT(name_, letter_, type, field, arg_, help_)                                         \
	OPT_STRING_(OPT_KIND_TEXT, name_, letter_, type, field, arg_, help_)
#define OPT_FILE(name_, letter_, type, field, arg_, help_)                                         \
	OPT_STRING_(OPT_KIND_FILE, name_, letter_, type, field, arg_, help_)
#define OPT_DIR(name_, letter_, type, field, arg_, help_)                                          \
	OPT_STRING_(OPT_KIND_DIR, name_, letter_, type, field, arg_, help_)
#define OPT_NUMBER(name_, letter_, type, field, max_, arg_, help_)                                 \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = OPT_KIND_NUMBER, .words = (arg_),    \
		.help = (help_), .offset = OPT_FIELD(type, field, uint64_t), .value = (max_)       \
	}
#define OPT_COUNT(name_, letter_, type, field, max_, arg_, help_)                                  \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = OPT_KIND_NUMBER, .words = (arg_),    \
		.help = (help_), .offset = OPT_FIELD(type, field, uint64_t), .value = (max_),      \
		.is_above_0 = true                                                                 \
	}
#define OPT_CHOICE(name_, letter_, type, field, words_, help_)                                     \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = OPT_KIND_CHOICE, .words = (words_),  \
		.help = (help_), .offset = OPT_FIELD(type, field, unsigned)                        \
	}
#define OPT_END                                                                                    \
	{                                                                                          \
		.kind = OPT_KIND_END                                                               \
	}

enum common_format {
	FORMAT_TEXT,
	FORMAT_JSON,
};

enum common_color {
	COLOR_AUTO,
	COLOR_ALWAYS,
	COLOR_NEVER,
};

/* What every command accepts, before the command's name as well as behind it. */
struct common_opts {
	unsigned format;
	unsigned color;
	bool quiet;
	bool verbose;
	uint64_t jobs;       /* 0: as many as there are processors */
	uint64_t progress_s; /* 0: only on a terminal */
	const char *store;
	const char *config;   /* read before anything else, see settings.h */
	const char *log_file; /* lines for machines that watch; see log.h */
	/* What a command that writes wants to find, see app_preflight(). */
	const char *max_memory;
	const char *min_free;
	bool help;
	bool version;
};

extern const struct opt common_options[];

/* ---- commands: one row each ---- */

struct app;

struct example {
	const char *line; /* "vsctl verify /var/lib/app/store" */
	const char *what; /* what it does, in a few words */
};

struct command {
	const char *name;
	/*
	 * Operands as the help shows them: "STORE [COLLECTION [DOCUMENT]]", "STORE
	 * [COLLECTION...]". Words in brackets may be left out; one with dots may be repeated. When
	 * the first is STORE, it may also come from --vectorstore-path or VSCTL_STORE.
	 */
	const char *operands;
	const char *summary; /* one line, no full stop */
	const char *details; /* for --help; paragraphs divided by an empty line; or NULL */
	const struct example *examples; /* ends with a NULL line; or NULL */
	const struct opt *options;      /* ends with OPT_END; or NULL */
	size_t opts_size;               /* of the struct that the options fill; it starts zeroed */
	/* A group has verbs instead of options and a function: `vsctl snapshot create`. */
	const struct command *const *verbs; /* ends with NULL; or NULL */
	const struct command *default_verb; /* when the next word is no verb; or NULL */
	/* @operands ends with NULL and has as many words as `operands` asks for. */
	int (*run)(struct app *app, const void *opts, char *const *operands);
};

#define COMMAND(id) extern const struct command cmd_##id;
#include "commands.def"
#undef COMMAND

/* All commands, in the order of the help; ends with NULL. */
extern const struct command *const commands[];

/* The command called @name in @list, or NULL. */
const struct command *command_find(const struct command *const *list, const char *name);

/* ---- the process ---- */

struct app {
	char *const *argv; /* as given; ends with NULL */
	struct common_opts common;
	uint32_t given; /* which rows of common_options the command line has: bit 0 is the first */
	struct settings settings;
	struct emit emit;
	const struct vs_clock *clock;
	const struct command *group; /* of the verb that runs; NULL for a plain command */
	const struct command *command;
	bool is_implied_verb;   /* the command is the group's default, its word was not given */
	char command_words[64]; /* "verify", "snapshot create"; "" while not known */
	const char *path;  /* what an error is about: the store, as it was given; may be NULL */
	char failure[512]; /* why the command failed; "" while it has not */
	char outcome[256]; /* what came of it; "" where the command does not say */
	/* Told of the failure that ends the command, once, before it is printed; may be NULL. */
	void (*failed)(void *ctx, int status, const char *text);
	void *failed_ctx;
};

/*
 * Say that the job could not be done, and why, in one sentence on stderr; in JSON also as the error
 * document. Returns the exit status that fits: EXIT_USAGE for VS_EUSAGE, else EXIT_OPERATIONAL.
 */
must_check_ int app_error(struct app *app, const struct vs_err *err);

/* The same for a command line that makes no sense; always EXIT_USAGE. */
must_check_ int app_usage(struct app *app, const char *fmt, ...) printf_(2, 3);

/*
 * Is there memory, and room on the disks of @store and @state (NULL: none), for a command that
 * writes? --max-memory and --min-free say how much there must be. Asked before anything is done.
 */
must_check_ int app_preflight(const struct app *app, const char *store, const char *state,
			      struct vs_err *err);

/* Chatter for people on stderr, one line, unless --quiet. */
void app_note(const struct app *app, const char *fmt, ...) printf_(2, 3);

/* Threads to use: --jobs, or one per processor. */
unsigned app_jobs(const struct app *app);

/* ---- options.c ---- */

/* A command line taken apart. */
struct parsed {
	void *opts;      /* the command's options; owned */
	char **operands; /* ends with NULL; the array is owned, the words are argv's or `store` */
	char *store;     /* owned; a store that did not come as an operand, or NULL */
};

void parsed_fini(struct parsed *p);

/*
 * Take @argv apart: app->command, app->group, app->common, and @out. Returns 0, or the exit status
 * after it said what is wrong. When --help or --version was asked for, operands are not counted.
 */
must_check_ int options_parse(struct app *app, int argc, char **argv, struct parsed *out);

/* Does the command line ask for JSON? Known before it is parsed, so that errors in it are JSON too.
 */
bool options_want_json(int argc, char **argv);

/* Number of the words that @operands asks for at least, and takes at most (SIZE_MAX: any). */
void operands_count(const char *operands, size_t *min, size_t *max);
bool command_takes_store(const struct command *c);

/* The @index-th of the words "a|b|c"; false when there are fewer. */
bool choice_word(const char *words, unsigned index, struct slice *out);

/* ---- help.c, list.c: to the product stream ---- */

void help_version(struct app *app);
void help_overview(struct app *app);
void help_command(struct app *app, const struct command *group, const struct command *c);
void help_list(struct app *app); /* every command and option, for programs */
