/* SPDX-License-Identifier: Apache-2.0 */

/* Settings held against the rows of the options, and put where the command finds them. */

#include "settings.h"

#include "parse.h"

#include "file/file.h"

#include <fcntl.h>

bool setting_is_possible(const struct opt *o, bool is_common)
{
	if (o->kind == OPT_KIND_SET || strcmp(o->name, "config") == 0)
		return false;
	if (o->kind != OPT_KIND_FLAG)
		return true;
	return is_common && strcmp(o->name, "help") != 0 && strcmp(o->name, "version") != 0;
}

const char *setting_key(const struct opt *o)
{
	return strcmp(o->name, "vectorstore-path") == 0 ? "store" : o->name;
}

void setting_words(const struct command *group, const struct command *c, char out[64])
{
	snprintf(out, 64, "%s%s%s", group ? group->name : "", group ? " " : "", c->name);
}

/* How closely a setting is meant for the command: 0 not at all, then all, its group, itself. */
static unsigned closeness(const char *section, const char *words)
{
	size_t len = strlen(section);

	if (len == 0)
		return 1;
	if (strcmp(section, words) == 0)
		return 3;
	return strncmp(section, words, len) == 0 && words[len] == ' ' ? 2 : 0;
}

const struct setting *settings_find(const struct settings *s, const char *words, const char *key)
{
	const struct setting *best = NULL;
	unsigned best_rank = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct setting *one = &s->list[i];
		unsigned rank = closeness(one->section, words);

		if (rank == 0 || strcmp(one->key, key) != 0)
			continue;
		rank += one->is_environment ? 3 : 0;
		if (rank > best_rank) {
			best = one;
			best_rank = rank;
		}
	}
	return best;
}

const char *settings_store(const struct settings *s)
{
	const struct setting *one = settings_find(s, "", "store");

	return one ? one->value : NULL;
}

/* ---- is it right? ---- */

struct judging {
	struct settings *s;
	const struct setting *one;
	struct nearest section, key;
	bool has_section, has_key, is_bad;
};

/* A row of the name that is set: is the value one for it? */
static void judge_value(struct judging *j, const struct opt *o)
{
	struct opt row = *o;
	union {
		const char *text;
		uint64_t number;
		bool yes;
		unsigned index;
	} field = { 0 };
	struct vs_err err = { 0 };

	row.offset = 0;
	j->has_key = true;
	if (j->is_bad || opt_store(&row, &field, j->one->key, j->one->value, &err) == 0)
		return;
	j->is_bad = true;
	settings_fault(j->s, j->one->where, "%s", err.text);
}

static void judge_rows(struct judging *j, const struct opt *rows, bool is_common)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		if (!setting_is_possible(o, is_common))
			continue;
		nearest_try(&j->key, setting_key(o));
		if (strcmp(setting_key(o), j->one->key) == 0)
			judge_value(j, o);
	}
}

/* Where the command has a row of its own, that one stands for the common one. */
static void judge_command(struct judging *j, const struct command *group, const struct command *c)
{
	const char *section = j->one->section;
	char words[64];

	setting_words(group, c, words);
	nearest_try(&j->section, c->name);
	if (strcmp(section, words) == 0 || (c->verbs && strcmp(section, c->name) == 0))
		j->has_section = true;
	if (closeness(section, words) > 0) {
		judge_rows(j, c->options, false);
		if (*section && !rows_find_long(c->options, slice_str(j->one->key)))
			judge_rows(j, common_options, true);
	}
	for (size_t i = 0; c->verbs && c->verbs[i]; i++)
		judge_command(j, c, c->verbs[i]);
}

