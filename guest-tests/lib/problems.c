// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>

#include "problems.h"

void problems_clear(struct problems *p)
{
	p->len = 0;
	p->text[0] = '\0';
}

static void grow(struct problems *p, int len)
{
	p->len += len;
	if (p->len > (int)sizeof(p->text) - 1)
		p->len = sizeof(p->text) - 1;
}

void problems_add(struct problems *p, const char *format, ...)
{
	va_list args;

	if (p->len)
		grow(p, snprintf(p->text + p->len, sizeof(p->text) - p->len,
				 "; "));
	va_start(args, format);
	grow(p, vsnprintf(p->text + p->len, sizeof(p->text) - p->len, format,
			  args));
	va_end(args);
}

const char *problems_text(const struct problems *p)
{
	return p->text;
}
