/* SPDX-License-Identifier: Apache-2.0 */

/* The second walk over the command line: options, by the rows of the command that was found. */

#include "parse.h"

const struct opt common_options[] = {
	OPT_CHOICE("format", 0, struct common_opts, format, "text|json", "how to print the result"),
	OPT_SET("json", 0, struct common_opts, format, FORMAT_JSON, "short for --format json"),
	OPT_FLAG("quiet", 'q', struct common_opts, quiet, "print nothing where all is well"),
	OPT_FLAG("verbose", 'v', struct common_opts, verbose, "print more"),
	OPT_CHOICE("color", 0, struct common_opts, color, "auto|always|never",
		   "colour the text; auto: on a terminal, unless NO_COLOR is set"),
	OPT_NUMBER("jobs", 'j', struct common_opts, jobs, 1024, "N",
		   "threads to use; default: one per processor"),
	OPT_NUMBER("progress", 0, struct common_opts, progress_s, 86400, "SEC",
		   "say every SEC seconds how far it is, also where there is no terminal"),
	OPT_DIR("vectorstore-path", 0, struct common_opts, store, "DIR",
		"the store, instead of the first operand"),
	OPT_FILE("config", 0, struct common_opts, config, "FILE",
		 "the file with settings; default: VSCTL_CONFIG, then /etc/vsctl.conf"),
	OPT_FILE("log-file", 0, struct common_opts, log_file, "FILE",
		 "add a line about each change and each failure to FILE"),
	OPT_TEXT("max-memory", 0, struct common_opts, max_memory, "PERCENT",
		 "change nothing while more of the memory is in use; default: 80"),
	OPT_TEXT("min-free", 0, struct common_opts, min_free, "SIZE",
		 "change nothing while less of the disk is free; default: 100M"),
	OPT_FLAG("help", 'h', struct common_opts, help, "print this help"),
	OPT_FLAG("version", 0, struct common_opts, version, "print the version"),
	OPT_END,
};

struct walk {
	struct app *app;
	int argc;
	char **argv;
	int i; /* the word being read */
	void *opts;
};

static int walk_store(struct walk *w, const struct opt *o, void *opts, const char *shown_name,
		      const char *argument)
{
	struct vs_err err = { 0 };

	if (opt_store(o, opts, shown_name, argument, &err) < 0)
		return app_usage(w->app, "%s", err.text);
	if (opts == &w->app->common)
		w->app->given |= 1u << (o - common_options);
	return 0;
}

/* The row of an option among those of the command and the common ones; @opts gets what it fills. */
static const struct opt *walk_find(struct walk *w, struct slice name, char letter, void **opts)
{
	const struct opt *rows = w->app->command ? w->app->command->options : NULL;
	const struct opt *o = letter ? rows_find_letter(rows, letter) : rows_find_long(rows, name);

	*opts = w->opts;
	if (o)
		return o;
	*opts = &w->app->common;
	return letter ? rows_find_letter(common_options, letter)
		      : rows_find_long(common_options, name);
}

static int unknown_option(struct walk *w, const char *option, const char *word)
{
	struct nearest n = { .word = word, .distance = UINT_MAX };
	cleanup_(buf_fini) struct buf shown = { 0 };
	const struct app *app = w->app;
	const char *gap = *app->command_words ? " " : "";

	text_escape(&shown, slice_str(option));
	if (app->command)
		nearest_try_rows(&n, app->command->options);
	nearest_try_rows(&n, common_options);
	if (*word && nearest_word(&n))
		return app_usage(w->app, "unknown option %s; did you mean --%s?", buf_cstr(&shown),
				 n.best);
	return app_usage(w->app, "unknown option %s; vsctl%s%s --help lists what there is",
			 buf_cstr(&shown), gap, app->command_words);
}

/* The argument of an option: behind "=", the rest of the cluster, or the next word. */
static int walk_argument(struct walk *w, const struct opt *o, const char *shown_name,
			 const char *attached, const char **out)
{
	if (attached)
		*out = attached;
	else if (w->i + 1 < w->argc && strcmp(w->argv[w->i + 1], "--") != 0)
		*out = w->argv[++w->i];
	else
		return app_usage(w->app, "%s needs %s", shown_name, o->words);
	return 0;
}

