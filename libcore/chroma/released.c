/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The migrations of the releases 0.4.0 to 1.5, which make the tables of each generation.
 *
 * The texts are Chroma's (https://github.com/chroma-core/chroma, Apache License 2.0), byte for byte as
 * its releases carry them and as every store keeps them in its table of migrations: a server compares
 * them with its own and does not start on others. Written from such a table, each held against the MD5
 * of migrations.c.
 */

#include "chroma/chroma.h"

static const struct chroma_migration migrations[] = {
	{ "sysdb", 1, "00001-collections.sqlite.sql",
	  "CREATE TABLE collections (\n"
	  "    id TEXT PRIMARY KEY,\n"
	  "    name TEXT NOT NULL,\n"
	  "    topic TEXT NOT NULL,\n"
	  "    UNIQUE (name)\n"
	  ");\n"
	  "\n"
	  "CREATE TABLE collection_metadata (\n"
	  "    collection_id TEXT REFERENCES collections(id) ON DELETE CASCADE,\n"
	  "    key TEXT NOT NULL,\n"
	  "    str_value TEXT,\n"
	  "    int_value INTEGER,\n"
	  "    float_value REAL,\n"
	  "    PRIMARY KEY (collection_id, key)\n"
	  ");\n" },
	{ "sysdb", 2, "00002-segments.sqlite.sql",
	  "CREATE TABLE segments (\n"
	  "    id TEXT PRIMARY KEY,\n"
	  "    type TEXT NOT NULL,\n"
	  "    scope TEXT NOT NULL,\n"
	  "    topic TEXT,\n"
	  "    collection TEXT REFERENCES collection(id)\n"
	  ");\n"
	  "\n"
	  "CREATE TABLE segment_metadata (\n"
	  "    segment_id TEXT  REFERENCES segments(id) ON DELETE CASCADE,\n"
	  "    key TEXT NOT NULL,\n"
	  "    str_value TEXT,\n"
	  "    int_value INTEGER,\n"
	  "    float_value REAL,\n"
	  "    PRIMARY KEY (segment_id, key)\n"
	  ");\n" },
	{ "sysdb", 3, "00003-collection-dimension.sqlite.sql",
	  "ALTER TABLE collections ADD COLUMN dimension INTEGER;\n" },
	{ "sysdb", 4, "00004-tenants-databases.sqlite.sql",
	  "CREATE TABLE IF NOT EXISTS tenants (\n"
	  "    id TEXT PRIMARY KEY,\n"
	  "    UNIQUE (id)\n"
	  ");\n"
	  "\n"
	  "CREATE TABLE IF NOT EXISTS databases (\n"
	  "    id TEXT PRIMARY KEY, -- unique globally\n"
	  "    name TEXT NOT NULL, -- unique per tenant\n"
	  "    tenant_id TEXT NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,\n"
	  "    UNIQUE (tenant_id, name) -- Ensure that a tenant has only one database with a given name\n"
	  ");\n"
	  "\n"
	  "CREATE TABLE IF NOT EXISTS collections_tmp (\n"
	  "    id TEXT PRIMARY KEY, -- unique globally\n"
	  "    name TEXT NOT NULL, -- unique per database\n"
	  "    topic TEXT NOT NULL,\n"
	  "    dimension INTEGER,\n"
	  "    database_id TEXT NOT NULL REFERENCES databases(id) ON DELETE CASCADE,\n"
	  "    UNIQUE (name, database_id)\n"
	  ");\n"
	  "\n"
	  "-- Create default tenant and database\n"
	  "INSERT OR REPLACE INTO tenants (id) VALUES ('default_tenant'); -- The default tenant id is 'default_tenant' others are UUIDs\n"
	  "INSERT OR REPLACE INTO databases (id, name, tenant_id) VALUES ('00000000-0000-0000-0000-000000000000', 'default_database', 'default_tenant');\n"
	  "\n"
	  "INSERT OR REPLACE INTO collections_tmp (id, name, topic, dimension, database_id)\n"
	  "    SELECT id, name, topic, dimension, '00000000-0000-0000-0000-000000000000' FROM collections;\n"
	  "DROP TABLE collections;\n"
	  "ALTER TABLE collections_tmp RENAME TO collections;\n" },
	{ "sysdb", 5, "00005-remove-topic.sqlite.sql",
	  "-- Remove the topic column from the Collections and Segments tables\n"
	  "\n"
	  "ALTER TABLE collections DROP COLUMN topic;\n"
	  "ALTER TABLE segments DROP COLUMN topic;\n" },
	{ "sysdb", 6, "00006-collection-segment-metadata.sqlite.sql",
	  "-- SQLite does not support adding check with alter table, as a result, adding a check\n"
	  "-- involve creating a new table and copying the data over. It is over kill with adding\n"
	  "-- a boolean type column. The application write to the table needs to ensure the data\n"
	  "-- integrity.\n"
	  "ALTER TABLE collection_metadata ADD COLUMN bool_value INTEGER;\n"
	  "ALTER TABLE segment_metadata ADD COLUMN bool_value INTEGER;\n" },
	{ "sysdb", 7, "00007-collection-config.sqlite.sql",
	  "-- Stores collection configuration dictionaries.\n"
	  "ALTER TABLE collections ADD COLUMN config_json_str TEXT;\n" },
	{ "sysdb", 8, "00008-maintenance-log.sqlite.sql",
	  "-- Records when database maintenance operations are performed.\n"
	  "-- At time of creation, this table is only used to record vacuum operations.\n"
	  "CREATE TABLE maintenance_log (\n"
	  "  id INT PRIMARY KEY,\n"
	  "  timestamp INT NOT NULL,\n"
	  "  operation TEXT NOT NULL\n"
	  ");\n" },
	{ "sysdb", 9, "00009-segment-collection-not-null.sqlite.sql",
	  "-- This makes segments.collection non-nullable.\n"
	  "CREATE TABLE segments_temp (\n"
	  "    id TEXT PRIMARY KEY,\n"
	  "    type TEXT NOT NULL,\n"
	  "    scope TEXT NOT NULL,\n"
	  "    collection TEXT REFERENCES collection(id) NOT NULL\n"
	  ");\n"
	  "\n"
	  "INSERT INTO segments_temp SELECT * FROM segments;\n"
	  "DROP TABLE segments;\n"
	  "ALTER TABLE segments_temp RENAME TO segments;\n" },
	{ "sysdb", 10, "00010-collection-schema.sqlite.sql",
	  "-- Stores collection schema as stringified json\n"
	  "ALTER TABLE collections ADD COLUMN schema_str TEXT;\n" },
	{ "metadb", 1, "00001-embedding-metadata.sqlite.sql",
	  "CREATE TABLE embeddings (\n"
	  "    id INTEGER PRIMARY KEY,\n"
	  "    segment_id TEXT NOT NULL,\n"
	  "    embedding_id TEXT NOT NULL,\n"
	  "    seq_id BLOB NOT NULL,\n"
	  "    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,\n"
	  "    UNIQUE (segment_id, embedding_id)\n"
	  ");\n"
	  "\n"
	  "CREATE TABLE embedding_metadata (\n"
	  "    id INTEGER REFERENCES embeddings(id),\n"
	  "    key TEXT NOT NULL,\n"
	  "    string_value TEXT,\n"
	  "    int_value INTEGER,\n"
	  "    float_value REAL,\n"
	  "    PRIMARY KEY (id, key)\n"
	  ");\n"
	  "\n"
	  "CREATE TABLE max_seq_id (\n"
	  "    segment_id TEXT PRIMARY KEY,\n"
	  "    seq_id BLOB NOT NULL\n"
	  ");\n"
	  "\n"
	  "CREATE VIRTUAL TABLE embedding_fulltext USING fts5(id, string_value);\n" },
	{ "metadb", 2, "00002-embedding-metadata.sqlite.sql",
	  "-- SQLite does not support adding check with alter table, as a result, adding a check\n"
	  "-- involve creating a new table and copying the data over. It is over kill with adding\n"
	  "-- a boolean type column. The application write to the table needs to ensure the data\n"
	  "-- integrity.\n"
	  "ALTER TABLE embedding_metadata ADD COLUMN bool_value INTEGER\n" },
	{ "metadb", 3, "00003-full-text-tokenize.sqlite.sql",
	  "CREATE VIRTUAL TABLE embedding_fulltext_search USING fts5(string_value, tokenize='trigram');\n"
	  "INSERT INTO embedding_fulltext_search (rowid, string_value) SELECT rowid, string_value FROM embedding_metadata;\n"
	  "DROP TABLE embedding_fulltext;\n" },
	{ "metadb", 4, "00004-metadata-indices.sqlite.sql",
	  "CREATE INDEX IF NOT EXISTS embedding_metadata_int_value ON embedding_metadata (key, int_value) WHERE int_value IS NOT NULL;\n"
	  "CREATE INDEX IF NOT EXISTS embedding_metadata_float_value ON embedding_metadata (key, float_value) WHERE float_value IS NOT NULL;\n"
	  "CREATE INDEX IF NOT EXISTS embedding_metadata_string_value ON embedding_metadata (key, string_value) WHERE string_value IS NOT NULL;\n" },
	{ "metadb", 5, "00005-max-seq-id-int.sqlite.sql",
	  "ALTER TABLE max_seq_id ADD COLUMN int_seq_id INTEGER;\n"
	  "\n"
	  "-- Convert 8 byte wide big-endian integer as blob to native 64 bit integer.\n"
	  "-- Adapted from https://stackoverflow.com/a/70296198.\n"
	  "UPDATE max_seq_id SET int_seq_id = (\n"
	  "  SELECT (\n"
	  "       (instr('123456789ABCDEF', substr(hex(seq_id), -1 , 1)) <<  0)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -2 , 1)) <<  4)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -3 , 1)) <<  8)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -4 , 1)) << 12)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -5 , 1)) << 16)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -6 , 1)) << 20)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -7 , 1)) << 24)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -8 , 1)) << 28)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -9 , 1)) << 32)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -10, 1)) << 36)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -11, 1)) << 40)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -12, 1)) << 44)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -13, 1)) << 48)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -14, 1)) << 52)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -15, 1)) << 56)\n"
	  "     | (instr('123456789ABCDEF', substr(hex(seq_id), -16, 1)) << 60)\n"
	  "    )\n"
	  ");\n"
	  "\n"
	  "ALTER TABLE max_seq_id DROP COLUMN seq_id;\n"
	  "ALTER TABLE max_seq_id RENAME COLUMN int_seq_id TO seq_id;\n" },
	{ "metadb", 6, "00006-metadata-array-support.sqlite.sql",
	  "-- Separate table for exploded array metadata values.\n"
	  "-- Each array element gets its own row, enabling efficient $contains queries.\n"
	  "-- The existing embedding_metadata table (with its PRIMARY KEY (id, key))\n"
	  "-- remains untouched and continues to store scalar metadata values.\n"
	  "\n"
	  "CREATE TABLE IF NOT EXISTS embedding_metadata_array (\n"
	  "    id INTEGER NOT NULL REFERENCES embeddings(id),\n"
	  "    key TEXT NOT NULL,\n"
	  "    string_value TEXT,\n"
	  "    int_value INTEGER,\n"
	  "    float_value REAL,\n"
	  "    bool_value INTEGER\n"
	  ");\n"
	  "\n"
	  "CREATE INDEX IF NOT EXISTS embedding_metadata_array_id_key\n"
	  "    ON embedding_metadata_array (id, key);\n"
	  "CREATE INDEX IF NOT EXISTS embedding_metadata_array_key_string\n"
	  "    ON embedding_metadata_array (key, string_value) WHERE string_value IS NOT NULL;\n"
	  "CREATE INDEX IF NOT EXISTS embedding_metadata_array_key_int\n"
	  "    ON embedding_metadata_array (key, int_value) WHERE int_value IS NOT NULL;\n"
	  "CREATE INDEX IF NOT EXISTS embedding_metadata_array_key_float\n"
	  "    ON embedding_metadata_array (key, float_value) WHERE float_value IS NOT NULL;\n" },
	{ "embeddings_queue", 1, "00001-embeddings.sqlite.sql",
	  "CREATE TABLE embeddings_queue (\n"
	  "    seq_id INTEGER PRIMARY KEY,\n"
	  "    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,\n"
	  "    operation INTEGER NOT NULL,\n"
	  "    topic TEXT NOT NULL,\n"
	  "    id TEXT NOT NULL,\n"
	  "    vector BLOB,\n"
	  "    encoding TEXT,\n"
	  "    metadata TEXT\n"
	  ");\n" },
	{ "embeddings_queue", 2, "00002-embeddings-queue-config.sqlite.sql",
	  "CREATE TABLE embeddings_queue_config (\n"
	  "    id INTEGER PRIMARY KEY,\n"
	  "    config_json_str TEXT\n"
	  ");\n" },
};

const struct chroma_migration *chroma_migration_at(size_t index)
{
	return index < VS_COUNT(migrations) ? &migrations[index] : NULL;
}
