/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl config`: what every option is, where that comes from, and all that is wrong with it. */

#include "cmd.h"

#include "parse.h"

struct config_opts {
	bool check;
};

static const struct opt options[] = {
	OPT_FLAG("check", 0, struct config_opts, check, "only say what is wrong, if anything is"),
	OPT_END,
};

static const struct emit_field fields[] = {
	{ "command", "command", false }, { "option", "option", false }, { "value", "value", false },
	{ "source", "from", false },     { "where", "where", false },   { 0 },
};

static const struct emit_field fault_fields[] = {
	{ "where", "where", false },
	{ "message", "what is wrong", false },
	{ 0 },
};

/* What the command line said of a common option, as text. */
static void given_text(const struct app *app, const struct opt *o, struct buf *out)
{
	const char *field = (const char *)&app->common + o->offset;
	struct slice word;
	const char *text;
	uint64_t number;
	unsigned index;

	switch (o->kind) {
	case OPT_KIND_FLAG:
		buf_append_str(out, "yes");
		break;
	case OPT_KIND_CHOICE:
		memcpy(&index, field, sizeof(index));
		if (choice_word(o->words, index, &word))
			buf_append(out, word.ptr, word.len);
		break;
	case OPT_KIND_NUMBER:
		memcpy(&number, field, sizeof(number));
		buf_printf(out, "%" PRIu64, number);
		break;
	case OPT_KIND_TEXT:
	case OPT_KIND_FILE:
	case OPT_KIND_DIR:
		memcpy(&text, field, sizeof(text));
		buf_append_str(out, text);
		break;
	case OPT_KIND_SET:
	case OPT_KIND_END:
		break;
	}
}

static void show(struct app *app, const char *words, const struct opt *o, bool is_common)
{
	const struct setting *one = settings_find(&app->settings, words, setting_key(o));
	bool is_given = is_common && (app->given & 1u << (o - common_options)) != 0;
	cleanup_(buf_fini) struct buf given = { 0 };
	struct emit *e = &app->emit;

	emit_str(e, *words ? words : NULL);
	emit_str(e, setting_key(o));
	if (is_given) {
		given_text(app, o, &given);
		emit_text(e, buf_cstr(&given));
	} else {
		emit_text(e, one ? one->value : NULL);
	}
	emit_str(e, is_given              ? "command line"
		    : !one                ? "default"
		    : one->is_environment ? "environment"
					  : "file");
	emit_text(e, one && !is_given ? one->where : NULL);
}

/* @all: also what is left at its default. */
static void show_rows(struct app *app, const char *words, const struct opt *rows, bool is_common,
		      bool all)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		if (!setting_is_possible(o, is_common))
			continue;
		if (all || settings_find(&app->settings, words, setting_key(o)))
			show(app, words, o, is_common);
	}
}

/* Common options that are another for this command than for all. */
static void show_common(struct app *app, const char *words, const struct command *c, bool all)
{
	for (const struct opt *o = common_options; o->kind != OPT_KIND_END; o++) {
		const char *key = setting_key(o);

		if (!setting_is_possible(o, true) || rows_find_long(c->options, slice_str(key)))
			continue;
		if (all || settings_find(&app->settings, words, key) !=
				   settings_find(&app->settings, "", key))
			show(app, words, o, true);
	}
}

static void show_command(struct app *app, const struct command *group, const struct command *c,
			 bool all)
{
	char words[64];

	setting_words(group, c, words);
	if (!c->verbs) {
		show_rows(app, words, c->options, false, all);
		show_common(app, words, c, all);
	}
	for (size_t i = 0; c->verbs && c->verbs[i]; i++)
		show_command(app, c, c->verbs[i], all);
}

static void show_settings(struct app *app, const struct command *group, const struct command *c)
{
	struct emit *e = &app->emit;

	emit_table(e, "settings", fields);
	if (c) {
		show_command(app, group, c, true);
	} else {
		show_rows(app, "", common_options, true, true);
		for (size_t i = 0; commands[i]; i++)
			show_command(app, NULL, commands[i], false);
	}
	emit_table_end(e);
}

static void show_faults(struct emit *e, const struct settings *s)
{
	emit_table(e, "errors", fault_fields);
	for (size_t i = 0; i < s->fault_count; i++) {
		emit_str(e, s->faults[i].where);
		emit_str(e, s->faults[i].message);
	}
	emit_table_end(e);
}

static void first_line(struct emit *e, const struct settings *s)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	if (s->fault_count > 0) {
		text_count(&text, s->fault_count, "error");
		emit_line(e, "bad: %s in the configuration", buf_cstr(&text));
		return;
	}
	text_count(&text, s->count, "setting");
	buf_append_str(&text, ", ");
	if (s->path)
		text_escape(&text, slice_str(s->path));
	else
		buf_append_str(&text, "no file");
	emit_line(e, "good: %s", buf_cstr(&text));
}

static int tell(struct app *app, const struct config_opts *opts, const struct command *group,
		const struct command *c)
{
	struct settings *s = &app->settings;
	struct emit *e = &app->emit;
	bool is_good;

	settings_judge_paths(s);
	is_good = s->fault_count == 0;
	emit_document(e, app->command_words);
	emit_json_null(e, "store");
	emit_json_bytes(e, "file", s->path ? slice_str(s->path) : slice_of(NULL, 0));
	emit_json_bool(e, "valid", is_good);
	if (!is_good || !app->common.quiet)
		first_line(e, s);
	if (!opts->check)
		show_settings(app, group, c);
	if (!is_good || e->is_json)
		show_faults(e, s);
	if (!is_good)
		emit_line(e, "next: correct what is listed, then vsctl config --check");
	else if (!app->common.quiet)
		emit_line(e, "next: vsctl config verify shows what one command makes of it");
	emit_document_end(e);
	return is_good ? EXIT_CLEAN : EXIT_USAGE;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct command *group = NULL, *c = NULL;

	if (operands[0]) {
		c = command_find(commands, operands[0]);
		if (!c)
			return unknown_command(app, NULL, commands, operands[0]);
	}
	if (c && operands[1]) {
		group = c;
		c = group->verbs ? command_find(group->verbs, operands[1]) : NULL;
		if (!c && !group->verbs)
			return app_usage(app, "%s has no verbs", group->name);
		if (!c)
			return unknown_command(app, group, group->verbs, operands[1]);
	}
	return tell(app, opts_, group, c);
}

static const struct example config_examples[] = {
	{ "vsctl config", "what is set for all commands and for single ones" },
	{ "vsctl config snapshot create", "every option of one command" },
	{ "vsctl config --check --config new.conf",
	  "is this file right? A gate before it is used" },
	{ NULL, NULL },
};

const struct command cmd_config = {
	.name = "config",
	.operands = "[COMMAND [VERB]]",
	.summary = "show what options are set to, and where that comes from",
	.details =
		"An option on the command line overrules the environment (VSCTL_LOCK_WAIT for every command that has "
		"--lock-wait, VSCTL_REPAIR_LOCK_WAIT for one), which overrules the configuration file, which overrules "
		"the default. The file is that of --config, else $VSCTL_CONFIG, else /etc/vsctl.conf.\n\n"
		"All errors of the file and the environment are listed at once, with the nearest name of one that is "
		"not known. The exit status is 16 when there are any, else 0.",
	.examples = config_examples,
	.options = options,
	.opts_size = sizeof(struct config_opts),
	.run = run,
};
