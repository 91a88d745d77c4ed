/* SPDX-License-Identifier: Apache-2.0 */

/* The check of one index directory: what is there, and the order in which it is looked at. */

#include "check/chroma-segment-work.h"

/* A server that saves takes milliseconds; one that saves all the time is not waited for. */
#define TRIES 4

const char *segment_file_name(int file)
{
	return file == SEGMENT_PICKLE ? "index_metadata.pickle"
				      : hnsw_file_name((enum hnsw_file)file);
}

const char *segment_path(const struct segment_work *w, int file, char out[SEGMENT_PATH_CAP])
{
	if (file < 0)
		snprintf(out, SEGMENT_PATH_CAP, "%s", w->segment->id);
	else
		snprintf(out, SEGMENT_PATH_CAP, "%s/%s", w->segment->id, segment_file_name(file));
	return out;
}

void segment_report(struct segment_work *w, int file, struct finding f)
{
	char path[SEGMENT_PATH_CAP];

	f.collection = w->segment->collection;
	f.path = segment_path(w, file, path);
	report_add(&w->report, &f);
}

void segment_gap(struct segment_work *w, int file, const char *what, const char *why)
{
	char path[SEGMENT_PATH_CAP];

	gaps_add(&w->gaps, segment_path(w, file, path), what, why, false);
}

static void work_fini(struct segment_work *w)
{
	report_fini(&w->report);
	gaps_fini(&w->gaps);
	file_closep(&w->fd);
	for (int i = 0; i < SEGMENT_FILES; i++)
		buf_fini(&w->bytes[i]);
	segment_pickle_fini(&w->pickle);
	hnsw_index_fini(&w->index);
}

/* ---- what is there ---- */

static const char *type_name(enum file_type type)
{
	switch (type) {
	case FILE_DIRECTORY:
		return "a directory";
	case FILE_SYMLINK:
		return "a symbolic link";
	case FILE_FIFO:
		return "a FIFO";
	case FILE_REGULAR:
	case FILE_OTHER:
	case FILE_UNKNOWN:
		break;
	}
	return "a socket or device";
}

static void look_at_file(struct segment_work *w, int file)
{
	struct vs_err err = { 0 };
	int r = file_stat_at(w->fd, segment_file_name(file), FILE_NO_FOLLOW, &w->info[file], &err);

	if (r == VS_ENOENT)
		return;
	if (r < 0) {
		w->info[file] = (struct file_info){ .type = FILE_UNKNOWN };
		segment_gap(w, file, "the file", err.text);
		return;
	}
	w->is_there[file] = w->info[file].type == FILE_REGULAR;
	w->figures.bytes += w->is_there[file] ? w->info[file].size : 0;
	if (!w->is_there[file])
		segment_report(w, file,
			       (struct finding){ .code = PROB_CHROMA_INDEX_FILE_TYPE,
						 .actual = type_name(w->info[file].type) });
}

/* Is the directory the same as when it was looked at first? */
static bool is_unchanged(const struct segment_work *w)
{
	for (int i = 0; i < SEGMENT_FILES; i++) {
		struct file_info now;
		struct vs_err err = { 0 };
		int r = file_stat_at(w->fd, segment_file_name(i), FILE_NO_FOLLOW, &now, &err);

		if (r < 0 && !w->is_there[i])
			continue;
		if (r < 0 || now.size != w->info[i].size || now.inode != w->info[i].inode ||
		    now.modified_ns != w->info[i].modified_ns)
			return false;
	}
	return true;
}

/* An id from the database names a directory of the store and nothing outside of it. */
static bool is_plain_name(const char *id)
{
	return id[0] != '\0' && strlen(id) < 256 && !strchr(id, '/') && strcmp(id, ".") != 0 &&
	       strcmp(id, "..") != 0;
}

