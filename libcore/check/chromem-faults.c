/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files that cannot be decoded: which problem that is, and what the library says when it comes to
 * them. One such file is all it takes for the library to refuse the store.
 */

#include "check/chromem-run.h"

#include <fcntl.h>
#include <sys/stat.h>

static const enum problem document_problems[] = {
	[CHROMEM_FAULT_EMPTY] = PROB_CHROMEM_DOCUMENT_EMPTY,
	[CHROMEM_FAULT_ZEROS] = PROB_CHROMEM_DOCUMENT_ZERO_FILLED,
	[CHROMEM_FAULT_TRUNCATED] = PROB_CHROMEM_DOCUMENT_TRUNCATED,
	[CHROMEM_FAULT_GZIP_TRUNCATED] = PROB_CHROMEM_DOCUMENT_GZIP_TRUNCATED,
	[CHROMEM_FAULT_GZIP_CORRUPT] = PROB_CHROMEM_DOCUMENT_GZIP_CORRUPT,
	[CHROMEM_FAULT_GOB] = PROB_CHROMEM_DOCUMENT_GOB,
	[CHROMEM_FAULT_SHAPE] = PROB_CHROMEM_DOCUMENT_SHAPE,
	[CHROMEM_FAULT_TOO_LARGE] = PROB_CHROMEM_DOCUMENT_TOO_LARGE,
	[CHROMEM_FAULT_UNREADABLE] = PROB_CHROMEM_DOCUMENT_UNREADABLE,
	[CHROMEM_FAULT_DANGLING] = PROB_CHROMEM_DOCUMENT_SYMLINK_DANGLING,
	[CHROMEM_FAULT_NOT_A_FILE] = PROB_CHROMEM_DOCUMENT_NOT_A_FILE,
};

static const enum problem metadata_problems[] = {
	[CHROMEM_FAULT_EMPTY] = PROB_CHROMEM_METADATA_EMPTY,
	[CHROMEM_FAULT_ZEROS] = PROB_CHROMEM_METADATA_ZERO_FILLED,
	[CHROMEM_FAULT_TRUNCATED] = PROB_CHROMEM_METADATA_TRUNCATED,
	[CHROMEM_FAULT_GZIP_TRUNCATED] = PROB_CHROMEM_METADATA_TRUNCATED,
	[CHROMEM_FAULT_GZIP_CORRUPT] = PROB_CHROMEM_METADATA_UNDECODABLE,
	[CHROMEM_FAULT_GOB] = PROB_CHROMEM_METADATA_UNDECODABLE,
	[CHROMEM_FAULT_SHAPE] = PROB_CHROMEM_METADATA_UNDECODABLE,
	[CHROMEM_FAULT_TOO_LARGE] = PROB_CHROMEM_METADATA_TOO_LARGE,
	[CHROMEM_FAULT_UNREADABLE] = PROB_CHROMEM_METADATA_UNREADABLE,
	[CHROMEM_FAULT_DANGLING] = PROB_CHROMEM_METADATA_SYMLINK_DANGLING,
	[CHROMEM_FAULT_NOT_A_FILE] = PROB_CHROMEM_METADATA_NOT_A_FILE,
};

/* ---- what is in the file's place ---- */

static enum file_type type_behind(int dirfd, const char *name)
{
	struct file_info info = { .type = FILE_UNKNOWN };
	struct vs_err err = { 0 };

	(void)!file_stat_at(dirfd, name, FILE_FOLLOW, &info, &err);
	return info.type;
}

static bool is_socket(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 && S_ISSOCK(st.st_mode);
}

/* What a finding calls "actual": where a link leads, or what stands in a file's place. */
static const char *subject(int dirfd, const char *name, const struct chromem_fault *fault,
			   char target[PATH_CAP])
{
	ssize_t len;

	if (fault->kind == CHROMEM_FAULT_NOT_A_FILE) {
		enum file_type type = type_behind(dirfd, name);

		return type == FILE_FIFO        ? "a FIFO"
		       : type == FILE_DIRECTORY ? "a link to a directory"
						: "a socket or device";
	}
	if (fault->kind != CHROMEM_FAULT_DANGLING)
		return NULL;
	len = readlinkat(dirfd, name, target, PATH_CAP - 1);
	target[VS_MAX(len, 0)] = '\0';
	return target;
}

/* ---- in the library's words ---- */

#define MAGIC_FAILED "couldn't read magic number to determine whether the stream is compressed: "

/* Go has the texts of the C library, in lower case. */
void loader_errno_text(int sysno, char *out, size_t size)
{
	const char *text = strerrordesc_np(sysno != 0 ? sysno : EACCES);

	snprintf(out, size, "%s", text ? text : "errno 0");
	if (out[0] >= 'A' && out[0] <= 'Z')
		out[0] = (char)(out[0] - 'A' + 'a');
}

