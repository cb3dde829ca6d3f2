"""``driftline topics``: create, check and describe the Kafka topics of an installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.terminal.output import print_json, print_table

if TYPE_CHECKING:
    from monitor.transport.kafka.topics.specs import TopicChange, TopicSpec, TopicState

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Create, check or describe the Kafka topics of an installation.

TLS and login are configured by environment variables: DRIFTLINE_KAFKA_TLS, _CA_FILE, _SASL,
_USERNAME, _PASSWORD or _PASSWORD_FILE. Secrets are never printed.

\b
Examples:
  driftline topics create --yes
  driftline topics check
  driftline topics describe --json
""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
Bootstrap = Annotated[
    str,
    typer.Option(
        envvar="DRIFTLINE_KAFKA",
        metavar="HOST:PORT,...",
        help="Bootstrap brokers, separated by commas.",
    ),
]
Partitions = Annotated[
    int,
    typer.Option(
        "--partitions",
        metavar="N",
        min=1,
        help="Partitions of the topics panes, gpu, state and results.",
    ),
]
InputPartitions = Annotated[
    int,
    typer.Option(
        "--input-partitions",
        metavar="N",
        min=1,
        help="Partitions of the topics predictions, labels, deadletter and late.",
    ),
]
Replication = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Replication factor; by default the cluster's."),
]
Prefix = Annotated[
    str,
    typer.Option(
        metavar="PREFIX",
        help="Prefix of the topic names, for several installations on one cluster.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
DEFAULT_BOOTSTRAP = "127.0.0.1:9092"


@app.command()
def create(
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    partitions: Partitions = 8,
    input_partitions: InputPartitions = 8,
    replication: Replication = None,
    prefix: Prefix = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Apply the changes; without it they are only shown.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the changes that the topics need; with --yes, apply them.

    It creates missing topics, adds partitions and corrects settings. It never deletes a
    topic or reduces its partitions.

    \b
    Exit code: 0 shown or applied; 1 differences remain that it cannot correct, 4 Kafka.

    \b
    Examples:
      driftline topics create
      driftline topics create --bootstrap kafka-1:9092,kafka-2:9092 --replication 3 --yes
    """
    from monitor.transport.kafka.topics.changes import apply_changes
    from monitor.transport.kafka.topics.specs import Action

    specs = _specs(partitions, input_partitions, replication, prefix)
    with _admin(bootstrap) as admin:
        changes = _plan(admin, specs)
        if not as_json:
            _print_changes(changes, len(specs))
        if yes and changes:
            apply_changes(admin, changes)
    n_doable = sum(c.action is not Action.NONE for c in changes)
    is_done = yes or not n_doable
    if as_json:
        print_json({"changes": _documents(changes), "applied": yes})
    elif n_doable:
        typer.echo(f"{n_doable} changes made" if yes else "nothing was changed; --yes does it")
    if is_done and len(changes) > n_doable:
        raise typer.Exit(1)


@app.command()
def check(
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    partitions: Partitions = 8,
    input_partitions: InputPartitions = 8,
    replication: Replication = None,
    prefix: Prefix = "",
    as_json: Json = False,
) -> None:
    """Compare the topics with the required settings; change nothing.

    \b
    Exit code: 0 no differences, 1 differences, 4 Kafka.

    \b
    Examples:
      driftline topics check
      driftline topics check --json | jq '.changes[] | .topic'
    """
    specs = _specs(partitions, input_partitions, replication, prefix)
    with _admin(bootstrap) as admin:
        changes = _plan(admin, specs)
    if as_json:
        print_json({"ok": not changes, "changes": _documents(changes)})
    else:
        _print_changes(changes, len(specs))
    if changes:
        raise typer.Exit(1)


