/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Scopes: do the documents of a collection belong there, as far as their metadata say whose they
 * are?
 *
 * Directory names have 32 bits, so two collections can share one; and a metadata file can be copied
 * into the wrong directory. The library then serves documents under a name that is not theirs, and
 * only the documents themselves can tell. The hook gathers the few different owners that a
 * collection's documents name; at its end one document of each is asked what its collection may be
 * called.
 */

#include "check/chromem-run.h"

/* The metadata keys that say whose a document is. */
static const char *const owner_keys[] = { "tenant_id", "team_id", "project_id", "project_path",
					  "collection" };

static uint64_t mix(uint64_t digest, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		digest = (digest ^ bytes.ptr[i]) * UINT64_C(0x100000001b3);
	return digest;
}

/* Order of the pairs does not count; 0 when no key is there. */
static uint64_t owner_digest(const struct chromem_doc *doc)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < doc->metadata_count; i++) {
		const struct chromem_pair *pair = &doc->metadata[i];

		for (size_t key = 0; key < VS_COUNT(owner_keys); key++) {
			if (pair->key.len >= 7 && slice_eq_str(pair->key, owner_keys[key]))
				sum += mix(UINT64_C(0xcbf29ce484222325) + key, pair->value);
		}
	}
	return sum;
}

void scopes_add(struct scopes *scopes, const struct scope *scope)
{
	for (size_t i = 0; i < scopes->count; i++) {
		if (scopes->row[i].digest == scope->digest) {
			scopes->row[i].count += scope->count;
			return;
		}
	}
	if (scopes->count < SCOPES_MAX)
		scopes->row[scopes->count++] = *scope;
}

void scopes_merge(struct scopes *to, const struct scopes *from)
{
	for (size_t i = 0; i < from->count; i++)
		scopes_add(to, &from->row[i]);
}

static void scopes_document(const struct sight *s)
{
	struct scope scope = { .count = 1, .index = (uint32_t)s->index };

	if (!s->doc || s->doc->metadata_count == 0)
		return;
	scope.digest = owner_digest(s->doc);
	s->chunk->last.scope = scope.digest;
	if (scope.digest != 0)
		scopes_add(&s->chunk->scopes, &scope);
}

/* ---- what an owner's document says about the collection's name ---- */

struct testimony {
	uint64_t documents;
	struct buf name;  /* composed, and hashes to the directory; empty when none does */
	struct buf owner; /* "tenant/project" as they would stand in a name; empty when not known */
	bool is_named;    /* the collection's name begins with that owner */
	bool is_foreign;  /* it holds neither the tenant nor the project */
};

static void testimony_fini(struct testimony *t)
{
	buf_fini(&t->name);
	buf_fini(&t->owner);
}

/* Is @word in @name, between underscores or at its ends? */
static bool has_word(struct slice name, struct slice word)
{
	const unsigned char *at = name.ptr;
	size_t left = name.len;

	while (word.len > 0 && (at = memmem(at, left, word.ptr, word.len)) != NULL) {
		const unsigned char *end = at + word.len;

		if ((at == name.ptr || at[-1] == '_') &&
		    (end == name.ptr + name.len || *end == '_'))
			return true;
		at++;
		left = (size_t)(name.ptr + name.len - at);
	}
	return false;
}

