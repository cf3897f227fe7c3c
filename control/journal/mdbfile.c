#include "control/journal/mdbfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* lmdb 0.9.24 mdb.c: MDB_MAGIC, MDB_DATA_VERSION, P_*, F_*, PAGEHDRSZ, NODESIZE. */
enum { META_MAGIC = 0xBEEFC0DE, META_VERSION = 1 };
enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_OVERFLOW = 0x04, PAGE_META = 0x08 };
enum { NODE_BIGDATA = 0x01, NODE_SUBDATA = 0x02 };
enum { DB_INTEGERKEY = 0x08 };
enum { PAGE_HEADER_BYTES = 16, NODE_HEADER_BYTES = 8, KEY_BYTES = 8, DB_BYTES = 48 };
#define NO_PAGE UINT64_MAX

struct page {
	uint64_t number, offset;
	unsigned flags, slots;
	struct bytes all;
};

struct node {
	unsigned flags;
	struct bytes key, data; /* of a branch: data is empty */
	uint64_t child;         /* of a branch */
	uint64_t offset;        /* of the data in the file */
};

static enum mdbfile_status bad(struct mdbfile *f, uint64_t at, const char *wrong)
{
	f->wrong = wrong;
	f->wrong_at = at;
	return MDBFILE_BAD;
}

static struct reader file_at(const struct mdbfile *f, uint64_t offset, uint64_t len)
{
	struct reader r = reader_of(f->base, f->size);

	reader_skip(&r, offset);
	return reader_sub(&r, len);
}

/* The nodes of a page fill it from `upper` to its end: a slot too many, too few, or twice, does not add up. Their keys ascend, or else a search by halves
 * would pass some by; names of databases have an order of their own, and the first key of a branch is left out. */
static bool nodes_add_up(struct mdbfile *f, const struct page *page, unsigned upper)
{
	uint64_t *known = &f->sound[page->number % MDBFILE_SOUND], sum = 0, last = 0;
	unsigned keyed = page->number == f->main_root ? page->slots : page->flags & PAGE_LEAF ? 0 : 1;

	if (*known == page->number)
		return true;
	for (unsigned slot = 0; slot < page->slots; slot++) {
		struct reader pointer = reader_of_bytes(page->all), r = reader_of_bytes(page->all);
		unsigned lo, hi, flags, key_bytes;

		reader_skip(&pointer, PAGE_HEADER_BYTES + 2 * slot);
		reader_skip(&r, reader_le16(&pointer));
		lo = reader_le16(&r);
		hi = reader_le16(&r);
		flags = reader_le16(&r);
		key_bytes = reader_le16(&r);
		sum += NODE_HEADER_BYTES + key_bytes;
		if (slot >= keyed && key_bytes == sizeof(uint64_t)) {
			uint64_t key = reader_le64(&r);

			if (slot > keyed && key <= last)
				return bad(f, page->offset, "keys that do not ascend") == MDBFILE_OK;
			last = key;
		}
		if (page->flags & PAGE_LEAF)
			sum += flags & NODE_BIGDATA ? sizeof(uint64_t) : lo | (uint64_t)hi << 16;
		sum += sum % 2;
	}
	if (sum != f->page_bytes - upper)
		return bad(f, page->offset, "a page whose nodes do not fill it") == MDBFILE_OK;
	*known = page->number;
	return true;
}

