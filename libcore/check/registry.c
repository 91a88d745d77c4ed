/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The checks. Order matters within a store kind: what explains the state of a document (damage seen
 * while decoding it) comes before what would otherwise wonder about it.
 */

#include "check/registry.h"

#include "check/chromem-run.h"

static const struct check_row rows[] = {
	{ "chromem-structure", STORE_CHROMEM, CHECK_QUICK, &chromem_structure },
	{ "chromem-metadata", STORE_CHROMEM, CHECK_QUICK, &chromem_metadata },
	{ "chromem-names", STORE_CHROMEM, CHECK_QUICK, &chromem_names },
	{ "chromem-stat", STORE_CHROMEM, CHECK_QUICK, &chromem_stat },
	{ "chromem-documents", STORE_CHROMEM, CHECK_FULL, &chromem_documents },
	{ "chromem-ids", STORE_CHROMEM, CHECK_FULL, &chromem_ids },
	{ "chromem-vectors", STORE_CHROMEM, CHECK_FULL, &chromem_vectors },
	{ "chromem-text", STORE_CHROMEM, CHECK_FULL, &chromem_text },
	{ "chromem-scopes", STORE_CHROMEM, CHECK_FULL, &chromem_scopes },
	{ "chromem-against", STORE_CHROMEM, CHECK_FULL, &chromem_against },
};

size_t registry_count(void)
{
	return VS_COUNT(rows);
}

const struct check_row *registry_row(size_t index)
{
	return &rows[index];
}
