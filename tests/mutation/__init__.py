"""Mutation tests: how many small faults in the code the fast tests detect.

``make mutate`` judges a sample of faulty copies (mutants) of the modules in ``monitor/core`` and
``detectors`` by the tests of ``tests/unit``, ``tests/property`` and ``tests/oracle``.
``survivors.yaml`` lists the mutants that no test detects, each with its reason.

The operators are cosmic-ray's. Modules here import it inside functions: it is in the extra
``mutate``, and doctest collection imports every module of ``tests``.
"""