/* @step: what the library was about to do. A pipe makes it hang, and leaves it without words. */
static void compose_loader_text(const char *step, const char *dir, int dirfd, const char *name,
				const struct chromem_fault *fault, char out[LOADER_TEXT_CAP])
{
	const char *reason = NULL;
	char system[80];

	out[0] = '\0';
	loader_errno_text(fault->sysno, system, sizeof(system));
	/* It could be opened: the first read fails. */
	if (fault->kind == CHROMEM_FAULT_UNREADABLE && fault->sysno == EIO) {
		snprintf(out, LOADER_TEXT_CAP,
			 "%s: " MAGIC_FAILED "read ${STORE}/%.150s/%.150s: %s", step, dir, name,
			 system);
		return;
	}
	if (fault->kind == CHROMEM_FAULT_UNREADABLE)
		reason = system;
	else if (fault->kind == CHROMEM_FAULT_DANGLING)
		reason = fault->sysno == ELOOP ? system : "no such file or directory";
	else if (fault->kind == CHROMEM_FAULT_NOT_A_FILE && is_socket(dirfd, name))
		reason = "no such device or address";
	if (reason) {
		snprintf(out, LOADER_TEXT_CAP,
			 "%s: couldn't open file: open ${STORE}/%.200s/%.200s: %s", step, dir, name,
			 reason);
	} else if (fault->kind == CHROMEM_FAULT_EMPTY) {
		snprintf(out, LOADER_TEXT_CAP, "%s: " MAGIC_FAILED "EOF", step);
	} else if (fault->kind != CHROMEM_FAULT_NOT_A_FILE) {
		snprintf(out, LOADER_TEXT_CAP, "%s: %s", step, fault->loader_text);
	} else if (type_behind(dirfd, name) == FILE_DIRECTORY) {
		snprintf(out, LOADER_TEXT_CAP,
			 "%s: " MAGIC_FAILED "read ${STORE}/%.150s/%.150s: is a directory", step,
			 dir, name);
	}
}

static bool is_no_damage(enum chromem_fault_kind kind)
{
	return kind == CHROMEM_FAULT_NONE || kind == CHROMEM_FAULT_VANISHED ||
	       kind == CHROMEM_FAULT_BEING_WRITTEN;
}

static bool is_refused(enum problem code)
{
	return problem_row(code)->effect >= EFFECT_REFUSED;
}

/* ---- documents ---- */

static bool is_gzip_file(int dirfd, const char *name)
{
	cleanup_(file_closep) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned char magic[2] = { 0 };

	return fd >= 0 && read(fd, magic, 2) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

/* Damage to the first bytes of a gzip file makes it look like gob, and bad gob at that. */
static bool lost_gzip_header(const struct sight *s)
{
	return s->fault->kind == CHROMEM_FAULT_GOB && s->run->compression == CHROMEM_GZIP &&
	       !is_gzip_file(s->c->dirfd, s->entry->name);
}

void faults_document(const struct sight *s)
{
	const struct chromem_fault *fault = s->fault;
	struct finding f = { .has_offset = fault->off > 0,
			     .offset = fault->off,
			     .has_count = true,
			     .count = s->size,
			     .detail = fault->detail };
	char target[PATH_CAP];
	char loader_text[LOADER_TEXT_CAP];

	if (fault->kind == CHROMEM_FAULT_BEING_WRITTEN)
		s->chunk->tally[TALLY_UNREAD]++;
	if (is_no_damage(fault->kind))
		return;
	f.code = document_problems[fault->kind];
	if (lost_gzip_header(s)) {
		f.code = PROB_CHROMEM_DOCUMENT_GZIP_CORRUPT;
		f.detail = "it does not begin as gzip data do";
		f.has_offset = false;
	}
	f.actual = subject(s->c->dirfd, s->entry->name, fault, target);
	if (is_refused(f.code)) {
		compose_loader_text("couldn't read document", s->c->dir, s->c->dirfd,
				    s->entry->name, fault, loader_text);
		refusal_note(&s->chunk->refusal, s->index, loader_text);
		f.loader_text = loader_text;
	}
	s->chunk->tally[TALLY_UNREAD] +=
		fault->kind == CHROMEM_FAULT_TOO_LARGE || fault->kind == CHROMEM_FAULT_UNREADABLE;
	sight_report(s, &f);
}

/* ---- metadata ---- */

void faults_metadata(struct chromem_run *run, struct part *part)
{
	const struct chromem_fault *fault = part->c->meta_fault;
	struct finding f = { .has_offset = fault->off > 0,
			     .offset = fault->off,
			     .has_count = true,
			     .count = part->record->documents,
			     .detail = fault->detail };
	char target[PATH_CAP];
	char loader_text[LOADER_TEXT_CAP];
	char scratch[32];
	const char *name = part_entry_name(part, part->metadata_index, scratch);

	if (fault->kind == CHROMEM_FAULT_BEING_WRITTEN)
		run_gap(run, part->c->dir, "the metadata file", "it is being written all the time",
			false);
	if (is_no_damage(fault->kind))
		return;
	f.code = metadata_problems[fault->kind];
	f.actual = subject(part->c->dirfd, name, fault, target);
	if (is_refused(f.code)) {
		compose_loader_text("couldn't read collection metadata", part->c->dir,
				    part->c->dirfd, name, fault, loader_text);
		refusal_note(&part->sum.refusal, part->metadata_index, loader_text);
		f.loader_text = loader_text;
	}
	if (fault->kind == CHROMEM_FAULT_TOO_LARGE || fault->kind == CHROMEM_FAULT_UNREADABLE)
		run_gap(run, part->c->dir, "the metadata file",
			"it is larger than the limit or cannot be read", false);
	part_report(run, part, name, &f);
}
