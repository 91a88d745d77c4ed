/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * settings: what an option is when the command line does not say
 *
 * An option on the command line overrules a variable of the environment, that one the configuration
 * file, and the file the default. Both sources are held against the rows of the options, so an
 * option that is added can be set without a line of code.
 *
 * The file, `--config FILE`, else $VSCTL_CONFIG (empty: none), else /etc/vsctl.conf if it is there:
 *
 *	# a comment; so is a line that begins with a semicolon
 *	store = /var/lib/app/store
 *	lock-wait = 30
 *	[snapshot create]
 *	key-file = /etc/vsctl.key
 *
 * Before the first section a key is for every command that has an option of that name; in a section
 * it is for one command, or for all verbs of one, and goes before the former. A value is the rest
 * of the line without the blanks around it; quotation marks around it keep those inside.
 *
 * Variables are VSCTL_LOCK_WAIT for any command and VSCTL_SNAPSHOT_CREATE_KEY_FILE for one; empty
 * ones count as not set.
 *
 * Switches of a single command, such as --yes and --force, cannot be set: they are decided each
 * time.
 */

#include "util/util.h"

struct app;
struct command;
struct opt;

struct setting {
	char *section; /* "snapshot create", "snapshot"; "": every command */
	char *key;     /* "lock-wait" */
	char *value;
	char *where; /* "/etc/vsctl.conf:3" or "VSCTL_LOCK_WAIT" */
	bool is_environment;
};

/* Something that is wrong with a source. Both are text that can be shown as it is. */
struct setting_fault {
	char *where;
	char *message;
	bool is_minor; /* told by `vsctl config`, and no reason to refuse other commands */
};

struct settings {
	char *path; /* of the file that was read; NULL: there is none */
	struct setting *list;
	size_t count, cap;
	struct setting_fault *faults;
	size_t fault_count, fault_cap;
};

/* Read both sources. @path is that of --config, NULL where it was not given. What is wrong is in
 * the faults. */
void settings_load(struct settings *s, const char *path);
void settings_fini(struct settings *s);

/* Add a fault; the arguments are escaped by the caller. */
void settings_fault(struct settings *s, const char *where, const char *fmt, ...) printf_(3, 4);

/* Hold every setting against the rows: sections, keys, values. Adds faults. */
void settings_judge(struct settings *s);

/* Add faults for paths that are not there, where something has to be. */
void settings_judge_paths(struct settings *s);

/*
 * Put what is set for the command of @app into its options and the common ones. When anything is
 * wrong with the sources, whichever command it is for, returns VS_EUSAGE with the first fault; what
 * is right was stored.
 */
must_check_ int settings_apply(struct app *app, void *opts, struct vs_err *err);

/* The store of commands that are given none; NULL. Borrowed. */
const char *settings_store(const struct settings *s);

/* Can the option be set here? */
bool setting_is_possible(const struct opt *o, bool is_common);

/* The name under which an option is set: its own, but for the store. */
const char *setting_key(const struct opt *o);

/* "snapshot create" of a verb, "verify" of a command; @out has room for 64 bytes. */
void setting_words(const struct command *group, const struct command *c, char out[64]);

/* What is in force of @key for the command with these words, before the command line; or NULL. */
const struct setting *settings_find(const struct settings *s, const char *words, const char *key);
