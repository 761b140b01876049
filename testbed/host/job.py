"""A build request whose inputs are known, and so its key."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Final

from testbed.core.kconfig import Merged, hash_options, merge_fragments
from testbed.core.series import format_own_options
from testbed.host.kbuild import RECIPE
from testbed.host.kernel import BuildRequest, Identity
from testbed.host.mirror import configures
from testbed.host.out_dir import Purpose
from testbed.host.source import Source

_OWN: Final = "series.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One kernel to build."""

    request: BuildRequest
    source: Source
    toolchain: str

    @property
    def merged(self) -> Merged:
        """The options that are asked for, by the fragments and by the series themselves."""
        own = (_OWN, format_own_options(self.request.series))
        return merge_fragments((*self.request.fragments, own), version=self.source.version)

    @property
    def identity(self) -> Identity:
        """What the kernel is made of.

        The key covers what can change the bytes of the image: the source, the patches, the
        options, the compiler and linker, and how they are called.
        """
        kconfig_hash = hash_options(self.merged.options)
        patch_ids = tuple(patch.patch_id for one in self.request.series for patch in one.patches)
        parts = [self.source.id, patch_ids, kconfig_hash, self.toolchain, RECIPE]
        return Identity(
            key=hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32],
            source_id=self.source.id,
            source_title=self.source.title,
            patch_ids=patch_ids,
            fragments=tuple(name for name, _ in self.request.fragments),
            kconfig_hash=kconfig_hash,
            toolchain=self.toolchain,
        )

    @property
    def purpose(self) -> Purpose:
        """What its build folder is for."""
        return Purpose(
            config=hash_options(self.merged.options),
            toolchain=self.toolchain,
            is_base=not self.request.series,
        )

    @property
    def config_inputs(self) -> str:
        """What the .config depends on besides the options that are asked for."""
        patches = [patch for one in self.request.series for patch in one.patches]
        ids = [p.patch_id for p in patches if any(configures(name) for name in p.touched)]
        return json.dumps([self.source.kconfig_id, self.toolchain, RECIPE, ids])

    @property
    def release(self) -> str:
        """The release that the source is of, such as 6.12."""
        return ".".join(str(part) for part in self.source.version)

    def without_series(self) -> "Job":
        """Return the job of the base kernel."""
        return replace(self, request=replace(self.request, series=()))
