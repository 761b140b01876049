// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why pages were left behind: the file migrate_fail_reasons of debugfs and the
 * event migrate:mm_migrate_folio_failed, which the series migrate-reasons adds.
 * Each case makes pages immovable for one known reason and asks for them to be
 * moved: that reason grows by exactly these pages and no other grows, the
 * reasons add up to pgmigrate_fail, and the event names these frames.
 *
 * What keeps a page only for a moment (its lock, writeback) has no case here:
 * it cannot be made to last through all ten attempts without a driver.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, EVENT_TRACING, DEBUG_FS]
 *   features: [migrate-reasons]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick: ["*"]
 *   cases:
 *     pinned.io_uring_move_pages.two_of_sixteen: {kconfig: [IO_URING]}
 *     pinned.io_uring_mbind.two_of_sixteen: {kconfig: [IO_URING]}
 *     reasons.pinned_thp: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *     reasons.pinned_hugetlb: {kconfig: [HUGETLBFS]}
 *     full_node.nomem: {kconfig: [COMPACTION], timeout_s: 120}
 */
#include "harness.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <linux/io_uring.h>
#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "pattern.h"
#include "pin.h"
#include "placement.h"
#include "proc.h"
#include "thp.h"

#define COUNT		16
#define MIB		(1UL << 20)

#define REASONS_FILE	"/sys/kernel/debug/migrate_fail_reasons"

/* The reasons, in the order of enum migrate_fail_reason. */
enum { NOMEM, LOCKED, WRITEBACK, MAPPED, PINNED, OTHER, REASONS };

static const char *const reason_names[REASONS] = {
	[NOMEM] = "nomem",
	[LOCKED] = "locked",
	[WRITEBACK] = "writeback",
	[MAPPED] = "mapped",
	[PINNED] = "pinned",
	[OTHER] = "other",
};

struct reasons {
	long pages[REASONS];
	long fail;		/* pgmigrate_fail */
};

/* 0, or -1 unless the file has one line for each reason and no other. */
static int reasons_read(struct reasons *r)
{
	struct counters c;
	char name[32];
	int i, end;
	FILE *file;

	if (counters_read(&c))
		return -1;
	r->fail = c.fail;
	file = fopen(REASONS_FILE, "re");
	if (!file)
		return -1;
	for (i = 0; i < REASONS; i++)
		if (fscanf(file, "%31s %ld", name, &r->pages[i]) != 2 ||
		    strcmp(name, reason_names[i]))
			break;
	end = fscanf(file, "%31s", name);
	fclose(file);
	return i == REASONS && end == EOF ? 0 : -1;
}

/*
 * "" if since @before reason @why grew by @pages, no other grew, and all of
 * them together grew as pgmigrate_fail did; else what differs.
 */
static const char *reasons_verify(const struct reasons *before, int why,
				  long pages)
{
	static struct problems p;
	struct reasons now;
	long sum = 0, grown;
	int i;

	problems_clear(&p);
	if (reasons_read(&now)) {
		problems_add(&p, "reading " REASONS_FILE);
		return problems_text(&p);
	}
	for (i = 0; i < REASONS; i++) {
		grown = now.pages[i] - before->pages[i];
		sum += grown;
		if (grown != (i == why ? pages : 0))
			problems_add(&p, "%s: wanted %+ld, is %+ld",
				     reason_names[i], i == why ? pages : 0,
				     grown);
	}
	grown = now.fail - before->fail;
	if (sum != grown)
		problems_add(&p, "the reasons grew by %ld, pgmigrate_fail by %ld",
			     sum, grown);
	return problems_text(&p);
}

/* One line of the event. */
struct event {
	unsigned long pfn;
	unsigned int order;
	int nid;
	char why[16];
	int error;
	char mode[24];
	char reason[24];
	int retry;
};

/* A trace instance of our own, so that nobody else's tracing is disturbed. */
struct trace {
	char dir[96];
};

#define TRACEFS		"/sys/kernel/tracing"
#define EVENT		"mm_migrate_folio_failed"
#define EVENT_DIR	"events/migrate/" EVENT

static int trace_write(const struct trace *t, const char *file,
		       const char *text)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", t->dir, file);
	return proc_write(path, text);
}

