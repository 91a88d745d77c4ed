/* SPDX-License-Identifier: Apache-2.0 */

/* Class by class: copy, damage, check, and where that is possible repair and check again. */

#include "file/file.h"
#include "selftest/selftest-private.h"
#include "snap/snap.h"

#include <fcntl.h>

#define STATE "state"

/* Findings by problem. */
struct tally {
	uint64_t count[PROB_COUNT_];
	uint64_t errors;
};

struct running {
	const struct selftest_request *req;
	struct selftest_summary *out;
	struct victim victim;
	enum store_kind kind;
	struct tally before;
	bool is_other_setting; /* the application's, of the class that runs */
	char path[4096];       /* of the damaged copy */
	char state[4096];
	struct chromem_reader *reader;
};

static void running_fini(struct running *run)
{
	chromem_reader_freep(&run->reader);
}

int(cannot)(struct damaged *d, const char *why)
{
	snprintf(d->why, sizeof(d->why), "%s", why);
	return 1;
}

/* ---- files ---- */

int damage_read(int dirfd, const char *name, struct buf *out, struct vs_err *err)
{
	int r = file_read_at(dirfd, name, FILE_NO_FOLLOW, SELFTEST_FILE_MAX, out, NULL, err);

	return r == 1 ? vs_fail(err, VS_EFORMAT, "%s: not a file", name) : r;
}

int damage_write(int dirfd, const char *name, struct slice bytes, struct vs_err *err)
{
	return file_replace_at(dirfd, name, 0600, bytes, err);
}

int damage_cut(int dirfd, const char *name, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = damage_read(dirfd, name, &bytes, err);

	return r < 0 ? r : damage_write(dirfd, name, slice_of(bytes.ptr, bytes.len / 2), err);
}

int damage_copy(int dirfd, const char *from, const char *to, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = damage_read(dirfd, from, &bytes, err);

	return r < 0 ? r : damage_write(dirfd, to, buf_slice(&bytes), err);
}

/* ---- checking ---- */

static void on_finding(void *ctx, const struct finding *f)
{
	struct tally *t = ctx;

	/* Some problems are told once, with how often they are there. */
	t->count[f->code] += f->has_count ? VS_MAX(f->count, UINT64_C(1)) : 1;
	t->errors += problem_row(f->code)->severity == SEV_ERROR;
}

static int check(struct running *run, const char *path, struct tally *out, struct vs_err *err)
{
	cleanup_(store_closep) struct store *store = NULL;
	const struct check_request req = { .level = CHECK_FULL,
					   .jobs = run->req->jobs,
					   .has_compression = run->is_other_setting,
					   .gzip = run->victim.form == CHROMEM_PLAIN,
					   .scratch = run->req->scratch };
	const struct check_sink sink = { .ctx = out, .finding = on_finding };
	struct check_summary sum = { 0 };
	int r;

	*out = (struct tally){ 0 };
	r = store_open(&store, path, run->kind == STORE_CHROMEM ? STORE_ASSUME_CHROMEM : 0, err);
	return r < 0 ? r : check_store(store, &req, &sink, &sum, err);
}

/* ---- one class ---- */

static int clear(struct running *run, struct vs_err *err)
{
	int r = snap_remove_tree(run->req->scratch_dirfd, CASE, err);

	return r < 0 ? r : snap_remove_tree(run->req->scratch_dirfd, STATE, err);
}

static int damage(struct running *run, const struct damage_class *class, struct selftest_row *row,
		  char why[256], struct vs_err *err)
{
	cleanup_(file_closep) int dirfd = -1, fd = -1;
	struct damaged d = { .victim = &run->victim,
			     .scratch = run->req->scratch,
			     .class = class,
			     .reader = run->reader };
	int r = clear(run, err);

	if (r == 0)
		r = sample_copy(run->req->scratch_dirfd, SAMPLE, CASE, err);
	if (r == 0)
		r = file_open_dir(run->req->scratch_dirfd, CASE, FILE_NO_FOLLOW, &dirfd, err);
	if (r == 0 && run->victim.dir[0] != '\0')
		r = file_open_dir(dirfd, run->victim.dir, FILE_NO_FOLLOW, &fd, err);
	if (r < 0)
		return r;
	d.dirfd = dirfd;
	d.fd = fd;
	r = class->fn(&d, err);
	run->is_other_setting = d.is_other_setting;
	if (r > 0) {
		row->outcome = SELFTEST_SKIPPED;
		snprintf(why, 256, "%s", d.why);
	}
	if (r == 0)
		r = sample_age(run->req->scratch_dirfd, CASE, err);
	return r < 0 ? vs_err_in(err, "%s", class->name) : r;
}

/* The first of the codes of which there are more than before. */
static const struct problem_row *more_of(const struct running *run, const struct tally *now,
					 const char *expected)
{
	for (const char *p = expected; *p;) {
		size_t len = strcspn(p, " ");
		cleanup_(vs_freep) char *code = vs_strndup(slice_of(p, len));
		enum problem problem;
		bool is_there = problem_find(code, &problem);

		assert(is_there);
		if (is_there && now->count[problem] > run->before.count[problem])
			return problem_row(problem);
		p += len;
		p += strspn(p, " ");
	}
	return NULL;
}

static bool is_repairable(const struct damage_class *class, const struct problem_row *row)
{
	/* Nothing in the copy tells what stood there. */
	if (strcmp(class->name, "collection-database") == 0 ||
	    strcmp(class->name, "index-vector-length") == 0)
		return false;
	/* What is only worth knowing is left alone. */
	return row->severity > SEV_INFO &&
	       (remedy_row(row->remedy)->is_automatic || row->remedy == REMEDY_REBUILD_INDEX);
}

