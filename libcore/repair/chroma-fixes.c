/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The repair of a Chroma store, planned: rounds over the database until nothing more changes, then index
 * directories and leftovers, then the list of what is left and why. See chroma-private.h.
 */

#include "repair/chroma-private.h"

/* What one correction uncovers the next ends; a store that needs more rounds is left as it is then. */
#define ROUNDS 8

static const struct {
	int (*fix)(struct chroma_fixing *f, struct vs_err *err);
} planners[] = {
	{ chroma_fix_schema },   { chroma_fix_dimensions }, { chroma_fix_segments },
	{ chroma_fix_fulltext }, { chroma_fix_values },     { chroma_fix_orphans },
	{ chroma_fix_queue },    { chroma_fix_positions },
};

/* ---- faults ---- */

static void faults_clear(struct chroma_fixing *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->faults[i].collection);
		free(f->faults[i].path);
		free(f->faults[i].actual);
		free(f->faults[i].fix);
		free(f->faults[i].why);
	}
	f->count = 0;
}

static bool is_wanted(const struct fixes_request *req, enum problem code)
{
	if (!req->only)
		return true;
	for (const char *const *want = req->only; *want; want++) {
		if (strcmp(*want, problem_row(code)->code) == 0)
			return true;
	}
	return false;
}

/* Worth knowing only, and mended all the same: nothing but SQLite's files and rows of nobody. */
static bool is_mended_unasked(enum problem code)
{
	return code == PROB_CHROMA_DATABASE_JOURNAL || code == PROB_CHROMA_DATABASE_WAL ||
	       code == PROB_CHROMA_POSITION_ORPHAN || code == PROB_CHROMA_FTS_EXTRA;
}

static void keep_fault(void *ctx, const struct finding *finding)
{
	const struct problem_row *row = problem_row(finding->code);
	struct chroma_fixing *f = ctx;
	const char *slash = finding->path ? strrchr(finding->path, '/') : NULL;
	struct buf fix = { 0 };

	if (!is_wanted(f->req, finding->code))
		return;
	if (row->severity == SEV_INFO && !f->req->only && !is_mended_unasked(finding->code))
		return;
	/* Size is no damage. */
	if (finding->code == PROB_CHROMA_DATABASE_LARGE)
		return;
	(void)!finding_format_fix(finding, &fix);
	f->faults = vs_grow(f->faults, &f->cap, f->count + 1, sizeof(*f->faults));
	f->faults[f->count++] = (struct chroma_fault){
		.code = finding->code,
		.collection = finding->collection ? vs_strdup(finding->collection) : NULL,
		.path = vs_strdup(finding->path ? finding->path : "."),
		.actual = finding->actual ? vs_strdup(finding->actual) : NULL,
		.fix = fix.len > 0 ? buf_take_str(&fix) : NULL,
		.count = finding->count,
		.number = slash ? strtoll(slash + 1, NULL, 10) : 0,
	};
	buf_fini(&fix);
}

struct chroma_fault *chroma_fault_find(const struct chroma_fixing *f, enum problem code)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->faults[i].code == code && !f->faults[i].is_planned)
			return &f->faults[i];
	}
	return NULL;
}

bool chroma_lost_records(const struct chroma_fixing *f)
{
	bool has_orphans = false, has_extra = false;

	for (size_t i = 0; i < f->count; i++) {
		has_orphans |= f->faults[i].code == PROB_CHROMA_METADATA_ORPHAN;
		has_extra |= f->faults[i].code == PROB_CHROMA_INDEX_ID_EXTRA;
	}
	return has_orphans && has_extra;
}

bool chroma_fault_any(const struct chroma_fixing *f, enum problem code, const char *collection)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct chroma_fault *fault = &f->faults[i];

		if (fault->code == code && fault->collection &&
		    strcmp(fault->collection, collection) == 0)
			return true;
	}
	return false;
}

void chroma_fault_done(struct chroma_fixing *f, enum problem code)
{
	for (size_t i = 0; i < f->count; i++)
		f->faults[i].is_planned |= f->faults[i].code == code;
}

void chroma_fault_leave(struct chroma_fault *fault, const char *why)
{
	free(fault->why);
	fault->why = vs_strdup(why);
}

/* ---- the copy ---- */

struct chroma_db *chroma_fixing_db(const struct chroma_fixing *f)
{
	return chroma_edit_db(f->edit);
}