/* A branch or leaf page, its header checked. */
static bool page_read(struct mdbfile *f, uint64_t number, unsigned kind, struct page *out)
{
	struct reader r;
	unsigned lower, upper, pad;

	*out = (struct page){ .number = number, .offset = number * f->page_bytes };
	if (number >= f->pages || number < 2) {
		bad(f, 0, "a page number outside the file");
		return false;
	}
	r = file_at(f, out->offset, f->page_bytes);
	out->all = bytes_of(r.at, r.left);
	if (reader_le64(&r) != number || !r.ok) {
		bad(f, out->offset, "a page that is not itself, or is cut off");
		return false;
	}
	pad = reader_le16(&r);
	out->flags = reader_le16(&r);
	lower = reader_le16(&r);
	upper = reader_le16(&r);
	if (pad != 0 || out->flags != kind || lower < PAGE_HEADER_BYTES || lower % 2 || lower > upper || upper > f->page_bytes) {
		bad(f, out->offset, "a page header out of its bounds");
		return false;
	}
	out->slots = (lower - PAGE_HEADER_BYTES) / 2;
	if (out->slots == 0) {
		bad(f, out->offset, "an empty page in a tree");
		return false;
	}
	return nodes_add_up(f, out, upper);
}

static bool overflow_read(struct mdbfile *f, uint64_t number, uint64_t len, struct node *out)
{
	struct reader r = { 0 };
	uint64_t count = 0;

	if (number >= 2 && number < f->pages)
		r = file_at(f, number * f->page_bytes, PAGE_HEADER_BYTES);
	if (reader_le64(&r) == number) {
		reader_skip(&r, 2);
		if (reader_le16(&r) == PAGE_OVERFLOW)
			count = reader_le32(&r);
	}
	if (!r.ok || count == 0 || count > f->pages - number || len > count * f->page_bytes - PAGE_HEADER_BYTES) {
		bad(f, number < f->pages ? number * f->page_bytes : 0, "overflow pages out of their bounds");
		return false;
	}
	out->offset = number * f->page_bytes + PAGE_HEADER_BYTES;
	r = file_at(f, out->offset, len);
	out->data = bytes_of(r.at, r.left);
	if (!r.ok)
		bad(f, out->offset, "overflow pages that are cut off");
	return r.ok;
}

static bool node_read(struct mdbfile *f, const struct page *page, unsigned slot, struct node *out)
{
	struct reader pointers = reader_of_bytes(page->all), r = reader_of_bytes(page->all);
	unsigned lo, hi, key_bytes, at;
	uint64_t len;

	*out = (struct node){ 0 };
	reader_skip(&pointers, PAGE_HEADER_BYTES + 2 * slot);
	at = reader_le16(&pointers);
	reader_skip(&r, at);
	lo = reader_le16(&r);
	hi = reader_le16(&r);
	out->flags = reader_le16(&r);
	key_bytes = reader_le16(&r);
	out->key = reader_bytes(&r, key_bytes);
	len = lo | (uint64_t)hi << 16;
	if (page->flags & PAGE_BRANCH) {
		out->child = len | (uint64_t)out->flags << 32;
	} else if (out->flags & NODE_BIGDATA) {
		uint64_t number = reader_le64(&r);

		return r.ok && at >= PAGE_HEADER_BYTES ? overflow_read(f, number, len, out)
						       : bad(f, page->offset + at, "a node out of its page") == MDBFILE_OK;
	} else {
		out->offset = page->offset + at + NODE_HEADER_BYTES + key_bytes;
		out->data = reader_bytes(&r, len);
	}
	if (!r.ok || at < PAGE_HEADER_BYTES)
		bad(f, page->offset + at, "a node out of its page");
	return r.ok && at >= PAGE_HEADER_BYTES;
}

/* An 8-byte integer key; the first key of a branch page is absent and counts as 0. */
static bool node_key(struct mdbfile *f, const struct page *page, unsigned slot, const struct node *node, uint64_t *key)
{
	struct reader r = reader_of_bytes(node->key);

	*key = 0;
	if (page->flags & PAGE_BRANCH && slot == 0)
		return true;
	*key = reader_le64(&r);
	if (r.ok && r.left == 0)
		return true;
	bad(f, page->offset, "a key that is not 8 bytes");
	return false;
}

/* --- the file --------------------------------------------------------------------------------------------------------- */