@app.command()
def describe(
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    prefix: Prefix = "",
    as_json: Json = False,
) -> None:
    """Show the topics and their settings.

    \b
    Exit code: 0 shown, even if topics are missing; 4 Kafka.

    \b
    Examples:
      driftline topics describe
      driftline topics describe --json
    """
    from monitor.transport.kafka.topics.changes import read_topics
    from monitor.transport.kafka.topics.specs import topic_specs

    wanted = [spec.name for spec in topic_specs(prefix=prefix)]
    with _admin(bootstrap) as admin:
        states = read_topics(admin, wanted)
    facts = [_facts(name, states.get(name)) for name in wanted]
    if as_json:
        print_json({"topics": facts})
        return
    columns = ("topic", "partitions", "replicas", "cleanup", "kept", "time of", "largest message")
    print_table(columns, [_row(fact) for fact in facts])


def _specs(
    partitions: int, input_partitions: int, replication: int | None, prefix: str
) -> list[TopicSpec]:
    """Build the specifications from the options."""
    from monitor.transport.kafka.topics.specs import BROKER_DEFAULT, topic_specs

    return topic_specs(
        n_input=input_partitions,
        n_keyed=partitions,
        replication=replication or BROKER_DEFAULT,
        prefix=prefix,
    )


def _admin(bootstrap: str) -> Any:
    """Connect with the security settings of the environment."""
    from monitor.transport.kafka.auth.security_environment import security_from_environment
    from monitor.transport.kafka.topics.connection import open_admin

    return open_admin(bootstrap, security_from_environment())


def _plan(admin: Any, specs: Sequence[TopicSpec]) -> list[TopicChange]:
    """Compare the specifications with the cluster."""
    from monitor.transport.kafka.topics.changes import read_topics
    from monitor.transport.kafka.topics.specs import plan_changes

    return plan_changes(specs, read_topics(admin, [spec.name for spec in specs]))


def _print_changes(changes: Sequence[TopicChange], n_topics: int) -> None:
    """Print the differences, one per line."""
    if not changes:
        typer.echo(f"all {n_topics} topics are as they should be")
        return
    columns = ("topic", "what", "is", "should be", "action", "note")
    rows = [(c.topic, c.setting, c.found, c.wanted, c.action.value, c.note) for c in changes]
    print_table(columns, rows)


def _documents(changes: Sequence[TopicChange]) -> list[dict[str, str]]:
    """Return the changes for JSON output."""
    return [
        {
            "topic": c.topic,
            "action": c.action.value,
            "setting": c.setting,
            "found": c.found,
            "wanted": c.wanted,
            "note": c.note,
        }
        for c in changes
    ]


def _facts(name: str, state: TopicState | None) -> dict[str, Any]:
    """Return one topic for JSON output; a missing topic has only its name."""
    if state is None:
        return {"topic": name, "exists": False}
    return {
        "topic": name,
        "exists": True,
        "topic_id": state.topic_id,
        "partitions": state.n_partitions,
        "replication": state.replication,
        "settings": dict(sorted(state.settings.items())),
    }


def _row(fact: dict[str, Any]) -> tuple[Any, ...]:
    """Return the table row of one topic."""
    if not fact["exists"]:
        return (fact["topic"], None, None, "no such topic", None, None, None)
    settings = fact["settings"]
    kept = _span(settings["retention.ms"]) if "delete" in settings["cleanup.policy"] else "forever"
    stamped = "arrival" if settings["message.timestamp.type"] == "LogAppendTime" else "producer"
    numbers = (fact["partitions"], fact["replication"])
    largest = int(settings["max.message.bytes"])
    return (fact["topic"], *numbers, settings["cleanup.policy"], kept, stamped, largest)


def _span(milliseconds: str) -> str:
    """Format a time span in the largest unit that divides it.

    Examples
    --------
    >>> [_span(v) for v in ("259200000", "7200000", "1500", "-1")]
    ['3 d', '2 h', '1.5 s', 'forever']
    """
    value = int(milliseconds)
    if value < 0:
        return "forever"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if value and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value / 1000:g} s"