/* Begin to trace what this process meets with. 0 or -errno. */
static int trace_begin(struct trace *t)
{
	char filter[64];
	int error;

	if (access(TRACEFS "/instances", F_OK) &&
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		return -errno;
	snprintf(t->dir, sizeof(t->dir), TRACEFS "/instances/reasons-%d",
		 getpid());
	if (mkdir(t->dir, 0700))
		return -errno;
	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	error = trace_write(t, EVENT_DIR "/filter", filter);
	return error ? error : trace_write(t, EVENT_DIR "/enable", "1");
}

/* Forget what was traced so far. 0 or -errno. */
static int trace_clear(const struct trace *t)
{
	char path[192];
	int fd;

	snprintf(path, sizeof(path), "%s/trace", t->dir);
	/* It is the truncation that clears it: tracing_open(), 6.12. */
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	return fd < 0 ? -errno : close(fd);
}

static int trace_end(const struct trace *t)
{
	return rmdir(t->dir) ? -errno : 0;
}

/*
 * Read up to @max events, only the last one of each folio left behind if
 * @final. How many there were, or -1 at a line that is not as documented.
 */
static int trace_read(const struct trace *t, struct event *events, int max,
		      bool final)
{
	char path[192], line[512], *text;
	struct event e;
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace", t->dir);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while (count >= 0 && fgets(line, sizeof(line), file)) {
		text = strstr(line, EVENT ": ");
		if (line[0] == '#' || !text)
			continue;
		if (sscanf(text + strlen(EVENT ": "),
			   "pfn=%lx order=%u nid=%d why=%15s error=%d mode=%23s reason=%23s retry=%d",
			   &e.pfn, &e.order, &e.nid, e.why, &e.error, e.mode,
			   e.reason, &e.retry) != 8) {
			printf("# not as documented: %s", line);
			count = -1;
		} else if (!final || !e.retry) {
			if (count < max)
				events[count] = e;
			count++;
		}
	}
	fclose(file);
	return count;
}

/* What every case needs: pages on node a, the counters read, the event on. */
struct scene {
	int a;
	int b;
	struct pages pages;
	struct counters counted;
	struct reasons before;
	struct trace trace;
	struct event event[COUNT + 1];
};

/* "", or what is wrong. */
static const char *scene_begin(struct scene *s)
{
	unsigned long nodes = nodes_with_memory();
	const char *wrong;

	s->a = nodes_nth(nodes, 0);
	s->b = nodes_nth(nodes, 1);
	if (trace_begin(&s->trace))
		return "no event migrate:" EVENT " in " TRACEFS;
	if (pages_map(&s->pages, COUNT, MAP_PRIVATE))
		return "mapping pages";
	pages_want_all(&s->pages, s->a);
	if (pages_populate(&s->pages))
		return "populating pages";
	wrong = pages_snapshot(&s->pages);
	if (*wrong)
		return wrong;
	if (counters_read(&s->counted) || reasons_read(&s->before))
		return "not as documented: " REASONS_FILE;
	return "";
}

/* The last event of each folio left behind: their number, or -1. */
static int scene_events(struct scene *s)
{
	return trace_read(&s->trace, s->event, COUNT + 1, true);
}

/* The frame of page @index at the snapshot. */
static unsigned long scene_frame(const struct scene *s, int index)
{
	return pagemap_pfn(s->pages.was[index].pagemap);
}

/* What the last event of folio @frame says; all zero if there is none. */
static const struct event *scene_event(const struct scene *s,
				       unsigned long frame, int count)
{
	static const struct event none;
	int i;

	for (i = 0; i < count; i++)
		if (s->event[i].pfn == frame)
			return &s->event[i];
	return &none;
}

/* Ask for all pages to go to @node; the result of the system call. */
static long move_by_move_pages(const struct pages *p, int node)
{
	void *addrs[p->count];
	int nodes[p->count], status[p->count];
	long i;

	for (i = 0; i < p->count; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = node;
	}
	return numa_move_pages(0, p->count, addrs, nodes, status, MPOL_MF_MOVE);
}

static long move_by_mbind(const struct pages *p, int node)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND, NODE(node),
			  MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/* Extra references to pages, of either kind. */
struct hold {
	struct pin pin;
	int ring;
};

static int hold_by_vmsplice(struct hold *h, void *addr, long count)
{
	return pin_pages(&h->pin, addr, count);
}

static void release_vmsplice(struct hold *h)
{
	pin_release(&h->pin);
}

/*
 * Fixed buffers hold FOLL_PIN references: unlike those of vmsplice(2) they
 * keep an anonymous page from being unmapped in the first place, so the kernel
 * has to recognise them in another place (try_to_migrate_one() in mm/rmap.c).
 */
