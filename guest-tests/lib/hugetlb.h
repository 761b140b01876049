/* SPDX-License-Identifier: GPL-2.0-only */
/* The pool of huge pages of 2 MiB (Documentation/admin-guide/mm/hugetlbpage.rst). */
#ifndef TESTBED_HUGETLB_H
#define TESTBED_HUGETLB_H

/* "free_hugepages" and so on, of @node or (-1) of all; -1 if unreadable. */
long hugetlb_pool(int node, const char *name);

/* Have @pages of them on @node. 0, or -1 if there are not so many then. */
int hugetlb_set_pool(int node, long pages);

#endif /* TESTBED_HUGETLB_H */