/* One of the two meta pages; false when it is none. */
static bool meta_read(struct mdbfile *f, uint64_t offset, struct mdbfile *into)
{
	struct reader r = file_at(f, offset, PAGE_HEADER_BYTES + 24 + 2 * DB_BYTES + 16);
	uint64_t last;

	reader_skip(&r, 10);
	if (!(reader_le16(&r) & PAGE_META))
		return false;
	reader_skip(&r, 4);
	if (reader_le32(&r) != META_MAGIC || reader_le32(&r) != META_VERSION)
		return false;
	reader_skip(&r, 16);
	into->page_bytes = reader_le32(&r); /* md_pad of the free list's database */
	reader_skip(&r, DB_BYTES - 4 + 6);
	into->main_depth = reader_le16(&r);
	reader_skip(&r, 24);
	into->main_entries = reader_le64(&r);
	into->main_root = reader_le64(&r);
	last = reader_le64(&r);
	into->txn = reader_le64(&r);
	into->pages = last + 1;
	return r.ok && into->page_bytes >= 512 && into->page_bytes <= 65536 &&
	       (into->page_bytes & (into->page_bytes - 1)) == 0 && last >= 1 && last < UINT64_MAX / 65536;
}

static bool metas_read(struct mdbfile *f)
{
	struct mdbfile first = *f, second = *f;
	bool good = meta_read(f, 0, &first);
	uint64_t page = good ? first.page_bytes : (uint64_t)sysconf(_SC_PAGESIZE);
	bool other = meta_read(f, page, &second);
	const struct mdbfile *newest;

	if (!good && !other) {
		bad(f, 0, "no readable meta page");
		return false;
	}
	/* mdb_env_pick_meta: the higher transaction number. */
	newest = !other || (good && first.txn > second.txn) ? &first : &second;
	memset(f->sound, 0, sizeof f->sound);
	f->page_bytes = newest->page_bytes;
	f->pages = newest->pages;
	f->txn = newest->txn;
	f->main_root = newest->main_root;
	f->main_depth = newest->main_depth;
	f->main_entries = newest->main_entries;
	return true;
}

bool mdbfile_refresh(struct mdbfile *f)
{
	struct stat st;

	f->wrong = NULL;
	if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		bad(f, 0, "not a file, or empty");
		return false;
	}
	f->size = (size_t)st.st_size;
	if (f->size > f->mapped) {
		size_t want = f->size + f->size / 4; /* what lies behind the end is mapped, never read */
		void *base = mmap(NULL, want, PROT_READ, MAP_SHARED, f->fd, 0);

		if (base == MAP_FAILED) {
			bad(f, 0, "cannot be mapped");
			return false;
		}
		if (f->base)
			munmap((void *)(uintptr_t)f->base, f->mapped);
		f->base = base;
		f->mapped = want;
	}
	return metas_read(f);
}

bool mdbfile_open(struct mdbfile *f, const char *path)
{
	const char *wrong;

	*f = (struct mdbfile){ .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) };
	if (f->fd < 0) {
		bad(f, 0, "cannot be opened");
		return false;
	}
	if (mdbfile_refresh(f))
		return true;
	wrong = f->wrong;
	mdbfile_close(f);
	f->wrong = wrong;
	return false;
}

void mdbfile_close(struct mdbfile *f)
{
	if (f->base)
		munmap((void *)(uintptr_t)f->base, f->mapped);
	if (f->fd >= 0)
		close(f->fd);
	*f = (struct mdbfile){ .fd = -1 };
}

/* --- walking ---------------------------------------------------------------------------------------------------------- */

enum mdbfile_status mdbfile_db(struct mdbfile *f, const char *name, struct mdbfile_db *db)
{
	struct page page;

