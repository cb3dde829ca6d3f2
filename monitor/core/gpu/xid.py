"""NVIDIA's XID catalogue: name, tier and action of each error."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.alerts import Severity

SAME_EVENT_US = 5_000_000
"""Equal XIDs within this time count as one."""
SIBLING_US = 300_000_000
"""Time within which XID 45 is attributed to an earlier XID of the same GPU."""


class Tier(StrEnum):
    """Tier of an XID."""

    FATAL = "fatal"
    """P1: page, latched until the GPU is reset, rebooted or replaced."""
    OWNER = "owner"
    """P2: the application's owner."""
    RECORD = "record"
    """P3: kept without a notification."""
    FOLLOWS = "follows"
    """A consequence: recorded with the XID that it follows."""
    MAPPED = "mapped"
    """Tier determined by the GPU's recovery action."""
    UNKNOWN = "unknown"
    """Not in the catalogue: always a ticket."""


@dataclass(frozen=True, slots=True)
class Xid:
    """One entry of the catalogue."""

    code: int
    tier: Tier
    name: str
    action: str
    repeated_action: str = ""
    """Action from the second occurrence within 24 hours."""
    is_page_when_repeated: bool = False
    pends_remap: bool = False
    """Whether the XID means that a row is remapped at the next reset."""


_RESET = "drain the node, reset the GPU"
_RMA = "it recurred: drain, run field diagnosis, start an RMA"
_RESTART = "restart the application; report it to the application's owner"
_DECODE = "decode the sub-code, then follow the GPU's recovery action"
_KEEP = "nothing now; kept for the record"


def _fatal(code: int, name: str, action: str = _RESET) -> Xid:
    return Xid(code, Tier.FATAL, name, action, repeated_action=_RMA)


def _owner(code: int, name: str, repeated: str = "") -> Xid:
    return Xid(code, Tier.OWNER, name, _RESTART, repeated_action=repeated)


def _record(code: int, name: str, action: str = _KEEP) -> Xid:
    return Xid(code, Tier.RECORD, name, action)


_DIAGNOSE = "run diagnostics; errors on one GPC/TPC are hardware, spread over units software"

_ENTRIES = (
    _fatal(46, "GPU stopped processing"),
    _fatal(48, "double-bit ECC error", "drain the node, reset the GPU, look for XID 63 or 64"),
    _fatal(54, "auxiliary power is not connected", "check the power connectors"),
    _fatal(62, "internal micro-controller halted"),
    _fatal(64, "row remapping could not be recorded"),
    _fatal(74, "NVLink error", "drain; check which link and peer, then reset the GPUs on it"),
    _fatal(79, "fallen off the bus", "drain the node, restart the machine"),
    _fatal(95, "uncontained ECC error"),
    _fatal(110, "security fault"),
    _fatal(119, "GSP did not answer in time"),
    _fatal(120, "GSP error"),
    _fatal(136, "link training failed"),
    _fatal(140, "unrecovered ECC error"),
    _fatal(143, "GPU initialisation failed"),
    _fatal(151, "key rotation failed", "restart the virtual machine"),
    _fatal(155, "NVLink software-defined error"),
    _fatal(156, "resource retirement event"),
    _fatal(158, "fatal GPU time-out"),
    *(Xid(code, Tier.MAPPED, f"NVLink error {code}", _DECODE) for code in range(144, 151)),
    Xid(154, Tier.MAPPED, "recovery action changed", "read the GPU's recovery action"),
    _owner(8, "GPU stopped processing (application)"),
    _owner(11, "invalid push buffer"),
    _owner(13, "graphics engine exception", _DIAGNOSE),
    _owner(25, "illegal push buffer"),
    _owner(31, "memory page fault", _DIAGNOSE),
    _owner(32, "corrupted push buffer"),
    *(_owner(code, f"copy engine {code - 39} exception") for code in (39, 40, 41)),
    _owner(69, "graphics engine class error"),
    _owner(80, "corrupted data sent to the GPU"),
    _owner(94, "contained ECC error"),
    Xid(
        109,
        Tier.OWNER,
        "context switch timed out",
        "restart the application; drain if the GPU asks for recovery",
        repeated_action="twice in 24 hours: drain the node, reset the GPU",
        is_page_when_repeated=True,
    ),
    Xid(
        63,
        Tier.RECORD,
        "row remapping recorded",
        "a row is remapped at the next reset: reset when the job ends",
        pends_remap=True,
    ),
    _record(37, "driver firmware error"),
    _record(38, "driver firmware error"),
    _record(43, "GPU stopped processing (application reset)"),
    _record(44, "fault during a context switch"),
    Xid(45, Tier.FOLLOWS, "work removed after an earlier error", "follow the error before it"),
    _record(66, "illegal access by the driver"),
    _record(67, "illegal access by the driver"),
    _record(92, "high rate of single-bit ECC errors", "watch its remapped rows"),
    _record(121, "C2C link error"),
    _record(137, "NVLink privilege error"),
    _record(141, "fast path error"),
    _record(157, "resource retirement failed"),
    _record(160, "channel retirement"),
    _record(161, "channel retirement failed"),
)

