"""Allow list of the settings of a request, for the URL and for SETTINGS.

The engine has more than 1,800 settings. Some name files or hosts that it then reads, writes or
connects to (``format_schema*``, ``output_format_schema``, ``*_url``, ``*_path``), some are
expressions (``additional_*``), some choose another parser (``dialect``). New versions add more, so
only settings that are known to change a result or its cost are allowed.

What clients send, with the source:

- clickhouse-connect 1.12 (``driver/httpclient.py``, ``driver/_backend/orchestration.py``):
  transport parameters, ``date_time_input_format``, ``cast_string_to_dynamic_use_inference``,
  ``output_format_arrow_string_as_string``, ``readonly``.
- clickhouse-go v2 (``conn_http.go``, ``dialHttp`` and ``createRequest``):
  ``default_format=Native``, ``client_protocol_version``, ``database``, ``query_id``,
  ``quota_key``, and the user's settings, usually ``max_execution_time``.
- Grafana's ClickHouse plugin (``pkg/plugin/driver.go``, ``schema.go``): clickhouse-go's,
  its "custom settings", the row limit ``limit``, and ``SETTINGS max_execution_time=10``.
- Driftline (``monitor/storage/clickhouse.py``, ``schemas/migrations``): inserts and tables.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.storage.serve.refusal import RefusedRequest

TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "session_id", "session_timeout", "session_check",
        "close_session", "query_id", "compress", "decompress", "buffer_size",
        "wait_end_of_query", "user", "password", "quota_key", "client_protocol_version",
        "enable_http_compression", "http_zlib_compression_level",
        "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "add_http_cors_header", "cancel_http_readonly_queries_on_client_close",
        "http_write_exception_in_output_format", "log_comment", "use_query_cache",
    }
)  # fmt: skip
"""Parameters of the query string that the server consumes or ignores; not passed to the engine."""

ALLOWED = frozenset(
    {
        # Limits, which ``Limits`` enforces, and the behaviour at a limit.
        "readonly", "max_execution_time", "max_memory_usage", "max_result_bytes",
        "max_result_rows", "result_overflow_mode", "timeout_overflow_mode",
        "max_rows_to_read", "max_bytes_to_read", "read_overflow_mode",
        "max_rows_to_group_by", "group_by_overflow_mode", "max_rows_in_set", "limit", "offset",
        # Execution of queries.
        "max_threads", "max_block_size", "max_insert_threads", "final", "join_algorithm",
        "join_use_nulls", "any_join_distinct_right_table_keys", "group_by_use_nulls",
        "optimize_read_in_order", "optimize_aggregation_in_order", "use_skip_indexes",
        "do_not_merge_across_partitions_select_final", "prefer_column_name_to_alias",
        "union_default_mode", "transform_null_in", "extremes",
        "allow_experimental_analyzer", "enable_analyzer",
        # Inserts.
        "async_insert", "wait_for_async_insert", "insert_deduplicate",
        "insert_deduplication_token", "max_partitions_per_insert_block", "optimize_on_insert",
        "max_insert_block_size", "min_insert_block_size_rows", "min_insert_block_size_bytes",
        "insert_null_as_default", "input_format_null_as_default",
        "input_format_skip_unknown_fields", "input_format_defaults_for_omitted_fields",
        "mutations_sync",
        # Formats of values.
        "date_time_input_format", "date_time_output_format",
        "cast_string_to_dynamic_use_inference",
        "output_format_arrow_string_as_string", "output_format_arrow_compression_method",
        "output_format_parquet_string_as_string", "output_format_parquet_compression_method",
        "output_format_json_quote_64bit_integers", "output_format_json_quote_64bit_floats",
        "output_format_json_quote_denormals", "output_format_json_quote_decimals",
        "output_format_json_named_tuples_as_objects", "output_format_pretty_max_rows",
        "output_format_native_write_json_as_string", "output_format_write_statistics",
        "output_format_csv_crlf_end_of_line", "format_csv_delimiter",
        "input_format_csv_skip_first_lines", "input_format_json_read_numbers_as_strings",
    }
)  # fmt: skip
"""Settings of the engine that hold neither names, nor addresses, nor expressions."""

OF_TABLES = frozenset(
    {
        "index_granularity", "non_replicated_deduplication_window",
        "replicated_deduplication_window", "ttl_only_drop_parts",
        "merge_with_ttl_timeout", "max_bytes_to_merge_at_max_space_in_pool",
        "max_bytes_to_merge_at_min_space_in_pool", "allow_nullable_key",
        "vertical_merge_algorithm_min_rows_to_activate",
        "vertical_merge_algorithm_min_bytes_to_activate",
        "vertical_merge_algorithm_min_columns_to_activate",
        "deduplicate_merge_projection_mode", "min_bytes_for_wide_part",
    }
)  # fmt: skip
"""Settings of MergeTree tables in CREATE and ALTER: no disk, no storage policy, no path."""

OF_EXPLAIN = frozenset(
    {
        "header", "description", "indexes", "projections", "actions", "sorting", "json",
        "pretty", "compact", "optimize", "run_passes", "dump_passes", "dump_tree", "passes",
        "graph", "oneline", "query_tree_passes",
    }
)  # fmt: skip
"""Settings of EXPLAIN, which are written without the keyword SETTINGS."""


def refuse_settings(names: Iterable[str], known: frozenset[str] = frozenset()) -> None:
    """Raise for settings of a request that are not on the allow list.

    Parameters
    ----------
    names : iterable of str
        Names as sent; the engine's names are case-sensitive.
    known : frozenset of str
        All settings of the engine.

    Raises
    ------
    RefusedRequest
        452, or 115 for settings that the engine does not have.

    Examples
    --------
    >>> refuse_settings(["max_threads"])
    >>> refuse_settings(["dialect"], frozenset({"dialect"}))
    Traceback (most recent call last):
    monitor.storage.serve.refusal.RefusedRequest: Code: 452. DB::Exception: Setting dialect is not \
allowed here. (SETTING_CONSTRAINT_VIOLATION)
    """
    for name in names:
        if name in ALLOWED:
            continue
        if name in known:
            raise RefusedRequest(452, f"Setting {name[:64]} is not allowed here.")
        raise RefusedRequest(115, f"Unknown setting {name[:64]!r}.", "UNKNOWN_SETTING")
