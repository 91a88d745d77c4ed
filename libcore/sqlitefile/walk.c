/* SPDX-License-Identifier: Apache-2.0 */

/* Trees from their root, and leaves that no tree leads to. */

#include "sqlitefile/sqlitefile-private.h"

/* Pages that are still to be read, the next one last. */
struct pending {
	uint32_t *page;
	size_t count, cap;
};

static void pending_fini(struct pending *p)
{
	free(p->page);
}

static void tell(const struct sqlitefile *f, const struct sqlitefile_sink *sink, uint32_t page,
		 uint32_t off, const char *what)
{
	const struct sqlitefile_problem problem = { page, page_off(f, page) + off, what };

	if (sink->problem)
		sink->problem(sink->ctx, &problem);
}

static bool is_of(enum page_kind kind, enum sqlitefile_tree tree)
{
	if (tree == SQLITEFILE_TABLE)
		return kind == PAGE_TABLE_LEAF || kind == PAGE_TABLE_INTERIOR;
	return kind == PAGE_INDEX_LEAF || kind == PAGE_INDEX_INTERIOR;
}

/* ---- the rows of one page ---- */

struct reading {
	struct sqlitefile *f;
	const struct sqlitefile_sink *sink;
	uint32_t good, bad;
	bool is_telling;
};

/* 1: a row that can be handed over. */
static int read_cell(struct reading *x, uint32_t index, struct vs_err *err)
{
	struct sqlitefile *f = x->f;
	const struct page *page = &f->page;
	uint32_t off = page_cell(page, f->info.usable, index);
	const char *wrong = off == 0 ? "a cell that is not in its page" : NULL;
	int r = 0;

	if (!wrong)
		wrong = cell_read(f, page, off, &r, err);
	if (r < 0)
		return r;
	if (!wrong && x->sink->fits && !x->sink->fits(x->sink->ctx, &f->row))
		wrong = "a row that is none of this table";
	if (wrong) {
		x->bad++;
		if (x->is_telling)
			tell(f, x->sink, page->number, off, wrong);
		return 0;
	}
	x->good++;
	if (x->is_telling && f->row.is_partial)
		tell(f, x->sink, page->number, off, "overflow pages that are lost");
	return 1;
}

/* The page in f->page: 0, 1 when something was wrong, 2 when nothing was handed over. */
static int read_rows(struct sqlitefile *f, const struct sqlitefile_sink *sink, struct vs_err *err)
{
	struct reading x = { .f = f, .sink = sink };
	bool has_partial = false;
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < f->page.cells; i++)
		r = read_cell(&x, i, err);
	if (r < 0)
		return r;
	if (x.bad > x.good)
		return 2;
	x.is_telling = true;
	for (uint32_t i = 0; i < f->page.cells; i++) {
		r = read_cell(&x, i, err);
		if (r == 1) {
			has_partial |= f->row.is_partial;
			r = sink->row(sink->ctx, &f->row, err);
		}
		if (r != 0)
			return r;
	}
	return x.bad > 0 || has_partial ? 1 : 0;
}

/* ---- trees ---- */

/* Put a child on the list; a page is on it once. */
static bool push(struct sqlitefile *f, struct pending *todo, const struct sqlitefile_sink *sink,
		 uint32_t parent, uint32_t off, uint32_t child)
{
	if (child < 2 || child > f->info.pages) {
		tell(f, sink, parent, off,
		     child > f->info.pages ? "a child behind the end of the file"
					   : "a child that is no page");
		return false;
	}
	if (f->state[child] & (PAGE_IS_TAKEN | PAGE_IS_FREE)) {
		tell(f, sink, parent, off,
		     f->state[child] & PAGE_IS_FREE ? "a child that is among the free pages"
						    : "a child that something else has already");
		return false;
	}
	f->state[child] |= PAGE_IS_TAKEN;
	todo->page = vs_grow(todo->page, &todo->cap, todo->count + 1, sizeof(*todo->page));
	todo->page[todo->count++] = child;
	return true;
}

/* The children of the page in f->page, the first on top; false when one is wrong. */
static bool push_children(struct sqlitefile *f, struct pending *todo,
			  const struct sqlitefile_sink *sink)
{
	const struct page *page = &f->page;
	bool is_whole = push(f, todo, sink, page->number, page->start + 8,
			     load_be32(page->bytes + page->start + 8));

	for (uint32_t i = page->cells; i-- > 0;) {
		uint32_t off = page_cell(page, f->info.usable, i);

		if (off == 0 || off + 4 > page->there) {
			tell(f, sink, page->number, page->pointers + 2 * i,
			     "a cell that is not in its page");
			is_whole = false;
			continue;
		}
		is_whole &= push(f, todo, sink, page->number, off, load_be32(page->bytes + off));
	}
	return is_whole;
}

static int visit(struct sqlitefile *f, uint32_t number, enum sqlitefile_tree tree,
		 struct pending *todo, const struct sqlitefile_sink *sink, struct vs_err *err)
{
	bool is_whole = true;
	int r = page_load(f, number, &f->page, err);