static int walk_long(struct walk *w, const char *word)
{
	size_t len = strcspn(word + 2, "=");
	cleanup_(vs_freep) char *name = vs_strndup(slice_of(word, len + 2));
	const char *attached = word[len + 2] == '=' ? word + len + 3 : NULL;
	const char *argument = NULL;
	void *opts;
	const struct opt *o = walk_find(w, slice_of(word + 2, len), 0, &opts);
	int r;

	if (!o)
		return unknown_option(w, name, name + 2);
	if (!opt_has_argument(o)) {
		if (attached)
			return app_usage(w->app, "%s takes no argument", name);
	} else {
		r = walk_argument(w, o, name, attached, &argument);
		if (r != 0)
			return r;
	}
	return walk_store(w, o, opts, name, argument);
}

static int walk_cluster(struct walk *w, const char *word)
{
	for (size_t i = 1; word[i]; i++) {
		char name[3] = { '-', word[i], '\0' };
		const char *argument = NULL;
		bool has_arg;
		void *opts;
		const struct opt *o = walk_find(w, slice_of(NULL, 0), word[i], &opts);
		int r;

		if (!o)
			return unknown_option(w, i == 1 && word[2] ? word : name,
					      i == 1 && word[2] ? word + 1 : "");
		has_arg = opt_has_argument(o);
		if (has_arg) {
			r = walk_argument(w, o, name, word[i + 1] ? word + i + 1 : NULL, &argument);
			if (r != 0)
				return r;
		}
		r = walk_store(w, o, opts, name, argument);
		if (r != 0 || has_arg)
			return r;
	}
	return 0;
}

static int walk_words(struct walk *w, const int skip[2], char **operands, size_t *count)
{
	bool only_operands = false;
	int r;

	for (w->i = 1; w->i < w->argc; w->i++) {
		char *word = w->argv[w->i];

		if (w->i == skip[0] || w->i == skip[1])
			continue;
		if (!only_operands && strcmp(word, "--") == 0) {
			only_operands = true;
			continue;
		}
		if (only_operands || !is_option_word(word)) {
			operands[(*count)++] = word;
			continue;
		}
		r = word[1] == '-' ? walk_long(w, word) : walk_cluster(w, word);
		if (r != 0)
			return r;
	}
	return 0;
}

bool options_want_json(int argc, char **argv)
{
	bool json = false;

	for (int i = 1; i < argc && argv[i] && strcmp(argv[i], "--") != 0; i++) {
		const char *format = NULL;

		if (strcmp(argv[i], "--json") == 0)
			format = "json";
		else if (strncmp(argv[i], "--format=", 9) == 0)
			format = argv[i] + 9;
		else if (strcmp(argv[i], "--format") == 0 && i + 1 < argc)
			format = argv[i + 1];
		if (format)
			json = strcmp(format, "json") == 0;
	}
	return json;
}

/* Known before the words are walked: what the file says comes first, and options overrule it. */
static const char *config_option(int argc, char **argv)
{
	const char *path = NULL;

	for (int i = 1; i < argc && argv[i] && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--config=", 9) == 0)
			path = argv[i] + 9;
		else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			path = argv[i + 1];
	}
	return path;
}

void parsed_fini(struct parsed *p)
{
	free(p->opts);
	free(p->store);
	free(p->operands);
	*p = (struct parsed){ 0 };
}

int options_parse(struct app *app, int argc, char **argv, struct parsed *out)
{
	struct walk w = { .app = app, .argc = argc, .argv = argv };
	size_t count = 0;
	struct vs_err bad = { 0 };
	int at[2];
	int r;

	r = parse_command(app, argc, argv, at);
	if (r != 0)
		return r;
	settings_load(&app->settings, config_option(argc, argv));
	if (app->command && app->command->opts_size > 0)
		out->opts = vs_alloc(app->command->opts_size);
	/* Room for all words, the store, and the NULL. */
	out->operands = vs_alloc_array((size_t)argc + 2, sizeof(*out->operands));
	w.opts = out->opts;
	/* Where there is something wrong with them, help can still be asked for. */
	(void)!settings_apply(app, out->opts, &bad);
	r = walk_words(&w, at, out->operands, &count);
	if (r != 0 || app->common.help || app->common.version)
		return r;
	if (!app->command)
		return app_usage(app, "give a command; vsctl help lists them");
	if (bad.status < 0 && app->command != &cmd_config && app->command != &cmd_help)
		return app_usage(app, "%s; vsctl config --check lists all that is wrong", bad.text);
	if (!app->command->run)
		return app_usage(app, "%s needs a verb; vsctl help %s lists them",
				 app->command->name, app->command->name);
	if (command_takes_store(app->command)) {
		parse_store(app, out, &count);
		app->path = count > 0 ? out->operands[0] : NULL;
	}
	return parse_operands(app, out->operands, count);
}
