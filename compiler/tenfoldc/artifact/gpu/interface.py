"""A plan as the LLVM IR text of a library's code for the CPU: its entries, its statuses, and what finds the driver.

The text refers to the kernels and to the plan's constants as data of the library, which `Images.data` gives.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.c_names import EntryNames, library_names
from tenfold_rt.cuda.alignment import ALIGNMENT
from tenfold_rt.cuda.plan import Launch, Plan, PlanEntry
from tenfold_rt.cuda.walking import all_steps
from tenfold_rt.frozen import frozen
from tenfold_rt.manifest import Entry, Manifest
from tenfold_rt.status import GpuStatus, Status
from tenfoldc.artifact import abi, abi_text, python_entry
from tenfoldc.artifact.gpu import carrying_out_text, context_text, driver_text, entry_text, steps_text
from tenfoldc.artifact.gpu.context_text import CONSTANTS, CUBIN, PTX, Kept
from tenfoldc.artifact.llvm_text import symbol


@frozen
class Images:
    """What a library holds as data: machine code where there is some, PTX, and constants."""

    cubin: bytes
    ptx: str
    constants: bytes

    @property
    def data(self) -> dict[str, bytes]:
        """The data by symbol; the driver wants PTX to end with a 0."""
        contents = {CUBIN: self.cubin, PTX: self.ptx.encode() + b"\0", CONSTANTS: self.constants}
        return {name: content for name, content in contents.items() if content}


def interface(plan: Plan, manifest: Manifest, images: Images) -> str:
    """The IR text of everything that the library exports.

    `UnsupportedError` where an entry has what the interface cannot pass; `ArtifactError` where the manifest contradicts
    itself.
    """
    for entry in manifest.entries:
        abi.check(entry)
    names = library_names(manifest)
    kernels = _kernels(plan)
    data = images.data
    kept = Kept(list(kernels.items()), *(len(data.get(name, b"")) for name in (CUBIN, PTX, CONSTANTS)))
    parts = [
        abi_text.declarations(large=python_entry.has_large_results(manifest)),
        abi.manifest_note(manifest, names),
        driver_text.functions(symbol(names.status), driver_text.status_messages(_messages(plan))),
        abi_text.CHECK_BUFFERS,
        abi_text.WORKSPACE_BYTES,
        context_text.functions(kept),
        carrying_out_text.functions(_most_arguments(plan)),
    ]
    numbers = {name: number for number, name in enumerate(kernels)}
    for entry, planned, entry_names in zip(manifest.entries, plan.entries, names.entries, strict=True):
        parts += _entry(entry, planned, entry_names, numbers)
    parts.append(python_entry.functions(manifest, names, is_parallel=False))
    return "\n".join(parts)


def _kernels(plan: Plan) -> dict[str, int]:
    """The kernels that are launched, with the most dynamic shared memory that one is given."""
    kernels: dict[str, int] = {}
    for step in (step for entry in plan.entries for step in all_steps(entry.steps)):
        if isinstance(step, Launch):
            kernels[step.kernel] = max(kernels.get(step.kernel, 0), step.shared_bytes)
    return kernels


def _most_arguments(plan: Plan) -> int:
    steps = (step for entry in plan.entries for step in all_steps(entry.steps))
    return max([0, *(len(step.arguments) for step in steps if isinstance(step, Launch))])


def _messages(plan: Plan) -> dict[Status | GpuStatus, str]:
    """What is to be said more exactly of this library."""
    return {
        Status.EALIGN: f"a pointer is not aligned to its elements, or one to a GPU's memory not to {ALIGNMENT} bytes",
        GpuStatus.EGPUCODE: f"this GPU, or its driver, does not run the library's code, made for {plan.architecture}",
    }


def _entry(entry: Entry, planned: PlanEntry, names: EntryNames, kernels: dict[str, int]) -> Sequence[str]:
    sizes = [python_entry.byte_size(buffer) for buffer in (*entry.parameters, *entry.results)]
    return [
        abi.checks(entry),
        entry_text.constants(entry, sizes),
        steps_text.StepsText(planned, kernels).function(),
        entry_text.functions(entry, planned, names, sizes),
        *abi.entry_functions(entry, names),
        abi_text.workspace_size(symbol(names.workspace), 0, 0),
    ]
