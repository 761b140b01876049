// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

#define MAX_ARGUMENTS	8

static void become(const struct program *p, const char *path, char **argv,
		   int output)
{
	static char *const nothing[] = { NULL };

	/* An ignored signal would stay ignored in the program. */
	signal(SIGPIPE, SIG_DFL);
	if (dup2(output, STDOUT_FILENO) >= 0 &&
	    dup2(output, STDERR_FILENO) >= 0 &&
	    !prctl(PR_SET_PDEATHSIG, SIGKILL) && (!p->become || !p->become()))
		execve(path, argv, nothing);
	_exit(PROGRAM_NOT_RUN);
}

/* All of it is read, or the program would wait; what fits is kept. */
static void read_output(struct program *p, int fd)
{
	char rest[256];
	size_t len = 0;
	ssize_t got;

	do {
		if (len < sizeof(p->said) - 1)
			got = read(fd, p->said + len,
				   sizeof(p->said) - 1 - len);
		else
			got = read(fd, rest, sizeof(rest));
		if (got > 0 && len < sizeof(p->said) - 1)
			len += got;
	} while (got > 0);
	p->said[len] = '\0';
}

int program_run(struct program *p, const char *path, ...)
{
	char *argv[MAX_ARGUMENTS + 2] = { (char *)path };
	int output[2], status, i = 1;
	va_list arguments;
	pid_t pid;

	va_start(arguments, path);
	do {
		argv[i] = va_arg(arguments, char *);
	} while (argv[i] && i++ < MAX_ARGUMENTS);
	va_end(arguments);
	if (pipe2(output, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid == 0)
		become(p, path, argv, output[1]);
	close(output[1]);
	if (pid > 0)
		read_output(p, output[0]);
	close(output[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	p->status = WIFEXITED(status) ? WEXITSTATUS(status) :
					128 + WTERMSIG(status);
	return 0;
}