/* 1 when the directory is open. */
static int open_directory(struct segment_work *w)
{
	struct vs_err err = { 0 };
	int r;

	if (!is_plain_name(w->segment->id)) {
		segment_gap(w, -1, "the index", "the segment's id is not the name of a directory");
		return 0;
	}
	r = file_open_dir(w->req->dirfd, w->segment->id, FILE_FOLLOW, &w->fd, &err);
	if (r == VS_ENOENT)
		return 1;
	if (r < 0) {
		segment_gap(w, -1, "the index", err.text);
		return 0;
	}
	w->figures.is_there = true;
	for (int i = 0; i < SEGMENT_FILES; i++)
		look_at_file(w, i);
	w->figures.is_persisted = w->is_there[SEGMENT_PICKLE];
	return 1;
}

/* ---- the order ---- */

/* A segment that was saved once has all five; before that the four of the index. */
static void check_presence(struct segment_work *w)
{
	bool was_saved = w->segment->vector.is_set || w->is_there[SEGMENT_PICKLE];

	for (int i = 0; i < HNSW_FILES; i++) {
		if (w->is_there[i] || w->is_ignored || w->info[i].type != FILE_REGULAR)
			continue;
		/* A directory made a moment before the kill, and never used. */
		if (!was_saved && !w->is_there[HNSW_HEADER])
			continue;
		segment_report(w, i,
			       (struct finding){ .code = PROB_CHROMA_INDEX_FILE_MISSING,
						 .actual = segment_file_name(i) });
	}
}

/* One that maps nothing has some 130 bytes; whatever is larger is not read at level quick. */
#define PICKLE_SMALL 256u

static int check_directory(struct segment_work *w, struct vs_err *err)
{
	bool has_read =
		w->req->level != CHECK_QUICK || w->info[SEGMENT_PICKLE].size <= PICKLE_SMALL;
	int r = has_read ? segment_check_pickle(w, err) : 0;

	if (r < 0)
		return r;
	w->is_ignored = w->is_there[SEGMENT_PICKLE]
				? w->pickle.is_whole && w->pickle.by_id.count == 0
				: w->info[SEGMENT_PICKLE].type == FILE_REGULAR;
	check_presence(w);
	r = segment_check_index(w, err);
	if (r < 0 || w->req->level == CHECK_QUICK)
		return r;
	return segment_check_labels(w, err);
}

/* One reading; 1 when the directory was the same at its end. */
static int check_once(struct segment_work *w, struct vs_err *err)
{
	int r = open_directory(w);

	if (r <= 0)
		return r < 0 ? r : 1;
	if (w->fd >= 0) {
		r = check_directory(w, err);
		if (r < 0)
			return r;
	}
	r = segment_check_ids(w, err);
	if (r < 0)
		return r;
	return w->fd < 0 || is_unchanged(w) ? 1 : 0;
}

static void hand_over(struct segment_work *w, struct report *report, struct gaps *gaps,
		      struct chroma_segment_figures *out)
{
	w->figures.errors = w->report.severity[SEV_ERROR];
	w->figures.warnings = w->report.severity[SEV_WARNING];
	*out = w->figures;
	report_move(report, &w->report);
	for (size_t i = 0; i < w->gaps.count; i++) {
		const struct kept_gap *g = &w->gaps.row[i];

		gaps_add(gaps, g->path, g->what, g->why, g->is_limit);
	}
}

int chroma_segment_check(const struct chroma_segment_request *req,
			 const struct chroma_segment *segment, struct report *report,
			 struct gaps *gaps, struct chroma_segment_figures *out, struct vs_err *err)
{
	*out = (struct chroma_segment_figures){ 0 };
	for (int tries = 0; tries < TRIES; tries++) {
		cleanup_(work_fini) struct segment_work w = {
			.req = req,
			.segment = segment,
			.report = { .max = report->max },
			.fd = -1,
		};
		int r = check_once(&w, err);

		if (r < 0)
			return vs_err_in(err, "%s", segment->id);
		if (r == 0)
			continue;
		hand_over(&w, report, gaps, out);
		return 0;
	}
	gaps_add(gaps, segment->id, "the index",
		 "the server was saving it all the while it was read", false);
	return 0;
}