static int hold_by_io_uring(struct hold *h, void *addr, long count)
{
	struct io_uring_params params = { 0 };
	struct iovec vec = { addr, count * PAGE_BYTES };

	h->ring = syscall(SYS_io_uring_setup, 1, &params);
	if (h->ring < 0)
		return -1;
	return syscall(SYS_io_uring_register, h->ring, IORING_REGISTER_BUFFERS,
		       &vec, 1);
}

static void release_io_uring(struct hold *h)
{
	syscall(SYS_io_uring_register, h->ring, IORING_UNREGISTER_BUFFERS, NULL,
		0);
	close(h->ring);
}

/* Pinned pages, for each request that can be confined to a range. */
FIXTURE(pinned)
{
	struct scene scene;
	struct hold hold;
};

FIXTURE_VARIANT(pinned)
{
	long (*move)(const struct pages *p, int node);
	long result;		/* with two pages left behind */
	const char *reason;	/* that the event gives for the request */
	int (*hold)(struct hold *h, void *addr, long count);
	void (*release)(struct hold *h);
};

FIXTURE_VARIANT_ADD(pinned, vmsplice_move_pages)
{
	.move = move_by_move_pages,
	.result = 2,
	.reason = "syscall_or_cpuset",
	.hold = hold_by_vmsplice,
	.release = release_vmsplice,
};

FIXTURE_VARIANT_ADD(pinned, vmsplice_mbind)
{
	.move = move_by_mbind,
	.result = -EIO,
	.reason = "mempolicy_mbind",
	.hold = hold_by_vmsplice,
	.release = release_vmsplice,
};

FIXTURE_VARIANT_ADD(pinned, io_uring_move_pages)
{
	.move = move_by_move_pages,
	.result = 2,
	.reason = "syscall_or_cpuset",
	.hold = hold_by_io_uring,
	.release = release_io_uring,
};

FIXTURE_VARIANT_ADD(pinned, io_uring_mbind)
{
	.move = move_by_mbind,
	.result = -EIO,
	.reason = "mempolicy_mbind",
	.hold = hold_by_io_uring,
	.release = release_io_uring,
};

FIXTURE_SETUP(pinned)
{
	if (nodes_count(nodes_with_memory()) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_CLEAN(scene_begin(&self->scene));
}

/* Mappings and pins end with the test's process. */
FIXTURE_TEARDOWN(pinned)
{
	EXPECT_EQ(0, trace_end(&self->scene.trace));
}

/* Pages 5 and 6 stay for one reason, their neighbours move. */
TEST_F(pinned, two_of_sixteen)
{
	struct scene *s = &self->scene;
	const struct event *e;
	int i, count;

	ASSERT_EQ(0, variant->hold(&self->hold, pages_at(&s->pages, 5), 2));
	EXPECT_EQ(variant->result, variant->move(&s->pages, s->b));
	pages_want_all(&s->pages, s->b);
	pages_want(&s->pages, 5, 2, s->a);
	EXPECT_CLEAN(pages_verify(&s->pages, "pages 5 and 6 pinned"));
	EXPECT_CLEAN(counters_verify(&s->counted, COUNT - 2, 2));
	EXPECT_CLEAN(reasons_verify(&s->before, PINNED, 2));

	count = scene_events(s);
	EXPECT_EQ(2, count);
	for (i = 5; i < 7; i++) {
		e = scene_event(s, scene_frame(s, i), count);
		EXPECT_STREQ("pinned", e->why);
		EXPECT_EQ(0, e->order);
		EXPECT_EQ(s->a, e->nid);
		EXPECT_EQ(-EAGAIN, e->error);
		EXPECT_STREQ("MIGRATE_SYNC", e->mode);
		EXPECT_STREQ(variant->reason, e->reason);
	}

	/* Nothing holds them any more: they go, and nothing is counted. */
	variant->release(&self->hold);
	ASSERT_CLEAN(pages_snapshot(&s->pages));
	ASSERT_EQ(0, trace_clear(&s->trace));
	EXPECT_EQ(0, variant->move(&s->pages, s->b));
	pages_want_all(&s->pages, s->b);
	EXPECT_CLEAN(pages_verify(&s->pages, "unpinned"));
	EXPECT_CLEAN(counters_verify(&s->counted, COUNT, 2));
	EXPECT_CLEAN(reasons_verify(&s->before, PINNED, 2));
	EXPECT_EQ(0, trace_read(&s->trace, s->event, COUNT + 1, false));
}

FIXTURE(reasons)
{
	struct scene scene;
};

FIXTURE_SETUP(reasons)
{
	if (nodes_count(nodes_with_memory()) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_CLEAN(scene_begin(&self->scene));
}

FIXTURE_TEARDOWN(reasons)
{
	EXPECT_EQ(0, trace_end(&self->scene.trace));
}

/* Where all pages move there is no reason and no event. */
TEST_F(reasons, none)
{
	struct scene *s = &self->scene;

	EXPECT_EQ(0, move_by_move_pages(&s->pages, s->b));
	pages_want_all(&s->pages, s->b);
	EXPECT_CLEAN(pages_verify(&s->pages, "nothing in the way"));
	EXPECT_CLEAN(counters_verify(&s->counted, COUNT, 0));
	EXPECT_CLEAN(reasons_verify(&s->before, OTHER, 0));
	EXPECT_EQ(0, trace_read(&s->trace, s->event, COUNT + 1, false));
}

/*
 * A folio is tried ten times (NR_MAX_MIGRATE_PAGES_RETRY), and each attempt
 * but the last says that another will follow.
 */
TEST_F(reasons, each_attempt_is_traced)
{
	struct scene *s = &self->scene;
	struct pin pin;
	int i;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(&s->pages, 0), 1));
	EXPECT_EQ(1, move_by_move_pages(&s->pages, s->b));
	ASSERT_EQ(10, trace_read(&s->trace, s->event, COUNT + 1, false));
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(scene_frame(s, 0), s->event[i].pfn);
		EXPECT_STREQ("pinned", s->event[i].why);
		EXPECT_EQ(i < 9, s->event[i].retry);
		/* NR_MAX_MIGRATE_ASYNC_RETRY of them do not wait. */
		EXPECT_STREQ(i < 3 ? "MIGRATE_ASYNC" : "MIGRATE_SYNC",
			     s->event[i].mode);
	}
	EXPECT_CLEAN(counters_verify(&s->counted, COUNT - 1, 1));
	EXPECT_CLEAN(reasons_verify(&s->before, PINNED, 1));
	pin_release(&pin);
}