bool chroma_has_table(struct chroma_fixing *f, const char *table)
{
	struct vs_err ignored = { 0 };
	int64_t count = 0;

	return chroma_query_int(
		       chroma_fixing_db(f),
		       "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?",
		       table, &count, &ignored) == 0 &&
	       count > 0;
}

int chroma_change(struct chroma_fixing *f, enum problem code, const char *what, enum loss loss,
		  const char *detail, const char *sql, struct vs_err *err)
{
	int r = chroma_edit_exec(f->edit, sql, err);
	struct action *a;

	if (r < 0)
		return r;
	a = plan_add_sql(f->plan, what, sql);
	a->detail = vs_strdup(detail);
	a->reason = vs_strdup(problem_row(code)->code);
	a->loss = loss;
	f->has_changed = true;
	return 0;
}

static void fixing_fini(struct chroma_fixing *f)
{
	faults_clear(f);
	free(f->faults);
	chroma_catalog_fini(&f->catalog);
	if (f->edit != f->copy)
		chroma_edit_freep(&f->edit);
	chroma_edit_freep(&f->copy);
	free(f->dir);
	buf_fini(&f->kept);
}

static int begin_round(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	int r;

	f->has_changed = false;
	if (!f->copy) {
		r = chroma_edit_begin(&f->copy, f->store->dirfd, f->req->scratch, err);
		f->edit = f->copy;
	} else {
		buf_printf(&path, "%s/%s", f->dir, CHROMA_DATABASE);
		f->edit = NULL;
		r = chroma_edit_open(&f->edit, buf_cstr(&path), err);
	}
	chroma_catalog_fini(&f->catalog);
	f->catalog = (struct chroma_catalog){ 0 };
	return r < 0 ? r : chroma_catalog_load(&f->catalog, chroma_fixing_db(f), err);
}

static int end_round(struct chroma_fixing *f, struct vs_err *err)
{
	const char *path = NULL;
	int r = chroma_edit_finish(f->edit, &path, err);

	if (r == 0 && !f->dir)
		f->dir = vs_strndup(slice_of(path, (size_t)(strrchr(path, '/') - path)));
	if (f->edit != f->copy)
		chroma_edit_freep(&f->edit);
	f->edit = NULL;
	return r;
}

/* ---- rounds ---- */

static int look(struct chroma_fixing *f, struct vs_err *err)
{
	const struct check_sink sink = { .ctx = f, .finding = keep_fault };
	struct check_request whole = *f->check;
	struct check_summary sum = { 0 };

	faults_clear(f);
	whole.level = VS_MAX(whole.level, CHECK_FULL);
	whole.max_findings = 0;
	whole.only_collection = NULL;
	whole.database = f->dir;
	return check_store(f->store, &whole, &sink, &sum, err);
}

/* Is it about index directories alone? */
static bool is_of_index(enum problem code)
{
	return problem_row(code)->remedy == REMEDY_REBUILD_INDEX ||
	       code == PROB_CHROMA_INDEX_STRAY || code == PROB_CHROMA_INDEX_FILE_TYPE;
}

/* Pages that SQLite cannot read: nothing may be written to such a file. */
static bool is_unreadable(const struct chroma_fixing *f)
{
	return chroma_fault_find(f, PROB_CHROMA_DATABASE_TRUNCATED) ||
	       chroma_fault_find(f, PROB_CHROMA_DATABASE_UNREADABLE) ||
	       chroma_fault_find(f, PROB_CHROMA_DATABASE_FOREIGN) ||
	       chroma_fault_find(f, PROB_CHROMA_DATABASE_MISSING);
}

static bool needs_database(const struct chroma_fixing *f)
{
	for (size_t i = 0; i < f->count; i++) {
		/* Records that an index lacks may be in the queue, below a wrong position. */
		if (!is_of_index(f->faults[i].code) ||
		    f->faults[i].code == PROB_CHROMA_INDEX_ID_MISSING ||
		    f->faults[i].code == PROB_CHROMA_INDEX_ID_EXTRA)
			return true;
	}
	return false;
}