	*db = (struct mdbfile_db){ .root = NO_PAGE };
	if (f->main_root == NO_PAGE)
		return MDBFILE_END;
	/* A handful of names: they stand in one leaf. */
	if (f->main_depth != 1)
		return bad(f, 0, "the list of databases is not one leaf");
	if (!page_read(f, f->main_root, PAGE_LEAF, &page))
		return MDBFILE_BAD;
	/* One that is left out is a fault, not a database that nobody made. */
	if (page.slots != f->main_entries)
		return bad(f, f->main_root * f->page_bytes, "another number of databases than its meta page says");
	for (unsigned slot = 0; slot < page.slots; slot++) {
		struct node node;
		struct reader r;
		unsigned flags;

		if (!node_read(f, &page, slot, &node))
			return MDBFILE_BAD;
		if (!bytes_equal(node.key, bytes_str(name)))
			continue;
		r = reader_of_bytes(node.data);
		reader_skip(&r, 4);
		flags = reader_le16(&r);
		db->depth = reader_le16(&r);
		reader_skip(&r, 24);
		db->entries = reader_le64(&r);
		db->root = reader_le64(&r);
		if (!r.ok || r.left || node.flags != NODE_SUBDATA || flags != DB_INTEGERKEY || db->depth > MDBFILE_DEPTH_MAX ||
		    (db->depth == 0) != (db->root == NO_PAGE))
			return bad(f, node.offset, "a database entry that is none");
		return MDBFILE_OK;
	}
	return MDBFILE_END;
}

struct mdbfile_cursor mdbfile_cursor_of(struct mdbfile *f, const struct mdbfile_db *db)
{
	return (struct mdbfile_cursor){ .file = f, .db = *db };
}

static bool level_page(struct mdbfile_cursor *c, unsigned level, struct page *page)
{
	if (!page_read(c->file, c->stack[level].page, level + 1 == c->db.depth ? PAGE_LEAF : PAGE_BRANCH, page))
		return false;
	if (c->db.depth == 1 && page->slots != c->db.entries) {
		bad(c->file, page->offset, "another number of entries than its database says");
		return false;
	}
	return true;
}

/* The last slot of a page whose key is at most `key`; -1 when there is none, -2 when a node is bad. */
static int slot_floor(struct mdbfile_cursor *c, const struct page *page, uint64_t key)
{
	int low = 0, high = (int)page->slots - 1, found = -1;

	while (low <= high) {
		int middle = (low + high) / 2;
		struct node node;
		uint64_t at;

		if (!node_read(c->file, page, (unsigned)middle, &node) || !node_key(c->file, page, (unsigned)middle, &node, &at))
			return -2;
		if (at <= key) {
			found = middle;
			low = middle + 1;
		} else {
			high = middle - 1;
		}
	}
	return found;
}

/* Nothing was ever deleted, so a branch's key is the first one of what it leads to. Whoever looks for a key goes by it. */
static enum mdbfile_status divides(struct mdbfile_cursor *c, const struct page *page, uint64_t least)
{
	struct node node;
	uint64_t first;

	if (!node_read(c->file, page, 0, &node) || !node_key(c->file, page, 0, &node, &first))
		return MDBFILE_BAD;
	return first == least ? MDBFILE_OK : bad(c->file, page->offset, "a branch whose key does not divide its pages");
}

/* Goes down from `level`, whose page is set, by the slots that `key` says, or by the first ones. */
static enum mdbfile_status descend(struct mdbfile_cursor *c, unsigned level, bool first, uint64_t key)
{
	uint64_t least = 0;
	bool divided = false;

	for (;; level++) {
		struct page page;
		struct node node;
		int slot;

		if (!level_page(c, level, &page))
			return MDBFILE_BAD;
		slot = first ? 0 : slot_floor(c, &page, key);
		if (slot == -1 && divided)
			return bad(c->file, page.offset, "a branch whose key does not divide its pages");
		if (slot < 0)
			return slot == -1 ? MDBFILE_END : MDBFILE_BAD;
		c->stack[level].slot = (unsigned)slot;
		if (level + 1 == c->db.depth) {
			if (divided && divides(c, &page, least) != MDBFILE_OK)
				return MDBFILE_BAD;
			break;
		}
		if (!node_read(c->file, &page, (unsigned)slot, &node) || (slot > 0 && !node_key(c->file, &page, (unsigned)slot, &node, &least)))
			return MDBFILE_BAD;
		divided |= slot > 0;
		c->stack[level + 1].page = node.child;
	}
	c->depth = c->db.depth;
	return MDBFILE_OK;
}

