/* SPDX-License-Identifier: Apache-2.0 */

/* From directories to names: what is told to the search, and in which order it is made to look. */

#include "lookup.h"

#include <fcntl.h>
#include <signal.h>

static void search_fini(struct search *s)
{
	lookup_freep(&s->l);
	pool_freep(&s->pool);
	mask_freep(&s->mask);
	lookup_store_fini(s);
	free(s->hashes);
}

/* ---- the command line ---- */

static int parse_hashes(struct search *s, char *const *operands)
{
	size_t count = 0;

	while (operands[count])
		count++;
	s->hashes = vs_alloc_array(count, sizeof(*s->hashes));
	for (; s->count < count; s->count++) {
		cleanup_(buf_fini) struct buf shown = { 0 };
		cleanup_(buf_fini) struct buf pasted = { 0 };
		const char *word = operands[s->count];
		unsigned char bytes[4];

		if (hex_parse(slice_str(word), bytes, sizeof(bytes))) {
			s->hashes[s->count] = load_be32(bytes);
			continue;
		}
		text_escape(&shown, slice_str(word));
		text_shell_word(&pasted, word);
		return app_usage(s->app,
				 "'%s' is no directory name of 8 hex digits; for the directory "
				 "of a name: vsctl lookup --of %s",
				 buf_cstr(&shown), buf_cstr(&pasted));
	}
	return 0;
}

static int parse_mask(struct search *s)
{
	cleanup_(buf_fini) struct buf shown = { 0 };
	struct vs_err err = { 0 };

	if (!s->opts->mask)
		return 0;
	if (mask_parse(&s->mask, s->opts->mask, s->opts->custom, &err) == 0)
		return 0;
	text_escape(&shown, slice_str(err.text));
	return app_usage(s->app, "%s", buf_cstr(&shown));
}

/* ---- lists and masks ---- */

static void take_signals(void *ctx, uint64_t done, uint64_t total)
{
	struct search *s = ctx;
	const struct timespec now = { 0 };
	sigset_t ends;

	/* Both are blocked while a mask is tried: here they are taken note of. */
	(void)done;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	if (total > 0 && sigtimedwait(&ends, NULL, &now) > 0)
		atomic_store(&s->cancel, true);
}

static int try_words(struct search *s, struct vs_err *err)
{
	const char *path = s->opts->names;
	bool is_input = strcmp(path, "-") == 0;
	cleanup_(file_closep) int fd = is_input ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	uint64_t too_long = 0;
	int r;

	if (!is_input && fd < 0)
		return vs_fail_errno(err, "%s", path);
	r = lookup_try_words(s->l, is_input ? STDIN_FILENO : fd, is_input ? "standard input" : path,
			     s->opts->rules, &too_long, err);
	if (r >= 0 && too_long > 0)
		app_note(s->app, "%s: %" PRIu64 " line%s of more than %zu bytes passed over",
			 is_input ? "standard input" : path, too_long, too_long == 1 ? "" : "s",
			 LOOKUP_NAME_MAX);
	return r;
}

static void try_mask(struct search *s)
{
	double expected = (double)mask_size(s->mask) / 4294967296.0;

	if (expected > LOOKUP_FALSE_MAX)
		app_note(s->app,
			 "the mask stands for %" PRIu64 " names, of which %.2g fit by mere chance: "
			 "what it finds will not be certain",
			 mask_size(s->mask), expected);
	(void)!lookup_try_mask(s->l, s->mask);
}

/* Ctrl-C ends the search but not the program, which still has something to say. */
static void hold_signals(int how)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(how, &ends, NULL);
}

/* ---- all of it ---- */

static void begin(struct search *s)
{
	/* The workers are born with the signals blocked, and never get them. */
	hold_signals(SIG_BLOCK);
	s->pool = pool_new(app_jobs(s->app));
	hold_signals(SIG_UNBLOCK);
	s->l = lookup_new(&(struct lookup_request){
		.hashes = s->hashes,
		.count = s->count,
		.pool = s->pool,
		.is_thorough = s->opts->thorough,
		.progress = take_signals,
		.ctx = s,
		.cancel = &s->cancel,
	});
}

static int look(struct search *s, struct vs_err *err)
{
	int r;

	begin(s);
	r = lookup_tell_store(s, err);
	if (r < 0)
		return r;
	lookup_try_seen(s->l);
	lookup_try_composed(s->l);
	if (s->opts->names && lookup_open_count(s->l) > 0)
		r = try_words(s, err);
	if (r >= 0 && s->mask && lookup_open_count(s->l) > 0) {
		hold_signals(SIG_BLOCK);
		try_mask(s);
	}
	return r;
}

static int status_of(const struct search *s)
{
	int status = EXIT_CLEAN;

	if (atomic_load(&s->cancel))
		return EXIT_CANCELLED;
	for (size_t i = 0; i < s->count; i++) {
		struct lookup_answer a;

		lookup_answer(s->l, s->hashes[i], &a);
		if (a.verdict != LOOKUP_FOUND)
			status = EXIT_PROBLEMS;
	}
	return status;
}

int lookup_search(struct app *app, const struct lookup_opts *opts, char *const *operands)
{
	cleanup_(search_fini) struct search s = { .app = app, .opts = opts, .state_dirfd = -1 };
	struct lookup_report report;
	struct vs_err err = { 0 };
	int r;

	r = parse_hashes(&s, operands);
	if (r == 0)
		r = parse_mask(&s);
	if (r != 0)
		return r;
	if (look(&s, &err) < 0)
		return app_error(app, &err);
	report = (struct lookup_report){
		.l = s.l,
		.hashes = s.hashes,
		.count = s.count,
		.store = s.store ? s.store->path : NULL,
		.is_cancelled = atomic_load(&s.cancel),
	};
	lookup_report(app, &report);
	return status_of(&s);
}
