"""The engine's access control: one role per account, and constant settings.

chDB reads a server's configuration file, including users and roles. Every connection has the user
"default" with all roles; before a request its connection sets the role of the request's account,
and no allowed statement can set another one.

Measured with chDB 4.4 (engine 26.9): under these roles ``file()``, a path for a table's
name, ``url()``, ``format()``, ``ENGINE = File``, ``SYSTEM`` are denied by the engine itself.
Not covered: the scalar function ``file``, INTO OUTFILE, tables of ``system``.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from monitor.storage.serve.limits import Limits

OWNER, WRITER, READER = "driftline_owner", "driftline_writer", "driftline_reader"
GRANTS = {
    OWNER: "ALL ON *.* WITH GRANT OPTION",
    WRITER: "SELECT, SHOW, INSERT, ALTER UPDATE, ALTER DELETE, ALTER COLUMN, ALTER ORDER BY, "
    "ALTER INDEX, ALTER PROJECTION, ALTER CONSTRAINT, ALTER TTL, ALTER SETTINGS, ALTER VIEW, "
    "CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP DATABASE, DROP TABLE, DROP VIEW, "
    "UNDROP TABLE, TRUNCATE, OPTIMIZE ON *.*",
    READER: "SELECT, SHOW ON *.*",
}
_FILES = "READ ON FILE"
"""Needed by the writer: before it creates a table, chDB's default database looks for a file."""
_CLOSED = (
    "input_format_values_interpret_expressions",
    "input_format_values_deduce_templates_of_expressions",
)
"""VALUES may contain literals only, because an expression could read files unscreened."""
FIXED = (
    "dialect", "format_schema", "format_schema_source", "format_schema_message_name",
    "output_format_schema", "format_avro_schema_registry_url", "format_template_row",
    "format_template_row_format", "format_template_resultset",
    "format_template_resultset_format", "input_format_record_errors_file_path",
    "additional_table_filters", "additional_result_filter", "allow_introspection_functions",
    "rename_files_after_processing", *_CLOSED,
)  # fmt: skip
"""Settings that are constant in the engine: each names a file or host, or is an expression."""


def write_configuration(folder: Path, limits: Limits) -> Path:
    """Write the engine's configuration; return its path.

    Parameters
    ----------
    folder : Path
        Folder of the files; the engine reads them once, at start.
    limits : Limits
        Limits that the engine enforces: memory of all queries, and limits per query.
    """
    users, server = folder / "users.xml", folder / "engine.xml"
    users.write_bytes(_users(limits))
    root = Element("clickhouse")
    SubElement(root, "users_config").text = str(users)
    SubElement(root, "max_server_memory_usage").text = str(limits.memory_bytes)
    server.write_bytes(tostring(root))
    return server


def _users(limits: Limits) -> bytes:
    """Return the configuration of users, roles and constraints."""
    root = Element("clickhouse")
    profile = SubElement(SubElement(root, "profiles"), "default")
    for name in _CLOSED:
        SubElement(profile, name).text = "0"
    constraints = SubElement(profile, "constraints")
    for name in FIXED:
        SubElement(SubElement(constraints, name), "const")
    for name, bound in limits.settings().items():
        constraint = SubElement(constraints, name)
        for end, value in (("min", 1), ("max", bound)):
            SubElement(constraint, end).text = str(value)
    SubElement(SubElement(root, "quotas"), "default")
    roles = SubElement(root, "roles")
    for role, grant in GRANTS.items():
        _grant(SubElement(roles, role), grant, *([_FILES] if role == WRITER else []))
    user = SubElement(SubElement(root, "users"), "default")
    SubElement(user, "password")
    SubElement(SubElement(user, "networks"), "ip").text = "::/0"
    for name in ("profile", "quota"):
        SubElement(user, name).text = "default"
    _grant(user, ", ".join(GRANTS))
    return tostring(root)


def _grant(holder: Element, *grants: str) -> None:
    """Add grants to a user or a role."""
    under = SubElement(holder, "grants")
    for grant in grants:
        SubElement(under, "query").text = f"GRANT {grant}"