static enum mdbfile_status entry_here(struct mdbfile_cursor *c, struct mdbfile_entry *entry)
{
	unsigned level = c->db.depth - 1;
	struct page page;
	struct node node;

	*entry = (struct mdbfile_entry){ 0 };
	if (!level_page(c, level, &page) || !node_read(c->file, &page, c->stack[level].slot, &node) ||
	    !node_key(c->file, &page, c->stack[level].slot, &node, &entry->key))
		return MDBFILE_BAD;
	if (node.flags & ~(unsigned)NODE_BIGDATA)
		return bad(c->file, node.offset, "a node of another kind than ours");
	entry->value = node.data;
	entry->offset = node.offset;
	c->started = true;
	c->key = entry->key;
	return MDBFILE_OK;
}

static enum mdbfile_status placed(struct mdbfile_cursor *c, enum mdbfile_status status, struct mdbfile_entry *entry)
{
	if (status == MDBFILE_OK)
		status = entry_here(c, entry);
	if (status != MDBFILE_OK) {
		*entry = (struct mdbfile_entry){ 0 };
		c->depth = 0;
	}
	return status;
}

enum mdbfile_status mdbfile_floor(struct mdbfile_cursor *c, uint64_t key, struct mdbfile_entry *entry)
{
	*entry = (struct mdbfile_entry){ 0 };
	c->depth = 0;
	if (c->db.root == NO_PAGE)
		return MDBFILE_END;
	c->stack[0].page = c->db.root;
	return placed(c, descend(c, 0, false, key), entry);
}

enum mdbfile_status mdbfile_next(struct mdbfile_cursor *c, struct mdbfile_entry *entry)
{
	uint64_t last = c->key, least = 0;
	enum mdbfile_status status;

	*entry = (struct mdbfile_entry){ 0 };
	if (c->db.root == NO_PAGE)
		return MDBFILE_END;
	if (!c->started) {
		c->stack[0].page = c->db.root;
		return placed(c, descend(c, 0, true, 0), entry);
	}
	if (c->depth == 0)
		return MDBFILE_END;
	for (unsigned level = c->db.depth; level-- > 0;) {
		struct page page;
		struct node node;

		if (!level_page(c, level, &page))
			return placed(c, MDBFILE_BAD, entry);
		if (c->stack[level].slot + 1 >= page.slots)
			continue;
		c->stack[level].slot++;
		if (level + 1 < c->db.depth) {
			if (!node_read(c->file, &page, c->stack[level].slot, &node) || !node_key(c->file, &page, c->stack[level].slot, &node, &least))
				return placed(c, MDBFILE_BAD, entry);
			c->stack[level + 1].page = node.child;
			status = descend(c, level + 1, true, 0);
			if (status != MDBFILE_OK)
				return placed(c, status, entry);
		}
		status = placed(c, MDBFILE_OK, entry);
		if (status == MDBFILE_OK && entry->key <= last)
			return placed(c, bad(c->file, page.offset, "keys that do not ascend"), entry);
		/* Whoever looks for one key goes by what the branch says. */
		if (status == MDBFILE_OK && level + 1 < c->db.depth && (last >= least || entry->key != least))
			return placed(c, bad(c->file, page.offset, "a branch whose key does not divide its pages"), entry);
		return status;
	}
	return placed(c, MDBFILE_END, entry);
}

enum mdbfile_status mdbfile_get(struct mdbfile *f, const struct mdbfile_db *db, uint64_t key, struct mdbfile_entry *entry)
{
	struct mdbfile_cursor c = mdbfile_cursor_of(f, db);
	enum mdbfile_status status = mdbfile_floor(&c, key, entry);

	if (status == MDBFILE_OK && entry->key != key) {
		*entry = (struct mdbfile_entry){ 0 };
		return MDBFILE_END;
	}
	return status;
}
