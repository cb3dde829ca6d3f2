"""The multi-scale rule written out from its definition: slow, and the oracle of the kernel.

One function a step of the reference, in its order, over the components of one cell as NumPy
arrays. It shares the layout of the state and the constants with the kernel, and no formula.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import scale_state as at
from detectors.kernels import scales as kernel
from detectors.kernels.scale_evidence import BACK_MARGIN, CLOSING_HOURS, SKIPPED, TIE_NATS
from detectors.kernels.scale_learning import (
    CORRECTION_HOURS,
    DAY_HOURS,
    EARLY_LIMIT,
    LATE_LIMIT,
    LATE_MEAN,
    MAX_LEVEL_SHARE,
    N_EARLY,
)
from detectors.multiscale.averages import averages, expected_shares
from detectors.multiscale.evidence import evidence, size_of_change
from detectors.multiscale.movement import design_effects, effective_shares, natural_variances
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import EVERY_CONTEXT, ScaleRule, Verdicts
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS
from detectors.multiscale.variances import (
    average_variances,
    movement_over,
    newest_weights,
    reference_variances,
)

Floats = NDArray[np.float64]

_HOURS = np.array(SCALE_HOURS)
_SUMS = slice(at.SUM, at.SUM + at.N_SCALES)
_LONGEST = at.N_SCALES - 1
_BARELY = 1 - 1e-9


def judge_by_definition(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    sums: Floats,
    rows: Floats,
    slot: int = 0,
    *,
    is_guessed: NDArray[np.bool_] = EVERY_CONTEXT,
    is_learning: bool = True,
    is_firing: bool = True,
) -> Verdicts:
    """Evaluate one tick like :func:`detectors.multiscale.rule.judge`, about 500 times slower.

    References
    ----------
    Decision rule 2, section 1.3, numbers of the steps in the text below.
    """
    out = _nothing(plan.n_cells)
    if rows.sum() <= 0:
        return out
    context = 0
    if is_firing and plan.has_season:
        context = _context(plan, rule, state, sums, rows, slot, is_guessed)
    own = kernel.context_slot(slot, context)
    present = np.flatnonzero(rows > 0).tolist()
    out.context[present] = context
    for c in present:
        _follow(plan, rule, state, c, sums, rows[c], own, is_learning)
    for c in present:
        if is_firing:
            _weigh_evidence(plan, rule, state, c, own, out)
            _fire_or_close(plan, rule, state, c, out)
            if is_learning:
                _correct(plan, rule, state, c)
        if is_learning and state.cells[c, at.IS_OPEN] != at.OPEN:
            _learn(plan, rule, state, c)
    return out


def _nothing(n: int) -> Verdicts:
    return Verdicts(
        np.zeros(n, bool),
        np.zeros(n, bool),
        np.full(n, -1),
        np.full(n, -1),
        np.zeros(n, np.int64),
        np.zeros(n),
        np.full(n, -np.inf),
        *(np.zeros(n) for _ in range(3)),
    )


def _members(plan: ScalePlan, c: int) -> slice:
    return slice(int(plan.offsets[c]), int(plan.offsets[c + 1]))


def _season(plan: ScalePlan, slot: int, own: slice) -> Floats:
    """Return s(slot): 0 of components without a season."""
    if not plan.has_season:
        return np.zeros(own.stop - own.start)
    values = plan.season[slot, own].astype(np.float64)
    return np.where(plan.codes[own, at.IS_SEASONAL] == 1, values, 0.0)


def _context(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    sums: Floats,
    rows: Floats,
    slot: int,
    is_guessed: NDArray[np.bool_],
) -> int:
    """Step 2, section 1.6: which hour of its own season the whole model looks like."""
    is_share = plan.codes[:, at.IS_SHARE] == 1
    has_means = np.logical_or.reduceat(~is_share, plan.offsets[:-1])[plan.codes[:, at.CELL]]
    is_used = (plan.codes[:, at.IS_SEASONAL] == 1) & ~(is_share & has_means)
    is_used &= rows[plan.codes[:, at.CELL]] > 0
    cell, unit = plan.codes[is_used, at.CELL], plan.constants[is_used, at.PQ]
    ticks = np.maximum(state.cells[cell, at.N_PHI], 1.0)
    phi = np.maximum(1.0, state.components[is_used, at.PHI_SUM] / ticks)
    variance = phi * unit / rows[cell] + at.PRIOR_VARIANCE * unit
    mean = sums[is_used] / rows[cell] - plan.constants[is_used, at.P]
    weight = np.where(is_share[is_used], 1 - plan.constants[is_used, at.P], 1.0)
    now = np.empty(at.N_CONTEXTS)
    for a in range(at.N_CONTEXTS):
        d = mean - plan.season[kernel.context_slot(slot, a), is_used]
        now[a] = weight @ np.minimum(d * d / variance, kernel.MAX_CONTEXT_DEVIATION)
    score = kernel.CONTEXT_MEMORY * state.model[: at.N_CONTEXTS] + now
    state.model[: at.N_CONTEXTS] = score
    has_seasonal_means = bool(np.any(plan.codes[~is_share, at.IS_SEASONAL]))
    clock = 0 if has_seasonal_means else _moved_clock(state, now, is_guessed)
    now = np.where(is_guessed, now, np.inf)
    best = int(np.argmin(np.where(is_guessed, state.model[: at.N_CONTEXTS], np.inf)))
    if now[0] - now.min() > kernel.DECISIVE:
        best = int(np.argmin(now))
        least = state.model[best] + kernel.DECISIVE + 1
        state.model[0] = max(state.model[0], least)
    is_beaten = best > 0 and float(state.model[0]) - float(state.model[best]) > kernel.DECISIVE
    spent = float(state.model[at.HOURS_OTHER_DAY])
    is_other = best == kernel.OTHER_DAY
    if is_beaten and now[0] > now[best]:
        if not is_other:
            return best
        if spent < kernel.MAX_OTHER_DAY_HOURS:
            state.model[at.HOURS_OTHER_DAY] = spent + rule.tick_hours
            return best
    elif not is_beaten:
        less = kernel.OTHER_DAY_RECOVERY * rule.tick_hours
        state.model[at.HOURS_OTHER_DAY] = max(0.0, spent - less)
    return clock


def _moved_clock(state: ScaleState, now: Floats, is_guessed: NDArray[np.bool_]) -> int:
    """Return the neighbouring hour that the clock has moved to, found over any time; 0: none."""
    neighbours = slice(1, 1 + at.N_NEIGHBOURS)
    evidence = state.model[at.CLOCK :] + (now[0] - now[neighbours])
    state.model[at.CLOCK :] = np.clip(evidence, 0, kernel.MAX_CLOCK_EVIDENCE)
    is_found = (state.model[at.CLOCK :] > kernel.CLOCK_MOVED) & is_guessed[neighbours]
    is_found &= now[0] > now[neighbours]
    if not is_found.any():
        return 0
    return 1 + int(np.argmax(np.where(is_found, state.model[at.CLOCK :], -1)))


def _weight(rule: ScaleRule, cell: NDArray[np.float32], samples: float, n: float) -> float:
    """Step 1: min(n, 4 mean rows); the mean follows n within a day, then by .2 % a tick."""
    mean, age = float(cell[at.MEAN_ROWS]), float(cell[at.AGE])
    if mean == 0:
        cell[at.MEAN_ROWS] = n
        return n
    is_young = age < kernel.YOUNG_HOURS / rule.tick_hours
    before = kernel.REFERENCE_TICKS if samples >= at.MIN_SAMPLES else 1
    rate = max(kernel.MEAN_ROWS_RATE, 1 / (age + before)) if is_young else kernel.MEAN_ROWS_RATE
    if is_young:
        target = min(n, kernel.MAX_YOUNG_WEIGHT * mean)
    else:
        target = n if n <= at.MAX_WEIGHT * mean else 2 * mean
    cell[at.MEAN_ROWS] = mean + (target - mean) * rate
    return min(n, at.MAX_WEIGHT * mean)


def _follow(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    c: int,
    sums: Floats,
    n: float,
    slot: int,
    is_learning: bool,
) -> None:
    """Steps 3 to 6: deviation, clip, clusters, averages."""
    own, cell, scales = _members(plan, c), state.cells[c], state.scales[c]
    part, constants = state.components[own], plan.constants[own]
    p, unit, is_share = constants[:, at.P], constants[:, at.PQ], plan.codes[own, at.IS_SHARE] == 1
    phi, natural = design_effects(plan, state)[own], natural_variances(plan, state)[own, 0]
    pooled = at.PHI_PRIOR_TICKS * plan.references[c, at.PHI_REFERENCE] + float(cell[at.PHI_CELL])
    pooled /= at.PHI_PRIOR_TICKS + float(cell[at.N_PHI])
    weight = _weight(rule, cell, float(scales[0, at.SAMPLES]), n)
    scales[:, at.WEIGHT] = rule.decay * scales[:, at.WEIGHT] + weight
    scales[:, at.SQUARES] = rule.decay**2 * scales[:, at.SQUARES] + weight * weight / n
    correction = part[:, at.CORRECTION].astype(np.float64)
    previous, before = part[:, at.PREVIOUS].astype(np.float64), float(cell[at.PREVIOUS_ROWS])
    d = sums[own] / n - p - correction - _season(plan, slot, own)
    moved = d
    if before > 0 or scales[0, at.SAMPLES] >= at.MIN_SAMPLES:
        known = np.where(unit >= kernel.KNOWN_SHARE, kernel.MAX_GAINED, 1.0)
        gained = np.where(is_share, known, 0.0)
        limit = _limit(phi * unit, natural, gained, n)
        low, high = -limit, limit
        if before > 0 and pooled < kernel.MAX_BELIEVED_PHI:
            last = _limit(phi * unit, natural, gained, before)
            high = np.where(previous > last, np.maximum(limit, previous), high)
            low = np.where(previous < -last, np.minimum(-limit, previous), low)
        moved = np.clip(d, low, high)
    if before > 0:
        live = p + part[:, at.SUM + _LONGEST] / float(scales[_LONGEST, at.WEIGHT])
        live = np.clip(live, 0.0, 1.0)
        noisy = np.where(is_share, np.maximum(unit, live * (1 - live)), unit)
        r = (d - previous) ** 2 / (noisy * (1 / n + 1 / before))
        r = np.minimum(r, kernel.MAX_CLUSTER_RATIO * phi)
        if is_learning and cell[at.IS_OPEN] != at.OPEN:
            part[:, at.PHI_SUM] = part[:, at.PHI_SUM].astype(np.float64) + r
            cell[at.PHI_CELL] = float(cell[at.PHI_CELL]) + r.mean()
            cell[at.N_PHI] += 1
    part[:, at.PREVIOUS] = d
    part[:, _SUMS] = rule.decay * part[:, _SUMS] + weight * moved[:, None]
    part[:, at.TODAY] = part[:, at.TODAY].astype(np.float64) + weight * (moved + correction)
    cell[at.PREVIOUS_ROWS] = n
    cell[at.AGE] += 1
    cell[at.W_TODAY] = float(cell[at.W_TODAY]) + weight
    cell[at.T_TODAY] += 1


def _limit(sampling: Floats, natural: Floats, gained: Floats, n: float) -> Floats:
    found: Floats = np.maximum(at.CLIP * np.sqrt(sampling / n + natural), gained / n)
    return found


def _weigh_evidence(
    plan: ScalePlan, rule: ScaleRule, state: ScaleState, c: int, slot: int, out: Verdicts
) -> None:
    """Steps 7 to 9: evidence of all scales that are due, the gate, the strongest."""
    own = _members(plan, c)
    is_share, unit = plan.codes[own, at.IS_SHARE, None] == 1, plan.constants[own, at.PQ, None]
    p, own_unit = expected_shares(plan, state, slot)
    everything = average_variances(plan, rule, state, own_unit)
    variance = type(everything)(
        *(getattr(everything, name)[own] for name in everything.__dataclass_fields__)
    )
    m, base = averages(plan, state)[own], p[own, None]
    newest = newest_weights(plan, rule, state)[own]
    e = evidence(m, is_share, base, variance, plan.constants[own, at.G_MAX, None], newest)
    margin = e - rule.thresholds
    size = size_of_change(m, is_share, base, unit)
    least_size = plan.references[c, at.SMALLEST] * plan.constants[own, at.GATE, None]
    margin = np.where(size < least_size, np.minimum(margin, -1e-6), margin)
    least = np.clip(1.6 * (rule.thresholds - BACK_MARGIN), 0.0, SKIPPED)
    with np.errstate(invalid="ignore"):
        is_seen = m * m >= least * (variance.sampling + variance.natural)
    margin = np.where(is_seen & _due(rule, state, c), margin, -np.inf)
    strongest, most = -1, -np.inf
    for k, value in enumerate(margin.T.reshape(-1)):
        if value > most + TIE_NATS:
            strongest, most = k, value
    if strongest < 0:
        return
    scale, component = divmod(strongest, len(margin))
    out.component[c], out.scale[c] = own.start + component, scale
    out.evidence[c], out.margin[c] = e[component, scale], margin[component, scale]
    out.change[c] = m[component, scale]
    out.natural[c] = variance.natural[component, scale]
    out.sampling[c] = variance.sampling[component, scale]


def _due(rule: ScaleRule, state: ScaleState, c: int) -> NDArray[np.bool_]:
    """Scales that are evaluated in this tick, shape (6,)."""
    cell, samples = state.cells[c], state.scales[c, :, at.SAMPLES]
    age = int(cell[at.AGE])
    is_due = age % rule.every == 0
    if cell[at.IS_OPEN]:
        scale = int(cell[at.OPEN_SCALE])
        wait = max(CLOSING_HOURS, _HOURS[scale]) * _BARELY
        is_due[scale] = True
        is_due |= (cell[at.N_BACK] + 1) * rule.tick_hours >= wait
    has_samples = samples >= at.MIN_SAMPLES
    has_samples[1:] |= samples[:-1] >= 4 * at.MIN_SAMPLES
    due: NDArray[np.bool_] = is_due & has_samples & (age * rule.tick_hours >= 2 * _HOURS * _BARELY)
    return due


def _fire_or_close(
    plan: ScalePlan, rule: ScaleRule, state: ScaleState, c: int, out: Verdicts
) -> None:
    """Steps 10 and 12."""
    cell = state.cells[c]
    if not cell[at.IS_OPEN]:
        if out.margin[c] >= 0:
            scale = max(int(out.scale[c]), 1)
            if out.natural[c] > out.sampling[c]:
                scale = min(scale + 1, _LONGEST - 1)
            cell[at.IS_OPEN], cell[at.N_BACK] = 1, 0
            cell[at.OPEN_COMPONENT], cell[at.OPEN_SCALE] = out.component[c], scale
            cell[at.OPEN_CHANGE] = out.change[c]
            out.has_opened[c] = True
        return
    scale, change = int(cell[at.OPEN_SCALE]), float(cell[at.OPEN_CHANGE])
    m = float(averages(plan, state)[int(cell[at.OPEN_COMPONENT]), scale])
    is_back = m / change < kernel.CLOSING_SHARE and out.margin[c] < -BACK_MARGIN
    cell[at.N_BACK] = cell[at.N_BACK] + 1 if is_back else 0
    if m * change > 0 and abs(m) > abs(change):
        cell[at.OPEN_CHANGE] = change + kernel.CHANGE_RATE * (m - change)
    wanted = max(CLOSING_HOURS, _HOURS[scale])
    if cell[at.N_BACK] * rule.tick_hours >= wanted * _BARELY:
        cell[at.IS_OPEN] = 0
        out.has_closed[c] = True


def _correct(plan: ScalePlan, rule: ScaleRule, state: ScaleState, c: int) -> None:
    """Section 1.5: after a day, and once the next one has passed without an alert."""
    own, cell = _members(plan, c), state.cells[c]
    part = state.components[own]
    if cell[at.T_TODAY] * rule.tick_hours < DAY_HOURS * _BARELY:
        return
    days = (at.TODAY, at.YESTERDAY)
    # without an open alert: one has closed since the last day ended
    has_alert = bool(cell[at.IS_OPEN]) or cell[at.N_BACK] > 0
    if has_alert or cell[at.T_CONFIRMED] * rule.tick_hours >= CORRECTION_HOURS * _BARELY:
        if not cell[at.IS_OPEN]:
            cell[at.N_BACK] = 0
        part[:, days] = 0
        cell[[at.W_TODAY, at.W_YESTERDAY, at.T_TODAY, at.T_YESTERDAY]] = 0
        return
    for today, yesterday, confirmed in (
        (at.W_TODAY, at.W_YESTERDAY, at.W_CONFIRMED),
        (at.T_TODAY, at.T_YESTERDAY, at.T_CONFIRMED),
    ):
        cell[confirmed] += cell[yesterday]
        cell[yesterday], cell[today] = cell[today], 0
    part[:, at.CONFIRMED] += part[:, at.YESTERDAY]
    part[:, at.YESTERDAY], part[:, at.TODAY] = part[:, at.TODAY], 0
    weight = float(cell[at.W_CONFIRMED])
    if weight <= 0:
        return
    phi, tau = design_effects(plan, state), natural_variances(plan, state)
    reference = reference_variances(plan, rule, state, phi, tau)[own]
    span = np.full(len(part), float(cell[at.T_CONFIRMED]) * rule.tick_hours)
    live = (phi * plan.constants[:, at.PQ])[own] / weight + movement_over(tau[own], span)
    before = part[:, at.CORRECTION].astype(np.float64)
    mean = part[:, at.CONFIRMED].astype(np.float64) / weight
    part[:, at.CORRECTION] = mean * reference / (reference + live)
    part[:, at.UNEXPLAINED] = live / (reference + live)
    step = before - part[:, at.CORRECTION]
    part[:, _SUMS] = part[:, _SUMS] + np.outer(step, state.scales[c, :, at.WEIGHT])


def _learn(plan: ScalePlan, rule: ScaleRule, state: ScaleState, c: int) -> None:
    """Section 1.4: one sample of natural movement every 2T, about the stream's own level."""
    own, scales = _members(plan, c), state.scales[c]
    p, unit = plan.constants[own, at.P], plan.constants[own, at.PQ]
    is_share = plan.codes[own, at.IS_SHARE] == 1
    age, phi = int(state.cells[c, at.AGE]), design_effects(plan, state)[own]
    q, m = effective_shares(state)[c], averages(plan, state)[own]
    for s in range(at.N_SCALES):
        if age % rule.sample_every[s] or age * rule.tick_hours < 2 * _HOURS[s] * _BARELY:
            continue
        if s < _LONGEST and q[_LONGEST] > MAX_LEVEL_SHARE * q[s]:
            continue
        scales[s, at.SAMPLES] += 1
        natural = natural_variances(plan, state)[own, s]
        level = m[:, _LONGEST] if s < _LONGEST else np.zeros(len(p))
        scatter = 1 - q[_LONGEST] / q[s] if s < _LONGEST else 1.0
        sample = (m[:, s] - level) ** 2 / scatter * plan.constants[own, at.SEASON_FACTOR]
        live = np.clip(p + level, 0.0, 1.0)
        sampling = phi * np.where(is_share, np.maximum(unit, live * (1 - live)), unit) * q[s]
        believed = sampling + natural
        if scales[s, at.SAMPLES] <= N_EARLY:
            sample = np.minimum(sample, EARLY_LIMIT * believed)
        else:
            sample = np.minimum(sample, LATE_LIMIT * believed) / LATE_MEAN
        column = at.EXCESS + s
        part = state.components[own]
        part[:, column] = part[:, column].astype(np.float64) + (sample - sampling)
        is_common = is_share & (p >= at.RARE_SHARE)
        if len(p) > 1 and not is_share.any():
            is_common = ~is_share
        added = float((sample / sampling)[is_common].mean()) if is_common.any() else 1.0
        scales[s, at.INFLATION] = float(scales[s, at.INFLATION]) + added
