/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Index directories for tests: unpacked from tests/data/chroma-segments, with their database's facts. */

#include "check/chroma-segment.h"
#include "file/file.h"

#include "../kit/kit.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>

#define SEGMENTS_MAX 16

struct kit_truth {
	struct slice id, vector;
};

/* One segment and what it owns. */
struct kit_segment {
	struct chroma_segment segment;
	char *id, *collection;
	struct chroma_segment_row *rows, *log;
	struct slice *vectors;   /* of log; empty where a row has none */
	struct kit_truth *truth; /* what a client is to get back */
	size_t row_cap, log_cap, vector_cap, truth_count, truth_cap;
};

struct kit_segments {
	struct kit_dir *dir; /* path: the store */
	int dirfd;
	struct kit_segment row[SEGMENTS_MAX];
	size_t count;
};

static inline void kit_segments_fini(struct kit_segments *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct kit_segment *k = &s->row[i];

		for (size_t n = 0; n < k->segment.row_count; n++)
			vs_free_const(k->rows[n].id.ptr);
		for (size_t n = 0; n < k->segment.log_count; n++) {
			vs_free_const(k->log[n].id.ptr);
			vs_free_const(k->vectors[n].ptr);
		}
		for (size_t n = 0; n < k->truth_count; n++) {
			vs_free_const(k->truth[n].id.ptr);
			vs_free_const(k->truth[n].vector.ptr);
		}
		free(k->truth);
		free(k->vectors);
		free(k->rows);
		free(k->log);
		free(k->id);
		free(k->collection);
	}
	file_closep(&s->dirfd);
	kit_dir_freep(&s->dir);
}

static inline struct slice kit_unhex(const char *hex)
{
	size_t len = strlen(hex) / 2;
	unsigned char *out = vs_alloc(len + 1);

	cr_assert(hex_parse(slice_of(hex, 2 * len), out, len), "%s", hex);
	return slice_of(out, len);
}

static inline struct chroma_segment_position kit_position(const char *text)
{
	struct chroma_segment_position out = { .is_set = strcmp(text, "-") != 0 };

	out.seq_id = out.is_set ? strtoll(text, NULL, 10) : 0;
	return out;
}

static inline void kit_segment_line(struct kit_segments *s, const char *line)
{
	struct kit_segment *k = &s->row[s->count];
	struct chroma_segment *out = &k->segment;
	char id[64], name[64], space[16], vector[24], metadata[24];

	cr_assert_lt(s->count++, SEGMENTS_MAX);
	/* A line of our own. NOLINTNEXTLINE(cert-err34-c) */
	cr_assert_eq(sscanf(line, "segment %63s %63s %u %15s %u %u %23s %23s", id, name,
			    &out->dimension, space, &out->m, &out->ef_search, vector, metadata),
		     8, "%s", line);
	out->id = k->id = vs_strdup(id);
	out->collection = k->collection = vs_strdup(name);
	out->has_space = hnsw_space_parse(slice_str(space), &out->space);
	cr_assert(out->has_space);
	out->vector = kit_position(vector);
	out->metadata = kit_position(metadata);
	out->has_rows = true;
}

static inline void kit_truth_line(struct kit_segment *k, char *line)
{
	char *save = NULL;
	struct kit_truth truth = { 0 };

	(void)strtok_r(line, " ", &save);
	truth.id = kit_unhex(strtok_r(NULL, " ", &save));
	truth.vector = kit_unhex(strtok_r(NULL, " ", &save));
	k->truth = vs_grow(k->truth, &k->truth_cap, k->truth_count + 1, sizeof(truth));
	k->truth[k->truth_count++] = truth;
}

