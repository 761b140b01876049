// Toy page migration.
#include <linux/mm.h>

static int isolate_page(struct page *page)
{
	return page->nid >= 0;
}

static void putback_page(struct page *page, int nid)
{
	page->nid = nid;
}

/* Move one page; returns 0, or -1 where it could not be isolated. */
int migrate_page(struct page *page, int nid)
{
	if (!isolate_page(page))
		return -1;
	putback_page(page, nid);
	return 0;
}