static int repair(struct running *run, const struct damage_class *class, struct selftest_row *row,
		  struct vs_err *err)
{
	struct tally after;
	int r;

	row->repair = SELFTEST_NOT_TRIED;
	if (!run->req->repair)
		return 0;
	run->req->repair(run->req->ctx, run->path, run->state);
	r = check(run, run->path, &after, err);
	if (r < 0)
		return r;
	row->repair =
		more_of(run, &after, class->expected) ? SELFTEST_NOT_REPAIRED : SELFTEST_REPAIRED;
	return 0;
}

static void count(struct selftest_summary *out, const struct selftest_row *row)
{
	out->detected += row->outcome == SELFTEST_DETECTED;
	out->missed += row->outcome == SELFTEST_MISSED;
	out->skipped += row->outcome == SELFTEST_SKIPPED;
	out->repaired += row->repair == SELFTEST_REPAIRED;
	out->not_repaired += row->repair == SELFTEST_NOT_REPAIRED;
}

static int run_class(struct running *run, const struct damage_class *class, struct vs_err *err)
{
	char why[256] = "";
	struct selftest_row row = {
		.name = class->name,
		.kind = run->kind,
		.what = class->what,
		.expected = class->expected,
		.why = why,
	};
	const struct problem_row *found;
	struct tally now;
	int r = damage(run, class, &row, why, err);

	if (r == 0) {
		r = check(run, run->path, &now, err);
		if (r < 0)
			return vs_err_in(err, "%s", class->name);
		found = more_of(run, &now, class->expected);
		row.outcome = found ? SELFTEST_DETECTED : SELFTEST_MISSED;
		row.code = found ? found->code : NULL;
		if (found && is_repairable(class, found))
			r = repair(run, class, &row, err);
	}
	if (r < 0)
		return r;
	count(run->out, &row);
	run->req->row(run->req->ctx, &row);
	return 0;
}

/* ---- all of them ---- */

static int run_classes(struct running *run, const struct damage_class *const *lists,
		       struct vs_err *err)
{
	char sample[4096];
	int r;

	snprintf(sample, sizeof(sample), "%s/" SAMPLE, run->req->scratch);
	run->is_other_setting = false;
	r = sample_age(run->req->scratch_dirfd, SAMPLE, err);
	if (r == 0)
		r = check(run, sample, &run->before, err);
	run->out->errors += run->before.errors;
	for (; r == 0 && *lists; lists++)
		for (const struct damage_class *c = *lists; r == 0 && c->name; c++) {
			r = run_class(run, c, err);
			if (run->req->progress) {
				atomic_fetch_add(&run->req->progress->items, 1);
				atomic_fetch_add(&run->req->progress->parts_done, 1);
			}
		}
	return r < 0 ? r : clear(run, err);
}

static const struct damage_class *const chromem_lists[] = { selftest_chromem_classes,
							    selftest_directory_classes,
							    selftest_document_classes, NULL };
static const struct damage_class *const all_lists[] = { selftest_chromem_classes,
							selftest_directory_classes,
							selftest_document_classes,
							selftest_packed_classes, NULL };
static const struct damage_class *const packed_lists[] = { selftest_packed_classes, NULL };
static const struct damage_class *const chroma_lists[] = { selftest_index_classes,
							   selftest_chroma_classes, NULL };

/* Let the progress know of the classes that are going to be run. */
static void announce(const struct running *run, const struct damage_class *const *lists)
{
	uint64_t count = 0;

	for (; *lists; lists++)
		for (const struct damage_class *c = *lists; c->name; c++)
			count++;
	if (run->req->progress)
		atomic_fetch_add(&run->req->progress->parts, count);
}

/* Of a store as it is now, in place of the one before. */
static int run_made(struct running *run, enum store_kind kind, enum chromem_compression form,
		    const struct damage_class *const *lists, struct vs_err *err)
{
	int r = snap_remove_tree(run->req->scratch_dirfd, SAMPLE, err);

	run->kind = kind;
	run->victim = (struct victim){ .form = form };
	if (r == 0)
		r = kind == STORE_CHROMA
			    ? made_chroma(run->req, &run->victim, run->out, err)
			    : made_chromem(run->req, form, &run->victim, run->out, err);
	return r < 0 ? r : run_classes(run, lists, err);
}

static int run_both(struct running *run, struct vs_err *err)
{
	int r;

	announce(run, chromem_lists);
	announce(run, packed_lists);
	announce(run, chroma_lists);
	r = run_made(run, STORE_CHROMEM, CHROMEM_PLAIN, chromem_lists, err);
	if (r == 0)
		r = run_made(run, STORE_CHROMEM, CHROMEM_GZIP, packed_lists, err);
	return r < 0 ? r : run_made(run, STORE_CHROMA, CHROMEM_PLAIN, chroma_lists, err);
}

int selftest_run(const struct store *store, const struct selftest_request *req,
		 struct selftest_summary *out, struct vs_err *err)
{
	cleanup_(running_fini) struct running run = { .req = req, .out = out };
	const struct damage_class *const *lists;
	int r;

	*out = (struct selftest_summary){ 0 };
	run.reader = chromem_reader_new();
	snprintf(run.path, sizeof(run.path), "%s/" CASE, req->scratch);
	snprintf(run.state, sizeof(run.state), "%s/" STATE, req->scratch);
	if (!store)
		return run_both(&run, err);
	run.kind = store->kind;
	r = sample_make(store, req, &run.victim, out, err);
	if (r < 0)
		return r;
	if (run.kind == STORE_CHROMA)
		lists = chroma_lists;
	else
		lists = run.victim.form == CHROMEM_GZIP ? all_lists : chromem_lists;
	announce(&run, lists);
	return run_classes(&run, lists, err);
}