/* One pinned page keeps the THP around it: all its pages are counted. */
TEST_F(reasons, pinned_thp)
{
	struct scene *s = &self->scene;
	struct pages *p = &s->pages;
	struct counters now;
	struct pin pin;

	ASSERT_EQ(0, pages_map(p, THP_PAGES, MAP_PRIVATE));
	ASSERT_EQ(0, munmap(p->addr, THP_BYTES));
	p->addr = thp_map();
	ASSERT_NE(MAP_FAILED, (void *)p->addr);
	pages_want_all(p, s->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_TRUE(p->was[0].kflags & 1UL << KPF_THP);
	ASSERT_EQ(scene_frame(s, 0) + THP_PAGES - 1,
		  scene_frame(s, THP_PAGES - 1));
	ASSERT_EQ(0, counters_read(&s->counted));

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 77), 1));
	EXPECT_EQ(-EIO, move_by_mbind(p, s->b));
	EXPECT_CLEAN(pages_verify(p, "a THP with one page pinned"));
	EXPECT_CLEAN(reasons_verify(&s->before, PINNED, THP_PAGES));
	ASSERT_EQ(0, counters_read(&now));
	EXPECT_EQ(s->counted.success, now.success);
	EXPECT_EQ(s->counted.fail + THP_PAGES, now.fail);
	EXPECT_EQ(s->counted.thp_fail + 1, now.thp_fail);
	EXPECT_EQ(s->counted.thp_split, now.thp_split);
	ASSERT_EQ(1, scene_events(s));
	EXPECT_EQ(scene_frame(s, 0), s->event[0].pfn);
	EXPECT_EQ(9, s->event[0].order);
	EXPECT_STREQ("pinned", s->event[0].why);

	pin_release(&pin);
	EXPECT_EQ(0, move_by_mbind(p, s->b));
	pages_want_all(p, s->b);
	EXPECT_CLEAN(pages_verify(p, "the THP unpinned"));
	EXPECT_CLEAN(reasons_verify(&s->before, PINNED, THP_PAGES));
	ASSERT_EQ(0, counters_read(&now));
	EXPECT_EQ(s->counted.success + THP_PAGES, now.success);
	EXPECT_EQ(s->counted.thp_success + 1, now.thp_success);
}

/* Give @node @count huge pages of THP_BYTES for hugetlb. 0 or -errno. */
static int reserve_hugetlb(int node, const char *count)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/hugepages/hugepages-%lukB/nr_hugepages",
		 node, THP_BYTES / 1024);
	return proc_write(path, count);
}

