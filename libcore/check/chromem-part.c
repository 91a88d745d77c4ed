/* SPDX-License-Identifier: Apache-2.0 */

/* What the families of checks share: saying where a finding is, and looking at documents again. */

#include "check/chromem-run.h"

/* ---- reporting ---- */

static bool is_error(enum problem code)
{
	return problem_row(code)->severity == SEV_ERROR;
}

void run_report(struct chromem_run *run, const char *path, struct finding *f)
{
	f->path = path;
	report_add(&run->report, f);
}

static const char *join(char path[PATH_CAP], const char *dir, const char *name)
{
	snprintf(path, PATH_CAP, "%s/%s", dir, name);
	return path;
}

void part_report(struct chromem_run *run, struct part *part, const char *name, struct finding *f)
{
	char path[PATH_CAP];

	f->collection = part->c->dir;
	f->path = name ? join(path, part->c->dir, name) : part->c->dir;
	part->record->errors += is_error(f->code);
	report_add(&run->report, f);
}

void part_count(struct chromem_run *run, struct part *part, enum problem code)
{
	part->record->errors += is_error(code);
	report_count(&run->report, code, 1);
}

void sight_report(const struct sight *s, struct finding *f)
{
	char path[PATH_CAP];

	f->collection = s->c->dir;
	f->path = join(path, s->c->dir, s->entry->name);
	if (s->doc)
		f->document = s->doc->id;
	report_add(&s->chunk->report, f);
}

void record_report(struct chromem_run *run, struct record *record, struct finding *f)
{
	f->collection = record->dir;
	f->path = record->dir;
	record->errors += is_error(f->code);
	report_add(&run->report, f);
}

void record_report_metadata(struct chromem_run *run, struct record *record, struct finding *f)
{
	char path[PATH_CAP];
	char name[CHROMEM_ID_LEN + 1];

	chromem_hash_format(CHROMEM_META_KEY, name);
	snprintf(path, sizeof(path), "%s/%s%s", record->dir, name,
		 chromem_extension(run->compression));
	f->collection = record->dir;
	f->path = path;
	record->errors += is_error(f->code);
	report_add(&run->report, f);
}

/* ---- gaps ---- */

void run_gap(struct chromem_run *run, const char *path, const char *what, const char *why,
	     bool is_limit)
{
	gaps_add(&run->gaps, path, what, why, is_limit);
}

/* ---- entries and second looks ---- */

const char *part_entry_name(const struct part *part, size_t index, char scratch[32])
{
	struct chromem_entry entry;

	chromem_list_at(part->c->list, index, scratch, &entry);
	return entry.name;
}

bool part_find_key(const struct chromem_run *run, const struct part *part, uint32_t key,
		   size_t *index)
{
	char name[32];
	char scratch[32];
	struct chromem_entry entry;

	chromem_hash_format(key, name);
	snprintf(name + CHROMEM_ID_LEN, sizeof(name) - CHROMEM_ID_LEN, "%s",
		 chromem_extension(run->compression));
	if (!chromem_list_find(part->c->list, name, index))
		return false;
	chromem_list_at(part->c->list, *index, scratch, &entry);
	return entry.entry_class == CHROMEM_ENTRY_DOCUMENT && entry.type != FILE_DIRECTORY;
}

bool part_next_noted(const struct part *part, uint32_t flags, size_t *index)
{
	size_t count = chromem_list_count(part->c->list);

	for (; *index < count; (*index)++) {
		if ((part->notes[*index] & flags) == flags)
			return true;
	}
	return false;
}

int part_look(struct chromem_run *run, struct part *part, size_t index, struct chromem_doc *out,
	      struct vs_err *err)
{
	struct chromem_fault fault;
	char scratch[32];
	int r = chromem_reader_doc(run->reader, part->c->dirfd,
				   part_entry_name(part, index, scratch), out, &fault, err);

	return r < 0 ? r : r == 0;
}