/* 1: a planner's statements were not taken, and everything is to be planned again without it. */
static int run_planners(struct chroma_fixing *f, struct vs_err *err)
{
	for (size_t i = 0; i < VS_COUNT(planners); i++) {
		int r = f->refused & UINT64_C(1) << i ? 0 : planners[i].fix(f, err);

		/* Nothing may be written to such a file: SQLite could not tell what becomes of it. */
		if (f->is_damaged)
			return 0;
		if (r == VS_EFORMAT || r == VS_ENOTSUP) {
			f->refused |= UINT64_C(1) << i;
			return 1;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int plan_database(struct chroma_fixing *f, struct vs_err *err)
{
	int r = look(f, err);

	if (r < 0 || is_unreadable(f) || !needs_database(f))
		return r;
	for (unsigned round = 0; round < ROUNDS; round++) {
		r = begin_round(f, err);
		if (r == 0)
			r = run_planners(f, err);
		if (r != 0 || !f->has_changed)
			return r;
		r = end_round(f, err);
		if (r == VS_EFORMAT) {
			f->refused = UINT64_MAX;
			return 1;
		}
		if (r == 0)
			r = look(f, err);
		if (r < 0 || !needs_database(f))
			return r;
	}
	return 0;
}

/* ---- what is left ---- */

static const struct {
	enum problem code;
	const char *why;
} reasons[] = {
	{ PROB_CHROMA_DATABASE_CORRUPT,
	  "SQLite cannot read all of it; what can be read is to be had page by page" },
	{ PROB_CHROMA_DATABASE_TRUNCATED,
	  "the end is gone; what is in front of it is to be had page by page" },
	{ PROB_CHROMA_DATABASE_UNREADABLE,
	  "SQLite cannot read all of it; what can be read is to be had page by page" },
	{ PROB_CHROMA_COLLECTION_MISSING,
	  "the name of their collection stands nowhere else; a snapshot has it" },
	{ PROB_CHROMA_DATABASE_MISSING,
	  "nothing in the store tells what was in it; a snapshot does" },
	{ PROB_CHROMA_DATABASE_FOREIGN,
	  "SQLite cannot read it; what can be read is to be had page by page" },
	{ PROB_CHROMA_DATABASE_FRAGMENTED, "it costs room only" },
	{ PROB_CHROMA_DATABASE_WAL_LARGE, "it costs room only" },
	{ PROB_CHROMA_QUEUE_UNPURGED, "it costs room and time only" },
	{ PROB_CHROMA_MIGRATION_CHANGED, "the text as it was released is not known here" },
	{ PROB_CHROMA_MIGRATION_GAP, "the text as it was released is not known here" },
	{ PROB_CHROMA_INDEX_ID_MISSING,
	  "their vectors have no copy; text and metadata are whole, and can be embedded again" },
	{ PROB_CHROMA_COLLECTION_DUPLICATE_NAME,
	  "which of them keeps the name is for their owner to say" },
};

static const char *why_left(const struct chroma_fault *fault)
{
	if (fault->why)
		return fault->why;
	for (size_t i = 0; i < VS_COUNT(reasons); i++) {
		if (reasons[i].code == fault->code)
			return reasons[i].why;
	}
	return "there is more than one answer, or none that is safe";
}

static void leave_rest(struct chroma_fixing *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct chroma_fault *fault = &f->faults[i];
		const struct problem_row *row = problem_row(fault->code);

		if (fault->is_planned || (row->remedy == REMEDY_NONE && !fault->why) ||
		    row->severity == SEV_INFO)
			continue;
		plan_leave(f->plan, row->code, fault->path, why_left(fault), fault->fix);
	}
}

/* ---- the whole ---- */

static int attempt(struct chroma_fixing *f, struct vs_err *err)
{
	int r = plan_database(f, err);

	if (r == 0)
		r = chroma_keep_plan(f, err);
	if (r == 0)
		r = chroma_fix_indexes(f, err);
	if (r == 0)
		leave_rest(f);
	return r;
}

int plan_chroma_fixes(struct plan *plan, const struct store *store,
		      const struct check_request *check, const struct fixes_request *req,
		      struct vs_err *err)
{
	uint64_t refused = 0;
	int r = 1;

	/* Each time one planner less. */
	for (size_t i = 0; r == 1 && i <= VS_COUNT(planners); i++) {
		cleanup_(fixing_fini) struct chroma_fixing f = {
			.plan = plan, .store = store, .check = check, .req = req, .refused = refused
		};
		char *command = plan->command ? vs_strdup(plan->command) : NULL;

		plan_fini(plan);
		plan->command = command;
		r = attempt(&f, err);
		refused = f.refused;
	}
	return r < 0 ? r : plan_stamp(plan, store->dirfd, err);
}