/*
 * hugetlb goes a way of its own (unmap_and_move_huge_page()). Looked at by hand,
 * since numa_maps counts it in huge pages.
 */
TEST_F(reasons, pinned_hugetlb)
{
	struct scene *s = &self->scene;
	struct pages huge = { .count = THP_PAGES };
	uint64_t was[THP_PAGES], now[THP_PAGES];
	int status[THP_PAGES];
	struct pin pin;
	long i;

	ASSERT_EQ(0, reserve_hugetlb(s->a, "1"));
	ASSERT_EQ(0, reserve_hugetlb(s->b, "1"));
	huge.addr = mmap(NULL, THP_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)huge.addr);
	ASSERT_EQ(0, numa_mbind(huge.addr, THP_BYTES, MPOL_BIND, NODE(s->a),
				0));
	for (i = 0; i < THP_PAGES; i++)
		pattern_fill(pages_at(&huge, i), 1, i);
	ASSERT_EQ(0, pagemap_read(0, huge.addr, THP_PAGES, was));

	ASSERT_EQ(0, pin_pages(&pin, pages_at(&huge, 77), 1));
	EXPECT_EQ(-EIO, move_by_mbind(&huge, s->b));
	ASSERT_EQ(0, pagemap_read(0, huge.addr, THP_PAGES, now));
	EXPECT_EQ(0, memcmp(was, now, sizeof(was)));
	EXPECT_CLEAN(counters_verify(&s->counted, 0, THP_PAGES));
	EXPECT_CLEAN(reasons_verify(&s->before, PINNED, THP_PAGES));
	ASSERT_EQ(1, scene_events(s));
	EXPECT_EQ(pagemap_pfn(was[0]), s->event[0].pfn);
	EXPECT_EQ(9, s->event[0].order);
	EXPECT_STREQ("pinned", s->event[0].why);

	pin_release(&pin);
	EXPECT_EQ(0, move_by_mbind(&huge, s->b));
	ASSERT_EQ(0, placement_query(0, huge.addr, THP_PAGES, status));
	for (i = 0; i < THP_PAGES; i++) {
		ASSERT_EQ(s->b, status[i]);
		ASSERT_EQ(-1, pattern_check(pages_at(&huge, i), 1, i));
	}
	EXPECT_CLEAN(counters_verify(&s->counted, THP_PAGES, THP_PAGES));
	EXPECT_CLEAN(reasons_verify(&s->before, PINNED, THP_PAGES));
}

/* Put a file of ramfs, which nothing else can see, under @p. 0 or -1. */
static int map_ramfs(const struct pages *p)
{
	char dir[] = "/tmp/ramfs-XXXXXX", path[64];
	int fd, error = -1;

	if (!mkdtemp(dir))
		return -1;
	if (mount("ramfs", dir, "ramfs", 0, NULL))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && ftruncate(fd, p->count * PAGE_BYTES) == 0 &&
	    mmap(p->addr, p->count * PAGE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_SHARED, fd, 0) == p->addr)
		error = 0;
	close(fd);
	/* It goes when the mapping does. */
	return umount2(dir, MNT_DETACH) || rmdir(dir) ? -1 : error;
}

/*
 * ramfs can neither migrate a dirty page nor write it (fallback_migrate_folio()
 * and writeout() in mm/migrate.c): that is final at once, and no pin.
 */
TEST_F(reasons, other)
{
	struct scene *s = &self->scene;
	struct pages *p = &s->pages;
	int i, count;

	ASSERT_EQ(0, map_ramfs(p));
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(-EIO, move_by_mbind(p, s->b));
	EXPECT_CLEAN(pages_verify(p, "dirty pages of ramfs"));
	EXPECT_CLEAN(counters_verify(&s->counted, 0, COUNT));
	EXPECT_CLEAN(reasons_verify(&s->before, OTHER, COUNT));
	count = scene_events(s);
	EXPECT_EQ(COUNT, count);
	for (i = 0; i < COUNT; i++) {
		const struct event *e = scene_event(s, scene_frame(s, i),
						    count);

		EXPECT_STREQ("other", e->why);
		EXPECT_EQ(-EINVAL, e->error);
		EXPECT_STREQ("MIGRATE_SYNC", e->mode);
	}
}

