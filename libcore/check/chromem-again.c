/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A second check of the same documents, after a change of some. What a document adds to what is
 * known of its collection follows from its bytes, its name and the compression alone, so a document
 * whose bytes are known to be the same adds the same, and is not read. Only what nothing was wrong
 * with is remembered: its note, which tallies it raised, and whose it says that it is.
 */

#include "check/chromem-run.h"

#define REMARK_IS_SET UINT32_C(1)
#define REMARK_GZIP UINT32_C(2)
#define REMARK_TALLIES 8 /* the first of one bit for each tally */
#define REMARK_LEVEL 24

_Static_assert(REMARK_TALLIES + TALLY_COUNT_ <= REMARK_LEVEL, "a bit for each tally");

static uint64_t count_findings(const struct report *r)
{
	uint64_t count = 0;

	for (size_t i = 0; i < SEVERITIES; i++)
		count += r->severity[i];
	return count;
}

void again_begin(struct chunk *chunk)
{
	memcpy(chunk->last.tally, chunk->tally, sizeof(chunk->tally));
	chunk->last.findings = count_findings(&chunk->report);
	chunk->last.misnamed = chunk->misnamed_count;
	chunk->last.scope = 0;
}

/* What makes the same bytes count for the same. */
static uint32_t circumstances(const struct chromem_run *run)
{
	uint32_t flags = REMARK_IS_SET | (uint32_t)run->req->level << REMARK_LEVEL;

	return run->compression == CHROMEM_GZIP ? flags | REMARK_GZIP : flags;
}

bool again_remark(void *ctx, void *chunk_, size_t index, const struct chromem_entry *entry,
		  struct file_remark *out)
{
	const struct chromem_run *run = ctx;
	const struct chunk *chunk = chunk_;

	if (!entry->is_ordinary || run->digests || (run->part.notes[index] & NOTE_DECODED) == 0 ||
	    count_findings(&chunk->report) != chunk->last.findings ||
	    chunk->misnamed_count != chunk->last.misnamed)
		return false;
	*out = (struct file_remark){ { (uint64_t)entry->key << 32 | run->part.notes[index],
				       chunk->last.scope },
				     circumstances(run) };
	for (uint32_t i = 0; i < TALLY_COUNT_; i++) {
		if (i != TALLY_BYTES && chunk->tally[i] != chunk->last.tally[i])
			out->flags |= UINT32_C(1) << (REMARK_TALLIES + i);
	}
	return true;
}

bool again_take(void *ctx, void *chunk_, size_t index, const struct chromem_entry *entry,
		const struct file_remark *remark, uint64_t file_size)
{
	const uint32_t tallies = ((UINT32_C(1) << TALLY_COUNT_) - 1) << REMARK_TALLIES;
	struct chromem_run *run = ctx;
	struct chunk *chunk = chunk_;
	const struct scope scope = { remark->words[1], 1, (uint32_t)index };

	if ((remark->flags & ~tallies) != circumstances(run) || run->digests ||
	    !entry->is_ordinary || (uint32_t)(remark->words[0] >> 32) != entry->key)
		return false;
	run->part.notes[index] = (uint32_t)remark->words[0];
	for (uint32_t i = 0; i < TALLY_COUNT_; i++)
		chunk->tally[i] += (remark->flags >> (REMARK_TALLIES + i)) & 1;
	chunk->tally[TALLY_BYTES] += file_size;
	if (scope.digest != 0)
		scopes_add(&chunk->scopes, &scope);
	return true;
}
