/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the system knows about files without opening them: modes and, where documents are not read
 * anyway, sizes and types.
 *
 * Asking for the mode of every document of a large collection would be a tenth of the whole check.
 * Modes go wrong with the umask of a program or with a recursive chmod, hardly one at a time: of a
 * large collection every 16th is asked for, and all as soon as one is wrong. Level deep asks for
 * all, and quick, which has to ask for their types and sizes, learns all modes with them.
 */

#include "check/chromem-run.h"

#define MODE_OTHERS_WRITE 0002u
#define MODE_OWNER_WRITE 0200u

#define SMALL_COLLECTION 256
#define SAMPLE_STEP 16

/* Which mode problem there is, if any. */
static bool judge_mode(uint32_t mode, struct finding *f, char text[8])
{
	if ((mode & MODE_OTHERS_WRITE) != 0)
		f->code = PROB_CHROMEM_MODE_WORLD_WRITABLE;
	else if ((mode & MODE_OWNER_WRITE) == 0)
		f->code = PROB_CHROMEM_MODE_READ_ONLY;
	else
		return false;
	snprintf(text, 8, "%03o", (unsigned)(mode & 07777));
	f->actual = text;
	return true;
}

static void report_mode(struct chromem_run *run, struct part *part, const char *name, uint32_t mode)
{
	struct finding f = { 0 };
	char text[8];

	if (judge_mode(mode, &f, text))
		part_report(run, part, name, &f);
}

/* Is this the mode of an entry that is asked for in any case? */
static bool is_sampled(const struct chromem_run *run, const struct chromem_list *list, size_t index)
{
	return run->req->level >= CHECK_DEEP || chromem_list_count(list) <= SMALL_COLLECTION ||
	       index % SAMPLE_STEP == 0;
}

/* ---- documents that are not going to be read ---- */

/* What would come of reading the file, as far as its type and size tell. */
static enum chromem_fault_kind fault_by_stat(const struct file_info *info)
{
	if (info->type != FILE_REGULAR)
		return CHROMEM_FAULT_NOT_A_FILE;
	if (info->size == 0)
		return CHROMEM_FAULT_EMPTY;
	return info->size > CHROMEM_FILE_MAX ? CHROMEM_FAULT_TOO_LARGE : CHROMEM_FAULT_NONE;
}

static int stat_one(struct chromem_run *run, struct part *part, size_t index, struct vs_err *err)
{
	struct chromem_fault fault = { .kind = CHROMEM_FAULT_NONE };
	struct chromem_settling settling = { 0 };
	struct file_info info = { 0 };
	struct chromem_entry entry;
	char scratch[32];
	struct sight sight = { .run = run,
			       .c = part->c,
			       .chunk = &part->sum,
			       .index = index,
			       .entry = &entry,
			       .fault = &fault };
	int r;

	chromem_list_at(part->c->list, index, scratch, &entry);
	if (entry.entry_class != CHROMEM_ENTRY_DOCUMENT || entry.type == FILE_DIRECTORY)
		return 0;
	r = file_stat_at(part->c->dirfd, entry.name, FILE_FOLLOW, &info, err);
	if (entry.type == FILE_SYMLINK && (r == VS_ENOENT || (r < 0 && err->sysno == ELOOP)))
		fault = (struct chromem_fault){ .kind = CHROMEM_FAULT_DANGLING,
						.sysno = err->sysno };
	else if (r == VS_ENOENT)
		return 0;
	else if (r == VS_EACCES || r == VS_EIO)
		fault = (struct chromem_fault){ .kind = CHROMEM_FAULT_UNREADABLE,
						.sysno = err->sysno };
	else if (r < 0)
		return r;
	else
		fault.kind = fault_by_stat(&info);
	while (fault.kind == CHROMEM_FAULT_EMPTY &&
	       chromem_settle(run->reader, &settling, part->c->dirfd, entry.name, &fault)) {
		if (file_stat_at(part->c->dirfd, entry.name, FILE_FOLLOW, &info, err) < 0)
			return 0;
		fault.kind = fault_by_stat(&info);
	}
	part->record->bytes += info.size;
	if (fault.kind == CHROMEM_FAULT_TOO_LARGE || fault.kind == CHROMEM_FAULT_UNREADABLE)
		snprintf(fault.detail, sizeof(fault.detail), "%s",
			 r < 0 ? strerrordesc_np(err->sysno) : "larger than 32 MiB");
	if (fault.kind != CHROMEM_FAULT_NONE)
		faults_document(&sight);
	else
		report_mode(run, part, entry.name, info.mode);
	return 0;
}

/* ---- hooks ---- */

static int stat_begin(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct file_info info;
	const char *name;
	char scratch[32];

	if (part->kind != PART_COLLECTION)
		return 0;
	report_mode(run, part, NULL, part->c->info.mode);
	if (part->metadata_index != SIZE_MAX) {
		name = part_entry_name(part, part->metadata_index, scratch);
		if (file_stat_at(part->c->dirfd, name, FILE_FOLLOW, &info, err) == 0 &&
		    info.type == FILE_REGULAR) {
			part->record->bytes += info.size;
			report_mode(run, part, name, info.mode);
		}
	}
	for (size_t i = 0; !run_is_full(run) && i < chromem_list_count(part->c->list); i++) {
		int r = stat_one(run, part, i, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static void stat_document_mode(const struct sight *s)
{
	struct finding f = { 0 };
	struct file_info info;
	struct vs_err ignored;
	char text[8];

	if (!is_sampled(s->run, s->c->list, s->index) || s->entry->type != FILE_REGULAR ||
	    file_stat_at(s->c->dirfd, s->entry->name, FILE_NO_FOLLOW, &info, &ignored) < 0 ||
	    !judge_mode(info.mode, &f, text))
		return;
	s->chunk->tally[TALLY_MODES]++;
	sight_report(s, &f);
}

/* When one of the sample is wrong: those that were not in it. */
static int stat_end(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	const struct chromem_list *list = part->c->list;
	struct chromem_entry entry;
	struct file_info info;
	struct vs_err ignored;
	char scratch[32];

	(void)err;
	for (size_t i = 0; part->sum.tally[TALLY_MODES] > 0 && i < chromem_list_count(list); i++) {
		chromem_list_at(list, i, scratch, &entry);
		if (!is_sampled(run, list, i) && entry.entry_class == CHROMEM_ENTRY_DOCUMENT &&
		    entry.type == FILE_REGULAR &&
		    file_stat_at(part->c->dirfd, entry.name, FILE_NO_FOLLOW, &info, &ignored) == 0)
			report_mode(run, part, entry.name, info.mode);
	}
	return 0;
}

static int stat_finish(struct chromem_run *run, struct vs_err *err)
{
	struct finding f = { 0 };
	struct file_info info;
	char text[8];
	int r = file_stat_fd(run->store->dirfd, &info, err);

	if (r == 0 && judge_mode(info.mode, &f, text))
		run_report(run, ".", &f);
	return r;
}

const struct chromem_check chromem_stat = {
	.begin = stat_begin,
	.document = stat_document_mode,
	.end = stat_end,
	.finish = stat_finish,
};