	if (r < 0)
		return r;
	if (!is_of(f->page.kind, tree)) {
		/* Whatever it is, it is not this tree's. */
		f->state[number] &= (unsigned char)~PAGE_IS_TAKEN;
		tell(f, sink, number, 0,
		     f->page.kind == PAGE_OTHER ? "a page that is damaged"
						: "a page of another kind");
		return 1;
	}
	if (f->page.there < f->info.page_size) {
		tell(f, sink, number, f->page.there, "a page that is cut off");
		is_whole = false;
	}
	if (f->page.kind == PAGE_TABLE_INTERIOR || f->page.kind == PAGE_INDEX_INTERIOR)
		is_whole &= push_children(f, todo, sink);
	if (f->page.kind == PAGE_TABLE_INTERIOR)
		return is_whole ? 0 : 1;
	r = read_rows(f, sink, err);
	if (r == 2) {
		f->state[number] &= (unsigned char)~PAGE_IS_TAKEN;
		tell(f, sink, number, 0, "a page with other rows than its tree");
	}
	return r == 0 && !is_whole ? 1 : r;
}

int sqlitefile_walk(struct sqlitefile *f, uint32_t root, enum sqlitefile_tree tree,
		    const struct sqlitefile_sink *sink, struct vs_err *err)
{
	cleanup_(pending_fini) struct pending todo = { 0 };
	bool is_whole = true;

	if (root < 1 || root > f->info.pages || (f->state[root] & PAGE_IS_TAKEN) != 0) {
		tell(f, sink, 1, 0,
		     root < 1 || root > f->info.pages ? "a root behind the end of the file"
						      : "a root that something else has already");
		return 1;
	}
	f->state[root] |= PAGE_IS_TAKEN;
	todo.page = vs_grow(NULL, &todo.cap, 1, sizeof(*todo.page));
	todo.page[todo.count++] = root;
	while (todo.count > 0) {
		int r = visit(f, todo.page[--todo.count], tree, &todo, sink, err);

		if (r < 0)
			return r;
		is_whole &= r == 0;
	}
	return is_whole ? 0 : 1;
}

/* ---- strays ---- */

int sqlitefile_next_stray(struct sqlitefile *f, uint32_t *page, enum sqlitefile_tree *tree,
			  struct vs_err *err)
{
	int r = free_scan(f, err);

	if (r < 0)
		return r;
	for (uint32_t i = *page + 1; i <= f->info.pages && i > 0; i++) {
		if (f->state[i] & (PAGE_IS_TAKEN | PAGE_IS_FREE))
			continue;
		r = page_load(f, i, &f->page, err);
		if (r < 0)
			return r;
		if (f->page.cells == 0 ||
		    (f->page.kind != PAGE_TABLE_LEAF && f->page.kind != PAGE_INDEX_LEAF))
			continue;
		*tree = f->page.kind == PAGE_TABLE_LEAF ? SQLITEFILE_TABLE : SQLITEFILE_INDEX;
		*page = i;
		return 1;
	}
	return 0;
}

int sqlitefile_leaf(struct sqlitefile *f, uint32_t page, enum sqlitefile_tree tree,
		    const struct sqlitefile_sink *sink, struct vs_err *err)
{
	int r;

	if (page < 1 || page > f->info.pages || (f->state[page] & PAGE_IS_TAKEN) != 0)
		return vs_fail(err, VS_EUSAGE, "page %" PRIu32 " is no stray leaf", page);
	r = page_load(f, page, &f->page, err);
	if (r < 0)
		return r;
	if (f->page.kind != (tree == SQLITEFILE_TABLE ? PAGE_TABLE_LEAF : PAGE_INDEX_LEAF))
		return 1;
	r = read_rows(f, sink, err);
	if (r == 0 || r == 1)
		f->state[page] |= PAGE_IS_TAKEN;
	return r == 2 ? 1 : r;
}

/* ---- the reader ---- */

int sqlitefile_open(struct sqlitefile **out, const struct sqlitefile_source *source,
		    struct vs_err *err)
{
	cleanup_(sqlitefile_freep) struct sqlitefile *f = vs_alloc(sizeof(*f));
	int r;

	f->source = *source;
	f->page.bytes = vs_alloc(65536);
	f->overflow = vs_alloc(65536);
	r = header_read(f, err);
	if (r < 0)
		return r;
	f->state = vs_try_alloc((size_t)f->info.pages + 1, 1);
	if (!f->state)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu32 " pages", f->info.pages);
	r = free_read(f, err);
	if (r < 0)
		return r;
	*out = VS_TAKE(f);
	return 0;
}

void sqlitefile_freep(struct sqlitefile **f)
{
	if (!*f)
		return;
	free((*f)->state);
	free((*f)->page.bytes);
	free((*f)->overflow);
	buf_fini(&(*f)->payload);
	free(*f);
	*f = NULL;
}

const struct sqlitefile_info *sqlitefile_info(const struct sqlitefile *f)
{
	return &f->info;
}
