/* SPDX-License-Identifier: Apache-2.0 */

/* Words and names that need no evidence. Few of them: each costs a little certainty. */

#include "lookup/search.h"

/* Kinds at the end of names beyond those that documents are routed by. */
static const char *const more_kinds[] = { "conversations", "repository", "default" };

/* What contextd calls itself and its fallbacks. */
const char *const common_projects[] = { "contextd", "default", "local", "org", NULL };
/* What the examples of the library use, and what people call a first collection. */
const char *const common_names[] = {
	"Wikipedia",
	"agent_memory",
	"all-my-documents",
	"arXiv cs.CL 2023",
	"articles",
	"backend_servers",
	"backend_tools",
	"books",
	"chat",
	"chat_context",
	"chat_history",
	"chunks",
	"code",
	"collection",
	"context",
	"conversations",
	"data",
	"default",
	"docs",
	"documentation",
	"documents",
	"embeddings",
	"events",
	"facts",
	"faq",
	"file_index",
	"files",
	"history",
	"images",
	"index",
	"issues",
	"items",
	"knowledge",
	"knowledge-base",
	"knowledge_base",
	"langchain",
	"main",
	"memory",
	"messages",
	"my-collection",
	"my_collection",
	"news",
	"notes",
	"pages",
	"papers",
	"posts",
	"products",
	"projects",
	"rag",
	"repository",
	"resources",
	"sessions",
	"skills",
	"summaries",
	"tasks",
	"test",
	"test-collection",
	"test_collection",
	"texts",
	"tickets",
	"tools",
	"users",
	"vectors",
	"wiki",
	NULL,
};

const char *record_kind_at(size_t index)
{
	size_t count = 0;

	for (; contextd_record_kind(count); count++) {
		if (count == index)
			return contextd_record_kind(index);
	}
	return index - count < VS_COUNT(more_kinds) ? more_kinds[index - count] : NULL;
}
