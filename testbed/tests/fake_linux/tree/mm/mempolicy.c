// Toy memory policy.
#include <linux/mm.h>

int policy_node(int nid)
{
#ifdef CONFIG_NUMA
	return nid;
#else
	return 0;
#endif
}
