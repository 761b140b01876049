// SPDX-License-Identifier: GPL-2.0-only
#include <unistd.h>

#include "holder.h"

static void hold(struct peer *parent, struct pages *pages)
{
	holder_fn fn;
	long request;

	while (peer_receive(parent, &request) == 0) {
		fn = (holder_fn)request;
		peer_send(parent, fn(pages));
	}
	_exit(0);
}

static long bad_pages(struct pages *pages)
{
	return pages_bad(pages);
}

long holder_start_blind(struct holder *h, struct pages *pages)
{
	/* On the stack, since a fixture may be in memory that both share. */
	struct peer peer;
	pid_t pid = peer_fork(&peer);

	if (pid < 0)
		return -1;
	if (pid == 0)
		hold(&peer, pages);
	h->peer = peer;
	return 0;
}

long holder_start(struct holder *h, struct pages *pages, holder_fn prepare)
{
	long result = holder_start_blind(h, pages);

	if (result)
		return result;
	result = holder_call(h, prepare);
	if (result)
		return result;
	/*
	 * What a check touches is touched now: no later one is to allocate a
	 * page between a test's first and second look.
	 */
	return holder_bad(h) ? -1 : 0;
}

long holder_call(struct holder *h, holder_fn fn)
{
	long result;

	if (peer_send(&h->peer, (long)fn) || peer_receive(&h->peer, &result))
		return -1;
	return result;
}

long holder_bad(struct holder *h)
{
	return holder_call(h, bad_pages);
}

int holder_end(struct holder *h)
{
	return peer_end(&h->peer);
}