static void testify(struct testimony *t, const struct chromem_doc *doc,
		    const struct chromem_collection *c, struct slice name)
{
	struct contextd_names names;
	struct contextd_name candidate;
	struct buf tenant = { 0 }, project = { 0 };

	contextd_names_init(&names, doc->metadata, doc->metadata_count);
	contextd_identify(names.tenant, &tenant);
	contextd_identify(names.project_count > 0 ? names.project[0] : (struct slice){ 0 },
			  &project);
	if (tenant.len > 0 && project.len > 0) {
		buf_printf(&t->owner, "%s/%s", buf_cstr(&tenant), buf_cstr(&project));
		t->is_foreign =
			!has_word(name, buf_slice(&tenant)) && !has_word(name, buf_slice(&project));
		buf_append_byte(&tenant, '_');
		buf_append(&tenant, project.ptr, project.len);
		t->is_named = name.len > tenant.len && name.ptr[tenant.len] == '_' &&
			      memcmp(name.ptr, tenant.ptr, tenant.len) == 0;
	}
	buf_fini(&tenant);
	buf_fini(&project);
	while (c->has_hash && t->name.len == 0 && contextd_names_next(&names, &candidate)) {
		if (chromem_hash(candidate.name) == c->hash)
			buf_append(&t->name, candidate.name.ptr, candidate.name.len);
	}
}

/* ---- judgements ---- */

static void report_shared(struct chromem_run *run, struct part *part, struct testimony *stranger)
{
	struct finding f = { .code = PROB_CHROMEM_COLLECTION_SHARED,
			     .has_count = true,
			     .count = stranger->documents,
			     .actual = buf_cstr(&part->record->name) };

	f.expected = buf_cstr(stranger->name.len > 0 ? &stranger->name : &stranger->owner);
	record_report_metadata(run, part->record, &f);
}

/*
 * Strangers are documents that compose another name with the hash of this directory, or whose owner
 * the name does not hold although it begins with the owner of others.
 */
static void judge_sharing(struct chromem_run *run, struct part *part, struct testimony *row,
			  size_t count)
{
	struct slice name = buf_slice(&part->record->name);
	bool owner_is_named = false;

	for (size_t i = 0; i < count; i++)
		owner_is_named |= row[i].is_named;
	for (size_t i = 0; i < count; i++) {
		bool other_name = row[i].name.len > 0 && !slice_eq(buf_slice(&row[i].name), name);

		if (other_name || (owner_is_named && row[i].is_foreign)) {
			report_shared(run, part, &row[i]);
			return;
		}
	}
}

/* The name does not fit the directory: can the documents tell that it is not theirs? */
static void judge_name(struct part *part, struct testimony *row, size_t count,
		       enum contextd_kind kind)
{
	struct record *record = part->record;

	for (size_t i = 0; i < count; i++) {
		if (row[i].name.len == 0)
			continue;
		record->name_state = NAME_OTHER;
		buf_append(&record->right_name, row[i].name.ptr, row[i].name.len);
		return;
	}
	if (!contextd_kind_fits(kind, buf_slice(&record->name))) {
		record->name_state = NAME_OTHER;
		record->kind = contextd_kind_name(kind);
	}
}

static int scopes_end(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	const struct scopes *scopes = &part->sum.scopes;
	struct testimony row[SCOPES_MAX] = { 0 };
	enum contextd_kind kind = CONTEXTD_KIND_UNKNOWN;
	size_t count = 0;
	int r = 0;

	if (part->record->name.len == 0)
		return 0;
	for (size_t i = 0; i < scopes->count && r >= 0; i++) {
		struct chromem_doc doc;
		enum contextd_kind this_kind;

		r = part_look(run, part, scopes->row[i].index, &doc, err);
		if (r <= 0)
			continue;
		row[count].documents = scopes->row[i].count;
		testify(&row[count], &doc, part->c, buf_slice(&part->record->name));
		this_kind = contextd_kind_of(doc.metadata, doc.metadata_count);
		kind = count == 0 || this_kind == kind ? this_kind : CONTEXTD_KIND_UNKNOWN;
		count++;
	}
	if (r >= 0 && part->record->name_state == NAME_RIGHT)
		judge_sharing(run, part, row, count);
	else if (r >= 0 && part->record->name_state == NAME_ELSEWHERE)
		judge_name(part, row, count, kind);
	for (size_t i = 0; i < count; i++)
		testimony_fini(&row[i]);
	return r < 0 ? r : 0;
}

const struct chromem_check chromem_scopes = {
	.document = scopes_document,
	.end = scopes_end,
};
