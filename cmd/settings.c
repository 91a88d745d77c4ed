/* SPDX-License-Identifier: Apache-2.0 */

/* The two sources of settings, read: the file line by line, the environment by the option rows. */

#include "settings.h"

#include "cmd.h"

#include "file/file.h"

#include <ctype.h>
#include <fcntl.h>

#define SETTINGS_DEFAULT_PATH "/etc/vsctl.conf"
#define SETTINGS_SIZE_MAX (UINT64_C(1) << 20)

void settings_fault(struct settings *s, const char *where, const char *fmt, ...)
{
	cleanup_(buf_fini) struct buf shown = { 0 };
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_escape(&shown, slice_str(where));
	s->faults = vs_grow(s->faults, &s->fault_cap, s->fault_count + 1, sizeof(*s->faults));
	s->faults[s->fault_count++] =
		(struct setting_fault){ vs_strdup(buf_cstr(&shown)), vs_strdup(text), false };
}

static void add(struct settings *s, const char *section, struct slice key, struct slice value,
		const char *where, bool is_environment)
{
	s->list = vs_grow(s->list, &s->cap, s->count + 1, sizeof(*s->list));
	s->list[s->count++] = (struct setting){
		.section = vs_strdup(section),
		.key = vs_strndup(key),
		.value = vs_strndup(value),
		.where = vs_strdup(where),
		.is_environment = is_environment,
	};
}

/* ---- the file ---- */

struct reading {
	struct settings *s;
	char *section; /* owned */
	bool is_lost;  /* the section is none, which was told: what follows is not looked at */
	char where[4200];
};

static struct slice trim(struct slice text)
{
	while (text.len > 0 && isspace(text.ptr[0]))
		text = slice_of(text.ptr + 1, text.len - 1);
	while (text.len > 0 && isspace(text.ptr[text.len - 1]))
		text.len--;
	return text;
}

static struct slice unquote(struct slice value)
{
	if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
		return slice_of(value.ptr + 1, value.len - 2);
	return value;
}

/* Blanks inside of "snapshot   create" are one. */
static void read_section(struct reading *r, struct slice line)
{
	struct slice inside = trim(slice_of(line.ptr + 1, line.len - 1));
	struct buf words = { 0 };

	if (inside.len == 0 || inside.ptr[inside.len - 1] != ']') {
		settings_fault(r->s, r->where, "the section has no ] at the end of the line");
		r->is_lost = true;
		return;
	}
	inside = trim(slice_of(inside.ptr, inside.len - 1));
	for (size_t i = 0; i < inside.len; i++) {
		bool is_blank = isspace(inside.ptr[i]);

		if (!is_blank)
			buf_append_byte(&words, inside.ptr[i]);
		else if (!isspace(inside.ptr[i - 1]))
			buf_append_byte(&words, ' ');
	}
	free(r->section);
	r->section = buf_take_str(&words);
	r->is_lost = r->section[0] == '\0';
	if (r->is_lost)
		settings_fault(r->s, r->where, "the section names no command");
}

static void read_setting(struct reading *r, struct slice line)
{
	const unsigned char *equals = memchr(line.ptr, '=', line.len);
	cleanup_(buf_fini) struct buf shown = { 0 };
	struct slice key, value;

	if (!equals) {
		text_escape(&shown, slice_of(line.ptr, VS_MIN(line.len, (size_t)60)));
		settings_fault(r->s, r->where, "no = in '%s'; a setting is: key = value",
			       buf_cstr(&shown));
		return;
	}
	key = trim(slice_of(line.ptr, (size_t)(equals - line.ptr)));
	value = unquote(trim(slice_of(equals + 1, (size_t)(line.ptr + line.len - equals - 1))));
	text_escape(&shown, key);
	for (size_t i = 0; i < r->s->count; i++) {
		const struct setting *other = &r->s->list[i];

		if (!slice_eq_str(key, other->key) || strcmp(other->section, r->section) != 0)
			continue;
		settings_fault(r->s, r->where, "%s is set already, in %s", buf_cstr(&shown),
			       other->where);
		return;
	}
	if (key.len == 0)
		settings_fault(r->s, r->where, "no key before =");
	else if (value.len == 0)
		settings_fault(r->s, r->where, "%s has no value", buf_cstr(&shown));
	else
		add(r->s, r->section, key, value, r->where, false);
}

static void read_line(struct reading *r, struct slice line)
{
	line = trim(line);
	if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';')
		return;
	if (memchr(line.ptr, '\0', line.len))
		settings_fault(r->s, r->where, "a zero byte in the line");
	else if (line.ptr[0] == '[')
		read_section(r, line);
	else if (!r->is_lost)
		read_setting(r, line);
}

