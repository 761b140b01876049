// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "kernel.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "pattern.h"
#include "placement.h"
#include "policy.h"

#define KPF(name)	(1UL << KPF_##name)

/* What migration carries over as it is: folio_migrate_flags(), mm/migrate.c. */
#define PM_KEPT		(PM_SOFT_DIRTY | PM_MMAP_EXCLUSIVE | PM_UFFD_WP | \
			 PM_FILE | PM_SWAP | PM_PRESENT)
#define KPF_KEPT	(KPF(UPTODATE) | KPF(MMAP) | KPF(ANON) | \
			 KPF(SWAPBACKED) | KPF(COMPOUND_HEAD) | \
			 KPF(COMPOUND_TAIL) | KPF(HUGE) | KPF(MLOCKED) | \
			 KPF(HWPOISON) | KPF(KSM) | KPF(THP))
/*
 * May be gained: unmapping moves the dirty bit of the PTE to the page, and a
 * locked page gets its bit once it leaves a CPU's batch for the LRU.
 */
#define KPF_NOT_LOST	(KPF(DIRTY) | KPF(UNEVICTABLE))
/* Set on the way only. */
#define KPF_TRANSIENT	(KPF(LOCKED) | KPF(WRITEBACK))

/* Pages that a message names one by one. */
#define SHOWN		2

