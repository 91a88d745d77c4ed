/* SPDX-License-Identifier: Apache-2.0 */

/* The problems that no class of damage makes, and why not. */

#include "selftest/selftest.h"

#define AGAINST "only told by verify --against, of an export file that was made before"
#define EXPORT "a problem of export files, and not of stores"

const struct selftest_omitted selftest_omitted[] = {
	{ "chroma-database-log-foreign", "needs a log of SQLite from another time of the store" },
	{ "chroma-database-unreadable", "needs a database that SQLite does not open at all" },
	{ "chroma-index-recall",
	  "needs an index of thousands of vectors: in a small one every search comes by all of them" },
	{ "chromem-collection-missing", AGAINST },
	{ "chromem-document-differs", AGAINST },
	{ "chromem-document-hash-collision", AGAINST },
	{ "chromem-document-missing", AGAINST },
	{ "chromem-export-checksum", EXPORT },
	{ "chromem-export-damaged", EXPORT },
	{ "chromem-export-document-key", EXPORT },
	{ "chromem-export-encrypted", EXPORT },
	{ "chromem-export-field-damaged", EXPORT },
	{ "chromem-export-key", EXPORT },
	{ "chromem-export-trailing", EXPORT },
	{ NULL, NULL },
};
