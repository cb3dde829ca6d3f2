"""Detectors that read one value at a time and report where a stream changed.

One file each. On any number: ``adwin``, ``page_hinkley``, ``kswin``, ``cusum``,
``ewma``, ``shewhart``, ``bocd``. On a stream of errors (1 wrong, 0 right): ``ddm``,
``eddm``, ``hddm_a``, ``hddm_w``, ``stepd``, ``rddm``; on one of hits, ``fhddm``.

Each is a class with ``update(x)``, ``drift_detected`` and, where its paper has one,
``warning_detected``. ``detect(values)`` reads a whole array and returns the places of
the alarms. Both call the same compiled step on the same state (:mod:`.detector`), so
that they cannot disagree, and a stream may be cut, saved and resumed anywhere.

After an alarm a detector starts afresh with the next value. Values that are not
finite are skipped and counted: the alarms of a stream with gaps are those of the
stream without them. They judge single streams: for whole windows of many variables,
with a bound on false alarms, see ``detectors.decision_rule.decision``.

Nothing is imported here, because compiled code takes time to load::

    from detectors.sequential.adwin import ADWIN

    ADWIN.detect(values, delta=0.01).drifts
"""