static void *map_arrays(size_t bytes)
{
	/* Populated now: a page fault of ours must not land in a measurement. */
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

int pages_over(struct pages *p, void *addr, long count)
{
	char *arrays;

	memset(p, 0, sizeof(*p));
	arrays = map_arrays(count * (2 * sizeof(*p->was) + sizeof(*p->want)));
	if (arrays == MAP_FAILED)
		return -1;
	p->was = (void *)arrays;
	p->now = p->was + count;
	p->want = (void *)(p->now + count);
	p->count = count;
	p->seed = (uintptr_t)p ^ getpid();
	p->addr = addr;
	pages_want_all(p, UNTOUCHED);
	return 0;
}

int pages_map_at(struct pages *p, void *addr, long count, int flags)
{
	if (mmap(addr, count * PAGE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_ANONYMOUS | flags, -1, 0) == MAP_FAILED)
		return -1;
	return pages_over(p, addr, count);
}

int pages_map(struct pages *p, long count, int sharing)
{
	size_t bytes = count * PAGE_BYTES;
	char *outer = mmap(NULL, bytes + 2 * PAGE_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (outer == MAP_FAILED ||
	    pages_map_at(p, outer + PAGE_BYTES, count, sharing))
		return -1;
	/* Refused by a kernel that has no huge pages anyway. */
	madvise(p->addr, bytes, MADV_NOHUGEPAGE);
	return 0;
}

void *pages_at(const struct pages *p, long index)
{
	return p->addr + index * PAGE_BYTES;
}

void pages_read(const struct pages *p, long index)
{
	(void)*(volatile char *)pages_at(p, index);
}

void pages_write(const struct pages *p, long index)
{
	volatile char *byte = pages_at(p, index);

	*byte = *byte;
}

void pages_want(struct pages *p, long first, long count, int node)
{
	while (count--)
		p->want[first++] = node;
}

void pages_want_all(struct pages *p, int node)
{
	pages_want(p, 0, p->count, node);
}

void pages_want_dealt(struct pages *p, unsigned long set)
{
	long i;

	for (i = 0; i < p->count; i++)
		pages_want(p, i, 1, nodes_nth(set, i % nodes_count(set)));
}

void pages_want_moved(struct pages *p, int from, int to)
{
	long i;

	for (i = 0; i < p->count; i++)
		if (p->was[i].status == from)
			pages_want(p, i, 1, to);
}

long pages_to_move(const struct pages *p)
{
	long i, moves = 0;

	for (i = 0; i < p->count; i++)
		if (p->want[i] >= 0 && p->want[i] != p->was[i].status)
			moves++;
	return moves;
}

long pages_populate(struct pages *p)
{
	int bound = -1;
	long i, error;

	for (i = 0; i < p->count; i++) {
		if (p->want[i] < 0)
			continue;
		if (p->want[i] != bound && !p->by_policy) {
			bound = p->want[i];
			error = numa_set_mempolicy(MPOL_BIND, NODE(bound));
			if (error)
				return error;
		}
		pattern_fill(pages_at(p, i), p->seed, i);
	}
	return p->by_policy ? 0 : numa_set_mempolicy(MPOL_DEFAULT, 0);
}

/* The offset of the first byte or word that is wrong, or -1. */
static int content_check(const struct pages *p, long i)
{
	return (p->check ? : pattern_check)(pages_at(p, i), p->seed, i);
}

static int read_state(struct pages *p, struct page_state *state)
{
	uint64_t entries[p->count];
	int status[p->count];
	long i, error;

	error = placement_query(p->pid, p->addr, p->count, status);
	if (error) {
		problems_add(&p->problems, "move_pages(2) query: %s",
			     strerror(-error));
		return -1;
	}
	if (pagemap_read(p->pid, p->addr, p->count, entries)) {
		problems_add(&p->problems, "reading pagemap: %m");
		return -1;
	}
	for (i = 0; i < p->count; i++) {
		uint64_t pfn = pagemap_pfn(entries[i]);

		state[i].status = status[i];
		state[i].pagemap = entries[i];
		state[i].kflags = 0;
		if (entries[i] & PM_PRESENT && !pfn) {
			problems_add(&p->problems,
				     "pagemap hides frames: run as root");
			return -1;
		}
		if (pfn && kpageflags_read(pfn, &state[i].kflags)) {
			problems_add(&p->problems, "reading kpageflags: %m");
			return -1;
		}
	}
	return 0;
}

/* Page @i: what is wrong with it is added to @to. Whether anything was. */
typedef bool (*page_check)(const struct pages *p, long i, struct problems *to);

/* Show the first few pages with a fault, and say how many more have it. */
static void check_each(struct pages *p, page_check check)
{
	struct problems unshown = {0};
	long i, wrong = 0;

	for (i = 0; i < p->count; i++)
		wrong += check(p, i, wrong < SHOWN ? &p->problems : &unshown);
	if (wrong > SHOWN)
		problems_add(&p->problems, "%ld more pages like that",
			     wrong - SHOWN);
}

/*
 * Before 6.12 a query has EFAULT for a page of private memory that was never
 * there, as for what is not mapped (FOLL_DUMP in no_page_table(), mm/gup.c).
 */
static bool is_untouched(int status)
{
	return status == UNTOUCHED ||
	       (status == UNMAPPED && kernel_before(6, 12));
}

static bool is_misplaced(const struct pages *p, long i, struct problems *to)
{
	if (p->now[i].status == p->want[i] ||
	    (p->want[i] == UNTOUCHED && is_untouched(p->now[i].status)))
		return false;
	problems_add(to, "page %ld: wanted on %d, is on %d", i, p->want[i],
		     p->now[i].status);
	return true;
}

static bool has_wrong_frame(const struct pages *p, long i, struct problems *to)
{
	uint64_t was = pagemap_pfn(p->was[i].pagemap);
	uint64_t now = pagemap_pfn(p->now[i].pagemap);
	bool moved = p->was[i].status != p->now[i].status;

	if (!was || !now || moved == (was != now))
		return false;
	if (moved)
		problems_add(to, "page %ld: new node, but the old frame %#lx",
			     i, was);
	else
		problems_add(to, "page %ld: frame %#lx became %#lx in place",
			     i, was, now);
	return true;
}

static bool has_wrong_state(const struct pages *p, long i, struct problems *to)
{
	const struct page_state *was = &p->was[i], *now = &p->now[i];
	uint64_t bits = (was->pagemap ^ now->pagemap) & PM_KEPT;
	uint64_t kbits = ((was->kflags ^ now->kflags) & KPF_KEPT & ~p->unkept) |
			 (was->kflags & ~now->kflags & KPF_NOT_LOST) |
			 (now->kflags & KPF_TRANSIENT & ~p->unkept);

	if (was->status < 0 || now->status < 0)
		return false;
	/*
	 * A page that moved was on the LRU, and has to be back there, but for
	 * huge pages of hugetlbfs, which never are, and tails, of which
	 * the kpageflags of 6.1 do not tell it.
	 */
	if (was->status != now->status &&
	    !(now->kflags & (KPF(HUGE) | KPF(COMPOUND_TAIL))))
		kbits |= ~now->kflags & KPF(LRU);
	if (bits)
		problems_add(to,
			     "page %ld: pagemap %#lx became %#lx (wrong: %#lx)",
			     i, was->pagemap, now->pagemap, bits);
	if (kbits)
		problems_add(to,
			     "page %ld: kpageflags %#lx became %#lx (wrong: %#lx)",
			     i, was->kflags, now->kflags, kbits);
	return bits || kbits;
}

static bool has_wrong_content(const struct pages *p, long i,
			      struct problems *to)
{
	uint64_t *word;
	int offset;

	if (p->now[i].status < 0)
		return false;
	offset = content_check(p, i);
	if (offset < 0)
		return false;
	word = pages_at(p, i) + offset;
	problems_add(to, "page %ld: content at +%d: wanted %#lx, is %#lx", i,
		     offset, pattern_word(p->seed, i, offset), *word);
	return true;
}

static void check_placement(struct pages *p, const char *what)
{
	struct placement want = {0}, seen = {0}, maps;
	char text[512], other[512];
	long i;

	for (i = 0; i < p->count; i++) {
		placement_add(&want, p->want[i]);
		placement_add(&seen, p->now[i].status);
	}
	placement_print(what, &want, &seen);
	check_each(p, is_misplaced);
	if (placement_numa_maps(p->pid, p->addr, p->count, &maps)) {
		problems_add(&p->problems, "reading numa_maps: %m");
		return;
	}
	maps.absent = want.absent;
	if (!placement_equal(&want, &maps))
		problems_add(&p->problems, "numa_maps: wanted %s, is %s",
			     placement_text(&want, text, sizeof(text)),
			     placement_text(&maps, other, sizeof(other)));
}

const char *pages_snapshot(struct pages *p)
{
	problems_clear(&p->problems);
	if (read_state(p, p->now) == 0)
		check_placement(p, "before");
	memcpy(p->was, p->now, p->count * sizeof(*p->was));
	return problems_text(&p->problems);
}

const char *pages_verify(struct pages *p, const char *what)
{
	problems_clear(&p->problems);
	if (read_state(p, p->now) == 0) {
		check_placement(p, what);
		check_each(p, has_wrong_frame);
		check_each(p, has_wrong_state);
		/* Last, since reading ages pages. */
		if (!p->pid)
			check_each(p, has_wrong_content);
	}
	return problems_text(&p->problems);
}

long pages_bad(const struct pages *p)
{
	long i, bad = 0;

	for (i = 0; i < p->count; i++)
		if (p->want[i] >= 0 &&
		    content_check(p, i) >= 0)
			bad++;
	return bad;
}

void pages_forget_frame(struct pages *p, long index)
{
	p->was[index].pagemap &= ~PM_PFN_MASK;
}

const char *pages_shared_with(struct pages *p, pid_t pid)
{
	uint64_t mine[p->count], theirs[p->count];
	long i, differ = 0, first = 0;

	problems_clear(&p->problems);
	if (pagemap_read(p->pid, p->addr, p->count, mine) ||
	    pagemap_read(pid, p->addr, p->count, theirs)) {
		problems_add(&p->problems, "reading pagemap: %m");
		return problems_text(&p->problems);
	}
	for (i = 0; i < p->count; i++)
		if (pagemap_pfn(mine[i]) != pagemap_pfn(theirs[i]) && !differ++)
			first = i;
	if (differ)
		problems_add(&p->problems,
			     "%ld pages no longer in common with process %d, the first is page %ld: frame %#lx here, %#lx there",
			     differ, pid, first, pagemap_pfn(mine[first]),
			     pagemap_pfn(theirs[first]));
	return problems_text(&p->problems);
}

const char *pages_policy(const struct pages *p, long index)
{
	static char text[128];
	unsigned long nodes = 0;
	int mode;
	long error;

	error = numa_get_mempolicy(&mode, &nodes, pages_at(p, index),
				   MPOL_F_ADDR);
	if (!error)
		return policy_text(mode, nodes);
	snprintf(text, sizeof(text), "get_mempolicy: %s", strerror(-error));
	return text;
}