/* Of a verb only its own word is compared. */
static void tell_section(struct judging *j)
{
	cleanup_(buf_fini) struct buf shown = { 0 };
	const char *best = nearest_word(&j->section);

	text_escape(&shown, slice_str(j->one->section));
	settings_fault(j->s, j->one->where, "there is no command '%s'%s%s%s", buf_cstr(&shown),
		       best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

static void tell_key(struct judging *j)
{
	cleanup_(buf_fini) struct buf shown = { 0 };
	const char *section = j->one->section;
	const char *best = nearest_word(&j->key);

	text_escape(&shown, slice_str(j->one->key));
	settings_fault(j->s, j->one->where, "'%s' cannot be set%s%s%s%s%s", buf_cstr(&shown),
		       *section ? " for " : "", section, best ? "; did you mean " : "",
		       best ? best : "", best ? "?" : "");
}

void settings_judge(struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct judging j = { .s = s, .one = &s->list[i] };
		const char *verb = strrchr(j.one->section, ' ');

		j.section.word = verb ? verb + 1 : j.one->section;
		j.section.distance = UINT_MAX;
		j.key = (struct nearest){ .word = j.one->key, .distance = UINT_MAX };
		if (*j.one->section == '\0')
			judge_rows(&j, common_options, true);
		for (size_t k = 0; commands[k]; k++)
			judge_command(&j, NULL, commands[k]);
		if (*j.one->section && !j.has_section)
			tell_section(&j);
		else if (!j.has_key)
			tell_key(&j);
	}
}

/* ---- paths ---- */

static bool is_there(const char *path, bool must_be_directory)
{
	struct file_info info;
	struct vs_err err = { 0 };

	if (file_stat_at(AT_FDCWD, path, FILE_FOLLOW, &info, &err) < 0)
		return false;
	return !must_be_directory || info.type == FILE_DIRECTORY;
}

static enum opt_kind kind_of(const char *key)
{
	const struct opt *o = rows_find_long(common_options, slice_str(key));

	for (size_t i = 0; !o && commands[i]; i++) {
		const struct command *c = commands[i];

		o = rows_find_long(c->options, slice_str(key));
		for (size_t k = 0; !o && c->verbs && c->verbs[k]; k++)
			o = rows_find_long(c->verbs[k]->options, slice_str(key));
	}
	return o ? o->kind : OPT_KIND_TEXT;
}

/* A store and a key must be there; what a command makes itself needs a place to be made in. */
static void judge_path(struct settings *s, const struct setting *one)
{
	bool is_store = strcmp(one->key, "store") == 0;
	enum opt_kind kind = kind_of(one->key);
	cleanup_(buf_fini) struct buf shown = { 0 };
	cleanup_(vs_freep) char *parent = vs_strdup(one->value);
	char *slash = strrchr(parent, '/');

	if (!is_store && kind != OPT_KIND_FILE && kind != OPT_KIND_DIR)
		return;
	text_escape(&shown, slice_str(one->value));
	if (is_store || strcmp(one->key, "key-file") == 0) {
		if (!is_there(one->value, false))
			settings_fault(s, one->where, "%s: %s is not there", one->key,
				       buf_cstr(&shown));
		return;
	}
	if (slash)
		slash[slash == parent ? 1 : 0] = '\0';
	if (slash && !is_there(parent, true))
		settings_fault(s, one->where, "%s: %s is in a directory that is not there",
			       one->key, buf_cstr(&shown));
}

void settings_judge_paths(struct settings *s)
{
	for (size_t i = 0; i < s->count; i++)
		judge_path(s, &s->list[i]);
}

/* ---- put in force ---- */

static void apply_rows(struct app *app, const struct opt *rows, void *opts, bool is_common)
{
	const struct opt *own = is_common && app->command ? app->command->options : NULL;

	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		const char *key = setting_key(o);
		const struct setting *one;
		struct vs_err err = { 0 };

		if (!setting_is_possible(o, is_common) || rows_find_long(own, slice_str(o->name)) ||
		    strcmp(key, "store") == 0)
			continue;
		one = settings_find(&app->settings, app->command_words, key);
		/* Commands look the state directory's variable up themselves, where it matters that
		 * nobody typed it. */
		if (!one || (one->is_environment && strcmp(key, "state") == 0))
			continue;
		(void)!opt_store(o, opts, key, one->value, &err);
	}
}

int settings_apply(struct app *app, void *opts, struct vs_err *err)
{
	struct settings *s = &app->settings;

	settings_judge(s);
	apply_rows(app, common_options, &app->common, true);
	if (app->command && opts)
		apply_rows(app, app->command->options, opts, false);
	if (app->common.format == FORMAT_JSON)
		app->emit.is_json = true;
	for (size_t i = 0; i < s->fault_count; i++) {
		if (!s->faults[i].is_minor)
			return vs_fail(err, VS_EUSAGE, "%s: %s", s->faults[i].where,
				       s->faults[i].message);
	}
	return 0;
}
