/* SPDX-License-Identifier: Apache-2.0 */

/* Collections and batches as they are named on the command line of `vsctl rollback`. */

#include "parse.h"
#include "rollback.h"

void rollback_words_fini(struct rollback_words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->collections[i]);
	free(w->collections);
	free(w->batches);
	*w = (struct rollback_words){ 0 };
}

static int unknown_collection(const struct snap_manifest *m, const char *word, struct vs_err *err)
{
	struct nearest n = { .word = word, .distance = UINT_MAX };
	cleanup_(buf_fini) struct buf shown = { 0 };
	cleanup_(vs_freep) char **names = vs_alloc_array(m->collection_count + 1, sizeof(*names));
	int r;

	text_escape(&shown, slice_str(word));
	for (size_t i = 0; i < m->collection_count; i++) {
		names[i] = vs_strndup(m->collections[i].name);
		nearest_try(&n, names[i]);
		nearest_try(&n, m->collections[i].directory);
	}
	if (nearest_word(&n))
		r = vs_fail(err, VS_EUSAGE,
			    "%s: no such collection in snapshot %s; did you mean %s?",
			    buf_cstr(&shown), m->id, n.best);
	else
		r = vs_fail(err, VS_EUSAGE,
			    "%s: no such collection in snapshot %s; vsctl snapshot show lists them",
			    buf_cstr(&shown), m->id);
	for (size_t i = 0; i < m->collection_count; i++)
		free(names[i]);
	return r;
}

/* Each database of a Chroma store may have a collection of that name. */
static bool is_ambiguous(const struct snap_manifest *m, const struct snap_collection *c,
			 const char *word)
{
	size_t count = 0;

	for (size_t i = 0; i < m->collection_count; i++)
		count += m->collections[i].has_rows && slice_eq_str(m->collections[i].name, word);
	return count > 1 && strcmp(c->directory, word) != 0;
}

/* The directory of a collection; it is kept in @w, once. */
static int add_collection(struct rollback_words *w, const struct snap_manifest *m, const char *word,
			  const char **directory, struct vs_err *err)
{
	const struct snap_collection *c = snap_find_collection(m, word);

	if (!c)
		return unknown_collection(m, word, err);
	if (is_ambiguous(m, c, word))
		return vs_fail(
			err, VS_EUSAGE,
			"%s: several collections of snapshot %s have this name; give the id of "
			"one: vsctl snapshot show lists them",
			word, m->id);
	for (size_t i = 0; i < w->count; i++) {
		if (strcmp(w->collections[i], c->directory) == 0) {
			*directory = w->collections[i];
			return 0;
		}
	}
	w->collections = vs_grow(w->collections, &w->cap, w->count + 1, sizeof(*w->collections));
	w->collections[w->count] = vs_strdup(c->directory);
	*directory = w->collections[w->count++];
	return 0;
}

static int parse_collections(struct rollback_words *w, const char *list, const char *option,
			     const struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(vs_freep) char *copy = vs_strdup(list);
	const char *directory;
	char *rest = copy, *word;

	while ((word = strsep(&rest, ",")) != NULL) {
		int r;

		if (word[0] == '\0')
			return vs_fail(err, VS_EUSAGE, "--%s: an empty name in \"%s\"", option,
				       list);
		r = add_collection(w, m, word, &directory, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* "batch_000012" */
static bool parse_batch(const char *word, uint32_t *out)
{
	static const char prefix[] = "batch_";
	uint64_t number = 0;

	if (strncmp(word, prefix, strlen(prefix)) != 0)
		return false;
	word += strlen(prefix);
	if (strlen(word) < 6 || strlen(word) > 9)
		return false;
	for (; *word; word++) {
		if (*word < '0' || *word > '9')
			return false;
		number = number * 10 + (uint64_t)(*word - '0');
	}
	*out = (uint32_t)number;
	return true;
}

static int add_batch(struct rollback_words *w, const struct snap_manifest *m, const char *directory,
		     const char *word, struct vs_err *err)
{
	const struct snap_collection *c = snap_find_collection(m, directory);
	uint32_t batch = 0;

	if (!parse_batch(word, &batch))
		return vs_fail(err, VS_EUSAGE,
			       "--batches: \"%s\" is not a batch; they are named batch_000000",
			       word);
	if (!c || batch >= c->batches)
		return vs_fail(err, VS_EUSAGE,
			       "--batches: %s has %" PRIu32 " batches in snapshot %s, and no %s",
			       directory, c ? c->batches : 0, m->id, word);
	w->batches = vs_grow(w->batches, &w->batch_cap, w->batch_count + 1, sizeof(*w->batches));
	w->batches[w->batch_count++] = (struct rollback_batch){ directory, batch };
	return 0;
}

/* "collection:batch,batch,collection:batch": a batch without a collection is of the last one. */
static int parse_batches(struct rollback_words *w, const char *list, const struct snap_manifest *m,
			 struct vs_err *err)
{
	cleanup_(vs_freep) char *copy = vs_strdup(list);
	const char *directory = NULL;
	char *rest = copy, *word;
	int r = 0;

	while (r == 0 && (word = strsep(&rest, ",")) != NULL) {
		char *colon = strrchr(word, ':');

		if (colon) {
			*colon = '\0';
			r = add_collection(w, m, word, &directory, err);
			word = colon + 1;
		}
		if (r == 0 && !directory)
			return vs_fail(err, VS_EUSAGE,
				       "--batches: name a collection first: COLLECTION:%s", word);
		if (r == 0)
			r = add_batch(w, m, directory, word, err);
	}
	return r;
}

int rollback_words_parse(struct rollback_words *w, const struct rollback_opts *opts,
			 const struct snap_manifest *m, struct vs_err *err)
{
	int r = 0;

	if (opts->partial && !opts->collections && !opts->failed_collections && !opts->batches)
		return vs_fail(err, VS_EUSAGE,
			       "--partial needs --collections: which ones are to go back?");
	if (opts->collections)
		r = parse_collections(w, opts->collections, "collections", m, err);
	if (r == 0 && opts->failed_collections)
		r = parse_collections(w, opts->failed_collections, "failed-collections", m, err);
	if (r == 0 && opts->batches)
		r = parse_batches(w, opts->batches, m, err);
	return r;
}