static void read_lines(struct settings *s, struct slice text)
{
	struct reading r = { .s = s, .section = vs_strdup("") };
	uint64_t number = 1;

	for (size_t at = 0; at < text.len; number++) {
		const unsigned char *start = text.ptr + at;
		const unsigned char *end = memchr(start, '\n', text.len - at);
		size_t len = end ? (size_t)(end - start) : text.len - at;

		snprintf(r.where, sizeof(r.where), "%s:%" PRIu64, s->path, number);
		read_line(&r, slice_of(start, len));
		at += len + 1;
	}
	free(r.section);
}

static void load_file(struct settings *s, const char *path)
{
	const char *variable = getenv("VSCTL_CONFIG");
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	bool is_asked = path || variable;
	int r;

	if (!path)
		path = variable ? variable : SETTINGS_DEFAULT_PATH;
	if (*path == '\0')
		return;
	r = file_read_at(AT_FDCWD, path, FILE_FOLLOW, SETTINGS_SIZE_MAX, &text, NULL, &err);
	if (r == VS_ENOENT && !is_asked)
		return;
	s->path = vs_strdup(path);
	if (r == 0)
		read_lines(s, buf_slice(&text));
	else
		settings_fault(s, path, "%s", r > 0 ? "not a regular file" : err.text);
}

/* ---- the environment ---- */

/* "snapshot create", "key-file" -> "SNAPSHOT_CREATE_KEY_FILE" */
static void variable_name(const char *words, const char *key, char out[160])
{
	snprintf(out, 160, "%s%s%s", words, *words ? "_" : "", key);
	for (char *p = out; *p; p++)
		*p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
}

struct variable {
	struct settings *s;
	const char *entry; /* "VSCTL_JOBS=2" */
	struct slice name; /* "JOBS" */
	const char *value;
	bool is_found;
};

static void try_rows(struct variable *v, const char *words, const struct opt *rows, bool is_common)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		cleanup_(vs_freep) char *where = NULL;
		const char *key = setting_key(o);
		char wanted[160];
		bool is_general;

		if (!setting_is_possible(o, is_common))
			continue;
		variable_name("", key, wanted);
		is_general = slice_eq_str(v->name, wanted);
		variable_name(words, key, wanted);
		if (!is_general && !slice_eq_str(v->name, wanted))
			continue;
		where = vs_strndup(slice_of(v->entry, (size_t)(v->value - v->entry) - 1));
		add(v->s, is_general ? "" : words, slice_str(key), slice_str(v->value), where,
		    true);
		v->is_found = true;
		return;
	}
}

static void try_command(struct variable *v, const struct command *group, const struct command *c)
{
	char words[64];

	setting_words(group, c, words);
	if (!v->is_found)
		try_rows(v, words, c->options, false);
	/* A common option can be set for one command as well. */
	if (!v->is_found)
		try_rows(v, words, common_options, true);
	/* One of a verb for all verbs of its group. */
	if (!v->is_found && group)
		try_rows(v, group->name, c->options, false);
	for (size_t i = 0; c->verbs && c->verbs[i]; i++)
		try_command(v, c, c->verbs[i]);
}

static void load_variable(struct settings *s, const char *entry)
{
	struct variable v = { .s = s, .entry = entry };
	const char *equals = strchr(entry, '=');
	cleanup_(buf_fini) struct buf shown = { 0 };

	if (strncmp(entry, "VSCTL_", 6) != 0 || !equals || equals[1] == '\0' || equals < entry + 6)
		return;
	v.name = slice_of(entry + 6, (size_t)(equals - entry) - 6);
	v.value = equals + 1;
	if (slice_eq_str(v.name, "CONFIG"))
		return;
	try_rows(&v, "", common_options, true);
	for (size_t i = 0; commands[i]; i++)
		try_command(&v, NULL, commands[i]);
	if (v.is_found)
		return;
	text_escape(&shown, slice_of(entry, (size_t)(equals - entry)));
	settings_fault(s, buf_cstr(&shown), "%s", "no command has an option of this name");
	s->faults[s->fault_count - 1].is_minor = true;
}

void settings_load(struct settings *s, const char *path)
{
	load_file(s, path);
	for (char **entry = environ; entry && *entry; entry++)
		load_variable(s, *entry);
}

void settings_fini(struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->list[i].section);
		free(s->list[i].key);
		free(s->list[i].value);
		free(s->list[i].where);
	}
	for (size_t i = 0; i < s->fault_count; i++) {
		free(s->faults[i].where);
		free(s->faults[i].message);
	}
	free(s->list);
	free(s->faults);
	free(s->path);
	*s = (struct settings){ 0 };
}