CATALOGUE: dict[int, Xid] = {entry.code: entry for entry in _ENTRIES}
"""By code. Tiers and actions: NVIDIA's XID catalogue (October 2025)."""

NVLINK = frozenset({74, 121, 136, 137, *range(144, 151), 155})
"""XIDs of one switch or link fault, which all connected GPUs report."""

RECOVERY_ACTIONS: dict[int, tuple[Severity, str]] = {
    0: (Severity.RECORD, "no recovery is asked for"),
    1: (Severity.PAGE, _RESET),
    2: (Severity.PAGE, "drain the node, reboot it"),
    3: (Severity.PAGE, "drain peer-to-peer work from the GPU"),
    4: (Severity.PAGE, _RESET),
}
"""GPU_RECOVERY_ACTION: 0 none, 1 reset, 2 reboot, 3 drain P2P, 4 drain and reset."""


@dataclass(frozen=True, slots=True)
class XidVerdict:
    """Verdict on one XID of a GPU."""

    severity: Severity
    is_latched: bool
    name: str
    action: str


def find_xid(code: int) -> Xid:
    """Return the entry of a code.

    Parameters
    ----------
    code : int
        The XID.

    Returns
    -------
    Xid
        Entry of the catalogue; tier ``unknown`` if it is not listed.

    Examples
    --------
    >>> find_xid(79).tier.value, find_xid(122).tier.value
    ('fatal', 'unknown')
    """
    unknown = Xid(code, Tier.UNKNOWN, "not in the catalogue", "look it up in NVIDIA's catalogue")
    return CATALOGUE.get(code, unknown)


def judge_xid(
    code: int, n_in_day: int, recovery_action: int | None, sibling: int | None = None
) -> XidVerdict:
    """Return the judgement on one XID.

    Parameters
    ----------
    code : int
        The XID.
    n_in_day : int
        Occurrences on this GPU within 24 hours, including this one.
    recovery_action : int or None
        The GPU's newest GPU_RECOVERY_ACTION; None if never reported.
    sibling : int, optional
        The XID shortly before, for XID 45.

    Returns
    -------
    XidVerdict

    Examples
    --------
    >>> judge_xid(79, 1, None).severity.value
    'page'
    >>> judge_xid(154, 1, 0).severity.value, judge_xid(154, 1, 2).action
    ('record', 'drain the node, reboot it')
    """
    xid = find_xid(code)
    action = xid.repeated_action if n_in_day > 1 and xid.repeated_action else xid.action
    if xid.tier is Tier.MAPPED:
        return _judge_mapped(xid, recovery_action)
    if xid.tier is Tier.FATAL:
        return XidVerdict(Severity.PAGE, True, xid.name, action)
    if xid.tier is Tier.FOLLOWS and sibling is not None:
        action = f"follow XID {sibling}: {find_xid(sibling).action}"
    if xid.tier in (Tier.RECORD, Tier.FOLLOWS):
        return XidVerdict(Severity.RECORD, False, xid.name, action)
    is_page = xid.is_page_when_repeated and (n_in_day > 1 or bool(recovery_action))
    if is_page and n_in_day == 1:
        action = RECOVERY_ACTIONS.get(recovery_action or 0, (Severity.PAGE, _RESET))[1]
    return XidVerdict(Severity.PAGE if is_page else Severity.TICKET, is_page, xid.name, action)


def _judge_mapped(xid: Xid, recovery_action: int | None) -> XidVerdict:
    """Return the verdict by recovery action; a ticket while it is unknown."""
    if recovery_action not in RECOVERY_ACTIONS:
        return XidVerdict(Severity.TICKET, False, xid.name, xid.action)
    severity, action = RECOVERY_ACTIONS[recovery_action]
    return XidVerdict(severity, severity is Severity.PAGE, xid.name, action)