/* Bytes free on @node; -1 if sysfs does not say. */
static long node_free(int node)
{
	char path[64], text[4096], *line;
	long kib;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo",
		 node);
	if (proc_read(path, text, sizeof(text)) < 0)
		return -1;
	line = strstr(text, "MemFree:");
	if (!line || sscanf(line, "MemFree: %ld kB", &kib) != 1)
		return -1;
	return kib * 1024;
}

/* Take memory of @node until no more than @leave bytes are free. 0 or -1. */
static int fill_node(int node, long leave)
{
	const long step = 4 * MIB;
	long left;
	char *addr;

	for (;;) {
		left = node_free(node);
		if (left < 0)
			return -1;
		if (left <= leave)
			return 0;
		addr = mmap(NULL, step, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (addr == MAP_FAILED ||
		    madvise(addr, step, MADV_NOHUGEPAGE) ||
		    numa_mbind(addr, step, MPOL_BIND, NODE(node), 0) ||
		    madvise(addr, step, MADV_POPULATE_WRITE))
			return -1;
	}
}

struct knob {
	const char *path;
	const char *value;
};

/*
 * On a full node kcompactd migrates too, and would be counted: alone (it is
 * proactive) or woken by kswapd for a boosted watermark. The last write lowers
 * the watermarks, so that most of what is left can be taken, and takes back
 * boosts (__setup_per_zone_wmarks() in mm/page_alloc.c, 6.12).
 */
static const struct knob calm[] = {
	{ "/proc/sys/vm/compaction_proactiveness", "0" },
	{ "/proc/sys/vm/watermark_boost_factor", "0" },
	{ "/proc/sys/vm/min_free_kbytes", "1024" },
};

#define KNOBS	((int)(sizeof(calm) / sizeof(calm[0])))

FIXTURE(full_node)
{
	struct scene scene;
	char was[KNOBS][32];
};

FIXTURE_SETUP(full_node)
{
	int i;

	if (nodes_count(nodes_with_memory()) < 2)
		SKIP(return, "needs 2 nodes with memory");
	for (i = 0; i < KNOBS; i++)
		ASSERT_LT(0, proc_read(calm[i].path, self->was[i],
				       sizeof(self->was[i])));
	ASSERT_CLEAN(scene_begin(&self->scene));
	for (i = 0; i < KNOBS; i++)
		ASSERT_EQ(0, proc_write(calm[i].path, calm[i].value));
}

FIXTURE_TEARDOWN(full_node)
{
	int i;

	for (i = 0; i < KNOBS; i++)
		EXPECT_EQ(0, proc_write(calm[i].path, self->was[i]));
	EXPECT_EQ(0, trace_end(&self->scene.trace));
}

/*
 * A full node: the request takes what fits, ends at the first page for which
 * there is no memory, and counts that page alone, for the rest is not tried.
 * Migration by move_pages(2) never wakes the OOM killer (__GFP_THISNODE), but
 * the kernel does report the "page allocation failure" on the console.
 */
TEST_F_TIMEOUT(full_node, nomem, 90)
{
	const long leave = 24 * MIB, asked = 48 * MIB / PAGE_BYTES;
	struct scene *s = &self->scene;
	struct pages *p = &s->pages;
	static int status[48 * MIB / 4096];
	long moved = 0;

	ASSERT_EQ(0, pages_map(p, asked, MAP_PRIVATE));
	ASSERT_EQ(0, madvise(p->addr, asked * PAGE_BYTES, MADV_NOHUGEPAGE));
	pages_want_all(p, s->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, fill_node(s->b, leave));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&s->counted));
	ASSERT_EQ(0, reasons_read(&s->before));

	EXPECT_EQ(-ENOMEM, move_by_move_pages(p, s->b));
	ASSERT_EQ(0, placement_query(0, p->addr, asked, status));
	while (moved < asked && status[moved] == s->b)
		moved++;
	TH_LOG("%ld of %ld pages fitted", moved, asked);
	EXPECT_LT(0, moved);
	EXPECT_GT(asked, moved);
	pages_want(p, 0, moved, s->b);
	EXPECT_CLEAN(pages_verify(p, "more pages than node b has room for"));
	EXPECT_CLEAN(counters_verify(&s->counted, moved, 1));
	EXPECT_CLEAN(reasons_verify(&s->before, NOMEM, 1));
	ASSERT_EQ(1, scene_events(s));
	EXPECT_EQ(scene_frame(s, moved), s->event[0].pfn);
	EXPECT_STREQ("nomem", s->event[0].why);
	EXPECT_EQ(-ENOMEM, s->event[0].error);
}

TEST_HARNESS_MAIN
