#ifndef _LINUX_MM_H
#define _LINUX_MM_H

#include "autoconf.h"

struct page {
	int nid;
};

int migrate_page(struct page *page, int nid);
int policy_node(int nid);

#endif