static inline void kit_row_line(struct kit_segment *k, char *line)
{
	struct chroma_segment_row row = { 0 };
	char *save = NULL;
	bool is_log = strcmp(strtok_r(line, " ", &save), "log") == 0;
	struct slice vector = { 0 };
	const char *text;

	row.seq_id = strtoll(strtok_r(NULL, " ", &save), NULL, 10);
	if (is_log)
		row.operation = (uint8_t)strtoul(strtok_r(NULL, " ", &save), NULL, 10);
	row.id = kit_unhex(strtok_r(NULL, " ", &save));
	if (!is_log) {
		k->rows = vs_grow(k->rows, &k->row_cap, k->segment.row_count + 1, sizeof(row));
		k->rows[k->segment.row_count++] = row;
		k->segment.rows = k->rows;
		return;
	}
	text = strtok_r(NULL, " ", &save);
	vector = text ? kit_unhex(text) : vector;
	row.has_vector = vector.len > 0;
	k->vectors = vs_grow(k->vectors, &k->vector_cap, k->segment.log_count + 1, sizeof(vector));
	k->vectors[k->segment.log_count] = vector;
	k->log = vs_grow(k->log, &k->log_cap, k->segment.log_count + 1, sizeof(row));
	k->log[k->segment.log_count++] = row;
	k->segment.log = k->log;
}

/* Unpack one store. */
static inline void kit_segments_load(struct kit_segments *s, const char *name)
{
	cleanup_(vs_freep) char *archive = kit_source("tests/data/chroma-segments/segments.tar.gz");
	cleanup_(vs_freep) char *facts = NULL;
	cleanup_(buf_fini) struct buf command = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	char *save = NULL;

	*s = (struct kit_segments){ .dir = kit_dir_new(), .dirfd = -1 };
	buf_printf(&command, "tar -xzf '%s' -C '%s' --no-same-owner --strip-components=1 '%s'",
		   archive, s->dir->path, name);
	cr_assert_eq(system(buf_cstr(&command)), 0, "%s", buf_cstr(&command));
	cr_assert_eq(file_open_dir(AT_FDCWD, s->dir->path, FILE_FOLLOW, &s->dirfd, &err), 0, "%s",
		     err.text);
	kit_read(s->dir, "facts", &text);
	facts = buf_take_str(&text);
	for (char *line = strtok_r(facts, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "segment ", 8) == 0)
			kit_segment_line(s, line);
		else if (strncmp(line, "truth ", 6) == 0)
			kit_truth_line(&s->row[s->count - 1], line);
		else
			kit_row_line(&s->row[s->count - 1], line);
	}
}

static inline struct kit_segment *kit_segment_named(struct kit_segments *s, const char *collection)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->row[i].collection, collection) == 0)
			return &s->row[i];
	cr_assert_fail("no collection %s", collection);
	return NULL;
}

/* ---- checking ---- */

struct kit_findings {
	struct report report;
	struct gaps gaps;
	struct chroma_segment_figures figures;
};

static inline void kit_findings_fini(struct kit_findings *f)
{
	report_fini(&f->report);
	gaps_fini(&f->gaps);
}

static inline void kit_segment_check(const struct kit_segments *s, const struct kit_segment *k,
				     enum check_level level, struct kit_findings *out)
{
	const struct chroma_segment_request req = { .dirfd = s->dirfd, .level = level };
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_segment_check(&req, &k->segment, &out->report, &out->gaps,
					  &out->figures, &err),
		     0, "%s", err.text);
}

static inline size_t kit_findings_count(const struct kit_findings *f, const char *code)
{
	size_t count = 0;

	for (size_t i = 0; i < f->report.count; i++)
		count += strcmp(problem_row(f->report.kept[i]->code)->code, code) == 0;
	return count;
}

static inline char *kit_findings_text(const struct kit_findings *f)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < f->report.count; i++) {
		const struct finding *finding = f->report.kept[i];

		buf_printf(&out, "\n%s %s %s @%" PRIu64 ": ", problem_row(finding->code)->code,
			   finding->collection ? finding->collection : "-", finding->path,
			   finding->offset);
		finding_format_message(finding, &out);
	}
	for (size_t i = 0; i < f->gaps.count; i++)
		buf_printf(&out, "\ngap %s %s: %s", f->gaps.row[i].path, f->gaps.row[i].what,
			   f->gaps.row[i].why);
	return buf_take_str(&out);
}
