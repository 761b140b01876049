// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

static void adopt(struct peer *peer, pid_t pid, int in, int out)
{
	peer->pid = pid;
	peer->in = in;
	peer->out = out;
}

pid_t peer_fork(struct peer *peer)
{
	int down[2], up[2];
	pid_t parent = getpid(), pid;

	/* A send to a dead peer is to return, not to kill. */
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(down, O_CLOEXEC))
		return -1;
	if (pipe2(up, O_CLOEXEC)) {
		close(down[0]);
		close(down[1]);
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(down[1]);
		close(up[0]);
		adopt(peer, parent, down[0], up[1]);
		return 0;
	}
	close(down[0]);
	close(up[1]);
	adopt(peer, pid, up[0], down[1]);
	return pid;
}

int peer_send(struct peer *peer, long value)
{
	return write(peer->out, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

int peer_receive(struct peer *peer, long *value)
{
	ssize_t got;

	do {
		got = read(peer->in, value, sizeof(*value));
	} while (got < 0 && errno == EINTR);
	return got == sizeof(*value) ? 0 : -1;
}

int peer_end(struct peer *peer)
{
	int status;

	close(peer->in);
	close(peer->out);
	if (waitpid(peer->pid, &status, 0) != peer->pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}
