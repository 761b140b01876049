/* SPDX-License-Identifier: GPL-2.0-only */
/* Steps of a case about a subject in a cpuset (cpuset_scene.h), as macros. */
#ifndef TESTBED_CPUSET_STEPS_H
#define TESTBED_CPUSET_STEPS_H

#define SUBJECT		(&self->scene.subject)

#include "cpuset_scene.h"
#include "subject_steps.h"

#define START_IN_X(nodes, prepare) \
	ASSERT_CLEAN(cpuset_scene_start(&self->scene, nodes, prepare))

/* All that the child has is on @nodes, too. */
#define VERIFY_ON(nodes, what) \
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, nodes, what))

#endif /* TESTBED_CPUSET_STEPS_H */
